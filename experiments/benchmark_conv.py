# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Measures how fast convolutional networks are trained, by each route.

    python -m experiments.benchmark_conv
    python -m experiments.benchmark_conv --shapes=digits --rows=step,routes

Prints one table and writes it as JSON. Both sides of a ratio are measured in
alternating bursts, in processes that sleep while another runs, and the shortest
burst of each counts; keep the machine idle otherwise. Programs are compiled
afresh. PyTorch rows need the extra `bench`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time

from experiments import benchmark_settings, launch, settings
from experiments.benchmarks import conv_rows
from experiments.benchmarks import frameworks as frameworks_lib
from experiments.benchmarks import table as table_lib
from experiments.benchmarks.conv_shapes import SHAPES
from experiments.benchmarks.table import Row

ROUTES, ROWS = conv_rows.ROUTES, conv_rows.ROWS


@dataclasses.dataclass(frozen=True)
class Config(benchmark_settings.BenchmarkSettings):
  """Settings of the benchmark."""

  rows: tuple[str, ...] = settings.measurement(
    ROWS, f'Rows of the table, out of {",".join(ROWS)}.', is_common=True
  )
  shapes: tuple[str, ...] = settings.measurement(
    tuple(SHAPES),
    f'Shapes of the data, out of {",".join(SHAPES)}.',
    is_common=True,
  )
  routes: tuple[str, ...] = settings.measurement(
    ROUTES, f'Routes that are measured, out of {",".join(ROUTES)}.'
  )
  output: str = settings.measurement(
    'runs/benchmark_conv.json', 'Path of the file that the table goes to.'
  )
  num_layers: int = settings.children(
    6, 'Number of layers of the networks.', low=1, high=settings.MAX_LAYERS
  )
  num_children: int = settings.children(
    32,
    'Number of networks in a whole training.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  num_steps: tuple[int, ...] = settings.children(
    (20, 100),
    'Numbers of training steps of a child in a whole training.',
    low=1,
    high=settings.MAX_COUNT,
  )
  num_grouped: int = settings.children(
    8,
    'Number of children under one vmap of plain convolutions.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  convolution_sizes: tuple[int, ...] = settings.children(
    (3, 5, 7),
    'Heights and widths of the filters of a single convolution, all odd.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  convolution_channels: int = settings.children(
    48,
    'Number of channels and of filters of the single convolution.',
    low=1,
    high=settings.MAX_FEATURES,
  )
  convolution_image_size: int = settings.children(
    32,
    'Height and width of the images of the single convolution, in pixels.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  convolution_batch_size: int = settings.children(
    32,
    'Number of images of the single convolution.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  convolution_calls: int = settings.measurement(
    4,
    'Number of gradient steps of the single convolution in a burst.',
    low=1,
    high=settings.MAX_ITEMS,
  )

  def __post_init__(self):
    super().__post_init__()
    for asked, known in (
      ('rows', ROWS),
      ('shapes', tuple(SHAPES)),
      ('routes', ROUTES),
    ):
      benchmark_settings.check_names('name', getattr(self, asked), known, asked)
    for size in self.convolution_sizes:
      if not size % 2:
        raise ValueError(f'convolution_sizes must be odd, got {size}.')


def run(config: Config) -> list[Row]:
  """Measures, prints the table and writes it; returns its rows."""
  output = table_lib.prepare(config.output)
  started = time.perf_counter()
  with contextlib.ExitStack() as stack:
    frameworks = frameworks_lib.Frameworks(
      stack, 'conv_', 'bench-conv', 'training in jax'
    )
    benchmark = conv_rows.Benchmark(config, frameworks)
    rows = benchmark.measure()
  seconds = time.perf_counter() - started
  about = {**frameworks.about, **benchmark.about}
  table_lib.publish(output, config, rows, about, benchmark.left_out, seconds)
  return rows


if __name__ == '__main__':
  launch.launch(Config, run, has_workdir=False)

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Measures how fast recurrent cells are trained and proposed.

    python -m experiments.benchmark_recurrent

Prints one table and writes it as JSON. Both sides of a ratio are measured in
alternating bursts, in processes that sleep while another runs, and the shortest
burst of each counts; keep the machine idle otherwise. Programs are compiled
afresh. PyTorch rows need the extra `bench`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time

from experiments import benchmark_settings, data_settings, launch, settings
from experiments.benchmarks import frameworks as frameworks_lib
from experiments.benchmarks import recurrent_rows
from experiments.benchmarks import table as table_lib
from experiments.benchmarks.table import Row
from jaxnas.spaces import recurrent_cell as spaces

ROWS = recurrent_rows.ROWS


@dataclasses.dataclass(frozen=True)
class Config(data_settings.TextBatches, benchmark_settings.BenchmarkSettings):
  """Settings of the benchmark."""

  rows: tuple[str, ...] = settings.measurement(
    ROWS, f'Rows of the table, out of {",".join(ROWS)}.', is_common=True
  )
  output: str = settings.measurement(
    'runs/benchmark_recurrent.json', 'Path of the file that the table goes to.'
  )
  num_children: int = settings.children(
    64,
    'Number of different cells that are trained at once.',
    is_common=True,
    low=1,
    high=settings.MAX_ITEMS,
  )
  base: int = settings.space(
    8,
    'Number of leaves of the cells, a power of two.',
    source=settings.PAPER_TEXT,
    low=2,
    high=spaces.MAX_BASE,
  )
  features: int = settings.children(
    64, 'Number of hidden units.', low=1, high=settings.MAX_FEATURES
  )
  vocab_sizes: tuple[int, ...] = settings.data(
    (1_000, 10_000),
    'Numbers of different words.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  num_burst_steps: int = settings.measurement(
    4, 'Number of training steps of a burst.', low=1, high=settings.MAX_ITEMS
  )
  num_total_steps: int = settings.measurement(
    200,
    'Number of training steps of a child where compiling is counted.',
    low=1,
    high=settings.MAX_COUNT,
  )
  num_shared: int = settings.measurement(
    1_000,
    'Number of cells that are judged by one set of weights.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  shared_block_size: int = settings.measurement(
    8,
    'Number of cells that a device judges at once by one set of weights.',
    low=1,
    high=settings.MAX_BLOCK,
  )
  num_sampled: int = settings.measurement(
    4,
    'Number of children measured where they run one after another.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  lstm_features: tuple[int, ...] = settings.measurement(
    (64, 128, 256),
    'Numbers of units of the LSTMs.',
    low=1,
    high=settings.MAX_FEATURES,
  )
  lstm_calls: int = settings.measurement(
    20, 'Number of calls of an LSTM in a burst.', low=1, high=settings.MAX_ITEMS
  )
  controller_bases: tuple[int, ...] = settings.measurement(
    (8, 2),
    'Base numbers of the cells that the controller proposes.',
    low=2,
    high=spaces.MAX_BASE,
  )
  controller_batches: int = settings.measurement(
    64,
    'Number of batches of proposals in a burst.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  peak_sizes: tuple[int, ...] = settings.measurement(
    (1_024, 2_048, 4_096),
    'Sizes of the square matrices that the peak is measured with.',
    low=1,
    high=settings.MAX_ITEMS,
  )

  def __post_init__(self):
    super().__post_init__()
    benchmark_settings.check_names('row', self.rows, ROWS, 'rows')


def run(config: Config) -> list[Row]:
  """Measures, prints the table and writes it; returns its rows."""
  output = table_lib.prepare(config.output)
  started = time.perf_counter()
  with contextlib.ExitStack() as stack:
    frameworks = frameworks_lib.Frameworks(stack, 'recurrent_')
    benchmark = recurrent_rows.Benchmark(config, frameworks)
    rows = benchmark.measure()
  seconds = time.perf_counter() - started
  about = {**frameworks.about, 'shapes': recurrent_rows.describe_shapes(config)}
  table_lib.publish(output, config, rows, about, benchmark.left_out, seconds)
  return rows


if __name__ == '__main__':
  launch.launch(Config, run, has_workdir=False)

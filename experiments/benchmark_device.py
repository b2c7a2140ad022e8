# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Measures what matters on an accelerator, within minutes.

    python -m experiments.benchmark_device
    python -m experiments.benchmark_device --dry_run
    python -m experiments.benchmark_device --parts=recurrent --num_children=512

Needs jax, flax, optax, chex, absl and numpy, but no data; PyTorch is measured
too if it is installed. The parts run in order of importance, each in separate
processes, and every row is written as soon as it is measured; a part that fails
or takes too long affects no other. `--dry_run` runs every part at toy size, to
check on a CPU that all of them work.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import dataclasses
import time
from typing import Any

from experiments import benchmark_settings, data_settings, launch, settings
from experiments.benchmarks import device_parts, frameworks, sessions
from experiments.benchmarks import table as table_lib
from experiments.benchmarks.table import Row
from jaxnas.datasets import base2_bench
from jaxnas.spaces import conv_net
from jaxnas.spaces import recurrent_cell as spaces

PARTS = tuple(device_parts.PARTS)
STRATEGIES = ('reinforce', 'ppo', 'evolution', 'random')

TOY: Mapping[str, Any] = {
  'num_children': (2,),
  'vocab_sizes': (20, 40),
  'base': 2,
  'features': 4,
  'num_unrolled': 3,
  'batch_size': 2,
  'num_burst_steps': 2,
  'num_repeats': 1,
  'num_sampled': 1,
  'num_compared': 1,
  'image_size': 6,
  'image_batch_size': 4,
  'num_layers': 2,
  'filters': (4,),
  'kernel_sizes': (3,),
  'peak_sizes': (32,),
  'num_searches': 2,
  'strategies': ('reinforce', 'random'),
  'num_trials': 40,
  'controller_batches': 2,
  # The code generators of PyTorch take longer than everything else.
  'torch_compiler': 'aot_eager',
}
"""The settings that `--dry_run` replaces."""
# At toy size, compiling takes longer than computing.
_TOY_FLAGS = '--xla_backend_optimization_level=0'


@dataclasses.dataclass(frozen=True)
class Config(data_settings.TextBatches, benchmark_settings.BenchmarkSettings):
  """Settings of the benchmark."""

  parts: tuple[str, ...] = settings.measurement(
    PARTS,
    f'Parts to measure, out of {",".join(PARTS)}; always in this order.',
    is_common=True,
  )
  budget_minutes: float = settings.measurement(
    9.0,
    'Time for all parts, in minutes; a part that would not fit is left out.',
    is_common=True,
    above=0.0,
  )
  dry_run: bool = settings.measurement(
    False,
    'Whether every part runs at toy size, whatever the other settings.',
    is_common=True,
  )
  output: str = settings.measurement(
    'runs/benchmark_device.json', 'Path of the file that the table goes to.'
  )
  num_children: tuple[int, ...] = settings.children(
    (64, 256, 1_024),
    'Numbers of children that are trained at once.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  vocab_sizes: tuple[int, ...] = settings.data(
    (1_000, 10_000),
    'Numbers of different words; the part vocabulary measures all but the '
    'first.',
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
  num_layers: int = settings.children(
    6,
    'Number of layers of the convolutional networks.',
    low=1,
    high=settings.MAX_LAYERS,
  )
  filters: tuple[int, ...] = settings.space(
    conv_net.FILTERS,
    'Possible numbers of filters of a layer.',
    source=settings.PAPER_IMAGES,
    low=1,
    high=settings.MAX_FEATURES,
  )
  kernel_sizes: tuple[int, ...] = settings.space(
    conv_net.SIZES,
    'Possible heights and widths of a filter.',
    source=settings.PAPER_IMAGES,
    low=1,
    high=settings.MAX_ITEMS,
  )
  image_size: int = settings.data(
    32,
    'Height and width of the images, in pixels.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  image_batch_size: int = settings.children(
    32, 'Number of images per step.', low=1, high=settings.MAX_ITEMS
  )
  num_burst_steps: int = settings.measurement(
    20, 'Number of training steps of a burst.', low=1, high=settings.MAX_ITEMS
  )
  num_total_steps: int = settings.measurement(
    200,
    'Number of training steps of a child where children are counted.',
    low=1,
    high=settings.MAX_COUNT,
  )
  num_sampled: int = settings.measurement(
    4,
    'Number of children measured where they run one after another.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  num_compared: int = settings.measurement(
    4,
    'Number of children by which routes are compared.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  num_compared_steps: int = settings.measurement(
    2,
    'Number of training steps after which routes are compared.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  strategies: tuple[str, ...] = settings.strategy(
    STRATEGIES,
    f'Strategies that search a table, out of {",".join(STRATEGIES)}.',
  )
  cardinalities: tuple[int, ...] = settings.space(
    base2_bench.CARDINALITIES,
    'Numbers of choices of the decisions of the table, in their order.',
    source='Base2Bench, the table that is shipped',
    low=1,
    high=settings.MAX_ITEMS,
  )
  num_searches: int = settings.measurement(
    1_024,
    'Number of searches of the table in a burst.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  num_trials: int = settings.search(
    500, 'Number of trials of a search.', low=1, high=settings.MAX_COUNT
  )
  trials_per_update: int = settings.search(
    20,
    'Number of trials between two updates of a strategy.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  controller_batches: int = settings.measurement(
    64,
    'Number of batches of proposals in a burst.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  peak_sizes: tuple[int, ...] = settings.measurement(
    (2_048, 4_096, 8_192),
    'Sizes of the square matrices that the peak is measured with.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  torch_compiler: str = settings.measurement(
    'inductor', 'Backend of torch.compile.'
  )

  def __post_init__(self):
    super().__post_init__()
    benchmark_settings.check_names('part', self.parts, PARTS, 'parts')
    benchmark_settings.check_names(
      'strategy', self.strategies, STRATEGIES, 'strategies'
    )
    settings.check_rounds(self)


def run(config: Config) -> list[Row]:
  """Measures the parts, prints the table and returns its rows.

  Raises:
    OSError: the output cannot be written.
  """
  flags = ''
  about: dict[str, Any] = {'machine': frameworks.machine()}
  if config.dry_run:
    config, flags = dataclasses.replace(config, **TOY), _TOY_FLAGS
    about['dry run'] = (
      'toys without optimizations, whose numbers say only that all parts run'
    )
  output = table_lib.prepare(config.output)
  started = time.perf_counter()
  rows: list[Row] = []
  left_out: dict[str, str] = {}
  known: dict[Any, Any] = {}

  def seconds() -> float:
    return time.perf_counter() - started

  for name in filter(config.parts.__contains__, PARTS):
    left = 60 * config.budget_minutes
    if not config.dry_run:
      left -= seconds()
    with sessions.Session(about, left_out, known, flags) as session:
      for row in _rows(config, name, session, left):
        rows.append(row)
        print(f'{seconds():.0f} s: {table_lib.spell_row(row)}', flush=True)
        table_lib.write(output, config, rows, about, left_out, seconds())
  table_lib.publish(output, config, rows, about, left_out, seconds())
  return rows


def _rows(
  config: Config, name: str, session: sessions.Session, left: float
) -> Iterator[Row]:
  """Yields the rows of a part; an error ends it, and is one line."""
  part = device_parts.PARTS[name]
  # At toy size the duration is not known, since a CPU is slow to start
  # processes; each part has the whole budget, since none may be left out.
  limit = left if config.dry_run else min(left, 2 * part.seconds)
  if not config.dry_run and limit < part.seconds:
    session.leave_out(
      name,
      f'it takes about {part.seconds:.0f} s, and {max(0, left):.0f} s of the '
      'budget were left',
    )
    return
  print(f'Measuring {name} ...', flush=True)
  session.cut_after(limit)
  try:
    yield from part.measure(config, session)
  except Exception as error:
    reason = sessions.first_line(error)
    if session.is_cut:
      reason = f'cut short after {limit:.0f} s'
    session.leave_out(name, reason)


if __name__ == '__main__':
  launch.launch(Config, run, has_workdir=False)

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Measures the rows of `experiments.benchmark_recurrent`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import sys
from typing import Any

import numpy as np

from experiments.benchmarks import frameworks as frameworks_lib
from experiments.benchmarks import shared_rows, step_rows
from experiments.benchmarks import worker as worker_lib
from experiments.benchmarks.table import Row
from jaxnas.spaces import recurrent_cell as spaces

ROWS = (
  'eager', 'processes', 'peak', 'compile', 'memory', 'shares',
  'per_architecture', 'shared', 'switch', 'lstm', 'controller',
)  # fmt: skip
_TRAINING_ROWS = ('eager', 'processes', 'peak', 'compile', 'memory')
_TORCH_ROWS = ('eager', 'processes', 'shared', 'lstm')
_NUM_PROCESSES = 2
_CONTROLLER_TRIALS = 64

# The floor and goal for a CPU with the default shapes, by row and number of
# words, or base.
_BOUNDS: Mapping[tuple[str, int | None], tuple[float, float | None]] = {
  ('eager', 1_000): (3, 5),
  ('eager', 10_000): (2.3, None),
  ('processes', 1_000): (2, 3.5),
  ('per_architecture', 1_000): (2.5, 3.5),
  ('switch', None): (15, None),
  ('peak', 1_000): (0.55, 0.8),
  ('peak', 10_000): (0.65, 0.8),
  ('compile', 1_000): (3, None),
  ('compile', 10_000): (3, None),
  ('memory', 10_000): (2, None),
  ('shared', 1_000): (4, None),
  ('controller', 8): (12_000, None),
}
_SHAPES = ('features', 'num_unrolled', 'batch_size')


class Benchmark:
  """Measures the rows that a config requests.

  Attributes:
    left_out: the reasons why rows are missing, by name.
  """

  def __init__(self, config: Any, frameworks: frameworks_lib.Frameworks):
    self.left_out: dict[str, str] = {}
    self._config = config
    self._frameworks = frameworks
    self._cells = random_cells(config.num_children, config.base)
    self._sampled = self._cells[: config.num_sampled]
    self._shapes = {name: getattr(config, name) for name in _SHAPES}

  def measure(self) -> list[Row]:
    """Returns all rows that can be measured here."""
    config = self._config
    self._leave_out()
    rows: list[Row] = []
    if any(map(self._has, _TRAINING_ROWS)):
      for vocab_size in config.vocab_sizes:
        rows += self._training(vocab_size)
    if self._has('shares'):
      _say('the parts of a step')
      for vocab_size in config.vocab_sizes:
        rows += step_rows.measure(
          self._frameworks,
          self._cells,
          {'vocab_size': vocab_size, **self._shapes},
          num_steps=config.num_burst_steps,
          num_repeats=config.num_repeats,
        )
    if self._has('per_architecture'):
      rows += map(self._per_architecture, config.vocab_sizes)
    if self._has('shared'):
      rows += self._shared(config.vocab_sizes[0])
    if self._has('switch'):
      rows.append(self._switch())
    if self._has('lstm'):
      for features in config.lstm_features:
        rows += self._lstm(features)
    if self._has('controller'):
      rows += map(self._controller, config.controller_bases)
    return sorted(rows, key=lambda row: ROWS.index(row.row))

  def _has(self, row: str) -> bool:
    return row in self._config.rows and row not in self.left_out

  def _leave_out(self) -> None:
    """Records which rows cannot be measured here or would make no sense."""
    asked = [row for row in _TORCH_ROWS if row in self._config.rows]
    if 'shares' in self._config.rows and not self._frameworks.is_cpu:
      self.left_out['shares'] = 'it reads how the profiler describes a CPU'
    why = self._frameworks.why_no_torch() if asked else None
    for row in asked:
      if why:
        # The LSTM is still compared with Flax's, and shared weights with time.
        is_part = row in ('lstm', 'shared')
        self.left_out[f'{row}, PyTorch' if is_part else row] = why
      elif row == 'processes' and not self._frameworks.is_cpu:
        self.left_out[row] = 'two single-thread processes are for a CPU'

  def _bounds(self, row: str, variant: int | None) -> dict[str, Any]:
    """Returns floor and goal, which apply to CPUs and default shapes."""
    is_default = all(
      getattr(self._config, name) == getattr(type(self._config), name)
      for name in ('num_children', 'num_shared', 'base', *_SHAPES)
    )
    if not is_default or not self._frameworks.is_cpu:
      return {}
    floor, goal = _BOUNDS.get((row, variant), (None, None))
    return {'floor': floor, 'goal': goal}

  def _training(self, vocab_size: int) -> list[Row]:
    """Measures the rows about a step of training."""
    config = self._config
    _say(f'training with {vocab_size:,} words')
    with self._frameworks.search_jax() as worker:
      ours = self._make_interpreted(worker, vocab_size)
      # Before anything else is measured in the same process.
      peak_bytes = ours.burst(num_steps=2)['peak_bytes']
      bursts: dict[str, Callable[[], Any]] = {
        'long': lambda: ours.burst(num_steps=config.num_burst_steps + 1),
        'short': lambda: ours.burst(num_steps=1),
        **self._other_bursts(worker, vocab_size),
      }
      results = worker_lib.alternate(bursts, config.num_repeats)
    long, short = _shortest(results['long']), _shortest(results['short'])
    # The cost of a call apart from its steps is in both, and cancels. If tiny
    # shapes drown in noise it is kept, to our disadvantage.
    seconds = long - short if long > short else long
    seconds /= config.num_burst_steps * config.num_children
    rows = [
      *self._speed_rows(seconds, results, vocab_size),
      Row(
        'compile',
        f'one compilation for all cells, {vocab_size:,} words',
        's',
        ours.facts['compile_seconds'],
        is_limit=True,
        note='tracing, lowering and compiling the program that trains and the '
        'one that measures, without a cache.',
        **self._bounds('compile', vocab_size),
      ),
      Row(
        'memory',
        f'peak memory, {config.num_children} children, {vocab_size:,} words',
        'GB',
        peak_bytes / 1e9,
        is_limit=True,
        note='of the whole process; on an accelerator, of the device.',
        **self._bounds('memory', vocab_size),
      ),
    ]
    return [row for row in rows if self._has(row.row)]

  def _make_interpreted(
    self, worker: worker_lib.Worker, vocab_size: int
  ) -> worker_lib.Measurement:
    return worker.make(
      'interpreted',
      architectures=self._cells,
      vocab_size=vocab_size,
      num_segments=self._config.num_burst_steps + 1,
      **self._shapes,
    )

  def _other_bursts(
    self, worker: worker_lib.Worker, vocab_size: int
  ) -> dict[str, Callable[[], Any]]:
    """Prepares the bursts that a training step is compared with."""
    config = self._config
    bursts: dict[str, Callable[[], Any]] = {}

    def torch(number: int, num_threads: int | None):
      return self._frameworks.torch(number).make(
        'train',
        architectures=self._sampled,
        vocab_size=vocab_size,
        device=self._frameworks.torch_device,
        num_threads=num_threads,
        **self._shapes,
      )

    if self._has('peak'):
      peaks = [
        one.make('peak', sizes=config.peak_sizes)
        for one in (worker, self._frameworks.jax())
      ]
      bursts['peak'] = lambda: [peak.burst()['flops'] for peak in peaks]
    if self._has('eager'):
      eager = torch(0, None)
      bursts['eager'] = lambda: eager.burst(num_steps=config.num_burst_steps)
    if self._has('processes'):
      processes = [torch(1 + index, 1) for index in range(_NUM_PROCESSES)]
      bursts['processes'] = lambda: worker_lib.burst_together(
        processes, num_steps=config.num_burst_steps
      )
    return bursts

  def _speed_rows(
    self, seconds: float, results: Mapping[str, list[Any]], vocab_size: int
  ) -> list[Row]:
    """Returns the rows that compare our time per child's step with others."""
    config = self._config
    note = (
      f'ours is a burst of {config.num_burst_steps + 1} steps less one of 1, '
      f'of {config.num_children} children; PyTorch trains '
      f'{len(self._sampled)} of them one after another, x W outside the loop '
      'over time.'
    )
    theirs = {}
    if 'eager' in results:
      theirs['eager'] = 'PyTorch eager', _shortest(results['eager'])
    if 'processes' in results:
      # Both work at the same time, so their speeds add up.
      theirs['processes'] = (
        f'{_NUM_PROCESSES} single-thread PyTorch processes',
        min(
          1 / sum(1 / burst['seconds'] for burst in together)
          for together in results['processes']
        ),
      )
    rows = []
    for row, (name, burst_seconds) in theirs.items():
      other = burst_seconds / (config.num_burst_steps * len(self._sampled))
      rows.append(
        Row(
          row,
          f'training step against {name}, {vocab_size:,} words',
          'ms a child',
          1e3 * seconds,
          1e3 * other,
          other / seconds,
          note=note,
          **self._bounds(row, vocab_size),
        )
      )
    if 'peak' in results:
      peak = max(max(flops) for flops in results['peak'])
      flops = step_flops(config, vocab_size) / seconds
      rows.append(
        Row(
          'peak',
          f'training step against the best matmul, {vocab_size:,} words',
          'GFLOP/s',
          flops / 1e9,
          peak / 1e9,
          flops / peak,
          note='6 T B (2 H base H + H V) operations a child; square jnp.dot of '
          'float32, on all devices at once or on one with all threads.',
          **self._bounds('peak', vocab_size),
        )
      )
    return rows

  def _per_architecture(self, vocab_size: int) -> Row:
    """Compares with one compilation for each architecture."""
    config = self._config
    _say(f'compiling each architecture, {vocab_size:,} words')
    total = config.num_total_steps
    # All steps would take minutes.
    steps = -(-total // 8)
    with self._frameworks.search_jax() as worker:
      ours = self._make_interpreted(worker, vocab_size)
      theirs = self._frameworks.jax().make(
        'compiled',
        architectures=self._sampled,
        vocab_size=vocab_size,
        num_segments=config.num_burst_steps + 1,
        **self._shapes,
      )
      block = ours.facts['block_size']
      our_seconds, their_seconds = ours.facts['compile_seconds'], 0.0
      for index in range(max(config.num_children, len(self._sampled))):
        if index % block == 0:
          burst = ours.burst(num_steps=steps, first=index, count=block)
          our_seconds += burst['seconds'] * total / steps
        if index < len(self._sampled):
          burst = theirs.burst(index=index, num_steps=steps)
          their_seconds += burst['compile_seconds']
          their_seconds += burst['run_seconds'] * total / steps
    their_seconds *= config.num_children / len(self._sampled)
    return Row(
      'per_architecture',
      f'{config.num_children} children x {total} steps against a compilation '
      f'each, {vocab_size:,} words',
      's',
      our_seconds,
      their_seconds,
      their_seconds / our_seconds,
      extrapolated=('ours', 'theirs'),
      note='sums, with compiling, initializing and measuring; theirs is the '
      f'compiled route of jaxnas on {len(self._sampled)} architectures; both '
      f'by {steps} of the steps.',
      **self._bounds('per_architecture', vocab_size),
    )

  def _shared(self, vocab_size: int) -> list[Row]:
    _say(f'shared weights, {vocab_size:,} words')
    config = self._config
    return shared_rows.measure(
      self._frameworks,
      random_cells(config.num_shared, config.base),
      {'vocab_size': vocab_size, **self._shapes},
      block_size=config.shared_block_size,
      num_repeats=config.num_repeats,
      num_torch=(
        0 if 'shared, PyTorch' in self.left_out else config.num_sampled
      ),
      bounds=self._bounds('shared', vocab_size),
    )

  def _switch(self) -> Row:
    _say('the recurrence as a switch at each node')
    ours, theirs = self._shortest_of(
      {
        kind: self._frameworks.jax().make(
          'recurrence', kind=kind, architectures=self._cells, **self._shapes
        )
        for kind in ('jaxnas', 'switch')
      }
    ).values()
    return Row(
      'switch',
      'recurrence forward and back against a vmapped lax.switch',
      'ms',
      1e3 * ours,
      1e3 * theirs,
      theirs / ours,
      note=f'{self._config.num_children} children in one vmap on one device '
      'with its default threads; x W outside the loop in both.',
      **self._bounds('switch', None),
    )

  def _lstm(self, features: int) -> list[Row]:
    _say(f'an LSTM of {features} units')
    calls = self._config.lstm_calls
    settings = {**self._shapes, 'features': features, 'num_calls': calls}
    sides = {
      name: self._frameworks.jax().make('lstm', kind=kind, **settings)
      for name, kind in (
        ('jaxnas', 'jaxnas'),
        ('flax OptimizedLSTMCell', 'flax'),
      )
    }
    if 'lstm, PyTorch' not in self.left_out:
      sides['torch.nn.LSTM'] = self._frameworks.torch().make(
        'lstm', device=self._frameworks.torch_device, **settings
      )
    seconds = self._shortest_of(sides)
    ours = seconds.pop('jaxnas')
    return [
      Row(
        'lstm',
        f'compiled LSTM of {features} units against {name}',
        'ms',
        1e3 * ours,
        1e3 * theirs,
        theirs / ours,
        note='forward and back, one device with the default threads of each '
        f'framework, means of {calls} calls.',
      )
      for name, theirs in seconds.items()
    ]

  def _controller(self, base: int) -> Row:
    _say(f'the controller at base {base}')
    measurement = self._frameworks.jax().make(
      'controller',
      base=base,
      num_trials=_CONTROLLER_TRIALS,
      num_batches=self._config.controller_batches,
    )
    bursts = worker_lib.alternate(
      {'both': measurement.burst}, self._config.num_repeats
    )['both']
    seconds, how = min(
      (min(burst[kind] for burst in bursts), name)
      for kind, name in (
        ('calls', 'ask and tell'),
        ('scan', 'a scan over ask and tell'),
      )
    )
    return Row(
      'controller',
      f'cells of base {base} proposed and learned from, by {how}',
      'a second',
      bursts[0]['num_architectures'] / seconds,
      note=f'REINFORCE in batches of {_CONTROLLER_TRIALS} with a reward that '
      'costs nothing; the faster of two ways.',
      **self._bounds('controller', base),
    )

  def _shortest_of(
    self, measurements: Mapping[str, worker_lib.Measurement]
  ) -> dict[str, float]:
    results = worker_lib.alternate(
      {name: one.burst for name, one in measurements.items()},
      self._config.num_repeats,
    )
    return {name: _shortest(bursts) for name, bursts in results.items()}


def _shortest(bursts: list[Mapping[str, float]]) -> float:
  return min(burst['seconds'] for burst in bursts)


def random_cells(count: int, base: int) -> list[dict[str, Any]]:
  """Returns random cells of a base as JSON, the same at every call."""
  space = spaces.make_space(base)
  generator = np.random.default_rng(0)
  num_choices = [decision.num_choices for decision in space.decisions]
  return [
    space.decode(generator.integers(num_choices)).to_json()
    for _ in range(count)
  ]


def step_flops(config: Any, vocab_size: int) -> int:
  """Returns the number of matmul operations in one child's training step."""
  cell = 2 * config.features * config.base * config.features
  rows = config.num_unrolled * config.batch_size
  return 6 * rows * (cell + config.features * vocab_size)


def describe_shapes(config: Any) -> dict[str, Any]:
  """Returns the sizes measured, by their names in the table."""
  return {
    'N (children)': config.num_children,
    'base': config.base,
    'H (hidden)': config.features,
    'T (steps)': config.num_unrolled,
    'B (batch)': config.batch_size,
    'optimizer': 'SGD, each child clipped to norm 0.25',
  }


def _say(what: str) -> None:
  print(f'Measuring {what} ...', file=sys.stderr, flush=True)

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Measures the rows of `experiments.benchmark_conv`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
import contextlib
import functools
import sys
from typing import Any

import numpy as np

from experiments.benchmarks import conv_costs as costs_lib
from experiments.benchmarks import conv_shapes as shapes_lib
from experiments.benchmarks import frameworks as frameworks_lib
from experiments.benchmarks import worker as worker_lib
from experiments.benchmarks.conv_costs import Cost
from experiments.benchmarks.conv_shapes import SHAPES
from experiments.benchmarks.table import Row
from jaxnas.spaces import conv_net as spaces

ROUTES = ('compiled', 'interpreted', 'vmapped')
ROWS = (
  'step', 'compile', 'total', 'hour', 'routes', 'full', 'masked', 'grouped',
  'convolution', 'memory', 'autotuning',
)  # fmt: skip
_TRAINING_ROWS = frozenset(ROWS) - {'full', 'convolution', 'autotuning'}
_TORCH_ROWS = frozenset(('step', 'total', 'hour', 'memory'))

# The ratios that a CPU must reach with the default settings, by row and shape.
_FLOORS: Mapping[tuple[str, str | None], float] = {
  ('grouped', 'digits'): 100,
  ('masked', 'digits'): 4,
  ('routes', 'digits'): 0.5,
  ('full', 'digits'): 2,
  ('convolution', None): 0.8,
}
_NO_AUTOTUNING = '--xla_gpu_autotune_level=0'
# An accelerator's steps are shorter, but its bursts should not be.
_ACCELERATOR_STEPS = 5


class Benchmark:
  """Measures the rows that a config requests.

  Attributes:
    left_out: the reasons why rows are missing, by name.
  """

  def __init__(self, config: Any, frameworks: frameworks_lib.Frameworks):
    self.left_out: dict[str, str] = {}
    self._config = config
    self._frameworks = frameworks
    self._num_devices = 1
    self._nets = {
      name: shapes_lib.random_nets(
        SHAPES[name], config.num_layers, config.num_children
      )
      for name in config.shapes
    }

  @property
  def about(self) -> dict[str, str]:
    """The shapes and the networks measured, by name."""
    return {name: self._describe(name) for name in self._config.shapes}

  def measure(self) -> list[Row]:
    """Returns all rows that can be measured here."""
    config = self._config
    self._leave_out()
    rows: list[Row] = []
    for name in config.shapes:
      if any(map(self._has, _TRAINING_ROWS)):
        rows += self._training(name)
      if self._has('full') and SHAPES[name].is_small:
        rows.append(self._full(name))
      if self._has('autotuning'):
        rows += self._autotuning(name)
    if self._has('convolution'):
      rows += self._convolutions()
    measured = {row.row for row in rows}
    for name in config.rows:
      if name not in measured:
        why = 'the routes and shapes measured have nothing to compare'
        self.left_out.setdefault(name, why)
    return sorted(rows, key=lambda row: ROWS.index(row.row))

  def _has(self, row: str) -> bool:
    return row in self._config.rows and row not in self.left_out

  def _leave_out(self) -> None:
    """Records which rows cannot be measured here or would make no sense."""
    config, is_cpu = self._config, self._frameworks.is_cpu
    if _TORCH_ROWS & set(config.rows):
      why = self._frameworks.why_no_torch()
      if why:
        # Our own figures are still of interest.
        self.left_out['PyTorch'] = why
    if 'autotuning' in config.rows and is_cpu:
      self.left_out['autotuning'] = 'XLA tunes its programs on a GPU only'
    if 'vmapped' in config.routes and is_cpu:
      for name in config.shapes:
        if not SHAPES[name].is_small:
          self.left_out[f'vmapped, {name}'] = (
            'a masked network takes many times as long on a CPU'
          )
    if 'full' in config.rows and not {'compiled', 'interpreted'} <= set(
      config.routes
    ):
      self.left_out['full'] = 'it needs the compiled and the interpreted route'

  def _describe(self, name: str) -> str:
    shape, nets = SHAPES[name], self._nets[name]
    sample = self._sample(name)
    sampled, every = (
      np.mean([shapes_lib.multiply_adds(shape, net) for net in some]) / 1e6
      for some in (sample, nets)
    )
    return (
      f'{"x".join(map(str, shape.image_shape))} in batches of '
      f'{shape.batch_size}, {self._config.num_layers} layers, filters '
      f'{"/".join(map(str, shape.filters))}, {len(nets)} random networks of '
      f'{every:.3g} M multiply-adds an image, a sample of {len(sample)} with '
      f'{sampled:.3g} M; SGD with Nesterov momentum and decay'
    )

  def _floor(self, row: str, name: str | None) -> float | None:
    """Returns the floor of a row; floors apply to CPUs and default settings."""
    settings = ['num_layers', 'num_children', 'num_grouped', 'num_steps']
    if row == 'convolution':
      settings = [
        f'convolution_{each}'
        for each in ('sizes', 'channels', 'image_size', 'batch_size')
      ]
    is_default = all(
      getattr(self._config, each) == getattr(type(self._config), each)
      for each in settings
    )
    if not is_default or not self._frameworks.is_cpu:
      return None
    return _FLOORS.get((row, name))

  def _sample(self, name: str, route: str = '') -> list[spaces.ConvNet]:
    """Returns the networks that a route, or PyTorch, is measured with."""
    count = SHAPES[name].num_sampled
    if route == 'vmapped' and not self._frameworks.is_cpu:
      # All cost the same here, and an accelerator needs many at once.
      count = self._config.num_children
    # Equally many for each device, all different: equal ones are compiled once.
    count = -(-count // self._num_devices) * self._num_devices
    return shapes_lib.random_nets(SHAPES[name], self._config.num_layers, count)

  def _routes(self, name: str) -> list[str]:
    return [
      route
      for route in ROUTES
      if route in self._config.routes
      and f'{route}, {name}' not in self.left_out
    ]

  @contextlib.contextmanager
  def _made(
    self, name: str, route: str, xla_flags: str = ''
  ) -> Iterator[tuple[worker_lib.Measurement, int]]:
    """Yields a route in a separate worker, and its number of networks."""
    with self._frameworks.search_jax(xla_flags) as worker:
      self._num_devices = worker.facts['num_devices']
      sample = self._sample(name, route)
      measurement = worker.make(
        'train',
        route=route,
        architectures=[net.to_json() for net in sample],
        **self._settings(name),
      )
      yield measurement, len(sample)

  def _settings(self, name: str) -> dict[str, Any]:
    return SHAPES[name].settings(self._config.num_layers)

  def _training(self, name: str) -> list[Row]:
    """Measures the rows about training by each route."""
    num_steps = SHAPES[name].num_burst_steps
    if not self._frameworks.is_cpu:
      num_steps *= _ACCELERATOR_STEPS
    bursts: dict[str, Callable[[], Any]] = {}
    counts: dict[str, int] = {}
    cold: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
      for route in self._routes(name):
        _say(f'{name}, {route}')
        try:
          side, counts[route] = stack.enter_context(self._made(name, route))
        except ChildProcessError as error:
          # This may exceed a device's memory, unlike the other routes.
          if route != 'vmapped':
            raise
          self.left_out[f'{route}, {name}'] = str(error)
          continue
        cold[route] = side.facts['cold_seconds']
        bursts[f'{route}, short'] = functools.partial(side.burst, num_steps=1)
        bursts[f'{route}, long'] = functools.partial(
          side.burst, num_steps=1 + num_steps
        )
      if 'PyTorch' not in self.left_out and _TORCH_ROWS & set(
        self._config.rows
      ):
        side, counts['PyTorch'] = self._make_torch(name)
        bursts['PyTorch'] = functools.partial(side.burst, num_steps=num_steps)
      results = worker_lib.alternate(bursts, self._config.num_repeats)
      peaks = {
        key.split(',')[0]: value[-1]['peak_bytes'] / 1e9
        for key, value in results.items()
      }
    costs = {
      route: costs_lib.measured(
        {length: results[f'{route}, {length}'] for length in ('short', 'long')},
        seconds,
        counts[route],
        num_steps,
        is_each=route == 'compiled',
        overlaps=not self._frameworks.is_cpu,
      )
      for route, seconds in cold.items()
    }
    theirs = None
    if 'PyTorch' in results:
      step = (
        costs_lib.shortest(results['PyTorch']) / num_steps / counts['PyTorch']
      )
      theirs = Cost(0, False, False, 0, step)
    rows = [
      *costs_lib.rows_against(
        name,
        costs,
        theirs,
        self._config.num_children,
        self._config.num_steps,
      ),
      *self._ratio_rows(name, costs),
      *self._memory_rows(name, peaks),
    ]
    if (
      self._has('grouped') and SHAPES[name].is_small and 'interpreted' in costs
    ):
      rows.append(self._grouped(name, costs['interpreted']))
    return [row for row in rows if self._has(row.row)]

  def _make_torch(self, name: str) -> tuple[worker_lib.Measurement, int]:
    _say(f'{name}, PyTorch')
    # A separate worker for each shape, so that memory is measured separately.
    worker = self._frameworks.torch(self._config.shapes.index(name))
    sample = self._sample(name)
    measurement = worker.make(
      'train',
      architectures=[net.to_json() for net in sample],
      device=self._frameworks.torch_device,
      **self._settings(name),
    )
    return measurement, len(sample)

  def _ratio_rows(self, name: str, costs: Mapping[str, Cost]) -> Iterator[Row]:
    """Yields the rows that compare the interpreted route with others."""
    ours = costs.get('interpreted')
    for row, route in (('routes', 'compiled'), ('masked', 'vmapped')):
      if ours and route in costs:
        yield costs_lib.compare(
          row,
          f'interpreted training step against {route}, {name}',
          'ms a child',
          1e3 * ours.step,
          1e3 * costs[route].step,
          floor=self._floor(row, name),
        )

  def _memory_rows(
    self, name: str, peaks: Mapping[str, float]
  ) -> Iterator[Row]:
    for route, peak in peaks.items():
      if route != 'PyTorch':
        yield costs_lib.compare(
          'memory',
          f'peak memory against PyTorch eager, {name}, {route}',
          'GB',
          peak,
          peaks.get('PyTorch'),
          note='of the whole process, including compiling, and jax is loaded '
          "in PyTorch's too; on an accelerator, of the device.",
        )

  def _grouped(self, name: str, ours: Cost) -> Row:
    """Compares with what a naive implementation would do."""
    _say(f'{name}, jax.vmap of plain convolutions')
    nets = self._nets[name]
    count = self._config.num_grouped
    with self._frameworks.search_jax() as worker:
      theirs = worker.make(
        'grouped',
        architectures=[
          nets[index % len(nets)].to_json() for index in range(count)
        ],
        **self._settings(name),
      )
      seconds = theirs.burst()['seconds'] / count
    return costs_lib.compare(
      'grouped',
      f'interpreted training step against a vmapped lax convolution, {name}',
      'ms a child',
      1e3 * ours.step,
      1e3 * seconds,
      floor=self._floor('grouped', name),
      note=f'one gradient of {count} masked children, spread over the devices, '
      'measured once; theirs has no optimizer.',
    )

  def _full(self, name: str) -> Row:
    """Measures a whole training by two routes."""
    children, num_steps = self._config.num_children, self._config.num_steps[0]
    _say(f'{name}, {children} children x {num_steps} steps in full')
    with self._frameworks.search_jax() as worker:
      seconds = {
        route: worker.make(
          'full',
          route=route,
          architectures=[net.to_json() for net in self._nets[name]],
          **self._settings(name),
        ).burst(num_steps=num_steps)['seconds']
        for route in ('interpreted', 'compiled')
      }
    return costs_lib.compare(
      'full',
      f'interpreted against compiled, {children} children x {num_steps} steps '
      f'in full, {name}',
      's',
      seconds['interpreted'],
      seconds['compiled'],
      floor=self._floor('full', name),
      note='measured once, including everything that a new route compiles.',
    )

  def _autotuning(self, name: str) -> Iterator[Row]:
    """Yields the rows on the cost of XLA's autotuning."""
    for route in self._routes(name):
      if route == 'vmapped':
        continue
      _say(f'{name}, {route} without autotuning')
      seconds = []
      for xla_flags in (_NO_AUTOTUNING, ''):
        with self._made(name, route, xla_flags) as (measurement, count):
          per = count if route == 'compiled' else 1
          seconds.append(measurement.facts['compile_seconds'] / per)
      yield costs_lib.compare(
        'autotuning',
        f'compiling {"each child" if route == "compiled" else "once"} without '
        f'autotuning against with it, {name}, {route}',
        's',
        *seconds,
        note=f'`{_NO_AUTOTUNING}` in a process of its own; the seconds of the '
        'compiling thread.',
      )

  def _convolutions(self) -> Iterator[Row]:
    """Yields the rows on the gradient of one convolution in a loop."""
    config = self._config
    settings = {
      name: getattr(config, f'convolution_{name}')
      for name in ('channels', 'image_size', 'batch_size')
    }
    for size in config.convolution_sizes:
      _say(f'a convolution of {size} x {size}')
      make = functools.partial(
        self._frameworks.jax().make,
        'convolution',
        kernel_size=size,
        **settings,
      )
      sides = {
        kind: make(kind=kind, num_calls=config.convolution_calls)
        for kind in ('loop', 'plain')
      }
      results = worker_lib.alternate(
        {kind: side.burst for kind, side in sides.items()}, config.num_repeats
      )
      if size == min(config.convolution_sizes):
        # Tens of times slower, so measured once.
        results['plain_loop'] = [make(kind='plain_loop', num_calls=1).burst()]
      seconds = {
        kind: costs_lib.shortest(bursts) for kind, bursts in results.items()
      }
      ours = seconds.pop('loop')
      for kind, theirs in seconds.items():
        where = {'plain': 'outside', 'plain_loop': 'in the loop too'}[kind]
        yield costs_lib.compare(
          'convolution',
          f"gradient of a {size}x{size} convolution in a loop against jax's "
          f'own {where}',
          'ms',
          1e3 * ours,
          1e3 * theirs,
          floor=self._floor('convolution', None) if kind == 'plain' else None,
          note=f'{settings["batch_size"]} images of {settings["image_size"]}x'
          f'{settings["image_size"]}, {settings["channels"]} channels to as '
          'many, forward and back; one device with its default threads.',
        )


def _say(what: str) -> None:
  print(f'Measuring {what} ...', file=sys.stderr, flush=True)

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The parts of `experiments.benchmark_device`, in order of worth.

Each is a generator of rows, so that a part that is cut leaves what it had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
import dataclasses
import functools
import itertools
from typing import Any, NamedTuple

from experiments.benchmarks import (
  conv_costs,
  conv_shapes,
  device_rows,
  recurrent_rows,
  sessions,
)
from experiments.benchmarks import worker as worker_lib
from experiments.benchmarks.table import Row

# Products of float32 as exact as the device can, so that routes are compared
# and not roundings.
_EXACT = {'JAX_DEFAULT_MATMUL_PRECISION': 'highest'}
_LIMIT = 1e-3
_COMPARED = {
  'same_recurrence': ('interpreted', 'kernel'),
  'same_text': ('interpreted', 'kernel'),
  'same_images': ('interpreted', 'vmapped'),
}


class Part(NamedTuple):
  """A part of the benchmark.

  Attributes:
    seconds: about how long it takes on an accelerator; it is not begun if less
      time is left, and cut after twice that.
    measure: `(config, session) -> rows`.
  """

  seconds: float
  measure: Callable[[Any, sessions.Session], Iterator[Row]]


def measure_equality(config: Any, session: sessions.Session) -> Iterator[Row]:
  """Yields how far the routes of training differ on this device."""
  jax = session.jax(**_EXACT)
  cells = recurrent_rows.random_cells(config.num_compared, config.base)
  shape = _conv_shape(config)
  nets = conv_shapes.random_nets(shape, config.num_layers, config.num_compared)
  trained = {'num_steps': config.num_compared_steps}
  comparisons: dict[str, tuple[str, dict[str, Any]]] = {
    'same_recurrence': (
      'loss and gradients of the recurrence',
      {'architectures': cells, **_cell_shapes(config)},
    ),
    'same_text': (
      'perplexity after training on text',
      {
        'architectures': cells,
        'vocab_size': config.vocab_sizes[0],
        **trained,
        **_cell_shapes(config),
      },
    ),
    'same_images': (
      'loss after training on images',
      {
        'architectures': [net.to_json() for net in nets],
        **trained,
        **shape.settings(config.num_layers),
      },
    ),
  }
  for maker, (what, settings) in comparisons.items():
    measurement: Any = session.attempt(
      what, functools.partial(jax.make, maker, **settings)
    )
    for route in _COMPARED[maker] if measurement else ():
      name = f'{what}, {route} against compiled'
      found = session.attempt(
        name, functools.partial(measurement.burst, route=route)
      )
      if found is not None:
        yield Row(
          'equality',
          name,
          'relative',
          found['difference'],
          floor=_LIMIT,
          is_limit=True,
          note='the largest difference of '
          f'{device_rows.counted(config.num_compared)}, '
          f'after {config.num_compared_steps} steps, with products of the '
          'highest precision.',
        )


def measure_recurrent(config: Any, session: sessions.Session) -> Iterator[Row]:
  """Yields the speed of recurrent cells on the smallest vocabulary."""
  yield from _recurrent(config, session, 'recurrent', config.vocab_sizes[0])


def measure_vocabulary(config: Any, session: sessions.Session) -> Iterator[Row]:
  """Yields the speed of recurrent cells on the other vocabularies."""
  for vocab_size in config.vocab_sizes[1:]:
    yield from _recurrent(config, session, 'vocabulary', vocab_size)


def _recurrent(config, session, part, vocab_size) -> Iterator[Row]:
  words = f'{vocab_size:,} words'
  jax = session.jax()
  theirs = session.attempt(
    f'PyTorch eager, {words}',
    functools.partial(_torch_cells, config, session, vocab_size),
  )
  peak = session.attempt('peak', functools.partial(_peak, config, jax))
  # More children need more memory, and the peak never falls.
  for count, recurrence in itertools.product(
    sorted(config.num_children),
    # A CPU's kernel is an interpreted one.
    ('scan',) if session.is_cpu else ('scan', 'kernel'),
  ):
    what = f'{_recurrent_children(count)}, {words}'
    if recurrence != 'scan':
      what += f', {recurrence}'
    cost = session.attempt(
      what,
      functools.partial(_cells, config, session, vocab_size, count, recurrence),
    )
    if cost is not None:
      yield from device_rows.speed_rows(config, part, what, cost, theirs)
      yield from device_rows.peak_rows(
        part, what, recurrent_rows.step_flops(config, vocab_size), cost, peak
      )


def _cells(
  config, session, vocab_size, count, recurrence='scan'
) -> device_rows.Measured:
  """Measures interpreted cells, all in one block, unless that was done."""
  return session.remember(
    ('cells', vocab_size, count, recurrence),
    functools.partial(
      _measure_cells, config, session, vocab_size, count, recurrence
    ),
  )


def _measure_cells(
  config, session, vocab_size, count, recurrence
) -> device_rows.Measured:
  measurement = session.jax().make(
    'cells',
    architectures=recurrent_rows.random_cells(count, config.base),
    block_size=count,
    recurrence=recurrence,
    vocab_size=vocab_size,
    num_segments=config.num_burst_steps + 1,
    **_cell_shapes(config),
  )
  bursts = _bursts(config, measurement)
  cost = conv_costs.measured(
    bursts,
    0.0,
    count,
    config.num_burst_steps,
    is_each=False,
    overlaps=True,
  )
  return device_rows.Measured(
    cost._replace(compiling=measurement.facts['compile_seconds']),
    bursts['long'][-1]['peak_bytes'],
  )


def _torch_cells(
  config, session, vocab_size, compiler=''
) -> tuple[float, float]:
  """Returns PyTorch's seconds a step of a child, and of all first steps."""
  count = config.num_sampled
  measurement = session.torch().make(
    'cells',
    architectures=recurrent_rows.random_cells(count, config.base),
    vocab_size=vocab_size,
    device=session.torch_device,
    compiler=compiler,
    **_cell_shapes(config),
  )
  return _torch_seconds(config, measurement, count)


def measure_conv(config: Any, session: sessions.Session) -> Iterator[Row]:
  """Yields the speed of convolutional networks by each route."""
  shape = _conv_shape(config)
  jax = session.jax()
  theirs = session.attempt(
    'PyTorch eager, convolutions',
    functools.partial(_torch_nets, config, session),
  )
  peak = session.attempt('peak', functools.partial(_peak, config, jax))
  counts = {
    # What runs one after another is as fast for any number.
    'compiled': (config.num_sampled,),
    'interpreted': (config.num_sampled,),
    'vmapped': sorted(config.num_children),
  }
  for route, several in counts.items():
    for count in several:
      nets = conv_shapes.random_nets(shape, config.num_layers, count)
      what = f'{_networks(count)}, {route}'
      cost = session.attempt(
        what,
        functools.partial(_nets, config, session, route, nets),
      )
      if cost is None:
        # Nor would more children fit.
        break
      flops = 6 * shape.batch_size * sum(
        conv_shapes.multiply_adds(shape, net) for net in nets
      ) / count  # fmt: skip
      yield from device_rows.speed_rows(config, 'conv', what, cost, theirs)
      yield from device_rows.peak_rows('conv', what, flops, cost, peak)


def _nets(config, session, route, nets) -> device_rows.Measured:
  """Measures networks by a route, all in one block, unless that was done."""
  return session.remember(
    ('nets', route, len(nets)),
    functools.partial(_measure_nets, config, session, route, nets),
  )


def _measure_nets(config, session, route, nets) -> device_rows.Measured:
  measurement = session.jax().make(
    'nets',
    route=route,
    architectures=[net.to_json() for net in nets],
    **_conv_shape(config).settings(config.num_layers),
  )
  bursts = _bursts(config, measurement)
  cost = conv_costs.measured(
    bursts,
    measurement.facts['cold_seconds'],
    len(nets),
    config.num_burst_steps,
    is_each=route == 'compiled',
    overlaps=not session.is_cpu,
  )
  return device_rows.Measured(cost, bursts['long'][-1]['peak_bytes'])


def _torch_nets(config, session, compiler='') -> tuple[float, float]:
  """Returns PyTorch's seconds a step of a child, and of all first steps."""
  shape = _conv_shape(config)
  count = config.num_sampled
  nets = conv_shapes.random_nets(shape, config.num_layers, count)
  measurement = session.torch().make(
    'nets',
    architectures=[net.to_json() for net in nets],
    device=session.torch_device,
    compiler=compiler,
    **shape.settings(config.num_layers),
  )
  return _torch_seconds(config, measurement, count)


def measure_tables(config: Any, session: sessions.Session) -> Iterator[Row]:
  """Yields the speed of searches of a table, and of the controller."""
  jax = session.jax()
  for strategy in config.strategies:
    rate = session.attempt(
      f'{strategy} on a table',
      functools.partial(_searches, config, jax, strategy),
    )
    if rate is not None:
      yield Row(
        'tables',
        f'searches of a table by {strategy}',
        'trials a second',
        rate,
        note=f'{config.num_searches} searches of {config.num_trials} trials, '
        'all at once where they fit a block.',
      )
  for base in dict.fromkeys((config.base, 2)):
    rate = session.attempt(
      f'the controller at base {base}',
      functools.partial(_proposals, config, jax, base),
    )
    if rate is not None:
      yield Row(
        'tables',
        f'cells of base {base} proposed and learned from',
        'a second',
        rate,
        note='REINFORCE in batches of 64, by a scan over ask and tell.',
      )


def _searches(config, jax, strategy) -> float:
  measurement = jax.make(
    'searches',
    strategy=strategy,
    cardinalities=config.cardinalities,
    rewards_seed=0,
    num_searches=config.num_searches,
    settings={
      'num_trials': config.num_trials,
      'trials_per_update': config.trials_per_update,
      'block_size': config.num_searches,
    },
  )
  bursts = [measurement.burst() for _ in range(config.num_repeats)]
  return max(burst['num_trials'] / burst['seconds'] for burst in bursts)


def _proposals(config, jax, base) -> float:
  measurement = jax.make(
    'controller',
    base=base,
    num_trials=64,
    num_batches=config.controller_batches,
  )
  bursts = [measurement.burst() for _ in range(config.num_repeats)]
  return max(burst['num_architectures'] / burst['scan'] for burst in bursts)


def measure_torch_compile(
  config: Any, session: sessions.Session
) -> Iterator[Row]:
  """Yields what `torch.compile` reaches beside ours."""
  # To know the device.
  session.jax()
  vocab_size, count = config.vocab_sizes[0], min(config.num_children)
  theirs = session.attempt(
    'torch.compile, recurrent',
    functools.partial(
      _torch_cells, config, session, vocab_size, config.torch_compiler
    ),
  )
  if theirs is not None:
    cost = _cells(config, session, vocab_size, count).cost
    yield from device_rows.compiled_rows(
      config,
      f'{_recurrent_children(count)}, {vocab_size:,} words',
      cost,
      theirs,
    )
  theirs = session.attempt(
    'torch.compile, convolutions',
    functools.partial(_torch_nets, config, session, config.torch_compiler),
  )
  if theirs is not None:
    nets = conv_shapes.random_nets(
      _conv_shape(config), config.num_layers, config.num_sampled
    )
    cost = _nets(config, session, 'compiled', nets).cost
    yield from device_rows.compiled_rows(
      config, f'{_networks(len(nets))}, compiled', cost, theirs
    )


def _recurrent_children(count: int) -> str:
  return device_rows.counted(count, 'recurrent child', 'recurrent children')


def _networks(count: int) -> str:
  return device_rows.counted(count, 'network', 'networks')


def _bursts(config, measurement) -> dict[str, list[Any]]:
  return worker_lib.alternate(
    {
      'short': lambda: measurement.burst(num_steps=1),
      'long': lambda: measurement.burst(num_steps=1 + config.num_burst_steps),
    },
    config.num_repeats,
  )


def _torch_seconds(config, measurement, count) -> tuple[float, float]:
  steps = config.num_burst_steps
  bursts = [
    measurement.burst(num_steps=steps) for _ in range(config.num_repeats)
  ]
  seconds = conv_costs.shortest(bursts) / (steps * count)
  return seconds, measurement.facts['cold_seconds']


def _peak(config, jax) -> float:
  """Returns the operations a second of the best matmul."""
  measurement = jax.make('peak', sizes=config.peak_sizes)
  return max(measurement.burst()['flops'] for _ in range(config.num_repeats))


def _cell_shapes(config) -> dict[str, int]:
  return {
    name: getattr(config, name)
    for name in ('features', 'num_unrolled', 'batch_size')
  }


def _conv_shape(config) -> conv_shapes.Shape:
  size = config.image_size
  return dataclasses.replace(
    conv_shapes.SHAPES['32x32'],
    image_shape=(size, size, 3),
    batch_size=config.image_batch_size,
    filters=config.filters,
    heights=config.kernel_sizes,
    widths=config.kernel_sizes,
  )


PARTS: Mapping[str, Part] = {
  'equality': Part(60, measure_equality),
  'recurrent': Part(90, measure_recurrent),
  'conv': Part(110, measure_conv),
  'vocabulary': Part(90, measure_vocabulary),
  'tables': Part(60, measure_tables),
  'torch_compile': Part(90, measure_torch_compile),
}
"""The parts by name, in order of worth."""

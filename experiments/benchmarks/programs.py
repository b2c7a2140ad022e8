# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The programs of the package, to be compiled for a device that is not here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments import compare_strategies
from experiments.benchmarks import conv_shapes
from jaxnas.children import (
  conv_interpreter,
  conv_masked,
  conv_net,
  recurrent_interpreter,
)
from jaxnas.controllers import recurrent as controllers
from jaxnas.datasets import base2_bench
from jaxnas.datasets import reward_table as tables
from jaxnas.spaces import recurrent_cell as cell_space
from jaxnas.strategies import reinforce
from jaxnas.trainers import outcomes
from jaxnas.training import image_evaluation, image_task, text_task
from jaxnas.types import Span, Task

_NUM_SEGMENTS = 8
_NUM_CLASSES = 10


class Program(NamedTuple):
  """A function and what it is called with.

  Attributes:
    function: the function to compile.
    arguments: its arguments; only their shapes and types matter.
    num_children: the number of children, proposals or searches at once.
  """

  function: Callable[..., Any]
  arguments: tuple[Any, ...]
  num_children: int


@dataclasses.dataclass(frozen=True)
class Sizes:
  """The sizes of the programs.

  Attributes:
    num_children: the number of children that are trained at once.
    num_nets: the number of convolutional networks that are trained at once, on
      routes that train several.
    vocab_size: the number of different words.
    features: the number of hidden units.
    num_unrolled: the number of steps of backpropagation through time.
    batch_size: the number of columns of text.
    conv: the images and the space of convolutional networks.
    num_conv_layers: the number of layers of the networks.
    num_searches: the number of searches of a table at once.
    num_trials: the number of trials of such a search.
  """

  num_children: int = 128
  num_nets: int = 32
  vocab_size: int = 1_000
  features: int = 64
  num_unrolled: int = 35
  batch_size: int = 20
  conv: conv_shapes.Shape = conv_shapes.SHAPES['32x32']
  num_conv_layers: int = 6
  num_searches: int = 512
  num_trials: int = 500


def make_text(
  platform: str,
  sizes: Sizes,
  base: int,
  num_layers: int = 1,
  measures: bool = False,
  recurrence: str = 'scan',
) -> Program:
  """Returns the training of interpreted cells, or their evaluation.

  Args:
    platform: the platform that it is compiled for.
    sizes: the sizes.
    base: the base number of the cells.
    num_layers: the number of recurrent layers.
    measures: whether children are measured, not trained.
    recurrence: how a sequence is run; see `InterpretedCell`.
  """
  shape = (_NUM_SEGMENTS, sizes.num_unrolled, sizes.batch_size)
  tokens = jnp.zeros(shape, jnp.int32)
  segments = text_task.Segments(tokens, tokens, jnp.ones(shape))
  task = text_task.make_task(
    text_task.Recipe(
      features=sizes.features, num_layers=num_layers, optimizer='sgd'
    ),
    sizes.vocab_size,
    functools.partial(
      recurrent_interpreter.InterpretedCell,
      platform=platform,
      recurrence=recurrence,
    ),
    segments,
    {'validation': segments},
    recurrent_interpreter.assemble,
    recurrent_interpreter.BATCH_AXES,
    platform,
  )
  space = cell_space.make_space(base)
  cells: Any = _draw(space, sizes.num_children)
  return _mapped(task, task.assemble(cells), sizes.num_children, measures)  # type: ignore[misc]  # It has one.


def make_images(
  platform: str, sizes: Sizes, route: str, measures: bool = False
) -> Program:
  """Returns the training of convolutional networks, or their evaluation.

  Args:
    platform: the platform that it is compiled for.
    sizes: the sizes.
    route: the route, one of `conv_routes.ROUTES`.
    measures: whether children are measured, not trained.
  """
  conv = sizes.conv
  shape = (2 * conv.batch_size, *conv.image_shape)
  images, labels = jnp.zeros(shape), jnp.zeros(shape[0], jnp.int32)
  make = functools.partial(
    image_task.make_task,
    image_task.Recipe(
      batch_size=conv.batch_size, evaluation_batch_size=conv.batch_size
    ),
    train_data=image_task.TrainData(images, labels, images, labels),
    splits={'validation': image_evaluation.Examples(images, labels)},
  )
  nets = conv_shapes.random_nets(conv, sizes.num_conv_layers, sizes.num_nets)
  if route == 'compiled':
    network = functools.partial(
      conv_net.make_network,
      nets[0],
      conv.image_shape,
      _NUM_CLASSES,
      platform=platform,
    )
    return _of_one(make(make_network=lambda _: network()), None, measures)
  layout: dict[str, Any] = {
    'num_layers': sizes.num_conv_layers,
    'image_shape': conv.image_shape,
    'num_classes': _NUM_CLASSES,
    'heights': conv.heights,
    'widths': conv.widths,
    'filters': conv.filters,
  }
  if route == 'interpreted':
    interpreter = conv_interpreter.ConvInterpreter(**layout, platform=platform)
    task = make(
      make_network=interpreter.make_network, assemble=interpreter.assemble
    )
    # A device trains one child after another.
    program = jax.tree.map(lambda leaf: leaf[0], interpreter.assemble(nets[:1]))
    return _of_one(task, program, measures)
  masked = conv_masked.ConvMasked(**layout)
  task = make(
    make_network=masked.make_network,
    assemble=masked.assemble,
    program_axes=conv_masked.BATCH_AXES,
  )
  return _mapped(task, masked.assemble(nets), len(nets), measures)


def make_ask(platform: str, sizes: Sizes, base: int) -> Program:
  """Returns the controller's proposals: a batch of 64 cells of a base."""
  del platform, sizes
  strategy, state, key = _controller(base)
  return Program(
    lambda state, key: strategy.ask(state, key, 64), (state, key), 64
  )


def make_tell(platform: str, sizes: Sizes, base: int) -> Program:
  """Returns the controller's update by a batch of 64 cells of a base."""
  del platform, sizes
  strategy, state, key = _controller(base)
  proposals = jax.eval_shape(
    lambda state, key: strategy.ask(state, key, 64), state, key
  )
  rewards = jax.ShapeDtypeStruct((64,), jnp.float32)
  return Program(strategy.tell, (state, proposals, rewards), 64)


def make_table_scan(platform: str, sizes: Sizes, strategy: str) -> Program:
  """Returns searches of a table, each a scan over ask and tell."""
  del platform
  count = int(np.prod(base2_bench.CARDINALITIES))
  table = tables.Table(
    base2_bench.CARDINALITIES, np.linspace(0, 1, count, dtype=np.float32)
  )
  search = compare_strategies.make_search(
    compare_strategies.Config(num_trials=sizes.num_trials), table, strategy
  )
  keys = _keys(sizes.num_searches)
  return Program(jax.vmap(search), (keys,), sizes.num_searches)


def _controller(base):
  strategy = reinforce.make_reinforce(
    controllers.make_controller(cell_space.make_space(base).decisions)
  )
  key = jax.eval_shape(lambda: jax.random.key(0))
  return strategy, jax.eval_shape(strategy.init, key), key


def _draw(space, count) -> list[Any]:
  generator = np.random.default_rng(0)
  choices = [decision.num_choices for decision in space.decisions]
  return [
    space.decode(generator.integers(choices).astype(np.int32))
    for _ in range(count)
  ]


def _keys(count) -> Any:
  return jax.eval_shape(lambda: jax.random.split(jax.random.key(0), count))


def _mapped(task: Task, programs: Any, count: int, measures: bool) -> Program:
  """Returns the program by which a device trains many children at once."""
  axes = task.program_axes
  keys, rates = _keys(count), jax.ShapeDtypeStruct((count,), jnp.float32)
  states = jax.eval_shape(
    jax.vmap(task.init, (axes, 0, 0)), programs, keys, rates
  )
  if measures:
    measure = jax.vmap(outcomes.measure_of(task), (None, axes, 0))
    return Program(
      measure, (task.splits['validation'], programs, states), count
    )
  train = jax.vmap(outcomes.train_from(task), (None, axes, 0, 0, 0, None))
  arguments = (task.train_data, programs, states, keys, rates, _SPAN)
  return Program(train, arguments, count)


def _of_one(task: Task, program: Any, measures: bool) -> Program:
  """Returns the program by which a device trains one child."""
  key = jax.eval_shape(lambda: jax.random.key(0))
  rate = jax.ShapeDtypeStruct((), jnp.float32)
  state = jax.eval_shape(task.init, program, key, rate)
  if measures:
    data = task.splits['validation']
    return Program(outcomes.measure_of(task), (data, program, state), 1)
  arguments = (task.train_data, program, state, key, rate, _SPAN)
  return Program(outcomes.train_from(task), arguments, 1)


_SPAN = Span(*(np.int32(0),) * len(Span._fields))
_partial = functools.partial

MAKERS: Mapping[str, Callable[[str, Sizes], Program]] = {
  'recurrent-8': _partial(make_text, base=8),
  'recurrent-2': _partial(make_text, base=2),
  'recurrent-16': _partial(make_text, base=16),
  'recurrent-8-kernel': _partial(make_text, base=8, recurrence='kernel'),
  'recurrent-2-kernel': _partial(make_text, base=2, recurrence='kernel'),
  'recurrent-16-kernel': _partial(make_text, base=16, recurrence='kernel'),
  'recurrent-2-deep': _partial(make_text, base=2, num_layers=2),
  'recurrent-8-deep': _partial(make_text, base=8, num_layers=2),
  'recurrent-16-deep': _partial(make_text, base=16, num_layers=2),
  'text-evaluation': _partial(make_text, base=8, measures=True),
  'conv-compiled': _partial(make_images, route='compiled'),
  'conv-vmapped': _partial(make_images, route='vmapped'),
  'conv-interpreted': _partial(make_images, route='interpreted'),
  'image-evaluation': _partial(make_images, route='compiled', measures=True),
  'ask': _partial(make_ask, base=8),
  'tell': _partial(make_tell, base=8),
  'table-scan': _partial(make_table_scan, strategy='reinforce'),
}
"""`(platform, sizes) -> program` by name."""

WIDE = ('recurrent-8', 'conv-vmapped')
"""The programs that are compiled for several numbers of children."""


def resized(sizes: Sizes, count: int) -> Sizes:
  """Returns sizes with another number of children at once."""
  return dataclasses.replace(sizes, num_children=count, num_nets=count)

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Programs of both routes are lowered here for platforms that are not here."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.children import (
  conv_interpreter,
  conv_masked,
  conv_net,
  platforms,
  recurrent_cell,
  recurrent_interpreter,
)
from jaxnas.records import fingerprint
from jaxnas.spaces import conv_net as conv_space
from jaxnas.spaces import recurrent_cell as cell_space
from jaxnas.trainers import outcomes
from jaxnas.training import image_evaluation, image_task, text_task
from jaxnas.types import Span

PLATFORMS = ('cpu', 'cuda', 'tpu')
V, B = 11, 3
LAYOUT = {
  'num_layers': 2,
  'image_shape': (6, 6, 1),
  'num_classes': 3,
  'heights': (1, 3),
  'widths': (1, 3),
  'filters': (4, 8),
}
NET = conv_space.make_space(2, (1, 3), (1, 3), (4, 8)).decode(
  np.array([1, 1, 0, 1, 0, 1, 1], np.int32)
)
CELL = cell_space.make_space(4).decode(
  np.zeros(cell_space.make_space(4).num_tokens, np.int32)
)


def text(route, platform):
  """Returns a task on text, and the program of a child."""
  shape = (2, 4, B)
  tokens = jnp.zeros(shape, jnp.int32)
  segments = text_task.Segments(tokens, tokens, jnp.ones(shape))
  make = functools.partial(
    text_task.make_task,
    text_task.Recipe(features=4),
    V,
    train_segments=segments,
    splits={'validation': segments},
    platform=platform,
  )
  if route == 'compiled':
    cell = functools.partial(recurrent_cell.GrammarCell, architecture=CELL)
    return make(make_cell=cell), None
  programs = recurrent_interpreter.assemble([CELL])
  return make(
    make_cell=functools.partial(
      recurrent_interpreter.InterpretedCell, platform=platform
    ),
    assemble=recurrent_interpreter.assemble,
    program_axes=recurrent_interpreter.BATCH_AXES,
  ), programs._replace(
    **{
      name: leaf[0]
      for name, leaf in programs._asdict().items()
      if name != 'one'
    }
  )


def conv(route, platform):
  """Returns a task on images, and the program of a child."""
  images, labels = jnp.zeros((4, 6, 6, 1)), jnp.zeros(4, jnp.int32)
  make = functools.partial(
    image_task.make_task,
    image_task.Recipe(batch_size=2),
    train_data=image_task.TrainData(images, labels, images, labels),
    splits={'validation': image_evaluation.Examples(images, labels)},
  )
  if route == 'compiled':
    return make(
      make_network=lambda _: conv_net.make_network(
        NET, (6, 6, 1), 3, platform=platform
      )
    ), None
  if route == 'interpreted':
    interpreter = conv_interpreter.ConvInterpreter(**LAYOUT, platform=platform)
  else:
    interpreter = conv_masked.ConvMasked(**LAYOUT)
  program = jax.tree.map(lambda leaf: leaf[0], interpreter.assemble([NET]))
  return make(
    make_network=interpreter.make_network, assemble=interpreter.assemble
  ), program


@functools.cache
def lowered(make, route, platform):
  """Returns the text of the programs that train and measure a child."""
  task, program = make(route, platform)
  key, rate = jax.random.key(0), jnp.float32(0.1)
  state = jax.eval_shape(task.init, program, key, rate)
  span = Span(*(np.int32(0),) * 3)
  train = jax.jit(outcomes.train_from(task)).trace(
    task.train_data, program, state, key, rate, span
  )
  measure = jax.jit(outcomes.measure_of(task)).trace(
    task.splits['validation'], program, state
  )
  return tuple(
    traced.lower(lowering_platforms=(platform,)).as_text()
    for traced in (train, measure)
  )


@pytest.mark.parametrize('platform', PLATFORMS)
@pytest.mark.parametrize(
  ('make', 'route'),
  [
    (text, 'compiled'),
    (text, 'interpreted'),
    (conv, 'compiled'),
    (conv, 'interpreted'),
    (conv, 'masked'),
  ],
)
def test_every_route_is_lowered_for_every_platform(make, route, platform):
  assert all('func.func public @main' in each for each in
             lowered(make, route, platform))  # fmt: skip


def test_a_form_is_that_of_the_platform_that_was_named():
  # The barriers belong to gradients that are written for a CPU.
  for route in ('compiled', 'interpreted'):
    counts = {
      platform: lowered(conv, route, platform)[0].count('optimization_barrier')
      for platform in PLATFORMS
    }
    assert counts['cpu'] > 0
    assert counts['cuda'] == counts['tpu'] == 0
  # So do the divisions by 1.
  counts = {
    platform: lowered(text, 'interpreted', platform)[1].count('divide')
    for platform in PLATFORMS
  }
  assert counts['cpu'] > counts['cuda'] == counts['tpu']


def test_the_default_is_the_platform_of_this_process():
  assert platforms.default() == jax.default_backend()
  cell = recurrent_interpreter.InterpretedCell(features=2)
  assert cell.platform == platforms.default()
  interpreter = conv_interpreter.ConvInterpreter(**LAYOUT)
  assert interpreter.platform == platforms.default()


def test_a_run_may_go_on_on_another_platform():
  parts = [
    fingerprint.of(
      conv_interpreter.ConvInterpreter(**LAYOUT, platform=platform)
    )
    for platform in PLATFORMS
  ]
  assert parts[0] == parts[1] == parts[2]

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import collections
import functools

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.children import conv_interpreter, conv_net
from jaxnas.children.conv_packing import pack, unpack
from jaxnas.spaces import conv_net as spaces

L, IMAGE, CLASSES, B = 4, (6, 5, 3), 3, 4
CHOICES = {'heights': (1, 3), 'widths': (1, 3), 'filters': (2, 3, 4)}
TRACES = collections.Counter()


@functools.cache
def make(merge):
  """Returns an interpreter and its one compiled program."""
  interpreter = conv_interpreter.ConvInterpreter(
    L,
    IMAGE,
    CLASSES,
    **CHOICES,
    merge=merge,
    channel_buckets=None if merge == 'concat' else (4,),
  )

  @jax.jit
  def run(program, params, batch_stats, images, labels, num_steps):
    TRACES[merge] += 1
    network = interpreter.make_network(program)
    return train(network, params, batch_stats, images, labels, num_steps)

  init = jax.jit(
    lambda program, key: interpreter.make_network(program).init(key)
  )
  return interpreter, run, init


def train(network, params, batch_stats, images, labels, num_steps):
  """Returns the last step's loss and gradient, the child, and its logits."""

  def body(_, state):
    _, _, params, batch_stats = state
    loss, batch_stats, grads = network.loss_and_grad(
      params, batch_stats, images, labels
    )
    new = jax.tree.map(lambda param, grad: param - 0.1 * grad, params, grads)
    return loss, grads, new, batch_stats

  state = jnp.zeros(()), params, params, batch_stats
  loss, grads, params, batch_stats = lax.fori_loop(0, num_steps, body, state)
  logits = network.predict(params, batch_stats, images)
  return loss, grads, params, batch_stats, logits


def random_net(seed, depth, merge):
  space = spaces.make_space(depth, **CHOICES, merge=merge)
  rng = np.random.default_rng(seed)
  tokens = [
    token
    for decision in space.decisions
    for token in rng.integers(decision.num_choices, size=decision.num_tokens)
  ]
  return space.decode(np.array(tokens))


def random_batch():
  rng = np.random.default_rng(0)
  images = rng.normal(size=(B, *IMAGE)).astype(np.float32)
  return images, rng.integers(CLASSES, size=B).astype(np.int32)


def program_of(interpreter, net):
  return jax.tree.map(lambda x: x[0], interpreter.assemble([net]))


def assert_close(result, expected, tolerance):
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(
      x, y, rtol=tolerance, atol=tolerance / 10
    ),
    result,
    expected,
  )


@pytest.mark.parametrize('merge', spaces.MERGES)
@pytest.mark.parametrize('depth', range(1, L + 1))
def test_it_agrees_with_the_compiled_network(depth, merge):
  interpreter, run, init = make(merge)
  net = random_net(depth, depth, merge)
  if depth == L:
    # One that reads several outputs and leaves several unread.
    layers = (
      spaces.ConvLayer(3, 1, 4),
      spaces.ConvLayer(1, 1, 2, inputs=(0,)),
      spaces.ConvLayer(1, 3, 4),
      spaces.ConvLayer(3, 3, 3, inputs=(0, 1)),
    )
    net = spaces.ConvNet(layers, merge)
  compiled = conv_net.make_network(net, IMAGE, CLASSES)
  key = jax.random.key(depth)
  child = jax.jit(compiled.init)(key)
  program = program_of(interpreter, net)
  batch = random_batch()

  packed_child = pack(interpreter, net, *child)
  jax.tree.map(
    np.testing.assert_array_equal,
    unpack(interpreter, net, *packed_child),
    child,
  )
  # The same draws; a compiler may round what becomes of them.
  own_child = init(program, key)
  assert_close(own_child, packed_child, 1e-6)

  compiled_run = jax.jit(functools.partial(train, compiled))
  # After 20 steps, rounding has grown through them.
  for num_steps, tolerance in ((1, 1e-4), (20, 1e-2)):
    expected = compiled_run(*child, *batch, num_steps)
    loss, grads, params, stats, logits = run(
      program, *own_child, *batch, num_steps
    )
    assert_close((loss, logits), (expected[0], expected[4]), tolerance)
    assert_close(
      unpack(interpreter, net, params, stats),
      expected[2:4],
      tolerance,
    )
    assert_close(
      unpack(interpreter, net, grads, stats)[0],
      expected[1],
      tolerance,
    )
    # Nothing outside of what the architecture has.
    unpacked = unpack(interpreter, net, grads, stats)
    packed = pack(interpreter, net, *unpacked)
    jax.tree.map(np.testing.assert_array_equal, grads, packed[0])
  assert TRACES[merge] == 1


@pytest.mark.parametrize('merge', spaces.MERGES)
def test_every_choice_counts(merge):
  interpreter, run, init = make(merge)
  space = spaces.make_space(3, **CHOICES, merge=merge)
  start = space.encode(random_net(0, 3, merge))
  tokens = {tuple(start.tolist())}
  place = 0
  for decision in space.decisions:
    for index in range(place, place + decision.num_tokens):
      for token in range(decision.num_choices):
        other = start.copy()
        other[index] = token
        tokens.add(tuple(other.tolist()))
    place += decision.num_tokens
  nets = [space.decode(np.array(row)) for row in sorted(tokens)]
  programs = interpreter.assemble(nets)
  losses = []
  for number in range(len(nets)):
    program = jax.tree.map(lambda x: x[number], programs)  # noqa: B023
    child = init(program, jax.random.key(0))
    losses.append(float(run(program, *child, *random_batch(), 1)[0]))
  assert len(nets) == 1 + 3 + 3 * (1 + 1 + 2)
  assert np.diff(np.sort(losses)).min() > 1e-6
  assert TRACES[merge] == 1


def test_an_image_may_have_more_channels_than_layers_have_filters():
  # The image's blocks are then the largest, and the last one is not.
  shape = (4, 4, 3)
  interpreter = conv_interpreter.ConvInterpreter(
    3, shape, CLASSES, (1,), (1,), (2,)
  )
  net = spaces.ConvNet(
    tuple(
      spaces.ConvLayer(1, 1, 2, inputs=inputs) for inputs in ((), (), (0, 1))
    )
  )
  compiled = conv_net.make_network(net, shape, CLASSES)
  own = interpreter.make_network(program_of(interpreter, net))
  images, labels = random_batch()

  @jax.jit
  def run(key):
    results = []
    for network in (own, compiled):
      child = network.init(key)
      _, stats, grads = network.loss_and_grad(*child, images[:, :4, :4], labels)
      results.append((grads, stats))
    return results

  result, expected = run(jax.random.key(0))
  assert_close(unpack(interpreter, net, *result), expected, 1e-4)

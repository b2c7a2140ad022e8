# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.children import conv_masked, conv_net
from jaxnas.spaces.conv_net import ConvLayer, ConvNet
from jaxnas.trainers import mapping
from jaxnas.training import image_task, shared, shared_images
from jaxnas.training.image_evaluation import Examples

K, B, RATE = 3, 4, 0.1
SHAPE = (4, 5, 2)
MASKED = conv_masked.ConvMasked(2, SHAPE, K, (1, 3), (1, 3), (2, 3))
ADDED = dataclasses.replace(MASKED, merge='add')
NET = ConvNet((ConvLayer(1, 3, 2), ConvLayer(3, 1, 3, inputs=(0,))))
# It alone uses the corners of the second layer's filters.
LARGE = ConvNet((ConvLayer(1, 3, 3), ConvLayer(3, 3, 3, inputs=(0,))))
RECIPE = image_task.Recipe(
  batch_size=B, schedule='cosine', augmentation='pad_crop', margin=1, flip=True
)


@pytest.fixture(autouse=True, scope='module')
def quick_compilation():
  # XLA's optimizations do not change what is tested here, and they are most of
  # the time that it takes.
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', False)


def make_examples(count, seed=0):
  rng = np.random.default_rng(seed)
  labels = rng.integers(0, K, count, dtype=np.int32)
  images = rng.normal(size=(count, *SHAPE)) + labels.reshape(-1, 1, 1, 1)
  return Examples(images.astype(np.float32), labels)


TRAIN, VALIDATION = make_examples(11), make_examples(10, 1)


def make_task(train=TRAIN, validation=VALIDATION, masked=MASKED):
  return shared_images.make_task(
    RECIPE,
    masked.make_network,
    masked.init_shared,
    train,
    {'validation': validation},
    RATE,
    masked.assemble,
    conv_masked.BATCH_AXES,
  )


TASK = make_task()


@functools.cache
def make_step():
  return jax.jit(functools.partial(shared.train, TASK, TASK.train_data))


def init(num_children):
  return shared.init(TASK, jax.random.key(3), num_children)


def row(net):
  return jax.tree.map(lambda leaf: leaf[0], MASKED.assemble([net]))


@functools.cache
def make_gradient():
  return jax.jit(TASK.gradient)


def gradient_of(state, net, slot):
  """Returns the gradient of a slot's first batch."""
  carry = jax.tree.map(lambda leaf: leaf[slot], state.carry)
  return make_gradient()(
    TASK.train_data, row(net), state.params, carry, jnp.int32(0)
  ).grads


def assert_close(first, second, atol):
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=0, atol=atol),
    first,
    second,
  )


def test_one_fixed_network_is_ordinary_training():
  # Further than two epochs.
  num_steps = 5
  state = shared_images.of_length(init(1), num_steps)
  program = row(NET)
  data = image_task.TrainData(*TASK.train_data, *VALIDATION)

  @jax.jit
  def ordinary(program, params, key):
    network = MASKED.make_network(program)
    alone = image_task.init(network, RECIPE, key)
    child = alone.child._replace(params=params)
    return image_task.train(
      *(network, RECIPE, alone._replace(child=child), data, key),
      *(RATE, num_steps),
    )

  @jax.jit
  def train(programs, state):
    step = functools.partial(
      shared.train, TASK, programs=programs, map_children=mapping.alone
    )
    return jax.lax.fori_loop(
      0, num_steps, lambda _, state: step(TASK.train_data, state), state
    )

  found = train(MASKED.assemble([NET]), state)
  (key,) = jax.random.split(jax.random.fold_in(jax.random.key(3), 1), 1)
  alone = ordinary(program, state.params, key)
  assert alone.num_trained == num_steps
  jax.tree.map(
    np.testing.assert_array_equal,
    (found.params, found.opt_state.scaling),
    (alone.child.params, alone.opt_state),
  )
  changed = jax.tree.map(
    lambda x, y: np.any(x != y), found.params, state.params
  )
  assert all(jax.tree.leaves(changed))


@pytest.mark.parametrize('masked', [MASKED, ADDED], ids=lambda each: each.merge)
def test_a_network_is_judged_as_it_would_be_alone_in_training(masked):
  task = TASK if masked is MASKED else make_task(masked=masked)
  nets = [dataclasses.replace(net, merge=masked.merge) for net in (NET, LARGE)]
  params = shared.init(task, jax.random.key(3), 1).params
  split = task.splits['validation']
  # Ten images are two minibatches of four.
  assert task.num_batches == {'validation': 2}
  programs = task.assemble(nets)
  judge = jax.jit(functools.partial(shared.judge, task))
  judged = [judge(split, params, programs, number) for number in range(2)]
  measured = jax.jit(functools.partial(shared.measure, task))(
    split, params, programs
  )
  for number, net in enumerate(nets):
    # The same weights in a network without masks.
    own, stats = masked.unpack(
      net, params, masked.init_shared(jax.random.key(0))[1]
    )
    module = conv_net.ConvNetwork(net, K)
    for minibatch in range(2):
      images, labels = (x[4 * minibatch :][:4] for x in VALIDATION)
      logits, _ = module.apply(
        {'params': own, 'batch_stats': stats},
        jnp.asarray(images),
        is_training=True,
        mutable='batch_stats',
      )
      right = jax.nn.log_softmax(logits)[np.arange(4), labels]
      found = {name: value[number] for name, value in judged[minibatch].items()}
      assert found['loss'] == pytest.approx(-float(right.mean()), rel=1e-4)
      assert found['accuracy'] == np.mean(logits.argmax(-1) == labels)
    for name in ('loss', 'accuracy'):
      mean = np.mean([float(each[name][number]) for each in judged])
      assert float(measured[name][number]) == pytest.approx(mean, rel=1e-5)
  assert judged[0]['loss'][0] != judged[0]['loss'][1]


def test_a_step_takes_the_mean_over_networks_with_batches_of_their_own():
  state = init(2)
  both = make_step()(state, TASK.assemble([NET, LARGE]))
  gradients = [
    gradient_of(state, net, slot) for slot, net in enumerate((NET, LARGE))
  ]
  order = both.carry.order
  assert sorted(order[0].tolist()) == sorted(order[1].tolist())
  assert (order[0] != order[1]).any()
  mean = jax.tree.map(lambda x, y: (x + y) / 2, *gradients)
  params, _ = TASK.update(mean, state.opt_state, state.params)
  assert_close(both.params, params, 1e-6)


def test_a_dead_network_is_left_out_and_counted():
  state = init(2)
  # The corners of the filters from the first layer to the second.
  poisoned = [
    kernel.at[:, 0, 0].set(jnp.inf) if number == 1 else kernel
    for number, kernel in enumerate(state.params['kernels'])
  ]
  state = state._replace(params={**state.params, 'kernels': poisoned})
  found = make_step()(state, TASK.assemble([NET, LARGE]))
  assert found.num_dropped == 1
  only = gradient_of(state, NET, 0)
  params, _ = TASK.update(only, state.opt_state, state.params)
  assert_close(found.params, params, 1e-6)
  is_finite = jax.tree.map(lambda x: np.isfinite(x).all(), found.params)
  # All but the array that was poisoned.
  assert (
    sum(map(bool, jax.tree.leaves(is_finite)))
    == len(jax.tree.leaves(is_finite)) - 1
  )
  judged = jax.jit(functools.partial(shared.judge, TASK))(
    TASK.splits['validation'], found.params, TASK.assemble([NET, LARGE]), 0
  )
  assert np.isfinite(judged['loss']).tolist() == [True, False]


def test_the_schedule_spans_the_training():
  params = init(1).params
  grads = jax.tree.map(jnp.ones_like, params)

  def change(num_steps, num_updates):
    state = shared_images.of_length(init(1), num_steps).opt_state
    state = state._replace(num_updates=jnp.int32(num_updates))
    after, _ = TASK.update(grads, state, params)
    return float(params['head_bias'][0] - after['head_bias'][0])

  # Nesterov's momentum of the first step; the rate is a half in the middle.
  assert change(8, 0) == pytest.approx(RATE * 1.9, rel=1e-5)
  assert change(8, 4) == pytest.approx(RATE * 1.9 / 2, rel=1e-5)
  assert change(4, 4) == pytest.approx(0, abs=1e-7)


def test_what_cannot_be_trained_is_refused():
  with pytest.raises(ValueError, match='batch_size is 4, but there are only 3'):
    make_task(train=make_examples(3))
  with pytest.raises(ValueError, match='only 2 images of validation'):
    make_task(validation=make_examples(2))

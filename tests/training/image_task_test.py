# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.children.network import Network
from jaxnas.training import image_task
from jaxnas.training.image_task import Examples, TrainData
from jaxnas.types import Span

K = 3
SHAPE = (2, 3, 2)
PLAIN = image_task.Recipe(
  batch_size=4, momentum=0.0, weight_decay=0.0, schedule='constant'
)


def make_data(num_images, num_validation=6, seed=0):
  """Returns images of which each class is its own, but for some noise."""
  rng = np.random.default_rng(seed)
  patterns = np.random.default_rng(7).normal(size=(K, *SHAPE))

  def make(size):
    labels = rng.integers(0, K, size, dtype=np.int32)
    images = patterns[labels] + 0.3 * rng.normal(size=(size, *SHAPE))
    return images.astype(np.float32), labels

  return TrainData(*make(num_images), *make(num_validation))


def linear_network():
  """Returns a linear classifier, whose running average is that of images."""

  def predict(params, batch_stats, images):
    flat = images.reshape(len(images), -1)
    return flat @ params['kernel'] + params['bias'][None]

  def loss(params, images, labels):
    log_probs = jax.nn.log_softmax(predict(params, None, images))
    return -jnp.take_along_axis(log_probs, labels[:, None], 1).mean()

  def init(key):
    kernel = 0.1 * jax.random.normal(key, (np.prod(SHAPE), K))
    return {'kernel': kernel, 'bias': jnp.zeros(K)}, jnp.zeros(())

  def loss_and_grad(params, batch_stats, images, labels):
    value, grads = jax.value_and_grad(loss)(params, images, labels)
    return value, 0.9 * batch_stats + 0.1 * images.mean(), grads

  return Network(init, loss_and_grad, predict)


def counting_network(num_images):
  """Returns a network whose parameters count how often it saw each image.

  Images are constant, and tell their number. What is left of parameters after
  a step of size 1 is a count.
  """

  def loss_and_grad(params, batch_stats, images, labels):
    numbers = images[:, 0, 0, 0].astype(jnp.int32)
    seen = jax.nn.one_hot(numbers, num_images).sum(0)
    num_wrong = (labels != numbers % K).sum()
    return jnp.zeros(()), batch_stats + num_wrong, -seen

  return Network(
    lambda key: (jnp.zeros(num_images), jnp.array(0)),
    loss_and_grad,
    lambda params, batch_stats, images: jnp.zeros((len(images), K)),
  )


def numbered_data(num_images):
  numbers = np.arange(num_images, dtype=np.int32)
  images = np.broadcast_to(numbers[:, None, None, None], (num_images, 1, 1, 1))
  examples = images.astype(np.float32), numbers % K
  return TrainData(*examples, *examples)


@functools.cache
def trainer(network, recipe):
  """Returns jitted `(data, key, learning_rate, num_steps, stop) -> state`."""

  @jax.jit
  def run(data, key, learning_rate, num_steps, stop):
    state = image_task.init(network, recipe, key)
    return image_task.train(
      network, recipe, state, data, key, learning_rate, num_steps, 0, stop
    )

  return run


def assert_equal(first, second):
  jax.tree.map(np.testing.assert_array_equal, first, second)


@pytest.mark.parametrize(('num_images', 'left_out'), [(12, 0), (14, 2)])
def test_an_epoch_has_every_image_once_and_an_order_of_its_own(
  num_images, left_out
):
  train = trainer(counting_network(num_images), PLAIN)
  data = numbered_data(num_images)

  def seen(stop):
    state = train(data, jax.random.key(0), 1.0, 9, stop)
    # Labels go with their images.
    assert state.child.batch_stats == 0
    return np.asarray(state.child.params)

  first, epoch, second, two_epochs = map(seen, (1, 3, 4, 6))
  assert sorted(first)[-5:] == [0, 1, 1, 1, 1]
  assert sorted(epoch) == [0] * left_out + [1] * (num_images - left_out)
  assert (second - epoch).sum() == 4
  assert ((second - epoch) != first).any()
  assert two_epochs.max() == 2
  assert two_epochs.sum() == 2 * (num_images - left_out)


@pytest.mark.parametrize(
  ('settings', 'expected'),
  [
    ({'schedule': 'constant'}, [1] * 8),
    ({'schedule': 'step'}, [1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01]),
    (
      {'schedule': 'step', 'decay_start': 0.25},
      [1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01],
    ),
    (
      {'schedule': 'cosine'},
      [(1 + np.cos(np.pi * i / 8)) / 2 for i in range(8)],
    ),
  ],
)
def test_the_learning_rate_follows_the_schedule(settings, expected):
  # With one image in each batch, an epoch of one step counts the rates.
  recipe = dataclasses.replace(PLAIN, batch_size=1, **settings)
  train = trainer(counting_network(1), recipe)
  totals = [
    train(numbered_data(1), jax.random.key(0), 2.0, 8, stop).child.params[0]
    for stop in range(9)
  ]
  np.testing.assert_allclose(np.diff(totals), 2 * np.array(expected), atol=1e-5)


def test_momentum_is_nesterovs_and_all_weights_decay():
  recipe = dataclasses.replace(
    PLAIN, batch_size=1, momentum=0.8, weight_decay=0.1
  )
  train = trainer(counting_network(1), recipe)
  weight, momentum = 0.0, 0.0
  for _ in range(4):
    gradient = -1 + 0.1 * weight
    momentum = 0.8 * momentum + gradient
    weight -= 0.5 * (gradient + 0.8 * momentum)
  state = train(numbered_data(1), jax.random.key(0), 0.5, 4, 4)
  np.testing.assert_allclose(state.child.params, [weight], rtol=1e-5)


def forgetful_network():
  """Returns a network whose accuracy changes with every step."""
  counting = counting_network(1)

  def predict(params, batch_stats, images):
    num_right = jnp.array(FORGETFUL)[params[0].astype(jnp.int32)]
    is_right = images[:, 0, 0, 0] < num_right
    return jax.nn.one_hot(jnp.where(is_right, 0, 1), K)

  return counting._replace(predict=predict)


FORGETFUL = (0, 7, 9, 8, 4, 1, 3, 2)


@pytest.mark.parametrize(
  ('every', 'number', 'num_steps', 'expected'),
  [
    (1, 5, 7, [8, 4, 1, 3, 2]),
    (1, 2, 4, [8, 4]),
    # One more at the end.
    (2, 5, 5, [0, 0, 9, 4, 1]),
    (10, 2, 3, [0, 8]),
    (2, 2, 0, [0, 0]),
    # An epoch is one step.
    (0, 3, 3, [7, 9, 8]),
  ],
)
def test_the_last_evaluations_are_kept(every, number, num_steps, expected):
  recipe = dataclasses.replace(
    PLAIN, batch_size=1, evaluate_every=every, num_evaluations=number
  )
  data = numbered_data(1)._replace(
    validation_images=np.arange(10, dtype=np.float32).reshape(10, 1, 1, 1),
    validation_labels=np.zeros(10, np.int32),
  )
  state = image_task.init(FORGETFUL_NETWORK, recipe, jax.random.key(0))
  state = jax.jit(
    functools.partial(image_task.train, FORGETFUL_NETWORK, recipe)
  )(state, data, jax.random.key(0), 1.0, num_steps)
  np.testing.assert_allclose(
    state.accuracies, np.array(expected) / 10, rtol=1e-6
  )


FORGETFUL_NETWORK = forgetful_network()


def test_a_training_in_pieces_is_the_training_in_one():
  recipe = image_task.Recipe(
    batch_size=4, augmentation='pad_crop', margin=1, flip=True
  )
  network, data, key = linear_network(), make_data(14), jax.random.key(5)
  train = jax.jit(functools.partial(image_task.train, network, recipe))
  start = image_task.init(network, recipe, key)
  whole = train(start, data, key, 0.1, 9, 0, 9)
  state = start
  for begin, end in ((0, 2), (2, 7), (7, 9)):
    state = train(state, data, key, 0.1, 9, begin, end)
  assert_equal(state, whole)
  assert whole.num_trained == 9
  other = train(start, data, jax.random.key(6), 0.1, 9, 0, 9)
  assert (other.child.params['kernel'] != whole.child.params['kernel']).any()


@functools.cache
def run_task():
  """Trains three children, others but for the middle one, and these a step."""
  data = make_data(60, 20)
  splits = {
    'validation': Examples(data.validation_images, data.validation_labels),
    'report': Examples(*make_data(7, seed=1)[:2]),
  }
  recipe = image_task.Recipe(batch_size=8, evaluation_batch_size=8)
  task = image_task.make_task(
    recipe, lambda program: linear_network(), data, splits
  )

  def train_one(data, key, learning_rate, num_steps):
    state = task.init(None, key, learning_rate)
    span = Span(0, num_steps, num_steps)
    state = task.train(data, None, state, key, learning_rate, span)
    return state, task.train_metrics(state)

  train = jax.jit(jax.vmap(train_one, (None, 0, 0, None)))
  keys = jax.random.split(jax.random.key(0), 3)
  results = [
    train(task.train_data, keys, np.float32([0.1, middle, 0.05]), num_steps)
    for middle, num_steps in ((0.1, 40), (3e38, 40), (3e38, 1))
  ]
  return task, splits, results


def test_children_learn_and_are_measured():
  task, splits, (result, *_) = run_task()
  children, metrics = result
  assert set(metrics) == {
    'best_accuracy', 'train_loss', 'num_trained', 'is_alive',
  }  # fmt: skip
  assert metrics['is_alive'].all()
  assert metrics['num_trained'].tolist() == [40] * 3
  assert metrics['train_loss'].max() < 0.1
  assert metrics['best_accuracy'].min() > 0.9
  num_traces = 0

  @jax.jit
  @functools.partial(jax.vmap, in_axes=(None, None, 0))
  def measure(*arguments):
    nonlocal num_traces
    num_traces += 1
    return task.measure(*arguments)

  for name, (images, labels) in splits.items():
    measured = measure(task.splits[name], None, children)
    for index in range(3):
      params = jax.tree.map(
        lambda x, index=index: x[index], children.child.params
      )
      logits = linear_network().predict(params, None, images)
      np.testing.assert_allclose(
        measured['accuracy'][index], np.mean(logits.argmax(-1) == labels)
      )
      log_probs = np.asarray(jax.nn.log_softmax(logits))
      np.testing.assert_allclose(
        measured['loss'][index],
        -log_probs[np.arange(len(labels)), labels].mean(),
        rtol=1e-4,
      )
  # The splits have different sizes, and one program.
  assert num_traces == 1


def test_children_train_where_jax_has_64_bits():
  with jax.enable_x64(True):
    data = make_data(40, 30)
    recipe = dataclasses.replace(
      PLAIN, schedule='cosine', augmentation='pad_crop', margin=1, flip=True
    )
    task = image_task.make_task(
      recipe,
      lambda program: linear_network(),
      data,
      {'report': Examples(data.validation_images, data.validation_labels)},
    )
    key = jax.random.key(0)
    state = jax.jit(task.train)(
      task.train_data,
      None,
      task.init(None, key, 0.5),
      key,
      0.5,
      Span(0, 40, 40),
    )
    metrics = task.train_metrics(state)
  assert metrics['is_alive']
  assert metrics['best_accuracy'].dtype == np.float32


def test_the_best_of_the_last_evaluations_counts():
  data = make_data(40, 30)
  # What cannot be learned goes up and down.
  labels = np.random.default_rng(0).integers(0, K, 30, dtype=np.int32)
  data = data._replace(validation_labels=labels)
  recipe = dataclasses.replace(PLAIN, evaluate_every=1, num_evaluations=3)
  split = {
    'validation': Examples(data.validation_images, data.validation_labels)
  }
  task = image_task.make_task(
    recipe, lambda program: linear_network(), data, split
  )
  key, rate = jax.random.key(0), 2.0
  train = jax.jit(task.train)
  ends = []
  for num_steps in range(1, 13):
    span = Span(0, num_steps, num_steps)
    start = task.init(None, key, rate)
    child = train(task.train_data, None, start, key, rate, span)
    metrics = task.train_metrics(child)
    measured = task.measure(task.splits['validation'], None, child)
    ends.append(float(measured['accuracy']))
    assert metrics['best_accuracy'] == max(ends[-3:])
  # Else the last one, or the best of all, would do as well.
  last_three = [max(ends[max(0, i - 2) : i + 1]) for i in range(12)]
  assert any(best > end for best, end in zip(last_three, ends, strict=True))
  assert any(best < max(ends[: i + 1]) for i, best in enumerate(last_three))


def test_a_child_that_diverges_leaves_its_neighbors_alone():
  _, _, ((result, metrics), (children, broken), _) = run_task()
  assert broken['is_alive'].tolist() == [True, False, True]
  assert broken['num_trained'][1] < 5
  assert np.isfinite(broken['train_loss']).all()
  neighbors = np.array([0, 2])
  pick = functools.partial(jax.tree.map, lambda x: np.asarray(x)[neighbors])
  assert_equal(pick((children, broken)), pick((result, metrics)))


def test_a_child_that_diverged_stays_as_it_was():
  _, _, (*_, late, early) = run_task()
  assert late[1]['num_trained'][1] == early[1]['num_trained'][1] == 1
  # The first step leaves parameters whose loss is not finite.
  assert early[1]['is_alive'][1]
  for first, second in zip(
    jax.tree.leaves((late[0].child, late[1]['train_loss'])),
    jax.tree.leaves((early[0].child, early[1]['train_loss'])),
    strict=True,
  ):
    np.testing.assert_array_equal(first[1], second[1])


def test_what_is_evaluated_is_enlarged_as_in_training():
  data = make_data(6)
  recipe = dataclasses.replace(PLAIN, augmentation='upsample_crop', margin=1)
  splits = {'validation': Examples(data.images, data.labels)}
  task = image_task.make_task(recipe, linear_network, data, splits)
  images = task.splits['validation'].images
  assert images.shape == data.images.shape
  assert np.abs(images - data.images).max() > 0.1
  np.testing.assert_array_equal(task.train_data.images, data.images)


@pytest.mark.parametrize(
  ('settings', 'message'),
  [
    ({'batch_size': 0}, 'batch_size must be at least 1, got 0'),
    ({'margin': -1}, 'margin must be at least 0, got -1'),
    ({'evaluate_every': -1}, 'evaluate_every must be at least 0, got -1'),
    ({'num_evaluations': 0}, 'num_evaluations must be at least 1, got 0'),
    ({'evaluation_batch_size': 0}, 'evaluation_batch_size must be at least 1'),
    ({'momentum': 1.0}, 'momentum must be from 0 to below 1, got 1.0'),
    ({'momentum': float('nan')}, 'momentum must be .*, got nan'),
    (
      {'weight_decay': -1e-4},
      'weight_decay must be finite and at least 0, got -0.0001',
    ),
    ({'weight_decay': float('inf')}, 'weight_decay must be .*, got inf'),
    ({'decay_start': 0.0}, 'decay_start must be above 0 and below 1, got 0.0'),
    ({'decay_start': 1.0}, 'decay_start must be above 0 and below 1, got 1.0'),
    ({'schedule': 'cosin'}, "'cosin'; expected one of constant, cosine, step"),
    (
      {'augmentation': 'crop'},
      "'crop'; expected one of none, pad_crop, upsamp",
    ),
  ],
)
def test_a_bad_recipe_is_refused(settings, message):
  with pytest.raises(ValueError, match=message):
    image_task.Recipe(**settings)


def test_too_few_images_are_refused():
  data = make_data(3)
  splits = {'report': Examples(data.images[:0], data.labels[:0])}
  with pytest.raises(ValueError, match='batch_size is 4, but there are only 3'):
    image_task.make_task(PLAIN, linear_network, data, splits)
  data = make_data(4)
  with pytest.raises(ValueError, match='There are no images in report'):
    image_task.make_task(PLAIN, linear_network, data, splits)

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import evaluators
from jaxnas.spaces import hyperparameters
from jaxnas.trainers import blocks, groups, memory
from jaxnas.types import Reward, Status, Task


@dataclasses.dataclass(frozen=True)
class Shape:
  size: int
  slope: float


def assemble(architectures):
  slopes = [getattr(each, 'slope', 1.0) for each in architectures]
  return np.array(slopes, np.float32)


def make_task(size):
  """Returns a task whose child is noise of a size, and a rate times a slope."""

  def init(slope, key, rate):
    return jax.random.normal(key, (size,)) + rate * slope, jnp.int32(0)

  def train(data, slope, state, key, rate, span):
    return state[0], state[1] + span.stop - span.start

  def train_metrics(state):
    return {'num_trained': state[1], 'is_alive': jnp.isfinite(state[0]).all()}

  return Task(
    init=init,
    train=train,
    train_metrics=train_metrics,
    measure=lambda split, slope, state: {'sum': state[0].sum() + split},
    train_data=jnp.zeros(()),
    splits={'validation': jnp.zeros(()), 'report': jnp.ones(())},
    assemble=assemble,
    program_axes=0,
  )


class Trainers:
  """Makes trainers, and remembers for which shapes."""

  def __init__(self, too_large=()):
    self.made = []
    self.too_large = too_large

  def __call__(self, size):
    self.made.append(size)
    if size in self.too_large:
      raise memory.NotEnoughMemoryError('It needs 9 GiB.')
    return blocks.BlockTrainer(make_task(size), 2)


def make_trainer(trainers):
  return groups.GroupTrainer(
    trainers, lambda architecture: architecture.size, 8, 2
  )


CHILDREN = [
  Shape(3, 1.0),
  Shape(1, 2.0),
  Shape(3, 3.0),
  Shape(3, 4.0),
  Shape(1, 5.0),
]
KEYS = jax.random.split(jax.random.key(0), len(CHILDREN))
RATES = [0.1, 0.2, 0.3, 0.4, 0.5]


def test_children_are_what_they_are_alone():
  trainers = Trainers()
  trainer = make_trainer(trainers)
  assert (trainer.block_size, trainer.num_devices) == (8, 2)
  result = trainer.run(
    CHILDREN, KEYS, RATES, 7, splits=('validation', 'report')
  )
  together = result.metrics
  assert trainers.made == [3, 1]
  assert trainer.compile_seconds > 0
  assert trainer.run_seconds > 0
  for row, child in enumerate(CHILDREN):
    alone = trainer.run(
      [child], KEYS[row][None], RATES[row : row + 1], 7
    ).metrics
    assert alone['validation_sum'] == together['validation_sum'][row]
    noise = jax.random.normal(KEYS[row], (child.size,))
    expected = (noise + RATES[row] * child.slope).sum()
    np.testing.assert_allclose(
      together['validation_sum'][row], expected, rtol=1e-5
    )
  np.testing.assert_allclose(
    together['report_sum'], together['validation_sum'] + 1, rtol=1e-6
  )
  assert together['num_trained'].tolist() == [7] * 5
  assert not result.status.any()
  # Each shape has a trainer, whatever comes.
  assert trainers.made == [3, 1]


def test_costs_go_to_their_children():
  trainer = make_trainer(Trainers())
  plain = trainer.run(CHILDREN, KEYS, RATES, 7).metrics
  costly = trainer.run(
    CHILDREN, KEYS, RATES, 7, durations=[1, 2, 3, 4, 5]
  ).metrics
  for name, values in plain.items():
    np.testing.assert_array_equal(values, costly[name])


def test_a_shape_that_does_not_fit_hurts_no_other():
  trainers = Trainers(too_large=(1,))
  trainer = make_trainer(trainers)
  trained = trainer.run(CHILDREN, KEYS, RATES, 7, keep=True)
  metrics = trained.metrics
  whole = make_trainer(Trainers()).run(CHILDREN, KEYS, RATES, 7).metrics
  is_small = np.array([child.size == 1 for child in CHILDREN])
  np.testing.assert_array_equal(
    trained.status, np.where(is_small, Status.OUT_OF_MEMORY, Status.OK)
  )
  assert [each is None for each in trained.kept.states] == is_small.tolist()
  np.testing.assert_array_equal(
    metrics['validation_sum'],
    np.where(is_small, np.nan, whole['validation_sum']),
  )
  assert metrics['num_trained'].tolist() == [7, 0, 7, 7, 0]
  # It is not tried again.
  only = trainer.run(CHILDREN[1:2], KEYS[:1], RATES[:1], 7)
  assert trainers.made == [3, 1]
  assert only.status.tolist() == [Status.OUT_OF_MEMORY]
  assert not only.metrics


def test_kept_children_go_on_in_their_groups():
  trainer = make_trainer(Trainers())
  whole = trainer.run(CHILDREN, KEYS, RATES, 7)
  first = trainer.run(CHILDREN, KEYS, RATES, 7, stop=3, keep=True)
  assert first.metrics['num_trained'].tolist() == [3] * 5
  rows = [4, 0, 1]
  rest = trainer.resume(first.kept.select(rows), keep=True)
  for name, values in rest.metrics.items():
    np.testing.assert_array_equal(values, whole.metrics[name][rows])
  assert rest.kept.num_trained == 7


def test_the_learning_rate_can_be_part_of_the_architecture():
  space = hyperparameters.make_space(
    {
      'size': hyperparameters.Choice((1, 3)),
      'rate': hyperparameters.Range(0.1, 1.0),
    }
  )
  evaluator = evaluators.make_evaluator(
    space,
    groups.GroupTrainer(
      Trainers(), lambda architecture: architecture['size'], 2
    ),
    Reward(lambda _, metrics: metrics['validation_sum'], -100.0),
    lambda architecture: architecture['rate'],
    num_steps=1,
  )
  assert evaluator.block_size == 2
  tokens = np.array([[1, 0], [0, 255], [1, 255]], np.int32)
  keys = jax.random.split(jax.random.key(1), 3)
  noise = [
    jax.random.normal(key, (size,)).sum()
    for key, size in zip(keys, (3, 1, 3), strict=True)
  ]
  np.testing.assert_allclose(
    evaluator.evaluate(keys, tokens).rewards,
    np.array(noise) + np.array([0.3, 1.0, 3.0]),
    rtol=1e-5,
  )


def test_bad_values_are_refused():
  with pytest.raises(ValueError, match='block_size must be at least 1, got 0'):
    groups.GroupTrainer(Trainers(), hash, 0)
  with pytest.raises(ValueError, match='at least one child'):
    make_trainer(Trainers()).run([], KEYS[:0], [], 1)


def test_a_dry_run_asks_for_the_shape_of_every_architecture():
  asked = []
  trainer = groups.GroupTrainer(
    lambda shape: object(), lambda each: asked.append(each) or each, 1
  )
  assert trainer.dry_run(range(20), ()) is None
  assert asked == list(range(20))

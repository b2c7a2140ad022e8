# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.evaluators import batched, grouped, memory, rewards
from jaxnas.spaces import hyperparameters
from jaxnas.types import ProxyTask, Status


@dataclasses.dataclass(frozen=True)
class Shape:
  size: int
  slope: float


def assemble(architectures):
  return np.array([each.slope for each in architectures], np.float32)


def make_task(size):
  """Returns a task whose child is noise of a size, and a rate times a slope."""

  def train(data, slope, key, rate, num_steps):
    child = jax.random.normal(key, (size,)) + rate * slope
    return child, {
      'num_trained': num_steps,
      'is_alive': jnp.isfinite(child).all(),
    }

  return ProxyTask(
    train=train,
    measure=lambda split, slope, child: {'sum': child.sum() + split},
    train_data=jnp.zeros(()),
    splits={'validation': jnp.zeros(()), 'report': jnp.ones(())},
    program_axes=0,
  )


class Runners:
  """Makes runners, and remembers for which shapes."""

  def __init__(self, too_large=()):
    self.made = []
    self.too_large = too_large

  def __call__(self, size):
    self.made.append(size)
    if size in self.too_large:
      raise memory.NotEnoughMemoryError('It needs 9 GiB.')
    return batched.BlockRunner(make_task(size), 2)


def make_runner(runners):
  return grouped.GroupedRunner(
    runners, lambda architecture: architecture.size, assemble, 8, 2
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
  runners = Runners()
  runner = make_runner(runners)
  assert (runner.block_size, runner.num_devices) == (8, 2)
  together = runner.run(KEYS, CHILDREN, RATES, 7, ('validation', 'report'))
  assert runners.made == [3, 1]
  assert runner.compile_seconds > 0
  assert runner.run_seconds > 0
  for row, child in enumerate(CHILDREN):
    alone = runner.run(
      KEYS[row][None], [child], RATES[row : row + 1], 7, ('validation',)
    )
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
  assert together['is_alive'].all()
  assert not together[rewards.OUT_OF_MEMORY].any()
  # Each shape has a runner, whatever comes.
  assert runners.made == [3, 1]


def test_costs_go_to_their_children():
  runner = make_runner(Runners())
  plain = runner.run(KEYS, CHILDREN, RATES, 7)
  costly = runner.run(KEYS, CHILDREN, RATES, 7, costs=[1, 2, 3, 4, 5])
  for name, values in plain.items():
    np.testing.assert_array_equal(values, costly[name])


def test_a_shape_that_does_not_fit_hurts_no_other():
  runners = Runners(too_large=(1,))
  runner = make_runner(runners)
  metrics = runner.run(KEYS, CHILDREN, RATES, 7)
  whole = make_runner(Runners()).run(KEYS, CHILDREN, RATES, 7)
  is_small = np.array([child.size == 1 for child in CHILDREN])
  np.testing.assert_array_equal(metrics[rewards.OUT_OF_MEMORY], is_small)
  np.testing.assert_array_equal(metrics['is_alive'], ~is_small)
  np.testing.assert_array_equal(
    metrics['validation_sum'],
    np.where(is_small, np.nan, whole['validation_sum']),
  )
  assert metrics['num_trained'].tolist() == [7, 0, 7, 7, 0]
  # It is not tried again.
  only = runner.run(KEYS[:1], CHILDREN[1:2], RATES[:1], 7)
  assert runners.made == [3, 1]
  evaluation = rewards.judge(
    only, rewards.Reward(lambda metrics: metrics['missing'], 0.0)
  )
  assert evaluation.status == [Status.OUT_OF_MEMORY]


def test_the_learning_rate_can_be_part_of_the_architecture():
  space = hyperparameters.make_space(
    {
      'size': hyperparameters.Choice((1, 3)),
      'rate': hyperparameters.Range(0.1, 1.0),
    }
  )
  evaluator = batched.make_evaluator(
    space,
    list,
    grouped.GroupedRunner(
      Runners(),
      lambda architecture: architecture['size'],
      lambda architectures: np.ones(len(architectures), np.float32),
      2,
    ),
    rewards.Reward(lambda metrics: metrics['validation_sum'], -100.0),
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
    grouped.GroupedRunner(Runners(), hash, assemble, 0)
  with pytest.raises(ValueError, match='at least one child'):
    make_runner(Runners()).run(KEYS[:0], [], [], 1)

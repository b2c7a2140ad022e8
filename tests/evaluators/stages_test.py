# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of children that are trained a part of the way, and then on."""

from flax import linen as nn
import jax
import numpy as np
import optax
import pytest

from jaxnas import evaluators
from jaxnas.evaluators import stages
from jaxnas.spaces import hyperparameters
from jaxnas.trainers import flax_modules, functions
from jaxnas.types import Choice, Reward

SPACE = hyperparameters.make_space({'width': Choice((2, 3))})
TOKENS = np.array([[0], [1], [0], [1], [1], [0], [0]], np.int32)
KEYS = jax.random.split(jax.random.key(2), len(TOKENS))
REWARD = Reward(lambda _, metrics: -metrics['validation_error'], floor=-100.0)
LENGTH = 9


class Perceptron(nn.Module):
  width: int

  @nn.compact
  def __call__(self, inputs):
    return nn.Dense(1)(nn.tanh(nn.Dense(self.width)(inputs)))[:, 0]


def make_data(seed):
  inputs = np.random.default_rng(seed).normal(size=(12, 3)).astype(np.float32)
  return inputs, np.sin(inputs.sum(axis=1))


def squared(outputs, targets):
  return (outputs - targets) ** 2


@pytest.fixture(scope='module')
def evaluator():
  trainer = flax_modules.FlaxTrainer(
    lambda architecture: Perceptron(architecture['width']),
    {
      name: make_data(seed) for seed, name in enumerate(('train', 'validation'))
    },
    squared,
    {'error': squared},
    # The schedule is that of the whole training wherever it pauses.
    optimizer=lambda rate: optax.adam(rate),
    batch_size=4,
    block_size=2,
  )
  return evaluators.make_evaluator(SPACE, trainer, REWARD, 0.05, LENGTH)


def assert_same(one, other, rows):
  assert one.metrics.keys() == other.metrics.keys()
  for name, values in one.metrics.items():
    np.testing.assert_array_equal(values, other.metrics[name][rows])
  np.testing.assert_array_equal(one.rewards, other.rewards[rows])
  np.testing.assert_array_equal(one.status, other.status[rows])


@pytest.mark.slow
def test_who_goes_on_in_whichever_company_ends_the_same(evaluator):
  whole = evaluator.evaluate(KEYS, TOKENS)
  assert len(np.unique(whole.rewards)) == len(TOKENS)
  steps = evaluator.stages
  assert (steps.num_steps, steps.block_size) == (LENGTH, 2)
  first = [4, 0, 6, 1]
  early, kept = steps.start(KEYS[np.array(first)], TOKENS[first], 3)
  assert (early.metrics['num_trained'] == 3).all()
  others, kept_others = steps.start(KEYS[np.array([2, 5])], TOKENS[[2, 5]], 3)
  del others
  # Blocks are filled anew, from both.
  parts = [stages.pick(kept, 3), stages.pick(kept_others, 0)]
  parts += [stages.pick(kept, 0), stages.pick(kept_others, 1)]
  later, kept = steps.go_on(stages.join(parts), 7)
  assert (later.metrics['num_trained'] == 7).all()
  last = [stages.pick(kept, row) for row in (3, 0, 1)]
  end, kept = steps.go_on(stages.join(last), LENGTH)
  assert kept is None
  assert_same(end, whole, [5, 1, 2])


def test_one_that_is_picked_holds_nothing_of_its_block(evaluator):
  _, kept = evaluator.stages.start(KEYS, TOKENS, 3)
  one = stages.pick(kept, 4)
  for mine, theirs in zip(
    jax.tree.leaves(one.states), jax.tree.leaves(kept.states[4]), strict=True
  ):
    np.testing.assert_array_equal(mine, theirs)
    assert getattr(mine, 'base', None) is None


def test_children_of_other_steps_do_not_go_on_together(evaluator):
  early, late = (
    evaluator.stages.start(KEYS[:1], TOKENS[:1], stop)[1] for stop in (2, 3)
  )
  with pytest.raises(ValueError, match='must have equal steps'):
    stages.join([early, late])


def no_reward(value, seed):
  del value, seed
  return 0.0


def test_a_function_cannot_pause():
  with functions.FunctionTrainer(no_reward) as trainer:
    evaluator = evaluators.make_evaluator(SPACE, trainer, REWARD)
    assert evaluator.stages is None

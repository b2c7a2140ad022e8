# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.children import recurrent_cell
from jaxnas.datasets import text
from jaxnas.runs import shared_cells
from jaxnas.training import dataset_tasks, text_task

RECIPE = text_task.Recipe(features=3)
# 2^8 * 3^2 cells.
NUM_CELLS = 2304


@pytest.fixture(autouse=True, scope='module')
def quick_compilation():
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', False)


@pytest.fixture(scope='module')
def tasks():
  return dataset_tasks.TextTasks(text.load('pydoc', vocab_size=20), 4, 5)


@pytest.fixture(scope='module')
def cells(tasks):
  return shared_cells.SharedCells(
    tasks,
    RECIPE,
    learning_rate=0.1,
    num_children=4,
    block_size=64,
    activations=('identity', 'tanh'),
  )


@pytest.fixture(scope='module')
def params(cells):
  done = []
  params, num_dropped = cells.train(33, seed=0, follow=done.append)
  assert done == [32, 33]
  assert num_dropped == 0
  return params


@pytest.fixture(scope='module')
def rewards(cells, params):
  rewards, seconds = cells.rewards(params)
  assert seconds > 0
  return rewards


def tokens_of(place):
  limits = 2, 2, 2, 2, 2, 2, 2, 2, 3, 3
  return np.array(np.unravel_index(place, limits), np.int32)


def test_training_lowers_what_cells_lose(cells, rewards):
  untrained, _ = cells.rewards(cells.untrained(0))
  assert rewards.shape == (NUM_CELLS,)
  assert (rewards > untrained).mean() > 0.95
  # Before training, all guess one of 20 words.
  np.testing.assert_allclose(untrained, 80 / 20**2, rtol=0.2)


def test_rewards_are_those_of_the_compiled_cells(tasks, cells, params, rewards):
  validation = dataset_tasks.to_segments(tasks.dataset.validation, 4, 5)
  segment = [x[0] for x in validation]
  places = [0, 700, 1500, 2303]
  checked = 0
  for place in places:
    tokens = cells.space.canonical(tokens_of(place))
    model = text_task.make_model(
      RECIPE,
      tasks.dataset.vocab_size,
      functools.partial(
        recurrent_cell.GrammarCell, architecture=cells.space.decode(tokens)
      ),
    )
    loss, _ = model.apply(params, model.initialize_carry(4), *segment)
    perplexity = np.exp(loss / segment[2].sum())
    # In canonical form, tokens have the order of the compiled cell's leaves.
    canonical = np.ravel_multi_index(tuple(tokens), (*8 * (2,), 3, 3))
    assert rewards[canonical] == pytest.approx(80 / perplexity**2, rel=1e-4)
    checked += canonical != place
  assert checked


def test_leaves_have_their_weights_in_the_order_of_tokens(cells, rewards):
  # Leaves swapped, with what they are, are another cell with shared weights.
  one = np.array([0, 1, 1, 0, 0, 1, 0, 1, 2, 2])
  other = one[[2, 3, 0, 1, *range(4, 10)]]
  assert (cells.space.canonical(one) == cells.space.canonical(other)).all()
  limits = (*8 * (2,), 3, 3)
  first, second = (
    rewards[np.ravel_multi_index(tuple(each), limits)] for each in (one, other)
  )
  assert abs(first - second) > 1e-4 * first


def test_a_certain_mixture_is_the_cell(cells, params, rewards):
  reward = jax.jit(cells.reward)
  for place in (0, 1000, 2303):
    certain = cells.policy.outcomes(jnp.asarray(tokens_of(place)))
    assert float(reward(params, certain)) == pytest.approx(
      float(rewards[place]), rel=1e-4
    )


def test_gradients_are_slopes_of_the_mixtures_reward(cells, params):
  rng = np.random.default_rng(0)
  logits = rng.standard_normal(22).astype(np.float32)
  (darts,), seconds = cells.gradients('darts', params, logits, 1.0, 0, 1)
  assert seconds > 0
  reward = jax.jit(
    lambda logits: cells.reward(params, cells.policy.probabilities(logits))
  )
  for _ in range(3):
    direction = rng.standard_normal(22).astype(np.float32)
    slope = (
      float(reward(logits + 0.02 * direction))
      - float(reward(logits - 0.02 * direction))
    ) / 0.04
    # In single precision, a difference of rewards has three digits.
    assert darts @ direction == pytest.approx(slope, rel=0.03, abs=2e-4)


def test_estimates_have_noise_of_their_own_and_fill_blocks(cells, params):
  logits = np.zeros(22, np.float32)
  found, _ = cells.gradients('gumbel', params, logits, 0.7, 5, 70)
  assert found.shape == (70, 22)
  assert len(np.unique(found, axis=0)) == 70
  again, _ = cells.gradients('gumbel', params, logits, 0.7, 5, 3)
  np.testing.assert_allclose(again, found[:3], rtol=1e-4, atol=1e-7)
  through, _ = cells.gradients('straight_through', params, logits, 0.7, 5, 3)
  assert not np.allclose(through, found[:3], rtol=0.01)


def test_what_is_not_finite_has_no_reward():
  np.testing.assert_allclose(
    shared_cells.reward_of(np.array([0.0, 1.0, np.inf, np.nan], np.float32)),
    [80, 80 * np.exp(-2), 0, 0],
    rtol=1e-6,
  )

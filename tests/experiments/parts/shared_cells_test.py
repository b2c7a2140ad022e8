# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import search_recurrent_cell
from experiments.parts import cell_tasks, shared_cells
from jaxnas import shared_search
from jaxnas.controllers import factorized
from jaxnas.datasets import text
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.strategies import relaxations, sharing
from jaxnas.training import dataset_tasks
from jaxnas.types import Reward

SPACE = spaces.make_space(2)
ROWS = np.array(
  [[0, 1, 0, 2, 0, 1, 1, 3, 2, 1], [1, 0, 0, 1, 1, 2, 0, 1, 0, 2]]
)


@pytest.fixture(autouse=True, scope='module')
def quick_compilation():
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', False)


@pytest.fixture(scope='module')
def tasks():
  steps = np.random.default_rng(0).choice([1, 1, 1, 5], 800)
  words = jnp.asarray(np.cumsum(steps) % 12, jnp.int32)
  dataset = text.TextDataset(
    *('text', tuple(map(str, range(12)))),
    *(words[:600], words[600:700], words[700:]),
    *('', 'word', None, ''),
  )
  return dataset_tasks.TextTasks(dataset, 4, 5)


def make(tasks, **changes):
  config = search_recurrent_cell.Config(
    **{
      'sharing': 'leaf',
      'base': 2,
      'features': 4,
      'shared_cells': 2,
      'num_host_devices': 2,
      'ranked_minibatches': 2,
      'estimator': 'gumbel',
    }
    | changes
  )
  recipe = cell_tasks.make_recipe(config)
  return shared_cells.SharedCells(config, SPACE, tasks, recipe)


@pytest.fixture(scope='module', params=['leaf', 'operation'])
def relaxed(request, tasks):
  return make(tasks, sharing=request.param)


def cells(rows=ROWS):
  return [SPACE.decode(row) for row in rows]


def test_a_mixture_that_chooses_is_the_cell_that_it_chooses(relaxed):
  state = relaxed.train(relaxed.init(jax.random.key(0), 1), cells())
  assert relaxed.num_dropped(state) == 0
  metrics = relaxed.judge(state, cells(), 1)
  assert metrics['num_trained'].tolist() == [1, 1]
  chosen = factorized.FactorizedPolicy(SPACE.decisions).outcomes(ROWS)
  values, slopes = relaxed.slopes(state, chosen, 1)
  # Both are sums in single precision, in different orders.
  np.testing.assert_allclose(
    -values, np.log(metrics['validation_perplexity']), rtol=1e-5
  )
  assert values[0] != values[1]
  assert slopes.shape == chosen.shape
  # Against a difference along one direction, of a smooth function of size 1.
  rng = np.random.default_rng(1)
  step = rng.uniform(0, 1e-2, chosen.shape).astype(np.float32)
  more, _ = relaxed.slopes(state, chosen + step, 1)
  less, _ = relaxed.slopes(state, chosen - step, 1)
  np.testing.assert_allclose(
    (slopes * step).sum(-1), (more - less) / 2, rtol=0.02, atol=1e-5
  )


@pytest.mark.parametrize('estimator', ['gumbel', 'straight_through'])
def test_a_relaxed_policy_learns_from_what_cells_share(relaxed, estimator):
  policy = sharing.of_relaxation(
    relaxations.make_relaxed_policy(SPACE.decisions, estimator, 2)
  )
  search = shared_search.SharedSearch(
    *(SPACE, relaxed, policy),
    Reward(lambda _, metrics: 80 / metrics['validation_perplexity'] ** 2),
    *(jax.random.key(0), 4, 1, 2),
  )
  state = shared_search.run(search)
  assert int(state.policy.num_updates) == 3
  assert (np.asarray(state.policy.logits) != 0).any()
  assert np.isfinite(np.asarray(state.policy.logits)).all()
  # About minus the logarithm of the number of words.
  assert -4 < float(state.mean_reward) < -1
  ranking = shared_search.rank(search, state, 4, 2)
  assert ranking.tokens.shape == (2, 10)


def test_cells_are_ranked_on_minibatches_spread_over_the_text(tasks):
  supernet = make(tasks, estimator='', ranked_minibatches=2)
  assert supernet.num_minibatches == tasks.num_minibatches['validation'] == 5
  state = supernet.init(jax.random.key(0), 1)
  found = supernet.measure(state, cells())['validation_perplexity']
  each = [
    np.log(supernet.judge(state, cells(), number)['validation_perplexity'])
    for number in (0, 2)
  ]
  np.testing.assert_allclose(np.log(found), np.mean(each, 0), rtol=1e-6)
  # Cells equal up to the order of operands have the same weights.
  swapped = np.array([[0, 2, 0, 1, 0, 1, 1, 3, 2, 0]])
  assert np.array_equal(SPACE.canonical(swapped[0]), SPACE.canonical(ROWS[0]))
  assert supernet.measure(state, cells(swapped))['validation_perplexity'][
    0
  ] == pytest.approx(found[0], rel=1e-6)

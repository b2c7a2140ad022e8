# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import itertools

import numpy as np
import pytest

from jaxnas.costs import recurrent_cell as costs
from jaxnas.datasets import base2_bench
from jaxnas.runs import scorers
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.trainers import proxy_scorer


class FakeProxies:
  """Scores every cell by its first token, and some not at all."""

  def score(self, name, tokens, follow):
    follow(len(tokens))
    scores = tokens[:, 0].astype(np.float32)
    scores[tokens[:, 1] == 1] = np.nan
    scores[tokens[:, 1] == 2] = np.inf
    return proxy_scorer.Scored(scores, 2.5, 9.0)


@pytest.fixture(scope='module', name='table')
def fixture_table():
  return base2_bench.load()


@pytest.fixture(scope='module', name='found')
def fixture_found(table):
  """Returns the tokens, the scorers and the rewards of one cell a class."""
  _, ranks = np.unique(table.cell_of, return_index=True)
  bench = scorers.Bench(table, FakeProxies(), costs.Model(500, 16))
  made = scorers.make_scorers(bench)
  return base2_bench.tokens_of(ranks), made, table.rewards()[ranks]


def test_shorter_trainings_of_the_table_have_their_known_worth(found):
  tokens, made, rewards = found
  expected = {
    'steps_32': (0.60, -0.20, 0.01),
    'steps_64': (0.913, 0.364, 0.27),
    'steps_128': (0.965, 0.718, 0.65),
  }
  for name, (correlation, best, overlap) in expected.items():
    scores = made[name].score(tokens, lambda num_done: None)
    judged = scorers.judge(scores.values, rewards)
    assert judged.num_cells == 18_688
    np.testing.assert_allclose(
      judged[2:5], (correlation, best, overlap), atol=0.01, err_msg=name
    )
    # The table took 3.98 hours of a core for 22,426 trainings of 256 steps.
    steps = int(name.removeprefix('steps_'))
    seconds = 3.98 * 3600 / (22_426 * 256) * steps * 18_688
    np.testing.assert_allclose(scores.core_seconds, seconds, rtol=1e-3)


def test_another_seed_is_judged_where_there_is_one(found, table):
  tokens, made, rewards = found
  scores = made['other_seed'].score(tokens, lambda num_done: None)
  judged = scorers.judge(scores.values, rewards)
  assert judged.num_cells == (table.num_trained[:, 1] >= 0).sum() == 1869
  assert judged.num_dead == (table.num_trained[:, 1] >= 0).sum() - np.sum(
    np.isfinite(table.validation[:, 1, -1])
  )
  # Its rewards alone, without the failures that one of the seeds has, are what
  # `Base2Bench.noise` tells.
  assert 0.9 < judged.correlation < 0.978
  assert 0.6 < judged.best_correlation < 0.8


def test_scores_that_are_not_finite_are_last(found):
  tokens, made, _ = found
  followed = []
  scores = made['snip'].score(tokens, followed.append)
  assert made['snip'].kind == 'proxy'
  assert made['snip'].is_lasting
  assert followed == [len(tokens)]
  assert scores.core_seconds == 2.5
  is_last = (tokens[:, 1] == 1) | (tokens[:, 1] == 2)
  np.testing.assert_array_equal(
    scores.values, np.where(is_last, -np.inf, tokens[:, 0])
  )


def test_costs_are_those_of_the_network(found):
  tokens, made, rewards = found
  some = tokens[::1000]
  cells = [spaces.make_space(2).decode(row) for row in some]
  names = 'num_params', 'num_multiply_adds', 'num_transcendentals'
  values = [made[name].score(some, lambda _: None).values for name in names]
  # All cells of a base number have the same weights.
  assert set(values[0]) == {17_524}
  assert len(set(values[1])) == 1
  assert len(set(values[2])) > 2
  assert values[2].tolist() == [
    16.0 * costs.num_transcendentals(cell) for cell in cells
  ]
  judged = scorers.judge(values[0], rewards[::1000])
  assert np.isnan(judged.correlation)
  assert np.isnan(judged.best_correlation)


def test_ties_are_in_random_order():
  rng = np.random.default_rng(0)
  rewards = rng.permutation(6) / 6
  values = np.array([2.0, 1, 1, 1, 0, -np.inf])
  is_top = np.array([0.0, 1, 0, 1, 0, 0])
  for count in range(1, 7):
    shares, bests = [], []
    for order in itertools.permutations(range(6)):
      chosen = sorted(order, key=lambda i: -values[i])[:count]
      shares.append(is_top[chosen].mean())
      bests.append(rewards[chosen].max())
    np.testing.assert_allclose(
      scorers.expected_overlap(values, is_top, count), np.mean(shares)
    )
    np.testing.assert_allclose(
      scorers.expected_best(values, rewards, count), np.mean(bests)
    )


def test_the_right_order_is_judged_perfect():
  rewards = np.random.default_rng(0).normal(size=400)
  judged = scorers.judge(3 * rewards, rewards)
  np.testing.assert_allclose(judged, (400, 0, 1, 1, 1, 0), atol=1e-12)
  judged = scorers.judge(-rewards, rewards)
  np.testing.assert_allclose(judged[:5], (400, 0, -1, -1, 0), atol=1e-12)
  assert judged.regret == rewards.max() - np.sort(rewards)[49]
  with pytest.raises(ValueError, match='needs two cells, got 1'):
    scorers.judge(np.array([np.nan, 1.0]), np.ones(2))


class FakeShared:
  """Scores every cell by its first token, and some not at all."""

  def score(self, sharing, num_children, tokens, seed, follow):
    follow(len(tokens))
    scores = tokens[:, 0] + np.float32(10 * seed + num_children)
    scores[tokens[:, 1] == 1] = np.nan
    return proxy_scorer.Scored(scores, 4.5, 9.0)


def test_shared_weights_score_by_their_loss_seed_by_seed(table):
  bench = scorers.Bench(
    table, FakeProxies(), costs.Model(500, 16), shared=FakeShared(), num_seeds=2
  )
  made = scorers.make_shared(bench)
  assert len(made) == 2 * len(scorers.NUM_CHILDREN) * 2
  scorer = made['shared_operation_8_seed1']
  assert scorer.label == 'shared by operation, M = 8'
  assert scorer.group == 'shared_operation_8'
  assert scorer.is_lasting
  tokens = np.array([[0, 0], [1, 0], [1, 1]], np.int32)
  scores = scorer.score(tokens, lambda num_done: None)
  np.testing.assert_array_equal(scores.values, [-18, -19, -np.inf])
  assert scores.core_seconds == 4.5
  assert scorers.make_shared(bench._replace(shared=None)) == {}

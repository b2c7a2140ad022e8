# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of what is told of architectures and of strategies.

Whole experiments are simulated, with trainings from Base2Bench: identical arms
of random search, whose winners are retrained and compared by the code that a
search runs.
"""

import types

import jax
import numpy as np
import pytest

from jaxnas import contestants as contestants_lib
from jaxnas import retraining, rewards, search, statistics
from jaxnas.datasets import base2_bench
from jaxnas.records import trial_log
from jaxnas.runs import comparison
from jaxnas.types import Trained

LABELS = {
  'random': 'random search',
  'reinforce': 'REINFORCE',
  'ppo': 'PPO',
}


def make_arms(num_repeats, names=tuple(LABELS)):
  return [
    search.Arm(
      name,
      None,
      16,
      16,
      repeat,
      role=search.Role.BASELINE if name == 'random' else search.Role.SEARCHED,
      label=LABELS[name],
    )
    for name in names
    for repeat in range(num_repeats)
  ]


class Cells:
  """Trains cells of Base2Bench as often as one likes.

  A training is a cell's mean log-perplexity and the residuals, on both splits,
  of a training of some cell, drawn by the key.

  Attributes:
    means: of every cell, on both splits, `[N, 2]`.
    deviation: of a training's validation log-perplexity.
    block_size: trainings at a time.
  """

  block_size = 1000

  def __init__(self):
    bench = base2_bench.load()
    logs = np.stack(
      [np.log(each[..., -1]) for each in (bench.validation, bench.report)], -1
    )
    logs = logs[np.isfinite(logs).all((1, 2))]
    means = logs.mean(1)
    # The better half, where no training has exploded: 5 % is about luck, not
    # about what no interval can hold.
    is_good = means[:, 0] < np.median(means[:, 0])
    self.means = means[is_good]
    # Residuals from a mean of three are too small by a third of their square.
    residuals = (logs[is_good] - self.means[:, None]) * np.sqrt(3 / 2)
    self._residuals = residuals.reshape(-1, 2)
    self.deviation = self._residuals[:, 0].std()

  def train(self, generator, cells):
    rows = generator.integers(0, len(self._residuals), len(cells))
    return self.means[cells] + self._residuals[rows]

  def run(self, architectures, keys, learning_rates, num_steps, splits):
    del learning_rates, num_steps, splits
    programs = [each.cell for each in architectures]
    data = np.asarray(jax.random.key_data(keys))[:, 0].astype(np.uint64)
    # Trainings of other cells with the same key have luck of their own.
    rows = (data + 2654435761 * np.array(programs, np.uint64)) % 2**32
    logs = self.means[programs] + self._residuals[rows % len(self._residuals)]
    metrics = {
      'validation_perplexity': np.exp(logs[:, 0]),
      'report_perplexity': np.exp(logs[:, 1]),
    }
    return Trained(metrics, np.zeros(len(logs), np.int32))


@pytest.fixture(scope='module', name='cells')
def fixture_cells():
  return Cells()


def simulate(
  cells, seed, num_repeats, num_trials=16, num_winners=2, num_rates=2
):
  """Returns the results of identical arms of random search, retrained."""
  generator = np.random.default_rng(seed)
  trials = []
  for arm in make_arms(num_repeats):
    tried = generator.integers(0, len(cells.means), num_trials)
    perplexities = np.exp(cells.train(generator, tried)[:, 0])
    trials.extend(
      trial_log.Trial(
        len(trials) + place,
        arm.name,
        arm.repeat,
        (cell,),
        {},
        80 / perplexity**2,
        {},
        'ok',
      )
      for place, (cell, perplexity) in enumerate(
        zip(tried.tolist(), perplexities.tolist(), strict=True)
      )
    )
  field = [
    contestants_lib.Contestant(
      f'{arm.name} #{trial.number}',
      arm.name,
      'space',
      num_params=1,
      architecture=types.SimpleNamespace(cell=trial.tokens[0], to_json=dict),
      tokens=trial.tokens,
      repeat=arm.repeat,
    )
    for arm in make_arms(num_repeats)
    for trial in contestants_lib.top(
      trials, arm.name, num_winners, repeat=arm.repeat
    )
  ]
  config = retraining.Retraining(
    contestants=tuple(field),
    trainers={'space': cells},
    learning_rates=tuple(0.1 + np.arange(num_rates)),
    num_selection_seeds=2,
    num_seeds=5,
    num_steps=1,
    key=jax.random.key(seed),
    reward=rewards.make_perplexity_reward(),
  )
  recorded: list = []
  log = types.SimpleNamespace(
    trials=recorded, earlier=[], append=recorded.extend
  )
  retraining.run(config, log)
  return retraining.results(config, log)


def lines_of(results, num_repeats):
  return comparison.lines(
    statistics.PERPLEXITY,
    comparison.sides(statistics.PERPLEXITY, results, make_arms(num_repeats)),
  )


def test_identical_strategies_get_a_verdict_in_five_percent_of_runs(cells):
  num_runs = 150
  told = []
  for seed in range(num_runs):
    *verdicts, note = lines_of(simulate(cells, seed, 3), 3)
    assert len(verdicts) == 2
    assert all(', 3 searches each: ' in line for line in verdicts)
    assert 'over searches, and corrected for the 2 comparisons' in note
    told.append(any(' is better.' in line for line in verdicts))
  # Two standard errors of a share of 150 more than 5 %.
  assert np.mean(told) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / num_runs)


def test_of_one_search_each_nothing_is_told_of_strategies(cells):
  num_told = 0
  for seed in range(30):
    *verdicts, note = lines_of(simulate(cells, seed, 1), 1)
    assert 'The find of one search says nothing about its strategy' in note
    for line in verdicts:
      sentence = line.split(': ')[-1]
      assert not any(label in sentence for label in LABELS.values())
      assert 'about the strategies.' in sentence
      num_told += 'is the better architecture, which says nothing' in sentence
  # Of the architectures, which do differ, something is.
  assert num_told > 5


def test_what_is_reported_is_not_flattered_by_the_choice(cells):
  """In units of a training's deviation; it was 0.4 to 0.8 too good."""
  chosen, fresh = [], []
  for seed in range(60):
    for row in simulate(
      cells, seed, num_repeats=1, num_trials=64, num_winners=3, num_rates=3
    ):
      mean = cells.means[row.contestant.architecture.cell]
      chosen.append(np.log(row.selection).mean() - mean[0])
      fresh.append(np.log(row.validation).mean() - mean[0])
      fresh.append(np.log(row.report).mean() - mean[1])
  # The standard error is 0.45 / sqrt(180).
  assert abs(np.mean(fresh)) < 0.1 * cells.deviation
  assert np.mean(chosen) < -0.3 * cells.deviation


def side(name, values, unit='training', role=search.Role.SEARCHED, short=''):
  return comparison.Side(name, short or name, np.array(values), unit, role)


GOOD, BAD = [100.0, 101.0, 102.0], [120.0, 121.0, 122.0]


def test_sentences_speak_of_what_was_compared():
  found = side('#12 (by PPO)', GOOD, short='#12')
  other = side('#3 (by random search)', BAD, role=search.Role.BASELINE)
  known = side('LSTM', BAD, role=search.Role.KNOWN)
  lines = comparison.lines(statistics.PERPLEXITY, [known, other, found])
  assert len(lines) == 4
  assert lines[0].startswith('LSTM against #3 (by random search): perplexity ')
  assert lines[0].endswith(', p = 1: no significant difference.')
  assert lines[1].startswith('#12 (by PPO) against #3 (by random search): ')
  assert lines[1].endswith(
    '#12 is the better architecture, which says nothing about the strategies.'
  )
  assert lines[2].startswith(
    '#12 (by PPO) against LSTM: perplexity ratio 0.835'
  )
  assert lines[2].endswith(': #12 is better.')
  assert 'over fresh trainings, and corrected for the 3 comparisons' in lines[3]


def test_searches_stand_beside_trainings_of_known_architectures():
  lines = comparison.lines(
    statistics.PERPLEXITY,
    [
      side('random search', GOOD, 'search', search.Role.BASELINE),
      side('PPO', GOOD[:2], 'search'),
      side('LSTM', BAD + BAD, role=search.Role.KNOWN),
    ],
  )
  assert lines[0].startswith('PPO against random search, 2 searches and 3 sear')
  assert lines[1].startswith('LSTM against random search, 6 trainings and 3 se')
  assert lines[1].endswith(': random search is better.')
  assert lines[2].startswith('PPO against LSTM, 2 searches and 6 trainings: ')
  assert 'those of known architectures over fresh trainings' in lines[3]
  assert 'nothing of its strategy' not in lines[3]


def test_accuracies_are_compared_in_points_and_zero_has_no_minus():
  values = np.array([0.9, 0.91, 0.92])
  (line, _) = comparison.lines(
    statistics.ACCURACY,
    [
      side('chain', values - 1e-6, role=search.Role.KNOWN),
      side('#3', values, role=search.Role.BASELINE),
    ],
  )
  assert (
    'accuracy difference in percentage points +0.00, interval -2.27' in line
  )
  assert '-0.00' not in line


@pytest.mark.parametrize(
  ('values', 'unit', 'message'),
  [
    ([100, np.inf], 'training', ': a training failed, no comparison.'),
    ([100, np.inf], 'search', ' or a search found nothing, no comparison.'),
    ([100, 100], 'training', ': the values have no spread, so no comparison'),
  ],
)
def test_what_can_not_be_compared_says_why(values, unit, message):
  baseline = side('one', [100, 100], unit, search.Role.BASELINE)
  lines = comparison.lines(
    statistics.PERPLEXITY, [side('other', values, unit), baseline]
  )
  assert len(lines) == 1
  assert message in lines[0]


def test_a_search_that_found_nothing_is_not_left_out():
  def result(name, repeat):
    return retraining.Result(
      contestants_lib.Contestant(f'{name} #1', name, 's', 1, repeat=repeat),
      0.1, 1, np.ones(2), np.ones(2), np.array(GOOD), np.ones(2),
    )  # fmt: skip

  results = [result('random', 0), result('random', 1), result('ppo', 1)]
  random, ppo = comparison.sides(
    statistics.PERPLEXITY, results, make_arms(2, ('random', 'ppo'))
  )
  np.testing.assert_allclose(random.values, [101, 101])
  np.testing.assert_array_equal(ppo.values, [101, np.inf])
  assert (ppo.name, ppo.unit) == ('PPO', 'search')

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of what a search says at its end."""

import types

import numpy as np
import pytest

from jaxnas import contestants as contestants_lib
from jaxnas import retraining, search, statistics
from jaxnas.records import trial_log
from jaxnas.runs import search_report

ARMS = [
  search.Arm('known', None, 1, 1, role=search.Role.KNOWN),
  search.Arm('ppo', None, 4, 4, label='PPO'),
  search.Arm(
    'random', None, 4, 4, role=search.Role.BASELINE, label='random search'
  ),
]


def result(group, label, repeat=0, part=''):
  return types.SimpleNamespace(
    contestant=types.SimpleNamespace(
      group=group, label=label, repeat=repeat, part=part
    ),
    num_contestants=3,
  )


def test_rows_have_the_names_that_people_use():
  assert search_report.row_name(ARMS, result('ppo', 'ppo #12')) == (
    '#12 by PPO (best of 3)'
  )
  assert (
    search_report.row_name(ARMS, result('ppo', 'ppo #12', part='knee'))
    == '#12 by PPO (knee of the front)'
  )
  again = search.Arm('ppo', None, 4, 4, repeat=1, label='PPO')
  assert search_report.row_name(
    [*ARMS, again], result('ppo', 'ppo #12', 1)
  ) == ('#12 by PPO, search 2 (best of 3)')
  assert search_report.row_name(ARMS, result('LSTM', 'LSTM')) == 'LSTM'


def test_without_report_data_nothing_else_is_claimed():
  for has_report, words in (
    (True, 'which no reward'),
    (False, 'no report data'),
  ):
    assert words in search_report.splits_note(has_report)


def trials(arm, *statuses):
  return [
    trial_log.Trial(number, arm, 0, (0,), {}, 0.0, {}, status)
    for number, status in enumerate(statuses)
  ]


def test_a_search_in_which_everything_failed_says_so():
  failed = trials('ppo', 'diverged', 'out_of_memory', 'diverged', 'diverged')
  one = [*failed, *trials('random', 'ok', 'diverged')]
  assert search_report.failures(ARMS, one) == [
    'All 4 trials of PPO failed (3 diverged, 1 out of memory), so none '
    'can be retrained.'
  ]
  both = [*failed, *trials('random', 'diverged'), *trials('known', 'ok')]
  lines = search_report.failures(ARMS, both)
  assert len(lines) == 3
  assert lines[-1] == 'Nothing was found: every trial of the search failed.'
  assert search_report.failures(ARMS, trials('ppo', 'ok')) == []


@pytest.mark.parametrize(
  ('values', 'mean', 'spread'),
  [
    ([0.5, 0.7], '60.00 %', '14.14 %'),
    ([0.5, -np.inf], '1 of 2 failed', '-'),
    ([-1e-9, 1e-9], '0.00 %', '0.00 %'),
  ],
)
def test_failed_trainings_are_counted(values, mean, spread):
  values = np.array(values)
  assert search_report._mean(statistics.ACCURACY, values) == mean
  assert search_report._spread(statistics.ACCURACY, values) == spread


def _result(name, tokens, selection, fresh):
  return retraining.Result(
    contestants_lib.Contestant(name, name, 'space', 1, tokens=tokens),
    *(0.1, 3, np.array(selection), np.array(fresh)),
    *(np.array(fresh), -np.array(fresh)),
  )


def test_a_best_that_is_not_first_in_the_table_is_explained():
  lucky = _result('ppo #2', (2,), [3.0, 4.0], [9.0, 9.0])
  steady = _result('random #1', (1,), [4.0, 5.0], [2.0, 2.0])
  known = _result('LSTM', None, [1.0, 1.0], [1.0, 1.0])

  def note(criterion, *rows):
    return search_report.choice_note((), criterion, rows)

  assert note(statistics.PERPLEXITY, known, lucky, steady) == (
    'best.json holds ppo #2. In the trainings that chose it, its mean '
    'validation perplexity was 3.50, and that of random #1 4.50; the fresh '
    'ones choose nothing.'
  )
  by_reward = note(statistics.REWARD, steady, lucky)
  assert by_reward == ''
  assert 'mean reward was -3.5, and that of random #1 -4.5' in note(
    statistics.REWARD,
    steady._replace(selection=-steady.selection),
    lucky._replace(selection=-lucky.selection),
  )
  assert note(statistics.PERPLEXITY, known, steady) == ''
  assert note(statistics.PERPLEXITY, known) == ''

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import types

import numpy as np
import pytest

from jaxnas import search, statistics
from jaxnas.records import trial_log
from jaxnas.runs import repeat_report

KNOWN = search.Arm('known', None, 1, 1, role=search.Role.KNOWN)
FOUND = {
  ('ppo', 0): [9.0, 3.0, 5.0, 4.0],
  ('ppo', 1): [8.0, 2.0, 6.0, 3.5],
  ('random', 0): [9.0, 8.0, 7.0, 5.0],
  ('random', 1): [7.0, 9.0, 6.0, 8.0],
}


def make_arms(num_repeats=2):
  ppo, random = (
    [
      search.Arm(name, None, 4, 4, repeat=repeat, role=role, label=label)
      for repeat in range(num_repeats)
    ]
    for name, role, label in (
      ('ppo', search.Role.SEARCHED, 'PPO'),
      ('random', search.Role.BASELINE, 'random search'),
    )
  )
  return [KNOWN, *ppo, *random]


def make_trial(arm, repeat, value, status='ok', **settings):
  return trial_log.Trial(
    *(0, arm, repeat, (0,), {}, 10 - value if status == 'ok' else 0.0),
    {'validation_perplexity': value},
    status,
    **settings,
  )


def make_trials(found=None):
  found = FOUND if found is None else found
  return [
    make_trial('known', 0, 1.0),
    *(
      make_trial(*identity, value)
      for identity, values in found.items()
      for value in values
    ),
  ]


def show(capsys, trials, arms=None, by_reward=False):
  experiment = types.SimpleNamespace(
    search_metric='validation_perplexity',
    measure=statistics.PERPLEXITY,
    search=types.SimpleNamespace(arms=make_arms() if arms is None else arms),
  )
  log = types.SimpleNamespace(trials=trials)
  repeat_report.show(experiment, log, by_reward)
  return [line for line in capsys.readouterr().out.splitlines() if line]


def rows_of(lines):
  return {line[:13].rstrip(): line[13:].split() for line in lines[3:5]}


def test_best_and_late_median_of_every_search_are_compared(capsys):
  lines = show(capsys, make_trials())
  assert 'mean validation perplexity of the best trial' in lines[0]
  assert 'median of all' in lines[1]
  assert rows_of(lines) == {
    'PPO': ['2', '2.50', '0.71', '4.62', '0.18'],
    'random search': ['2', '5.50', '0.71', '7.50', '0.00'],
  }
  pairs = [([3.0, 2.0], [5.0, 6.0]), ([4.5, 4.75], [7.5, 7.5])]
  compared = statistics.compare(statistics.PERPLEXITY, pairs)
  sentences = [line for line in lines if ' against ' in line]
  names = 'Best', 'Median of all'
  for line, name, each in zip(sentences, names, compared, strict=True):
    assert line.startswith(f'{name}: PPO against random search, 2 searches')
    assert f'ratio {each.value:.3f}' in line
    assert statistics.p_text(each.p_value) in line
  assert 'corrected for the 2 comparisons (Holm).' in lines[-1]


def test_rewards_are_compared_where_they_are_shown(capsys):
  lines = show(capsys, make_trials(), by_reward=True)
  assert 'mean reward of the best trial' in lines[0]
  assert rows_of(lines)['PPO'][1] == '7.5'
  assert 'Best: PPO' in lines[5]
  assert 'reward difference +3' in lines[5]


def test_what_failed_or_stopped_early_does_not_count(capsys):
  rest = [
    make_trial('ppo', 0, 1.0, 'diverged'),
    make_trial('ppo', 0, 1.0, is_stopped=True, steps=2, rung=0),
  ]
  assert show(capsys, make_trials() + rest) == show(capsys, make_trials())


def test_the_median_is_that_of_the_last_trials(capsys):
  found = {each: [*values, *[5.0] * 40] for each, values in FOUND.items()}
  lines = show(capsys, make_trials(found))
  assert 'median of all' in lines[1]
  found = {each: [*[1.0] * 40, *values * 16] for each, values in FOUND.items()}
  lines = show(capsys, make_trials(found))
  assert 'median of last 64' in lines[1]
  assert rows_of(lines)['PPO'][3] == '4.62'
  values = np.arange(100.0)
  assert repeat_report.median(values) == np.median(values[36:])


def test_a_search_that_found_nothing_is_no_comparison(capsys):
  lines = show(capsys, make_trials(FOUND | {('ppo', 1): []}))
  assert 'PPO' in lines[3]
  assert '1 found nothing' in lines[3]
  assert lines[5].endswith('a search found nothing, no comparison.')


@pytest.mark.parametrize('arms', [make_arms(1), [KNOWN]])
def test_single_searches_are_not_compared(capsys, arms):
  assert show(capsys, make_trials(), arms) == []

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of what a run's folder holds of it."""

import numpy as np

import jaxnas
from jaxnas import statistics
from jaxnas.records import folder

SPACE = jaxnas.make_space(
  {'x': jaxnas.Choice((1, 2, 4)), 'kind': jaxnas.Choice(('a', 'b'))}
)


def train(value, seed):
  if value['kind'] == 'b' and value['x'] == 4:
    return float('nan')
  return value['x'] + (value['kind'] == 'b') / 2 + seed % 7 / 100


def run_search(path):
  arms = [
    jaxnas.Arm(
      name,
      jaxnas.make_random_search(SPACE.decisions),
      8,
      4,
      role=role,
      replicas=replicas,
    )
    for name, role, replicas in (
      ('mine', jaxnas.Role.SEARCHED, 2),
      ('random', jaxnas.Role.BASELINE, 1),
    )
  ]
  with jaxnas.FunctionTrainer(train, num_workers=1) as trainer:
    jaxnas.run(
      path,
      SPACE,
      arms,
      trainer,
      jaxnas.Reward(lambda _, metrics: metrics['validation_reward']),
      statistics.REWARD,
      known={'usual': {'x': 1, 'kind': 'a'}},
      num_winners=1,
      num_selection_seeds=1,
      num_seeds=2,
    )


def test_a_run_says_what_it_searched_and_what_it_found(tmp_path, capsys):
  run_search(tmp_path)
  run = folder.read(tmp_path)
  summary = run.summary
  assert summary.space_size == '6'
  assert [each.labels for each in summary.decisions] == [
    ('1', '2', '4'),
    ('a', 'b'),
  ]
  assert [(each.name, each.role, each.replicas) for each in summary.arms] == [
    ('mine', 'searched', 2),
    ('random', 'baseline', 1),
  ]
  results = summary.results
  assert results.rows[0].name == 'usual'
  assert not results.rows[0].is_found
  best = results.rows[results.best]
  assert best.is_found
  assert best.architecture == {'x': 4, 'kind': 'a'}
  fresh = [
    each.reward
    for each in run.retrained
    if each.settings['label'] == best.label
    and each.settings['stage'] == 'report'
  ]
  np.testing.assert_allclose(best.rewards, fresh)
  # The verdicts are those that were printed.
  printed = capsys.readouterr().out
  assert all(line in printed for line in results.verdicts)

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of grids and of failures; `tune_found_test` has those of whole runs."""

from collections.abc import Mapping
import dataclasses
from typing import Any, NamedTuple

import numpy as np
import pytest

from jaxnas import rewards, statistics
from jaxnas.records import trial_log
from jaxnas.runs import training_run, training_terms, tuning

GRID = {'rate': (0.1, 0.2, 0.4), 'scale': (1, 2), 'name': ('a', 'b', 'c')}


def points(seed=0, **usual):
  space = tuning.make_space(GRID)
  return [
    dict(space.decode(row))
    for row in tuning.order(
      space, {'rate': 0.2, 'scale': 1, 'name': 'c'} | usual, seed
    )
  ]


def test_each_point_comes_once_in_random_order_and_the_usual_one_first():
  first = points()
  assert first[0] == {'rate': 0.2, 'scale': 1, 'name': 'c'}
  assert len({tuple(point.values()) for point in first}) == len(first) == 18
  assert points() == first
  other = points(seed=1)
  assert other[0] == first[0]
  assert other != first


def test_usual_values_that_are_not_on_the_grid_come_not_at_all():
  there = points(name='d')
  assert len(there) == 18
  assert all(point['name'] != 'd' for point in there)
  # The order is that of the others, not of the grid.
  rates = [point['rate'] for point in there]
  assert rates != sorted(rates)


def test_a_grid_is_as_large_as_it_may_be():
  assert tuning.make_space({'a': range(316), 'b': range(316)}).size == 316**2
  with pytest.raises(ValueError, match=r'has 100,489 points, but at most'):
    tuning.make_space({'a': range(317), 'b': range(317)})
  with pytest.raises(ValueError, match='at least one value of b'):
    tuning.make_space({'a': (1, 2), 'b': ()})
  order = tuning.order(tuning.make_space({'a': range(3)}), {'a': 1}, 0)
  np.testing.assert_array_equal(np.sort(order[:, 0]), [0, 1, 2])


class _Training(NamedTuple):
  """What a tuning reads of a training."""

  rate: float
  terms: training_terms.Terms
  log_to: tuple[str, ...] = ()
  facts: Mapping[str, Any] = {'seed': 0}


def tune(folder, rates, num_trials):
  terms = training_terms.Terms(statistics.PERPLEXITY, 'loss', 'tokens', 'rate')
  tuning.run(
    tuning.Tuning(
      grid={'rate': rates},
      usual={'rate': rates[0]},
      num_trials=num_trials,
      seed=0,
      settings={},
      free=('num_trials',),
      make_training=lambda point: _Training(point['rate'], terms),
      reward=rewards.make_perplexity_reward(metric='validation_perplexity'),
      write_settings=lambda path, point, **facts: path.write_text('{}'),
      experiment='train_recurrent_cell',
    ),
    str(folder),
  )


def train(training, folder, is_shown):
  del folder, is_shown
  if training.rate > 1:
    raise training_run.DivergedError('The loss is nan.', 'Take another rate.')
  names = 'validation_perplexity', 'report_perplexity'
  return dict.fromkeys(names, 1 / training.rate) | {'epoch': 1}


def test_points_that_all_diverge_at_first_end_no_tuning(
  tmp_path, monkeypatch, capsys
):
  monkeypatch.setattr(training_run, 'run', train)
  tune(tmp_path, (2, 3, 4, 5, 6, 7, 8, 9, 0.5, 10), 10)
  assert '9 of 10 trainings failed.' in capsys.readouterr().out


def test_fewer_points_than_a_worker_has_come_to_are_refused(
  tmp_path, monkeypatch
):
  monkeypatch.setattr(training_run, 'run', train)
  rates = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
  tune(tmp_path / 'whole', rates, 6)
  part = tmp_path / 'part'
  tune(part, rates, 1)
  path = tmp_path / 'whole' / 'trials.jsonl'
  with trial_log.TrialLog(path) as log:
    late = dataclasses.replace(log.trials[4], number=1)
  with trial_log.TrialLog(part / 'trials.jsonl') as log:
    log.append([late])
  with pytest.raises(
    ValueError, match=r'trained 2, one .* give --num_trials=5'
  ):
    tune(part, rates, 4)
  tune(part, rates, 5)
  with trial_log.TrialLog(part / 'trials.jsonl') as log:
    assert [trial.proposal for trial in log.trials] == [0, 4, 1, 2, 3]

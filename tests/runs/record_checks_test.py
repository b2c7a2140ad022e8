# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import contextlib
import dataclasses
import types

import pytest

from jaxnas import statistics
from jaxnas.records import trial_log
from jaxnas.runs import record_checks
from jaxnas.spaces import hyperparameters
from jaxnas.types import Choice

SPACE = hyperparameters.make_space({'width': Choice((2, 4))})
EXPERIMENT = types.SimpleNamespace(
  search=types.SimpleNamespace(space=SPACE),
  search_metric='validation_accuracy',
  measure=statistics.ACCURACY,
)


def make_trial(**fields):
  return trial_log.Trial(
    **{
      'number': 0,
      'arm': 'random',
      'repeat': 0,
      'tokens': (1,),
      'architecture': {'width': 4},
      'reward': 0.5,
      'metrics': {'validation_accuracy': 0.5},
      'status': 'ok',
      **fields,
    }
  )


def check(folder, trial):
  with (
    trial_log.TrialLog(folder / 'trials.jsonl') as log,
    trial_log.JsonLines(folder / 'timings.jsonl') as timings,
  ):
    log.append([trial])
    record_checks.check_records(EXPERIMENT, log, timings)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'architecture': {'width': 2}}, 'tokens are not those of'),
    ({'tokens': (7,)}, 'out of range'),
    (
      {'arm': 'retrain', 'settings': {'label': 'x'}},
      'its features is missing',
    ),
  ],
)
def test_a_damaged_trial_is_told(tmp_path, changes, message):
  with pytest.raises(ValueError, match=rf'trial 0 is damaged .*{message}'):
    check(tmp_path, make_trial(**changes))


def test_sound_trials_pass(tmp_path):
  check(tmp_path, make_trial())


def test_the_log_of_a_comparison_has_trainings_alone(tmp_path):
  settings = {
    **{'label': 'x', 'features': 4, 'num_params': 9, 'learning_rate': 0.1},
    **{'seed': 0, 'num_steps': 3},
  }
  sound = make_trial(arm='retrain', tokens=None, settings=settings)
  for trial, message in (
    (sound, ''),
    (make_trial(), "it is of the arm 'random'"),
    (dataclasses.replace(sound, metrics={}), 'has no validation_accuracy'),
    (dataclasses.replace(sound, settings={}), 'its label is missing'),
  ):
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    folder.mkdir()
    with (
      trial_log.TrialLog(folder / 'trials.jsonl') as log,
      trial_log.JsonLines(folder / 'timings.jsonl') as timings,
      pytest.raises(ValueError, match=message)
      if message
      else contextlib.nullcontext(),
    ):
      log.append([trial])
      record_checks.check_trainings(statistics.ACCURACY, log, timings)


def test_a_metric_that_children_lack_is_named():
  with pytest.raises(ValueError, match=r"'loss', which .* validation_accuracy"):
    record_checks.check_measure('loss', [make_trial()])
  record_checks.check_measure('loss', [make_trial(status='diverged')])
  # What was not trained has costs alone.
  over = make_trial(status='infeasible', metrics={'num_params': 3.0})
  record_checks.check_measure('loss', [over])

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What a trainer of points refuses; `tune_found_test` has whole trainings."""

import pytest

from jaxnas.records import workdir
from jaxnas.runs import point_trainer, training_run


def test_a_folder_that_a_machine_does_not_find_is_told(tmp_path):
  trainer = point_trainer.PointTrainer(None)
  point = point_trainer.Point(str(tmp_path / 'there'), {'rate': 0.1})
  with pytest.raises(ValueError, match=r'there is not there; all machines'):
    trainer.run([point], (), (), 1)
  # Nothing is made in its place.
  assert not (tmp_path / 'there').exists()


def test_a_worker_waits_for_one_that_is_ending(tmp_path, monkeypatch):
  calls, naps = [], []

  def run(training, folder, is_shown):
    calls.append(folder)
    if len(calls) in (2, 4):
      return {'epoch': 3, 'validation_perplexity': 7.5, 'weights_hash': 'a'}
    raise workdir.WorkdirBusyError('in use')

  monkeypatch.setattr(training_run, 'run', run)
  monkeypatch.setattr(point_trainer.time, 'sleep', naps.append)
  (tmp_path / 'config.json').touch()
  arguments = ([point_trainer.Point(str(tmp_path), {'rate': 0.1})], (), (), 1)
  worker = point_trainer.PointTrainer(lambda _: None, is_remote=True)
  trained = worker.run(*arguments)
  assert trained.metrics == {'epoch': [3], 'validation_perplexity': [7.5]}
  assert naps == [1.0]
  # The process of the run has no worker to wait for.
  with pytest.raises(workdir.WorkdirBusyError):
    point_trainer.PointTrainer(lambda _: None).run(*arguments)
  assert len(calls) == 3
  assert set(calls) == {str(tmp_path / 'trainings' / 'rate_0.1')}


def test_nothing_is_kept():
  with pytest.raises(ValueError, match='keeps its own checkpoints'):
    point_trainer.PointTrainer(None).resume(None)

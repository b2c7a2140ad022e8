# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What a trainer of points refuses; `tune_found_test` has whole trainings."""

import pytest

from jaxnas.runs import point_trainer


def test_a_folder_that_a_machine_does_not_find_is_told(tmp_path):
  trainer = point_trainer.PointTrainer(None)
  point = point_trainer.Point(str(tmp_path / 'there'), {'rate': 0.1})
  with pytest.raises(ValueError, match=r'there is not there; all machines'):
    trainer.run([point], (), (), 1)
  # Nothing is made in its place.
  assert not (tmp_path / 'there').exists()


def test_nothing_is_kept():
  with pytest.raises(ValueError, match='keeps its own checkpoints'):
    point_trainer.PointTrainer(None).resume(None)

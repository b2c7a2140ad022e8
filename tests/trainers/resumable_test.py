# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import numpy as np
import pytest

from jaxnas.trainers import resumable
from jaxnas.types import Kept, Span, Status, Trained

KEYS = jax.random.split(jax.random.key(0), 3)


class Recorder(resumable.ResumableTrainer):
  """Records what it is asked."""

  def _train_all(self, children, span, splits, durations, keep):
    self.asked = span, splits, durations, keep
    kept = children._replace(num_trained=span.stop) if keep else None
    status = np.full(len(children.keys), Status.OK)
    return Trained({}, status, kept=kept)


def test_a_run_trains_new_children_from_the_start():
  trainer = Recorder()
  kept = trainer.run('abc', KEYS, [0.1] * 3, 7, stop=4, keep=True).kept
  assert trainer.asked == (Span(0, 4, 7), ('validation',), None, True)
  assert kept.architectures == 'abc'
  assert kept.num_steps == 7
  assert kept.states == [None] * 3
  assert kept.learning_rates.dtype == np.float32
  trainer.run('abc', KEYS, [0.1] * 3, 7, splits=(), durations=[1, 2, 3])
  assert trainer.asked == (Span(0, 7, 7), (), [1, 2, 3], False)


def test_a_resumption_goes_on_where_children_were_kept():
  trainer = Recorder()
  kept = Kept('abc', KEYS, np.ones(3, np.float32), 7, 4, [1, 2, 3])
  trainer.resume(kept, splits=('report',))
  assert trainer.asked == (Span(4, 7, 7), ('report',), None, False)
  again = trainer.resume(kept, stop=5, keep=True).kept
  assert again.num_trained == 5
  assert again.states == [1, 2, 3]


def test_what_no_trainer_can_do_is_refused():
  trainer = Recorder()
  with pytest.raises(ValueError, match='a key and a learning rate for each'):
    trainer.run('ab', KEYS, [0.1] * 3, 7)
  with pytest.raises(ValueError, match='at least one child'):
    trainer.run('', KEYS[:0], [], 7)
  with pytest.raises(ValueError, match='stop must be from 0'):
    trainer.run('abc', KEYS, [0.1] * 3, 7, stop=8)
  kept = Kept('abc', KEYS, np.ones(3, np.float32), 7, 4, [1, 2, 3])
  with pytest.raises(ValueError, match='stop must be from 4'):
    trainer.resume(kept, stop=3)
  assert not hasattr(trainer, 'asked')

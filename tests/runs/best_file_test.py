# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of what a run writes of the best that it found."""

import numpy as np

from jaxnas import contestants as contestants_lib
from jaxnas import retraining, statistics
from jaxnas.runs import best_file


def result(name, tokens, selection, fresh):
  contestant = contestants_lib.Contestant(name, name, 'space', 1, tokens=tokens)
  fresh = np.array(fresh)
  return retraining.Result(
    contestant, 0.1, 1, np.array(selection), fresh, fresh, -fresh
  )


def test_what_is_written_was_not_chosen_by_the_trainings_that_are_told():
  rows = [
    result('LSTM', None, [1.0, 1.0], [1.0, 1.0]),
    result('random #1', (1,), [4.0, 5.0], [2.0, 2.0]),
    result('ppo #2', (2,), [3.0, 4.0], [9.0, 9.0]),
  ]
  best = best_file.found(statistics.PERPLEXITY, rows)
  assert best.contestant.label == 'ppo #2'
  assert best_file.found(statistics.ACCURACY, rows[:1]) is None

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

from jaxnas.records import search_fronts, trial_log

OBJECTIVES = ('reward', 'size')


def trial(number, reward, size, arm='evolution', repeat=0, **fields):
  fields = {'status': 'ok'} | fields
  return trial_log.Trial(
    number, arm, repeat, (number,), {}, reward, {'size': size}, **fields
  )


TRIALS = [
  trial(0, 0.5, 10),
  trial(1, 0.9, 90),
  trial(2, 0.8, 20, 'random'),
  trial(3, 0.4, 15),
  trial(4, 1.0, 1, status='diverged'),
  trial(5, 1.0, 1, status='infeasible'),
  trial(6, 0.5, 10, duplicate_of=0),
  trial(7, 1.0, 1, 'retrain'),
  trial(8, 0.7, 30, repeat=1),
]


def numbers(trials):
  return [trial.number for trial in trials]


def test_a_front_is_of_what_was_trained():
  assert numbers(search_fronts.front(TRIALS, OBJECTIVES)) == [1, 2, 0]
  mine = search_fronts.front(TRIALS, OBJECTIVES, ('evolution', 0))
  assert numbers(mine) == [1, 0]
  assert search_fronts.front(TRIALS, OBJECTIVES, ('ppo', 0)) == []
  assert search_fronts.points(mine, OBJECTIVES).tolist() == [
    [0.9, -90], [0.5, -10]
  ]  # fmt: skip


def test_its_ends_and_its_knee_are_its_parts():
  best = search_fronts.front(TRIALS, OBJECTIVES)
  parts = search_fronts.parts(best, OBJECTIVES)
  assert {part: each.number for part, each in parts.items()} == {
    '': 1, 'knee': 2, 'cheapest': 0
  }  # fmt: skip
  # Each trial stands for one part, the highest reward first.
  assert list(search_fronts.parts(best[:1], OBJECTIVES)) == ['']
  assert list(search_fronts.parts(best[::2], OBJECTIVES)) == ['', 'cheapest']
  assert search_fronts.parts([], OBJECTIVES) == {}


def test_a_hypervolume_is_over_the_worst_that_was_trained():
  assert search_fronts.reference(TRIALS, OBJECTIVES) == [0.4, -90]
  assert search_fronts.reference(TRIALS[4:6], OBJECTIVES) == [0, 0]

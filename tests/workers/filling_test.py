# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

from jaxnas import errors
from jaxnas.workers import filling


def test_enough_trials_need_no_advice():
  assert not filling.advice(24, 16, 8)
  assert not filling.advice(100, 16, 8)


def test_too_few_trials_are_told():
  assert filling.advice(8, 16, 8) == (
    '8 trials are in flight, and workers train 16 at a time: some will idle. '
    'replicas=3 (24 trials) would keep them busy.'
  )
  with errors.naming_flags():
    assert '--replicas=3 (30 trials)' in filling.advice(23, 16, 10)


def test_what_is_advised_is_enough():
  for num_at_once in range(1, 40):
    for trials in range(1, 12):
      line = filling.advice(0, num_at_once, trials)
      advised = int(line.partition('(')[2].partition(' ')[0])
      assert not filling.advice(advised, num_at_once, trials)
      assert filling.advice(advised - trials, num_at_once, trials)

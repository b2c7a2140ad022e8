# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of what is told of a succession."""

import dataclasses

from jaxnas import generations, statistics, succession
from jaxnas.runs import succession_report


def test_of_cells_found_as_often_the_best_is_written():
  generation = succession.Generation(
    'succession', 1, cells=(None,) * 4,
    candidates=(((0,),), ((3,),), ((1,),), ((1,),)),
    rewards=(1.0, 3.0, 2.0, 2.0), areas=(1.0,) * 4, late_means=(1.0,) * 4,
    num_replaced=(0,) * 4, is_finite=(True,) * 4,
  )  # fmt: skip
  assert succession_report.most_found(generation) == ((1,), 2)
  fewer = dataclasses.replace(
    generation,
    candidates=generation.candidates[:3],
    rewards=generation.rewards[:3],
  )
  assert succession_report.most_found(fewer) == ((3,), 1)


def test_the_verdict_says_its_numbers():
  verdict = generations.Verdict(
    'improved',
    statistics.Comparison(1.05, 1.02, 1.08, 0.01, True),
    statistics.Interval(0.25, 0.1, 0.5),
    statistics.Interval(0.2, 0.05, 0.4),
  )
  assert succession_report.sentence(verdict, 20) == (
    'Improved: the last generation searches better than the LSTM; anytime area '
    'against control +5.00 % (+2.00 to +8.00), cells found again in 5 of 20 '
    'lineages (95 % interval 10 to 50 %), by the control in 4.'
  )
  for kind in ('worse', 'converged', 'no difference', 'undecided'):
    text = succession_report.sentence(verdict._replace(kind=kind), 20)
    assert text.lower().startswith(f'{kind}: ')

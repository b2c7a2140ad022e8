# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of what a search says at its end."""

import types

import numpy as np

from jaxnas import statistics
from jaxnas.runs import search_report


def test_verdicts_and_rows_have_the_names_that_people_use():
  better, worse = (
    types.SimpleNamespace(report=np.array(values))
    for values in ([100.0, 101.0, 102.0], [120.0, 121.0, 122.0])
  )
  assert search_report._verdict(
    statistics.PERPLEXITY,
    'regularised evolution',
    better,
    'random search',
    worse,
  ).startswith('regularised evolution against random search: perplexity ratio')
  assert search_report._verdict(
    statistics.PERPLEXITY, 'PPO', worse, 'LSTM', better
  ).endswith('LSTM is better.')
  contestant = types.SimpleNamespace(tokens=(0, 1), label='ppo #12')
  assert search_report._row_name('PPO', 3, contestant) == (
    'best by PPO (#12, of 3 retrained)'
  )

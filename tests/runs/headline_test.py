# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of the verdict in a sentence."""

import types

import numpy as np

from jaxnas import search, statistics
from jaxnas.runs import comparison, headline

Role = search.Role


def side(name, values, role, unit='training'):
  return comparison.Side(
    f'{name}!', name, np.array(values), unit, role, group=name
  )


def write(best, *sides):
  result = best and types.SimpleNamespace(
    contestant=types.SimpleNamespace(group=best)
  )
  return headline.write(statistics.PERPLEXITY, sides, result)


RANDOM = side('random', [50.0, 51.0, 52.0], Role.BASELINE)
LSTM = side('LSTM', [90.0, 91.0, 92.0], Role.KNOWN)
GRU = side('GRU', [10.0, 10.1, 10.2], Role.KNOWN)


def test_the_best_is_told_with_how_it_relates_to_all_others():
  ppo = side('ppo', [50.1, 51.0, 51.9], Role.SEARCHED)
  told = write('ppo', LSTM, GRU, RANDOM, ppo)
  assert told.startswith(
    'The best architecture found, ppo!, has a report perplexity of 51.00, the '
    'mean of 3 fresh trainings; it is better than LSTM!, is worse than GRU! '
    'and does not differ significantly from random!.'
  )
  assert told.endswith('says nothing about its strategy.')


def test_the_baseline_may_have_found_the_best():
  ppo = side('ppo', [80.0, 80.1, 80.2], Role.SEARCHED)
  told = write('random', LSTM, RANDOM, ppo)
  assert 'random!, has' in told
  assert 'it is better than LSTM! and ppo!.' in told


def test_searches_are_told_as_searches():
  ppo = side('ppo', [30.0, 31.0, 32.0], Role.SEARCHED, 'search')
  rival = side('random', [50.0, 51.0, 52.0], Role.BASELINE, 'search')
  told = write('ppo', rival, ppo)
  assert told == (
    'The architecture chosen as best was found by ppo!: over 3 searches, its '
    'finds have a mean report perplexity of 31.00; it is better than random!.'
  )


def test_what_cannot_be_told_is_not_told():
  failed = side('ppo', [30.0, np.inf, 32.0], Role.SEARCHED)
  assert write('ppo', failed, RANDOM).startswith(
    'Of the 3 trainings of ppo!, 1 failed; it cannot be compared with random!.'
  )
  alone = side('ppo', [30.0, 31.0], Role.SEARCHED)
  assert write('ppo', alone).endswith('nothing to compare it with.')
  assert write(None, LSTM) == headline.NOTHING_FOUND


def test_validation_data_are_called_so():
  ppo = side('ppo', [30.0, 31.0], Role.SEARCHED)
  best = types.SimpleNamespace(contestant=types.SimpleNamespace(group='ppo'))
  told = headline.write(statistics.PERPLEXITY, [ppo], best, has_report=False)
  assert 'has a validation perplexity of 30.50' in told

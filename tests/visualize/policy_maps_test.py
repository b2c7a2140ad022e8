# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of how a policy is shown to change."""

import functools
import re

import numpy as np
import pytest

from jaxnas.records import round_log, summary, trial_log
from jaxnas.visualize import policy_maps


def trials(*tokens):
  return [
    trial_log.Trial(number, 'ppo', 0, tuple(each), {}, 0.5, {}, 'ok')
    for number, each in enumerate(tokens)
  ]


def choice(num_labels=2, name='x'):
  return summary.Options(name, 'choice', tuple(map(str, range(num_labels))))


def draw(decisions, searches, **options):
  shares = policy_maps.frequencies(decisions, searches)
  return policy_maps.draw(decisions, shares, **options)


def test_windows_cover_every_trial_once():
  for num_trials, num_searches, count in ((160, 1, 16), (20, 1, 2), (3, 1, 1)):
    found = policy_maps.windows(num_trials, num_searches)
    assert len(found) == count
    assert [a for a, _ in found][1:] == [b for _, b in found][:-1]
    assert (found[0][0], found[-1][1]) == (0, num_trials)
  # Several searches fill a window together.
  assert len(policy_maps.windows(20, 4)) == 3


def test_frequencies_are_counted_by_window():
  first = trials(*([0, 1] for _ in range(8)), *([1, 1] for _ in range(8)))
  found = list(policy_maps.frequencies([choice(), choice()], [first]))
  np.testing.assert_array_equal(found[0], [[1, 0], [0, 1]])
  np.testing.assert_array_equal(found[1], [[0, 0], [1, 1]])


def test_searches_are_counted_together():
  (found,) = policy_maps.frequencies(
    [choice()], [trials(*[[0]] * 4), trials(*[[1]] * 4)]
  )
  np.testing.assert_array_equal(found, [[0.5], [0.5]])


def test_decisions_that_were_not_made_do_not_count():
  mine = trials(*[[0, -1]] * 8, *[[0, 1]] * 2, *[[0, -1]] * 6)
  _, found = policy_maps.frequencies([choice()] * 2, [mine])
  np.testing.assert_array_equal(found, [[np.nan, 0], [np.nan, 1]])


def test_layers_of_an_anchor_point_are_counted_on_their_own():
  anchors = summary.Options('a', 'anchors', ('0', '1'))
  mine = trials(*[[1, 1, 0]] * 4, *[[1, 1, 1]] * 4)
  _, found = policy_maps.frequencies([choice(), anchors], [mine])
  np.testing.assert_array_equal(found, [[1], [0.5]])


def labels(drawn):
  return re.findall(r'<li>([^<]*)</li>', drawn)


def test_each_decision_has_a_map_with_its_last_frequencies():
  mine = trials(*[[0, 1]] * 6, *[[0, 0]] * 2)
  drawn = draw([choice(name='x'), choice(name='y')], [mine])
  assert drawn.count('class="map"') == 2
  assert labels(drawn) == ['0', '1', '100 %', '0 %', '0', '1', '25 %', '75 %']
  assert 'aria-label="At the end: 0 25 %, 1 75 %"' in drawn


def test_many_values_share_rows():
  many = choice(40)
  mine = trials(*[[39]] * 5, *[[7]] * 3)
  shown = labels(draw([many], [mine]))
  assert shown[:10].count('39') == 1
  assert '7' in shown[:10]
  assert shown[9] == '31 others'
  ordered = summary.Options('x', 'range', many.labels)
  shown = labels(draw([ordered], [mine]))
  assert shown[:8] == [f'≥ {5 * row}' for row in range(8)]
  assert shown[8:] == ['0 %', '38 %', *['0 %'] * 5, '62 %']


@pytest.mark.parametrize('counts', [[1, 1, 1], [5, 5, 1, 1], [1, 2, 5], [3]])
def test_percentages_of_one_whole_add_up(counts):
  values = [value for value, count in enumerate(counts) for _ in range(count)]
  drawn = draw(
    [choice(max(2, len(counts)))], [trials(*([each] for each in values))]
  )
  percents = [each for each in labels(drawn) if each.endswith('%')]
  assert sum(int(each.split()[0]) for each in percents) == 100


def test_nothing_to_decide_has_no_map():
  nothing = summary.Options('a', 'anchors', ())
  drawn = draw([nothing, choice(1), choice()], [trials([0, 0])])
  assert drawn.count('class="map"') == 1


def test_many_decisions_open_by_a_click_and_end():
  count = policy_maps.MAX_MAPS + 5
  drawn = draw([choice()] * count, [trials([0] * count)], num_shown=3)
  assert drawn.count('class="map"') == policy_maps.MAX_MAPS
  assert 'more decisions' in drawn
  assert 'Later decisions are left out.' in drawn


def test_maps_are_as_large_as_they_may_be():
  mine = functools.partial(draw, [choice()] * 9, [trials([0] * 9)], num_shown=3)
  assert 'left out' not in mine()
  drawn = mine(max_bytes=len(mine()) // 3)
  assert len(drawn) < len(mine()) // 2
  assert 0 < drawn.count('class="map"') < 4
  assert 'Later decisions are left out.' in drawn


def rounds(*probabilities, repeat=0):
  return [
    round_log.Round(number, 'ppo', repeat, {}, each)
    for number, each in enumerate(probabilities)
  ]


def test_probabilities_are_those_of_the_rounds():
  anchors = summary.Options('a', 'anchors', ('0', '1'))
  mine = rounds((0.25, 0.75, 0.5, 1.0), (0.0, 1.0, 0.25, 0.0))
  found = list(policy_maps.probabilities([choice(), anchors], mine))
  np.testing.assert_array_equal(found[0], [[0.25, 0], [0.75, 1]])
  np.testing.assert_array_equal(found[1], [[0.5, 0.25], [1, 0]])
  mine += rounds((0.75, 0.25, 0.5, 1.0), (0.5, 0.5, 0.25, 0.0), repeat=1)
  found = list(policy_maps.probabilities([choice(), anchors], mine))
  np.testing.assert_array_equal(found[0], [[0.5, 0.25], [0.5, 0.75]])


def test_probabilities_of_decisions_that_were_not_made_do_not_count():
  mine = rounds((0.25, 0.75), (0.25, 0.75, 0.5, 0.5), None)
  found = list(policy_maps.probabilities([choice(), choice()], mine))
  np.testing.assert_array_equal(found[0], [[0.25] * 2, [0.75] * 2])
  np.testing.assert_array_equal(found[1], [[np.nan, 0.5]] * 2)


def test_many_rounds_share_windows_and_none_is_empty():
  for count in (17, 40, 64, 65, 200, 5000):
    mine = rounds(
      *(
        (0.25, 0.75) if round_log.has_probabilities(number) else None
        for number in range(count)
      )
    )
    (found,) = policy_maps.probabilities([choice()], mine)
    assert found.shape == (2, policy_maps.MAX_WINDOWS)
    np.testing.assert_allclose(found.T, [[0.25, 0.75]] * 16, rtol=1e-12)


def test_a_log_has_probabilities_if_all_searches_have_them_from_the_start():
  new, old = rounds((0.5, 0.5), (0.5, 0.5)), rounds(None, (0.5, 0.5), repeat=1)
  assert policy_maps.has_probabilities(new)
  assert not policy_maps.has_probabilities(old)
  assert not policy_maps.has_probabilities(new + old)
  assert not policy_maps.has_probabilities([])


def test_rounded_probabilities_of_many_values_add_up():
  # Each was rounded up, so that together they are far above one.
  shares = np.full((200, 1), 0.006)
  (shown,) = [
    labels(policy_maps.draw([summary.Options('x', 'range', kinds)], [shares]))
    for kinds in [tuple(map(str, range(200)))]
  ]
  percents = [int(each.split()[0]) for each in shown if each.endswith('%')]
  assert sum(percents) == 100

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of how a policy is shown to change."""

import functools
import re

import numpy as np
import pytest

from jaxnas.records import summary, trial_log
from jaxnas.visualize import policy_maps


def trials(*tokens):
  return [
    trial_log.Trial(number, 'ppo', 0, tuple(each), {}, 0.5, {}, 'ok')
    for number, each in enumerate(tokens)
  ]


def choice(num_labels=2, name='x'):
  return summary.Options(name, 'choice', tuple(map(str, range(num_labels))))


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
  found = policy_maps.frequencies(choice(), [first], 0)
  np.testing.assert_array_equal(found, [[1, 0], [0, 1]])
  found = policy_maps.frequencies(choice(), [first], 1)
  np.testing.assert_array_equal(found, [[0, 0], [1, 1]])


def test_searches_are_counted_together():
  found = policy_maps.frequencies(
    choice(), [trials(*[[0]] * 4), trials(*[[1]] * 4)], 0
  )
  np.testing.assert_array_equal(found, [[0.5], [0.5]])


def test_decisions_that_were_not_made_do_not_count():
  mine = trials(*[[0, -1]] * 8, *[[0, 1]] * 2, *[[0, -1]] * 6)
  found = policy_maps.frequencies(choice(), [mine], 1)
  np.testing.assert_array_equal(found, [[np.nan, 0], [np.nan, 1]])


def test_layers_of_an_anchor_point_are_counted_on_their_own():
  anchors = summary.Options('a', 'anchors', ('0', '1'))
  mine = trials(*[[1, 1, 0]] * 4, *[[1, 1, 1]] * 4)
  found = policy_maps.frequencies(anchors, [mine], 1)
  np.testing.assert_array_equal(found, [[1], [0.5]])


def labels(drawn):
  return re.findall(r'<li>([^<]*)</li>', drawn)


def test_each_decision_has_a_map_with_its_last_frequencies():
  mine = trials(*[[0, 1]] * 6, *[[0, 0]] * 2)
  drawn = policy_maps.draw([choice(name='x'), choice(name='y')], [mine])
  assert drawn.count('class="map"') == 2
  assert labels(drawn) == ['0', '1', '100 %', '0 %', '0', '1', '25 %', '75 %']
  assert 'aria-label="At the end: 0 25 %, 1 75 %"' in drawn


def test_many_values_share_rows():
  many = choice(40)
  mine = trials(*[[39]] * 5, *[[7]] * 3)
  shown = labels(policy_maps.draw([many], [mine]))
  assert shown[:10].count('39') == 1
  assert '7' in shown[:10]
  assert shown[9] == '31 others'
  ordered = summary.Options('x', 'range', many.labels)
  shown = labels(policy_maps.draw([ordered], [mine]))
  assert shown[:8] == [f'≥ {5 * row}' for row in range(8)]
  assert shown[8:] == ['0 %', '38 %', *['0 %'] * 5, '62 %']


@pytest.mark.parametrize('counts', [[1, 1, 1], [5, 5, 1, 1], [1, 2, 5], [3]])
def test_percentages_of_one_whole_add_up(counts):
  values = [value for value, count in enumerate(counts) for _ in range(count)]
  drawn = policy_maps.draw(
    [choice(max(2, len(counts)))], [trials(*([each] for each in values))]
  )
  percents = [each for each in labels(drawn) if each.endswith('%')]
  assert sum(int(each.split()[0]) for each in percents) == 100


def test_nothing_to_decide_has_no_map():
  nothing = summary.Options('a', 'anchors', ())
  drawn = policy_maps.draw([nothing, choice(1), choice()], [trials([0, 0])])
  assert drawn.count('class="map"') == 1


def test_many_decisions_open_by_a_click_and_end():
  count = policy_maps.MAX_MAPS + 5
  drawn = policy_maps.draw(
    [choice()] * count, [trials([0] * count)], num_shown=3
  )
  assert drawn.count('class="map"') == policy_maps.MAX_MAPS
  assert 'more decisions' in drawn
  assert 'Later decisions are left out.' in drawn


def test_maps_are_as_large_as_they_may_be():
  draw = functools.partial(
    policy_maps.draw, [choice()] * 9, [trials([0] * 9)], 3
  )
  assert 'left out' not in draw()
  drawn = draw(max_bytes=len(draw()) // 3)
  assert len(drawn) < len(draw()) // 2
  assert 0 < drawn.count('class="map"') < 4
  assert 'Later decisions are left out.' in drawn

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of trainings by one setting at a time."""

import re

from jaxnas import statistics
from jaxnas.records import summary
from jaxnas.visualize import setting_rows

DECISIONS = (
  summary.Options('rate', 'choice', ('0.1', '0.2')),
  summary.Options('size', 'choice', ('8',)),
  summary.Options('kind', 'choice', ('a', 'b', '<c>')),
)
USUAL = {'rate': 0.2, 'size': 8, 'kind': 'b'}


def point(rate, kind, value):
  return {'rate': rate, 'size': 8, 'kind': kind}, value


def draw(points):
  drawn = setting_rows.draw(statistics.PERPLEXITY, DECISIONS, points, USUAL)
  rows = re.findall(r'<li([^>]*)><span>([^<]*)</span><i>(.*?)</i></li>', drawn)
  return drawn, {name: (bool(kind), s.count('<b ')) for kind, name, s in rows}


def test_each_value_of_each_setting_has_its_dots():
  points = [point(0.1, 'a', 3.0), point(0.1, 'b', 4.0), point(0.2, 'a', 5.0)]
  drawn, rows = draw(points)
  assert rows == {
    '0.1': (True, 2),
    '0.2 (usual)': (False, 1),
    'a': (True, 2),
    'b (usual)': (False, 1),
    '&lt;c&gt;': (False, 0),
  }
  assert re.findall('<h3>(.*?)</h3>', drawn) == ['rate', 'kind']
  assert 'left out' not in drawn


def test_what_would_press_the_others_together_is_left_out():
  points = [point(0.1, 'a', 3.0 + i / 10) for i in range(8)]
  drawn, rows = draw([*points, point(0.2, 'b', 5000.0)])
  assert rows['0.2 (usual)'] == (False, 0)
  assert rows['0.1'] == (True, 8)
  assert '1 that are much worse are left out' in drawn


def test_equal_values_are_all_there():
  _, rows = draw([point(0.1, 'a', 3.0)] * 5 + [point(0.2, 'a', 3.1)])
  assert rows['a'][1] == 6


def test_one_training_has_nothing_to_be_compared_with():
  drawn, rows = draw([point(0.1, 'a', 3.0)])
  assert not rows
  assert 'nothing to compare' in drawn


def test_settings_of_many_values_are_not_drawn():
  labels = tuple(map(str, range(61)))
  drawn = setting_rows.draw(
    statistics.PERPLEXITY,
    [summary.Options('rate', 'choice', labels)],
    [({'rate': number}, 3.0 + number) for number in range(61)],
    {},
  )
  assert '61 values are too many' in drawn
  assert '<b ' not in drawn

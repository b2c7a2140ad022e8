# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of charts for a web page."""

import re

import numpy as np
import pytest

from jaxnas.visualize import line_chart

NAN = float('nan')


def curve(y, low=None, high=None, **fields):
  y = np.array(y, float)
  nothing = np.full_like(y, NAN)
  return line_chart.Curve(
    fields.pop('name', 'a'),
    fields.pop('color', 0),
    np.arange(1.0, len(y) + 1),
    y,
    nothing if low is None else np.array(low, float),
    nothing if high is None else np.array(high, float),
    **fields,
  )


def chart(*curves):
  return line_chart.Chart('Title', 'trials', 'reward', curves, 'A note.')


def points(drawn, kind='line'):
  """Returns the points of the first path of a kind."""
  (path, *_) = re.findall(rf'<path class="{kind} c\d" d="M([^"]*)"', drawn)
  return [
    tuple(map(float, each.split())) for each in path.strip('Z').split('L')
  ]


def test_points_are_where_their_values_are():
  drawn = points(line_chart.draw(chart(curve([0.0, 2.0, 1.0])), 0))
  (x0, y0), (x1, y1), (x2, y2) = drawn
  assert (x0, x1, x2) == (0, 500, 1000)
  assert y1 < y2 < y0
  assert y2 == pytest.approx((y0 + y1) / 2, abs=0.2)


def test_a_single_point_stands_in_the_middle_of_its_own_number():
  one = line_chart.Curve('a', 0, *(np.array([each]) for each in (8.0, 1, 1, 1)))
  drawn = line_chart.draw(chart(one), 0)
  assert {x for x, _ in points(drawn)} == {500}
  assert (
    '<div class="x-ticks"><span style="left:50.00%">8</span></div>' in drawn
  )


def test_steps_hold_until_the_next_point():
  drawn = points(
    line_chart.draw(chart(curve([1.0, 1.0, 3.0], is_stepped=True)), 0)
  )
  assert [x for x, _ in drawn] == [0, 1000, 1000]
  assert drawn[0][1] == drawn[1][1] > drawn[2][1]


def test_what_is_missing_is_left_out():
  drawn = points(line_chart.draw(chart(curve([NAN, 2.0, 1.0])), 0))
  assert len(drawn) == 2
  assert 'nothing was measured' in line_chart.draw(chart(curve([NAN])), 0)
  assert 'nothing was measured' in line_chart.draw(chart(), 0)


def test_an_interval_is_an_area_around_its_curve():
  drawn = line_chart.draw(
    chart(curve([1.0, 2.0], low=[0.5, 1.5], high=[1.5, 2.5])), 0
  )
  band, line = points(drawn, 'band'), points(drawn)
  assert len(band) == 4
  assert band[0][1] < line[0][1] < band[3][1]
  assert 'class="band' not in line_chart.draw(chart(curve([1.0, 2.0])), 0)


def test_wide_intervals_and_early_values_do_not_press_the_rest():
  y = [-1000.0, *np.linspace(1, 2, 19)]
  low = [NAN, -500.0, *y[2:]]
  drawn = line_chart.draw(chart(curve(y, low=low, high=y)), 0)
  late = [y for _, y in points(drawn)][1:]
  assert max(late) - min(late) > 400


def test_many_points_are_thinned_with_both_ends():
  many = curve(np.arange(10_000.0), parts=[np.arange(10_000.0)])
  thin = many.thinned()
  assert len(thin.x) <= line_chart.MAX_POINTS
  assert (thin.x[0], thin.x[-1]) == (1, 10_000)
  assert len(thin.parts[0]) == len(thin.y)
  data = line_chart.to_json(chart(many))
  assert len(data['curves'][0]['y']) == len(thin.x)


def test_the_script_gets_values_as_they_are_spelled():
  data = line_chart.to_json(
    chart(curve([1.23456, NAN], low=[1.0, NAN], high=[2.0, NAN], color=7))
  )
  (one,) = data['curves']
  assert one['y'] == ['1.235', None]
  assert (one['low'], one['high']) == (['1', None], ['2', None])
  assert one['color'] == 1


@pytest.mark.parametrize(
  ('low', 'high', 'whole', 'expected'),
  [
    (0, 10, False, [0, 2, 4, 6, 8, 10]),
    (-1, 1, False, [-1, -0.5, 0, 0.5, 1]),
    (1, 3, True, [1, 2, 3]),
    (0.011, 0.029, False, [0.015, 0.02, 0.025]),
  ],
)
def test_ticks_are_round(low, high, whole, expected):
  assert line_chart.ticks(low, high, whole) == pytest.approx(expected)


def test_ticks_that_would_be_spelled_alike_get_more_digits():
  drawn = line_chart.draw(chart(curve([19.9301, 19.9302])), 0)
  labels = re.findall(r'top:[^>]*>([^<]*)<', drawn)
  assert len(set(labels)) == len(labels) > 1


def test_curves_differ_in_dashes_too():
  drawn = line_chart.draw(
    chart(curve([1.0, 2.0]), curve([1.0, 2.0], name='b', color=1)), 0
  )
  assert drawn.count('stroke-dasharray') == 2  # The curve and its key.

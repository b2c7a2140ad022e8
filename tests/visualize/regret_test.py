# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of the curves of regret."""

import dataclasses

from matplotlib import image
import numpy as np
import pytest

from jaxnas.visualize import regret


def make_curve(name, mean, width=0.0):
  mean = np.asarray(mean, float)
  return regret.RegretCurve(name, mean, mean - width, mean + width)


def count(path, color):
  pixels = np.round(255 * image.imread(path)[..., :3])
  # Blended colors are rounded in more than one way.
  return int(np.all(np.abs(pixels - color) <= 2, axis=-1).sum())


BLUE, ORANGE, GREEN = (0, 114, 178), (213, 94, 0), (0, 158, 115)


def test_every_curve_is_drawn_in_its_color(tmp_path):
  path = tmp_path / 'regret.png'
  curves = [
    make_curve('one', [0.5, 0.2, 0.1], 0.05),
    make_curve('b', [0.6] * 3),
  ]
  regret.plot_regret(path, curves, {'best 1 %': 0.2}, 'a title')
  assert count(path, BLUE) > 300
  assert count(path, ORANGE) > 300
  assert not count(path, GREEN)


def test_a_pair_has_one_color_and_one_dashed_line(tmp_path):
  path = tmp_path / 'regret.png'
  whole = make_curve('one', [0.5, 0.2, 0.1])
  drawn = []
  for is_dashed in (False, True):
    other = dataclasses.replace(whole, color=2, is_dashed=is_dashed)
    regret.plot_regret(path, [other], cost='steps')
    assert not count(path, BLUE)
    drawn.append(count(path, GREEN))
  assert 100 < drawn[1] < 0.8 * drawn[0]


def test_intervals_that_are_not_there_are_not_drawn(tmp_path):
  path = tmp_path / 'regret.png'
  colors = []
  for width in (0.05, np.nan):
    regret.plot_regret(path, [make_curve('one', [0.5, 0.2, 0.1], width)])
    # Blue at 20 % over white.
    colors.append(count(path, (204, 227, 240)))
  assert colors[0] > 1000
  # What is left is the edge of the line.
  assert colors[1] < 100


def test_a_regret_of_0_has_a_place_on_the_logarithmic_axis(tmp_path):
  path = tmp_path / 'regret.png'
  for means in ([0.5, 0.0, 0.0], [0.0, 0.0], [0.3]):
    regret.plot_regret(path, [make_curve('one', means, 0.1)], {'best': 0.0})
    assert count(path, BLUE) > 100


def test_nothing_to_plot_is_refused(tmp_path):
  with pytest.raises(ValueError, match='at least one curve'):
    regret.plot_regret(tmp_path / 'regret.png', [])
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('lengths', [(2, 2, 1), (0, 0, 0)])
def test_lengths_must_agree(lengths):
  with pytest.raises(
    ValueError, match=r"'one' needs .* got {}, {} and {}".format(*lengths)
  ):
    regret.RegretCurve('one', *([0.1] * length for length in lengths))

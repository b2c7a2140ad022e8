# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of the picture of scorers."""

from matplotlib import image
import numpy as np
import pytest

from jaxnas.visualize import scorers

BLUE, ORANGE, GREEN = (0, 114, 178), (213, 94, 0), (0, 158, 115)


def count(path, color):
  pixels = np.round(255 * image.imread(path)[..., :3])
  return int(np.all(np.abs(pixels - color) <= 2, axis=-1).sum())


def test_every_measure_of_every_scorer_is_a_dot(tmp_path):
  path = tmp_path / 'scorers.png'
  rows = [
    scorers.Row('one', (0.5, -0.2), 0.1),
    scorers.Row('two', (0.9, np.nan), 0.0),
    scorers.Row('three', (-0.4, 0.3), 20.0),
  ]
  found = []
  for shown in (rows[:1], rows):
    scorers.plot_scorers(path, ['all', 'best'], shown, 'a title')
    found.append([count(path, color) for color in (BLUE, ORANGE, GREEN)])
  # A dot in the legend, and one for each value that there is.
  (one_blue, one_orange, _), (blue, orange, green) = found
  np.testing.assert_allclose(blue / one_blue, 4 / 2, rtol=0.1)
  np.testing.assert_allclose(orange / one_orange, 3 / 2, rtol=0.1)
  assert not green


def test_what_cannot_be_plotted_is_refused(tmp_path):
  with pytest.raises(ValueError, match='at least one scorer'):
    scorers.plot_scorers(tmp_path / 'scorers.png', ['all'], [])
  with pytest.raises(ValueError, match="'one' needs 2 values, got 1"):
    scorers.plot_scorers(
      tmp_path / 'scorers.png', ['a', 'b'], [scorers.Row('one', (1.0,), 1.0)]
    )

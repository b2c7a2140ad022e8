# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

from matplotlib import image
import numpy as np
import pytest

from jaxnas.visualize import estimators

BLUE, ORANGE, GREEN = (0, 114, 178), (213, 94, 0), (0, 158, 115)


def count(path, color):
  pixels = np.round(255 * image.imread(path)[..., :3])
  return int(np.all(np.abs(pixels - color) <= 2, axis=-1).sum())


def level(name, bias, variance):
  return estimators.Series(name, None, [bias], [(bias, bias)], [variance])


def curve(name):
  return estimators.Series(
    name,
    [0.1, 1.0, 10.0],
    [0.2, 0.4, 0.9],
    [(0.1, 0.3), (0.3, 0.5), (0.8, 1.0)],
    [5.0, 0.5, 0.05],
  )


def test_each_estimator_has_a_color_in_all_panels(tmp_path):
  path = tmp_path / 'estimators.png'
  found = []
  for panels in (
    [[curve('one')]],
    [[curve('one'), level('two', 0.6, 0.2)]],
    # Without variance it is a line in the upper panel alone.
    [[curve('one'), level('two', 0.6, 0.0)]],
    [[curve('one'), level('two', 0.6, 0.2)], [level('two', 0.6, 0.2)]],
  ):
    estimators.plot_estimators(
      path,
      [
        estimators.Panel(f'policy {number}', series)
        for number, series in enumerate(panels)
      ],
      title='a title',
    )
    found.append([count(path, color) for color in (BLUE, ORANGE, GREEN)])
  alone, both, noiseless, two_panels = found
  assert alone[0] > 300
  assert not alone[1]
  assert both[1] > 1.5 * noiseless[1] > 150
  assert two_panels[1] > 1.5 * both[1]
  assert not any(green for *_, green in found)


def test_what_is_off_the_scale_is_named_and_not_drawn(tmp_path):
  path = tmp_path / 'estimators.png'
  huge = curve('huge')._replace(
    biases=[0.0, 1e20, 3.0],
    intervals=[(0.0, 1e22)] * 3,
    variances=[1e40, 1e40, 1e40],
  )
  found = []
  for series in ([curve('one')], [curve('one'), huge]):
    estimators.plot_estimators(path, [estimators.Panel('policy', series)])
    found.append([count(path, color) for color in (BLUE, ORANGE)])
  # The other one is as large as without it, but for a line of text.
  assert found[1][0] > 0.7 * found[0][0]
  # At most its place in the legend.
  assert found[1][1] < 0.3 * found[1][0]


def test_what_cannot_be_plotted_is_refused(tmp_path):
  path = tmp_path / 'estimators.png'
  for panels in ([], [estimators.Panel('empty', [])]):
    with pytest.raises(ValueError, match='at least one panel'):
      estimators.plot_estimators(path, panels)
  lacking = curve('one')._replace(variances=[1.0])
  with pytest.raises(ValueError, match="'one' needs 3 values of a kind, got 1"):
    estimators.plot_estimators(path, [estimators.Panel('policy', [lacking])])

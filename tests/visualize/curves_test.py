# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of the curves of a search."""

from matplotlib import figure, image
import numpy as np
import pytest

from jaxnas.visualize import curves


@pytest.mark.slow
def test_plot_has_a_panel_for_each_cost(tmp_path):
  path = tmp_path / 'curve.png'
  curves.plot_search(
    path,
    [
      curves.ArmCurve('one', [0.1, 0.3, 0.2], [True, True, False]),
      curves.ArmCurve('other', [0.2], [True]),
      curves.ArmCurve('other 1', [0.1, 0.1], [True, False], group='other'),
    ],
  )
  pixels = image.imread(path)
  assert pixels.shape[0] > 400
  for half in np.array_split(pixels, 2, axis=1):
    colors = {tuple(np.round(255 * color)) for color in half.reshape(-1, 4)}
    assert (0, 114, 178, 255) in colors
    assert (213, 94, 0, 255) in colors
    # The repeat has its arm's color, not the third one.
    assert (0, 158, 115, 255) not in colors


def test_an_arm_of_one_trial_is_seen(tmp_path):
  path = tmp_path / 'curve.png'
  many = curves.ArmCurve('many', [0.1, 0.2], [True, True])
  one = curves.ArmCurve('one', [0.15], [True])
  counts = []
  for arms in ([many], [many, one]):
    curves.plot_search(path, arms)
    # The panels alone: the legend below has the arm's color in any case.
    pixels = np.round(255 * image.imread(path)[:380, :, :3])
    counts.append(np.all(pixels == (213, 94, 0), axis=-1).sum())
  assert counts[0] == 0
  assert counts[1] > 40


def test_more_arms_take_nothing_from_the_panels(tmp_path):
  path = tmp_path / 'curve.png'
  spans = []
  for count in (2, 4):
    rewards = np.linspace(0.1, 0.9, 4)[:, None] * np.linspace(0.5, 1, 9)
    curves.plot_search(
      path,
      [
        curves.ArmCurve(f'arm {k}', rewards[k], [True] * 9)
        for k in (0, 3, 1, 2)[:count]
      ],
    )
    pixels = np.round(255 * image.imread(path)[..., :3])
    # All of the legend is below the panels, so the curves end where they do.
    panels = pixels[: -round(0.17 * count * 130) - 60]
    colors = np.array(
      [(0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167)][:count]
    )
    for half in np.array_split(panels, 2, axis=1):
      is_color = np.all(half[:, :, None] == colors, axis=-1)
      assert np.all(is_color.any(axis=(0, 1)))
    rows = np.flatnonzero(is_color.any(axis=(1, 2)))
    spans.append(rows[-1] - rows[0])
  # The axis is the same, from the lowest curve to the highest.
  assert spans[1] == pytest.approx(spans[0], abs=8)


def test_repeats_share_a_line_of_the_legend():
  repeats = [
    curves.ArmCurve(f'one {k}', [0.1, 0.2], [True, k > 0], group='one')
    for k in range(3)
  ]
  assert curves._describe('one', repeats) == (
    'one (3 repeats, 6 proposals, 5 trained)'
  )


def test_nothing_to_plot_is_refused(tmp_path):
  for arms in ([], [curves.ArmCurve('one', [], [])]):
    with pytest.raises(ValueError, match='at least one curve'):
      curves.plot_search(tmp_path / 'curve.png', arms)
  assert not list(tmp_path.iterdir())


def test_lengths_must_agree():
  with pytest.raises(ValueError, match='2 rewards and 1 marks'):
    curves.ArmCurve('one', [0.1, 0.2], [True])


def panels_of(path, monkeypatch, arms):
  """Returns the panels that a plot was saved with."""
  pictures = []
  save = figure.Figure.savefig
  monkeypatch.setattr(
    figure.Figure,
    'savefig',
    lambda self, *args, **kwargs: (
      pictures.append(self),
      save(self, *args, **kwargs),
    ),
  )
  curves.plot_search(path, arms)
  return pictures[-1].axes


def test_without_duplicates_there_is_one_panel(tmp_path, monkeypatch):
  path = tmp_path / 'curve.png'
  for duplicates, labels in (
    ([True] * 3, ['trials']),
    (
      [True, True, False],
      ['trials proposed', 'trainings (duplicates cost none)'],
    ),
  ):
    arms = [
      curves.ArmCurve('one', [0.1, 0.3, 0.2], [True] * 3),
      curves.ArmCurve('other', [0.2, 0.1, 0.1], duplicates),
    ]
    panels = panels_of(path, monkeypatch, arms)
    assert [panel.get_xlabel() for panel in panels] == labels


def test_the_axes_fit_the_curves(tmp_path, monkeypatch):
  path = tmp_path / 'curve.png'
  rewards = [0.0, 0.8, *np.linspace(0.81, 0.9, 38)]
  (panel,) = panels_of(
    path, monkeypatch, [curves.ArmCurve('one', rewards, [True] * 40)]
  )
  low, high = panel.get_ylim()
  # The first trial failed; the mean of the first five is 0.65.
  assert 0.6 < low < 0.66
  assert 0.9 < high < 0.95
  left, right = panel.get_xlim()
  assert 0 < left < 1
  assert 40 < right < 41
  for value in (0.0, 0.5):
    arms = [curves.ArmCurve('one', [value] * 3, [True] * 3)]
    (panel,) = panels_of(path, monkeypatch, arms)
    low, high = panel.get_ylim()
    assert low < value < high

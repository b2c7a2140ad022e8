# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

from matplotlib import figure
import numpy as np
from PIL import Image
import pytest

from jaxnas.spaces import hyperparameters as spaces
from jaxnas.types import AnchorPoint
from jaxnas.visualize import hyperparameters

SPACE = spaces.make_space(
  {
    'rate': spaces.Range(1e-3, 1.0, log=True),
    'momentum': spaces.Range(0.0, 0.9),
    'activation': spaces.Choice(('relu', None)),
    'width': spaces.Choice((16, 32, 64)),
  }
)


def trials(name, count, seed):
  rng = np.random.default_rng(seed)
  values = [
    SPACE.decode(
      np.array([rng.integers(d.num_choices) for d in SPACE.decisions])
    )
    for _ in range(count)
  ]
  return hyperparameters.Trials(name, values, list(rng.uniform(size=count)))


def draw(path, arms, **settings):
  hyperparameters.plot_trials(path, SPACE.decisions, arms, **settings)
  with Image.open(path) as image:
    return np.asarray(image.convert('RGB'))


def test_trials_and_the_best_are_drawn(tmp_path):
  arms = [trials('one', 20, 0), trials('two', 12, 1)]
  plain = draw(tmp_path / 'plain.png', arms)
  marked = draw(tmp_path / 'marked.png', arms, best=arms[0].values[0])
  assert plain.shape == marked.shape
  assert (plain != marked).any()


def test_panels_have_the_axes_of_their_decisions(tmp_path, monkeypatch):
  pictures = []
  monkeypatch.setattr(
    figure.Figure,
    'savefig',
    lambda picture, path, **_: pictures.append(picture),
  )
  arm = trials('one', 20, 0)
  hyperparameters.plot_trials(tmp_path / 'x.png', SPACE.decisions, [arm])
  panels = pictures[0].axes
  shown = [panel for panel in panels if panel.get_title()]
  assert [panel.get_title() for panel in shown] == [
    'rate',
    'momentum',
    'activation',
    'width',
  ]
  assert [panel.get_xscale() for panel in shown[:2]] == ['log', 'linear']
  rates, rewards = shown[0].get_lines()[0].get_data()
  assert list(rates) == [each['rate'] for each in arm.values]
  assert list(rewards) == list(arm.rewards)
  places, _ = shown[3].get_lines()[0].get_data()
  widths = [16, 32, 64]
  assert [widths[round(place)] for place in places] == [
    each['width'] for each in arm.values
  ]
  labels = [text.get_text() for text in shown[2].get_xticklabels()]
  assert labels == ['relu', 'None']


def test_what_can_not_be_drawn_is_refused(tmp_path):
  path = tmp_path / 'x.png'
  with pytest.raises(ValueError, match='at least one trial'):
    draw(path, [trials('one', 0, 0)])
  with pytest.raises(
    ValueError, match="choices and ranges can be plotted, got 'anchor'"
  ):
    hyperparameters.plot_trials(
      path, [AnchorPoint(1, 'anchor')], [trials('one', 1, 0)]
    )
  with pytest.raises(ValueError, match="'one' has 0 trials and 1 rewards"):
    hyperparameters.Trials('one', [], [1.0])

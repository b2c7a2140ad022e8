# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of architectures on a web page."""

import numpy as np

from jaxnas.records import summary, trial_log
from jaxnas.spaces import conv_net, recurrent_cell
from jaxnas.visualize import gallery

CELLS = recurrent_cell.make_space(2)
CELL = CELLS.decode(np.zeros(CELLS.num_tokens, np.int32)).to_json()
NETS = conv_net.make_space(2)
NET = NETS.decode(np.zeros(NETS.num_tokens, np.int32)).to_json()
DECISIONS = (
  summary.Options('rate', 'range', ('0.1', '0.2', '0.3')),
  summary.Options('inputs', 'anchors', ('0', '1')),
)


def trial(number, reward, x, status='ok'):
  return trial_log.Trial(number, 'a', 0, (0,), {'x': x}, reward, {}, status)


def test_the_best_trials_are_distinct_and_did_not_fail():
  trials = [
    trial(0, 0.1, 0),
    trial(1, 0.9, 1),
    trial(2, 0.8, 1),
    trial(3, 0.5, 2),
    trial(4, 1.0, 3, 'diverged'),
  ]
  found = gallery.best_trials(trials, 2)
  assert [each.number for each in found] == [1, 3]


def test_cells_and_networks_are_drawn():
  mine = gallery.Gallery(())
  for architecture in (CELL, NET):
    drawn = mine.picture(architecture, None)
    assert drawn.startswith('<div class="paper"><svg viewBox')
    assert 'http' not in drawn


def test_pictures_end_where_the_page_is_full(monkeypatch):
  monkeypatch.setattr(gallery, 'MAX_BYTES', 10_000)
  mine = gallery.Gallery(())
  drawn = [mine.picture(CELL, None) for _ in range(9)]
  assert '<svg' in drawn[0]
  assert 'Too large to be drawn here.' in drawn[-1]
  # So do lists.
  mine = gallery.Gallery(())
  lists = [mine.picture({'a': 'b' * 400}, None) for _ in range(40)]
  assert 'bbb' in lists[0]
  assert 'Too large to be drawn here.' in lists[-1]


def test_choices_of_other_spaces_are_shown_among_their_values():
  drawn = gallery.Gallery(DECISIONS).picture({'rate': 0.3}, (2, 0, 1))
  assert 'left:100.0%' in drawn
  assert '>0.3<' in drawn
  assert '>1<' in drawn
  shallow = gallery.Gallery(DECISIONS).picture({'rate': 0.3}, (-1, -1, -1))
  assert '>–<' in shallow
  # Without tokens that fit, the values alone are told.
  for tokens in (None, (1,)):
    plain = gallery.Gallery(DECISIONS).picture({'rate': 0.3}, tokens)
    assert '<dt>rate</dt><dd>0.3</dd>' in plain


def test_formulas_are_of_cells_and_layers_of_networks():
  assert gallery.formulas(CELL)[0] == 'Formulas'
  assert 'new_h = ' in gallery.formulas(CELL)[1]
  assert gallery.formulas(NET)[0] == 'Layers'
  for other in (
    {},
    {'x': 1},
    {**CELL, 'read_index': 'x'},
    {**NET, 'layers': 3},
  ):
    assert gallery.formulas(other) is None

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import json

import jax
import numpy as np
import pytest

from jaxnas import succession as lib
from jaxnas.spaces import recurrent_cell as spaces

SPACE = spaces.make_space(2)
SUCCESSION = lib.Succession(
  SPACE, num_lineages=3, num_generations=3, num_rounds=3, batch_size=4,
  key=jax.random.key(0), features=4, num_layers=1, num_candidates=3,
)  # fmt: skip
PRODUCTS = spaces.parse(
  'elem_mult,identity,elem_mult,identity,elem_mult,identity,add,identity,2,1'
)


def evaluate(tokens):
  """Rewards cells with few different tokens; swaps make no difference."""
  canonical = np.array([SPACE.canonical(row) for row in tokens])
  return (canonical == 1).mean(1).astype(np.float32)


@pytest.fixture(scope='module', name='generations')
def fixture_generations():
  return list(lib.run(SUCCESSION, evaluate))


@pytest.mark.slow
def test_both_branches_have_their_generations(generations):
  assert [(each.branch, each.number) for each in generations] == [
    ('control', 0), ('control', 1), ('succession', 1),
    ('control', 2), ('succession', 2),
  ]  # fmt: skip
  for each in generations:
    assert len(each.cells) == len(each.found) == len(each.areas) == 3
    assert each.is_finite == (True,) * 3


def test_a_generation_has_the_cells_that_the_one_before_found(generations):
  control_0, control_1, first, control_2, second = generations
  for control in (control_0, control_1, control_2):
    assert control.cells == (None,) * 3
  assert first.cells == control_0.found
  assert second.cells == first.found
  for cells, reward in zip(first.candidates, first.rewards, strict=True):
    assert evaluate(np.array(cells[:1])) == np.float32(reward)
    assert len(set(cells)) == len(cells)
    values = evaluate(np.array(cells))
    assert (np.diff(values) <= 0).all()


def test_what_is_left_follows_from_what_is_done(generations):
  lines = [json.loads(json.dumps(each.to_json())) for each in generations]
  done = [lib.Generation.from_json(line) for line in lines[:3]]
  assert done == generations[:3]
  rounds = []
  rest = list(
    lib.run(SUCCESSION, evaluate, done, lambda *place: rounds.append(place))
  )
  assert rest == generations[3:]
  assert rounds == [
    (branch, 2, index)
    for branch in ('control', 'succession')
    for index in range(3)
  ]


def test_a_lineage_depends_on_its_cell_alone(generations):
  """Cells are data: a neighbor with another one changes nothing."""
  control, _, first, *_ = generations
  other = SPACE.encode(spaces.KNOWN_CELLS['paper_example'])
  changed = dataclasses.replace(
    control,
    candidates=(*control.candidates[:2], (tuple(other.tolist()),)),
  )
  done = [changed, generations[1]]
  again = next(iter(lib.run(SUCCESSION, evaluate, done)))
  assert again.candidates[:2] == first.candidates[:2]
  assert again.areas[:2] == first.areas[:2]
  assert again.cells[2] == tuple(other.tolist())


def test_a_cell_that_diverges_is_replaced_by_the_next_best(generations):
  # Products of products of weights this large overflow in a few decisions.
  wild = dataclasses.replace(SUCCESSION, init_scale=1e7)
  products = tuple(SPACE.canonical(SPACE.encode(PRODUCTS)).tolist())
  tame = tuple(
    SPACE.canonical(SPACE.encode(spaces.KNOWN_CELLS['paper_example'])).tolist()
  )
  control = dataclasses.replace(
    generations[0], candidates=((products, tame), (tame,), (products,))
  )
  first = next(iter(lib.run(wild, evaluate, [control, generations[1]])))
  assert first.num_replaced == (1, 0, 0)
  assert first.cells == (tame, tame, products)
  assert first.is_finite == (True, True, False)
  assert np.isfinite(first.areas).all()


def test_area_and_best_cells_by_hand():
  np.testing.assert_allclose(
    lib.area(np.array([[1.0, 3.0, 2.0, 4.0], [2.0, 2.0, 2.0, 2.0]])),
    [(1 + 3 + 3 + 4) / 4, 2.0],
  )
  tokens = np.zeros((4, SPACE.num_tokens), np.int32)
  tokens[:, 8:] = 2
  tokens[1, 1] = tokens[2, 3] = 1  # Equal up to a swap of the leaves.
  tokens[3, 7] = 2
  best = lib.best_cells(SPACE, tokens, np.array([0.1, 0.2, 0.3, 0.2]), 3)
  assert best[0] == tuple(SPACE.canonical(tokens[1]).tolist())
  assert best[1:] == (tuple(tokens[3]), tuple(tokens[0]))


@pytest.mark.parametrize('name', ['num_lineages', 'num_generations'])
def test_settings_out_of_range(name):
  with pytest.raises(ValueError, match=f'{name} must be at least 1, got 0'):
    dataclasses.replace(SUCCESSION, **{name: 0})


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'features': 0}, "controller's features must be greater than 0, got 0"),
    ({'num_layers': 0}, "controller's num_layers must be greater than 0"),
    ({'init_scale': -1.0}, "controller's init_scale must be greater than 0"),
    ({'learning_rate': 0.0}, "controller's learning_rate must be greater"),
    ({'baseline_decay': 1.0}, r"controller's baseline_decay must be in \[0, 1"),
  ],
)
def test_settings_that_no_controller_has(changes, message):
  with pytest.raises(ValueError, match=message):
    dataclasses.replace(SUCCESSION, **changes)


def test_a_reward_that_is_not_finite_is_refused():
  def spoiled(tokens):
    return np.where(np.arange(len(tokens)) == 1, np.nan, evaluate(tokens))

  with pytest.raises(ValueError, match='must return finite rewards, got nan'):
    next(iter(lib.run(SUCCESSION, spoiled)))

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import itertools
import json

import hypothesis
from hypothesis import strategies as st
import numpy as np
import pytest

from jaxnas.spaces import recurrent_cell

BASES = (2, 4, 8)
ARTICLE = '[Add, Tanh, Multiply, ReLU, Multiply, sigmoid, Add, ReLU, 1, 0]'
EXAMPLE = recurrent_cell.RecurrentCell(
  combiners=('add', 'elem_mult', 'elem_mult'),
  activations=('tanh', 'relu', 'sigmoid'),
  inject_combiner='add',
  inject_activation='relu',
  read_index=1,
  inject_index=0,
)

# Spelled with one letter each, in the paper's order.
LETTERS = {
  'A': 'add',
  'M': 'elem_mult',
  'I': 'identity',
  'T': 'tanh',
  'S': 'sigmoid',
  'R': 'relu',
}
NASCELL = 'AS AR AS MR AT AS AT AS MT AT MT AS MI AT MT AT'
LSTM = 'AI AI AS AT AI AI AI AI AS MI AI AI AT AS MI MI'


@st.composite
def random_cells(draw, bases=BASES, extended=False):
  base = draw(st.sampled_from(bases))
  combiners = recurrent_cell.COMBINERS
  activations = recurrent_cell.ACTIVATIONS
  if extended:
    combiners = recurrent_cell.EXTENDED_COMBINERS
    activations = recurrent_cell.EXTENDED_ACTIVATIONS
  num_nodes = 2 * base - 1
  combiner, activation = (
    st.sampled_from(combiners),
    st.sampled_from(activations),
  )
  index = st.integers(0, num_nodes - 1)
  return recurrent_cell.RecurrentCell(
    draw(st.tuples(*[combiner] * num_nodes)),
    draw(st.tuples(*[activation] * num_nodes)),
    draw(combiner),
    draw(activation),
    draw(index),
    draw(index),
  )


def swap_children(cell, node):
  """Returns the cell with the two subtrees below a node exchanged."""
  base = cell.base
  source = list(range(2 * base - 1))
  left, right = [2 * (node - base)], [2 * (node - base) + 1]
  while left:
    for a, b in zip(left, right, strict=True):
      source[a], source[b] = b, a
    left, right = (
      [2 * (n - base) + i for n in row if n >= base for i in (0, 1)]
      for row in (left, right)
    )
  return dataclasses.replace(
    cell,
    combiners=tuple(cell.combiners[n] for n in source),
    activations=tuple(cell.activations[n] for n in source),
    read_index=source.index(cell.read_index),
    inject_index=source.index(cell.inject_index),
  )


def test_the_papers_example_token_by_token():
  space = recurrent_cell.make_space(2)
  tokens = [0, 1, 1, 3, 1, 2, 0, 3, 1, 0]
  assert space.decode(np.array(tokens)) == EXAMPLE
  encoded = space.encode(EXAMPLE)
  assert encoded.tolist() == tokens
  assert encoded.dtype == np.int32
  assert recurrent_cell.KNOWN_CELLS['paper_example'] == EXAMPLE
  assert EXAMPLE.names == (
    'add', 'tanh', 'elem_mult', 'relu', 'elem_mult', 'sigmoid',
    'add', 'relu', 1, 0,
  )  # fmt: skip


@pytest.mark.parametrize(
  'spelled',
  [
    ARTICLE,
    ARTICLE.replace('Multiply', 'ElemMult'),
    ARTICLE.strip('[]').replace(' ', ''),
    ['Add', 'Tanh', 'Mul', 'ReLU', 'elem_mult', 'Sigmoid', 'ADD', 'relu', 1, 0],
  ],
)
def test_the_spellings_of_paper_and_article_are_read(spelled):
  assert recurrent_cell.parse(spelled) == EXAMPLE


def test_other_names_of_operations_are_read():
  cell = recurrent_cell.parse(
    'maximum,linear, add,sin, mult,tanh, add,relu,2,1'
  )
  assert cell.combiners == ('max', 'add', 'elem_mult')
  assert cell.activations == ('identity', 'sin', 'tanh')


def test_the_decisions_stand_in_the_papers_order():
  space = recurrent_cell.make_space(4)
  assert [decision.name for decision in space.decisions] == [
    *(
      f'node_{node}/{kind}'
      for node in range(7)
      for kind in ('combiner', 'activation')
    ),
    'inject/combiner',
    'inject/activation',
    'read_index',
    'inject_index',
  ]
  assert [decision.num_choices for decision in space.decisions] == [
    *[2, 4] * 8,
    7,
    7,
  ]
  assert space.name == 'recurrent_cell_base4'
  assert space.num_tokens == 18


@pytest.mark.parametrize(
  ('base', 'size'),
  [
    (2, 36_864),
    (4, 822_083_584),
    (8, 63_331_869_759_897_600),
    (16, 8**32 * 31**2),
  ],
)
def test_the_size_is_exact(base, size):
  space = recurrent_cell.make_space(base)
  assert space.size == size
  assert space.num_tokens == 4 * base + 2


def test_the_size_counts_optional_operations():
  space = recurrent_cell.make_space(
    8, recurrent_cell.EXTENDED_COMBINERS, recurrent_cell.EXTENDED_ACTIVATIONS
  )
  assert space.size == 15**16 * 15**2
  assert f'{space.size:.3e}' == '1.478e+21'


@hypothesis.given(random_cells())
@hypothesis.settings(deadline=None, max_examples=50)
def test_architectures_come_back_from_tokens_and_json(cell):
  space = recurrent_cell.make_space(cell.base)
  assert space.decode(space.encode(cell)) == cell
  assert recurrent_cell.parse(cell.names) == cell
  assert recurrent_cell.parse(', '.join(map(str, cell.names))) == cell
  text = json.dumps(cell.to_json())
  restored = recurrent_cell.RecurrentCell.from_json(json.loads(text))
  assert restored == cell
  assert hash(restored) == hash(cell)


@pytest.mark.parametrize('base', BASES)
def test_tokens_come_back_from_architectures(base):
  space = recurrent_cell.make_space(
    base, ('max', 'add'), ('sin', 'relu', 'tanh', 'identity', 'sigmoid')
  )
  rng = np.random.default_rng(base)
  choices = [decision.num_choices for decision in space.decisions]
  for tokens in rng.integers(choices, size=(50, len(choices))):
    cell = space.decode(tokens)
    np.testing.assert_array_equal(space.encode(cell), tokens)
    assert space.decode(tokens.tolist()) == cell


def test_canonical_forms_of_base_2_by_brute_force():
  space = recurrent_cell.make_space(2)
  choices = [range(decision.num_choices) for decision in space.decisions]
  forms = set()
  for tokens in itertools.product(*choices):
    cell = space.decode(tokens)
    form, _ = recurrent_cell.canonicalize(cell)
    # A class is the cell and its mirror image: the form is one of the two.
    assert form in (cell, swap_children(cell, 2))
    forms.add(form)
  assert len(forms) == 18_688
  assert recurrent_cell.size_up_to_swaps(2) == 18_688


def test_sizes_up_to_swaps():
  assert f'{recurrent_cell.size_up_to_swaps(4):.3e}' == '1.162e+08'
  assert f'{recurrent_cell.size_up_to_swaps(8):.3e}' == '7.088e+14'
  assert recurrent_cell.size_up_to_swaps(2, 1, 2) == 76


@pytest.mark.parametrize('base', [2, 4])
def test_sizes_up_to_swaps_by_brute_force(base):
  # One operation of each kind: only the two indices tell cells apart.
  num_nodes = 2 * base - 1
  cell = recurrent_cell.RecurrentCell(
    ('add',) * num_nodes, ('tanh',) * num_nodes, 'add', 'tanh', 0, 0
  )
  forms = {
    recurrent_cell.canonicalize(
      dataclasses.replace(cell, read_index=read, inject_index=inject)
    )[0]
    for read in range(num_nodes)
    for inject in range(num_nodes)
  }
  assert len(forms) == recurrent_cell.size_up_to_swaps(base, 1, 1)


@hypothesis.given(random_cells(extended=True), st.data())
@hypothesis.settings(deadline=None, max_examples=100)
def test_a_canonical_form_ignores_swaps(cell, data):
  canonical, leaves = recurrent_cell.canonicalize(cell)
  assert sorted(leaves) == list(range(cell.base))
  swapped = cell
  nodes = st.integers(cell.base, 2 * cell.base - 2)
  for node in data.draw(st.lists(nodes, min_size=1, max_size=8)):
    swapped = swap_children(swapped, node)
  assert recurrent_cell.canonicalize(swapped)[0] == canonical
  again, kept = recurrent_cell.canonicalize(canonical)
  assert again == canonical
  assert kept == tuple(range(cell.base))


@hypothesis.given(random_cells())
@hypothesis.settings(deadline=None, max_examples=50)
def test_the_canonical_form_puts_the_injected_node_first(cell):
  canonical, leaves = recurrent_cell.canonicalize(cell)
  firsts = [first for first, _ in recurrent_cell.levels(cell.base)]
  assert canonical.inject_index in firsts
  # Every leaf keeps its own operations, under its new number.
  for leaf, source in enumerate(leaves):
    assert canonical.combiners[leaf] == cell.combiners[source]
    assert canonical.activations[leaf] == cell.activations[source]
  # Nodes stay on their level, and what they do is kept.
  for first, width in recurrent_cell.levels(cell.base):
    span = slice(first, first + width)
    pairs = zip(cell.combiners, cell.activations, strict=True)
    kept = zip(canonical.combiners, canonical.activations, strict=True)
    assert sorted(list(pairs)[span]) == sorted(list(kept)[span])
  space = recurrent_cell.make_space(cell.base)
  np.testing.assert_array_equal(
    space.canonical(space.encode(cell)), space.encode(canonical)
  )


def test_levels_run_from_leaves_to_root():
  assert recurrent_cell.levels(2) == [(0, 2), (2, 1)]
  assert recurrent_cell.levels(8) == [(0, 8), (8, 4), (12, 2), (14, 1)]


@pytest.mark.parametrize(
  ('name', 'base', 'read_index', 'inject_index'),
  [
    ('paper_example', 2, 1, 0),
    ('nascell', 8, 12, 8),
    ('lstm', 8, 12, 8),
    ('gru', 16, 30, 28),
  ],
)
def test_known_cells(name, base, read_index, inject_index):
  cell = recurrent_cell.KNOWN_CELLS[name]
  assert cell.base == base
  assert (cell.read_index, cell.inject_index) == (read_index, inject_index)
  space = recurrent_cell.make_space(base)
  assert space.decode(space.encode(cell)) == cell


@pytest.mark.parametrize(
  ('name', 'letters'), [('nascell', NASCELL), ('lstm', LSTM)]
)
def test_known_cells_token_by_token(name, letters):
  spelled = [LETTERS[letter] for letter in letters.replace(' ', '')]
  cell = recurrent_cell.KNOWN_CELLS[name]
  assert cell.names == (*spelled, 12, 8)


def test_all_known_cells_are_tested():
  assert set(recurrent_cell.KNOWN_CELLS) == {
    'paper_example',
    'nascell',
    'lstm',
    'gru',
  }


@pytest.mark.parametrize('base', [-2, 0, 1, 3, 6])
def test_a_base_that_is_no_power_of_two_is_refused(base):
  message = f'power of two of at least 2, got {base}'
  with pytest.raises(ValueError, match=message):
    recurrent_cell.make_space(base)
  with pytest.raises(ValueError, match=message):
    recurrent_cell.size_up_to_swaps(base)


@pytest.mark.parametrize(
  ('combiners', 'activations', 'message'),
  [
    (['add', 'sub'], ['tanh'], "Unknown combiner 'sub'; expected one of add"),
    (['add'], ['gelu'], "Unknown activation 'gelu'; expected one of identity"),
    (['add', 'Add'], ['tanh'], "'node_0/combiner' needs distinct values"),
    (['add'], [], "'node_0/activation' needs at least one value"),
  ],
)
def test_bad_operations_of_a_space_are_named(combiners, activations, message):
  with pytest.raises(ValueError, match=message):
    recurrent_cell.make_space(2, combiners, activations)


@pytest.mark.parametrize(
  ('tokens', 'message'),
  [
    ([0] * 9, r'base 2 has 10 tokens, got an array of shape \(9,\)'),
    ([[0] * 10], r'base 2 has 10 tokens, got an array of shape \(1, 10\)'),
    (
      [0, 1, 1, 9, 1, 2, 0, 3, 1, 0],
      "Token 9 is out of range for decision 'node_1/activation', which has 4",
    ),
    (
      [0, 1, 1, 3, 1, 2, 2, 3, 1, 0],
      "Token 2 is out of range for decision 'inject/combiner', which has 2",
    ),
    (
      [0, 1, 1, 3, 1, 2, 0, 3, 3, 0],
      "Token 3 is out of range for decision 'read_index', which has 3",
    ),
    (
      [0, 1, 1, 3, 1, 2, 0, 3, 1, -1],
      "Token -1 is out of range for decision 'inject_index'",
    ),
    (
      [0.5, 1, 1, 3, 1, 2, 0, 3, 1, 0],
      'Tokens must be integers, got float64',
    ),
  ],
)
def test_bad_tokens_are_named(tokens, message):
  with pytest.raises(ValueError, match=message):
    recurrent_cell.make_space(2).decode(np.array(tokens))


def test_cells_outside_a_space_are_refused():
  with pytest.raises(ValueError, match='space of base 4 has no cell of base 2'):
    recurrent_cell.make_space(4).encode(EXAMPLE)
  space = recurrent_cell.make_space(2, ['add', 'max'], ['tanh', 'relu'])
  with pytest.raises(
    ValueError, match="'elem_mult' is not a value of decision 'node_1/combiner'"
  ):
    space.encode(EXAMPLE)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'read_index': 3}, 'read_index must be an integer from 0 to 2'),
    ({'inject_index': -1}, 'inject_index must be an integer from 0 to 2'),
    (
      {'combiners': ('add',) * 5},
      'power of two of at least 2; got 5 combiners',
    ),
    ({'combiners': ()}, 'power of two of at least 2; got 0 combiners'),
    ({'activations': ('tanh',) * 2}, 'needs as many activations, got 2'),
    ({'inject_combiner': 'sub'}, "Unknown combiner 'sub'; expected one of add"),
    ({'inject_activation': 'gelu'}, "Unknown activation 'gelu'"),
    ({'combiners': ('add', 'add', 'Add')}, "Unknown combiner 'Add'"),
    ({'combiners': 'add'}, "combiners .* a tuple or a list, got 'add'"),
    ({'activations': None}, 'activations .* a tuple or a list, got None'),
    ({'inject_combiner': ['add']}, r"Unknown combiner \['add'\]"),
  ],
)
def test_bad_fields_are_named(changes, message):
  with pytest.raises(ValueError, match=message):
    dataclasses.replace(EXAMPLE, **changes)
  with pytest.raises(ValueError, match=message):
    recurrent_cell.RecurrentCell.from_json(EXAMPLE.to_json() | changes)


def test_lists_become_tuples():
  cell = recurrent_cell.RecurrentCell(
    list(EXAMPLE.combiners),
    list(EXAMPLE.activations),
    EXAMPLE.inject_combiner,
    EXAMPLE.inject_activation,
    EXAMPLE.read_index,
    EXAMPLE.inject_index,
  )
  assert cell == EXAMPLE
  assert hash(cell) == hash(EXAMPLE)


@pytest.mark.parametrize('fields', [5, None, 'add', [1, 2], ['combiners']])
def test_json_that_is_no_dict_is_refused(fields):
  with pytest.raises(ValueError, match=r'is a dict with the fields .*; got '):
    recurrent_cell.RecurrentCell.from_json(fields)


def test_wrong_json_fields_are_named():
  fields = EXAMPLE.to_json()
  for wrong in (
    {name: fields[name] for name in fields if name != 'read_index'},
    fields | {'base': 2},
    fields | {7: 2},
  ):
    with pytest.raises(ValueError, match=r'has the fields combiners, .*; got '):
      recurrent_cell.RecurrentCell.from_json(wrong)


@pytest.mark.parametrize(
  ('spelled', 'message'),
  [
    ('add,tanh,add,relu,mul,sigmoid,add,relu,1,0,0', '4L . 2 tokens, .*got 11'),
    ('add,' * 12 + '1,0', 'got 14'),
    ('add,tanh', 'got 2'),
    (ARTICLE.replace('Tanh', 'GELU'), "Unknown activation 'gelu'"),
    (ARTICLE.replace('Add', 'Sub'), "Unknown combiner 'sub'"),
    (
      ARTICLE.replace('1, 0', '5, 0'),
      'read_index must be an integer from 0 to 2',
    ),
    (
      ARTICLE.replace('1, 0', '1, root'),
      "read_index and inject_index; got '1'",
    ),
  ],
)
def test_bad_spellings_are_named(spelled, message):
  with pytest.raises(ValueError, match=message):
    recurrent_cell.parse(spelled)

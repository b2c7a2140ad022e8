# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of the picture and the formulas of a cell."""

import itertools
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from jaxnas.export import exporting
from jaxnas.spaces import recurrent_cell
from jaxnas.visualize import recurrent_cell as pictures

SVG = '{http://www.w3.org/2000/svg}'
EXAMPLE = recurrent_cell.KNOWN_CELLS['paper_example']


def random_cell(base, seed):
  space = recurrent_cell.make_space(
    base,
    recurrent_cell.EXTENDED_COMBINERS,
    recurrent_cell.EXTENDED_ACTIVATIONS,
  )
  generator = np.random.default_rng(seed)
  return space.decode(
    np.array([generator.integers(d.num_choices) for d in space.decisions])
  )


CELLS = [
  *recurrent_cell.KNOWN_CELLS.values(),
  *(
    random_cell(base, seed)
    for base, seed in itertools.product((2, 4, 8, 16, 32), range(4))
  ),
]


def boxes(root):
  """The rectangles but for the background: left, top, right, bottom."""
  _, *rectangles = root.iter(f'{SVG}rect')
  for rectangle in rectangles:
    left, top, width, height = (
      float(rectangle.get(name)) for name in ('x', 'y', 'width', 'height')
    )
    yield left, top, left + width, top + height


def edges(root):
  return {
    (group.get('data-from'), group.get('data-to'))
    for group in root.iter(f'{SVG}g')
    if group.get('data-from') is not None
  }


def text_of(element):
  return ''.join(element.itertext())


@pytest.mark.parametrize('cell', CELLS)
def test_every_node_and_edge_is_drawn(cell):
  root = ElementTree.fromstring(pictures.draw_cell(cell, 'a title'))
  nodes = {
    group.get('data-node'): group
    for group in root.iter(f'{SVG}g')
    if group.get('data-node') is not None
  }
  num_nodes = 2 * cell.base - 1
  assert set(nodes) == {str(node) for node in range(num_nodes)}
  signs = {'add': '+', 'elem_mult': '×', 'max': 'max'}
  names = {'identity': 'id', 'sigmoid': 'σ'}
  for node in range(num_nodes):
    labels = [text.text for text in nodes[str(node)].iter(f'{SVG}text')]
    activation = cell.activations[node]
    assert labels == [
      names.get(activation, activation),
      signs[cell.combiners[node]],
      str(node),
    ]
  assert edges(root) == {
    *(
      (source, str(leaf)) for leaf in range(cell.base) for source in ('x', 'h')
    ),
    *((str(node), str(cell.base + node // 2)) for node in range(num_nodes - 1)),
    (str(num_nodes - 1), 'h_t'),
    ('c', 'inject'),
    (str(cell.read_index), 'c_t'),
  }
  (inject,) = (g for g in root.iter(f'{SVG}g') if g.get('data-inject'))
  assert inject.get('data-inject') == str(cell.inject_index)


@pytest.mark.parametrize('cell', CELLS)
def test_boxes_do_not_overlap_and_lie_inside(cell):
  root = ElementTree.fromstring(pictures.draw_cell(cell))
  _, _, width, height = map(float, root.attrib['viewBox'].split())
  drawn = list(boxes(root))
  assert len(drawn) == 2 * cell.base
  for left, top, right, bottom in drawn:
    assert left >= 0
    assert top >= 0
    assert right <= width
    assert bottom <= height
  for first, second in itertools.combinations(drawn, 2):
    is_apart = (
      first[2] < second[0]
      or second[2] < first[0]
      or first[3] < second[1]
      or second[3] < first[1]
    )
    assert is_apart


def test_formulas_of_the_papers_example():
  assert pictures.to_formula(EXAMPLE).splitlines() == [
    'leaf_0 = tanh(W_0 x + U_0 h)',
    'injected = relu(leaf_0 + c)',
    'new_c = (W_1 x) * (U_1 h)',
    'leaf_1 = relu(new_c)',
    'new_h = sigmoid(injected * leaf_1)',
  ]


def test_formulas_of_nascell():
  lines = pictures.to_formula(
    recurrent_cell.KNOWN_CELLS['nascell']
  ).splitlines()
  assert 'injected = tanh(node_8 + c)' in lines
  assert 'new_c = injected * node_9' in lines
  assert lines[-1].startswith('new_h = ')


def test_formulas_are_those_of_exported_code(tmp_path):
  for seed in range(12):
    cell = random_cell(2, seed)
    exporting.export_architecture(cell, tmp_path / 'cell.py')
    code = (tmp_path / 'cell.py').read_text()
    docstring = code.split('"""')[1]
    told = re.findall(r'(?m)^    (\w+ = .*)$', docstring)
    assert pictures.to_formula(cell).splitlines() == told[:-1]


def test_titles_are_escaped(tmp_path):
  path = tmp_path / 'cell.svg'
  pictures.write_cell(path, EXAMPLE, 'a < b & c')
  root = ElementTree.parse(path).getroot()
  assert root.findtext(f'{SVG}title') == 'a < b & c'
  assert 'leaf_0 = tanh' in text_of(root.find(f'{SVG}desc'))


def test_the_memory_leaves_between_combiner_and_activation():
  for cell in CELLS:
    root = ElementTree.fromstring(pictures.draw_cell(cell))
    groups = list(root.iter(f'{SVG}g'))
    (node,) = (
      group
      for group in groups
      if group.get('data-node') == str(cell.read_index)
    )
    (read,) = (group for group in groups if group.get('data-read'))
    (box,), (dot,) = node.iter(f'{SVG}rect'), read.iter(f'{SVG}circle')
    for start, length, center in (('x', 'width', 'cx'), ('y', 'height', 'cy')):
      middle = float(box.attrib[start]) + float(box.attrib[length]) / 2
      assert float(dot.attrib[center]) == pytest.approx(middle, abs=0.01)


def test_the_legend_names_both_nodes():
  root = ElementTree.fromstring(pictures.draw_cell(EXAMPLE))
  (legend,) = (
    g for g in root.iter(f'{SVG}g') if g.get('data-legend') is not None
  )
  shown = text_of(legend)
  assert 'enters after node 0' in shown
  assert 'leaves node 1 before its activation' in shown

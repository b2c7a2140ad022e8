# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A recurrent cell as a picture and as formulas.

The picture shows the tree of figures 5 and 8 of "Neural Architecture Search
with Reinforcement Learning", Zoph and Le, 2017
(https://arxiv.org/abs/1611.01578), with the same notation for every node: a box
is read from below, first the combiner, then the activation. The memory leaves
from the line between the two.
"""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import os
import pathlib
from xml.sax import saxutils

from jaxnas.spaces import recurrent_cell
from jaxnas.visualize import svg

_COMBINERS = {'add': '+', 'elem_mult': '×', 'max': 'max'}
_ACTIVATIONS = {
  'identity': 'id',
  'tanh': 'tanh',
  'sigmoid': 'σ',
  'relu': 'relu',
  'sin': 'sin',
}

# Lengths are in the picture's own units, pixels at scale 1.
_BOX_WIDTH, _BOX_HEIGHT = 60, 52
_SLOT = 108
_INJECT_GAP = 18
_ARROW = 26
_INPUTS_HEIGHT = 52
_LEGEND_HEIGHT = 48
# The legend's longer line, in the widest of the usual sans-serif fonts.
_MIN_WIDTH = 500

_FILL = '#f3f5f8'
# Okabe and Ito's vermilion and blue, which color-blind readers can distinguish.
_IN, _IN_FILL, _OUT = '#c04f00', '#fff0e3', '#0067a8'


def to_formula(cell: recurrent_cell.RecurrentCell) -> str:
  """Returns the cell as plain text, one equation per line.

  They are those in the docstring of exported code: `x` is the input, `h` and
  `c` are the two states of the previous step, `new_h` and `new_c` those of this
  one; `*` is the elementwise product, and `injected` the output of the node
  where `c` enters.

  Args:
    cell: the cell.
  """
  return '\n'.join(line for node in _equations(cell) for line in node)


def write_cell(
  path: str | os.PathLike[str],
  cell: recurrent_cell.RecurrentCell,
  title: str = '',
) -> None:
  """Writes the picture of `draw_cell` to a file.

  Args:
    path: the file to write; an existing one is replaced.
    cell: the cell.
    title: the title above the cell.

  Raises:
    OSError: the file cannot be written.
  """
  pathlib.Path(path).write_text(draw_cell(cell, title), encoding='utf-8')


def draw_cell(cell: recurrent_cell.RecurrentCell, title: str = '') -> str:
  """Returns a standalone SVG picture of a cell, drawn as given.

  Nodes have the attribute `data-node`, edges `data-from` and `data-to`.
  Hovering over a node shows its equations. There are no ids and no style sheet,
  so several pictures can be on one page.

  Args:
    cell: the cell.
    title: the title above the cell; may be empty.
  """
  title = svg.printable(title)
  layout = _place(cell, title)
  return svg.sheet(
    layout.width,
    layout.height,
    title,
    f'Recurrent cell of base {cell.base}',
    to_formula(cell),
    [
      *_draw_edges(cell, layout),
      *_draw_nodes(cell, layout),
      *_draw_injection(cell, layout),
      *_draw_memory(cell, layout),
      *_draw_legend(cell, layout),
    ],
  )


def _equations(cell: recurrent_cell.RecurrentCell) -> Iterator[list[str]]:
  """Yields the equations of every node, including the injection."""
  outputs: list[str] = []
  root = 2 * cell.base - 2
  for node in range(root + 1):
    if node < cell.base:
      inputs = [f'W_{node} x', f'U_{node} h']
    else:
      first = 2 * (node - cell.base)
      inputs = [outputs[first], outputs[first + 1]]
    value = _combine(cell.combiners[node], *inputs)
    name = f'{"leaf" if node < cell.base else "node"}_{node}'
    is_injected = node == cell.inject_index
    if node == root and not is_injected:
      name = 'new_h'
    lines = []
    if node == cell.read_index:
      lines.append(f'new_c = {value}')
      value = 'new_c'
    activated = _activate(cell.activations[node], value)
    if activated == 'new_c' and name != 'new_h':
      name = 'new_c'
    else:
      lines.append(f'{name} = {activated}')
    if is_injected:
      value = _combine(cell.inject_combiner, name, 'c')
      name = 'new_h' if node == root else 'injected'
      lines.append(f'{name} = {_activate(cell.inject_activation, value)}')
    outputs.append(name)
    yield lines


def _combine(combiner: str, left: str, right: str) -> str:
  if combiner == 'add':
    return f'{left} + {right}'
  if combiner == 'max':
    return f'max({left}, {right})'
  left, right = (f'({v})' if ' ' in v else v for v in (left, right))
  return f'{left} * {right}'


def _activate(activation: str, value: str) -> str:
  return value if activation == 'identity' else f'{activation}({value})'


@dataclasses.dataclass(frozen=True)
class _Layout:
  """The layout of the picture: `x` to the right, `y` down, boxes by center.

  Attributes:
    x: the `x` of every node; the injection has that of its node.
    y: the `y` of every node.
    exit_y: the `y` at which each node's edge may turn towards the parent: above
      its own box and, in the injection's level, above the injection's box.
    inject_y: the `y` of the injection's box.
    width: the width of the picture.
    height: the height of the picture.
  """

  x: tuple[float, ...]
  y: tuple[float, ...]
  exit_y: tuple[float, ...]
  inject_y: float
  width: float
  height: float


def _place(cell: recurrent_cell.RecurrentCell, title: str) -> _Layout:
  width = max(
    cell.base * _SLOT + 2 * svg.MARGIN,
    _MIN_WIDTH,
    10 * len(title) + 2 * svg.MARGIN,
  )
  left = (width - cell.base * _SLOT) / 2
  x = [left + (leaf + 0.5) * _SLOT for leaf in range(cell.base)]
  y: list[float] = []
  exit_y: list[float] = []
  inject_y = 0.0
  # Upwards from the bottom of the leaves, which is initially at zero.
  edge = 0.0
  levels = recurrent_cell.levels(cell.base)
  for level, (first, count) in enumerate(levels):
    if level:
      children = x[-2 * count :]
      x += [sum(children[2 * k : 2 * k + 2]) / 2 for k in range(count)]
      edge -= 26 + 14 * level
    y += [edge - _BOX_HEIGHT / 2] * count
    edge -= _BOX_HEIGHT
    if first <= cell.inject_index < first + count:
      inject_y = edge - _INJECT_GAP - _BOX_HEIGHT / 2
      edge = inject_y - _BOX_HEIGHT / 2
    exit_y += [edge] * count
  top = edge - _ARROW - 26 - (30 if title else 0) - svg.MARGIN / 2
  return _Layout(
    tuple(x),
    tuple(value - top for value in y),
    tuple(value - top for value in exit_y),
    inject_y - top,
    width,
    _INPUTS_HEIGHT + _LEGEND_HEIGHT + svg.MARGIN - top,
  )


def _draw_edges(
  cell: recurrent_cell.RecurrentCell, layout: _Layout
) -> Iterator[str]:
  half = _BOX_HEIGHT / 2
  root = 2 * cell.base - 2
  for leaf in range(cell.base):
    x, bottom = layout.x[leaf], layout.y[leaf] + half
    for side, source, weight in ((-1, 'x', 'W'), (1, 'h', 'U')):
      at = x + 16 * side
      yield _edge(
        f'M{at:g} {bottom + 30:g}V{bottom + 6:g}', at, bottom, source, leaf
      )
      anchor = 'end' if side < 0 else 'start'
      label = _subscript(weight, str(leaf), 10)
      yield svg.text(
        at + 4 * side, bottom + 21, label, 10, color=svg.MUTED, anchor=anchor
      )
      time = 't' if source == 'x' else 't−1'
      label = _subscript(source, time, 14)
      yield svg.text(at + (side > 0) * 4, bottom + 44, label, 14)
  for node in range(root):
    parent = cell.base + node // 2
    x, top, turn = layout.x[node], layout.y[node] - half, layout.exit_y[node]
    tip = layout.x[parent] + (12 if node % 2 else -12)
    bottom = layout.y[parent] + half
    middle = (turn + bottom) / 2
    path = (
      f'M{x:g} {top:g}V{turn:g}'
      f'C{x:g} {middle:g} {tip:g} {middle:g} {tip:g} {bottom + 6:g}'
    )
    yield _edge(path, tip, bottom, node, parent)
  x, top = layout.x[root], layout.exit_y[root] - _ARROW
  path = f'M{x:g} {layout.y[root] - half:g}V{top + 6:g}'
  yield _edge(path, x, top, root, 'h_t')
  yield svg.text(x, top - 8, _subscript('h', 't', 16), 16, weight='bold')


def _draw_nodes(
  cell: recurrent_cell.RecurrentCell, layout: _Layout
) -> Iterator[str]:
  for node, equations in enumerate(_equations(cell)):
    x, y = layout.x[node], layout.y[node]
    corner = x - _BOX_WIDTH / 2, y - _BOX_HEIGHT / 2
    yield f'<g data-node="{node}">'
    yield f'<title>{saxutils.escape("; ".join(equations))}</title>'
    yield from _box(x, y, cell.combiners[node], cell.activations[node])
    yield (
      f'<circle cx="{corner[0]:g}" cy="{corner[1]:g}" r="9.5" '
      f'fill="#ffffff" stroke="{svg.MUTED}"/>'
    )
    yield svg.text(corner[0], corner[1] + 3.7, str(node), 10.5)
    yield '</g>'


def _draw_injection(
  cell: recurrent_cell.RecurrentCell, layout: _Layout
) -> Iterator[str]:
  x, y = layout.x[cell.inject_index], layout.inject_y
  yield f'<g data-inject="{cell.inject_index}">'
  yield from _box(
    x, y, cell.inject_combiner, cell.inject_activation, _IN, _IN_FILL
  )
  x, y = x - _BOX_WIDTH / 2, y + _BOX_HEIGHT / 4
  yield _side_edge(x - 20, x, y, 'c', 'inject', _IN)
  label = _subscript('c', 't−1', 15)
  yield svg.text(x - 23, y + 4, label, 15, _IN, 'bold', 'end')
  yield '</g>'


def _draw_memory(
  cell: recurrent_cell.RecurrentCell, layout: _Layout
) -> Iterator[str]:
  x, y = layout.x[cell.read_index], layout.y[cell.read_index]
  tip = x + _BOX_WIDTH / 2 + 18
  yield f'<g data-read="{cell.read_index}">'
  yield f'<circle cx="{x:g}" cy="{y:g}" r="3.2" fill="{_OUT}"/>'
  yield _side_edge(x, tip, y, cell.read_index, 'c_t', _OUT)
  label = _subscript('c', 't', 15)
  yield svg.text(tip + 3, y + 4, label, 15, _OUT, 'bold', 'start')
  yield '</g>'


def _draw_legend(
  cell: recurrent_cell.RecurrentCell, layout: _Layout
) -> Iterator[str]:
  middle, y = layout.width / 2, layout.height - svg.MARGIN - 20
  enters = f'enters after node {cell.inject_index}'
  leaves = f'leaves node {cell.read_index} before its activation'
  boxes = (
    'each box: combiner below, then activation above; σ sigmoid, id identity'
  )
  yield '<g data-legend="">'
  enters = _subscript('c', 't−1', 11, enters)
  yield svg.text(middle - 32, y, enters, 11, _IN, anchor='end')
  leaves = _subscript('c', 't', 11, leaves)
  yield svg.text(middle - 8, y, leaves, 11, _OUT, anchor='start')
  yield svg.text(middle, y + 20, boxes, 11, svg.MUTED)
  yield '</g>'


def _box(
  x: float,
  y: float,
  combiner: str,
  activation: str,
  color: str = svg.INK,
  fill: str = _FILL,
) -> Iterator[str]:
  left, top = x - _BOX_WIDTH / 2, y - _BOX_HEIGHT / 2
  yield (
    f'<rect x="{left:g}" y="{top:g}" width="{_BOX_WIDTH}" '
    f'height="{_BOX_HEIGHT}" rx="9" fill="{fill}" stroke="{color}" '
    'stroke-width="1.4"/>'
  )
  yield (
    f'<path d="M{left:g} {y:g}h{_BOX_WIDTH}" stroke="{color}" '
    'stroke-opacity="0.35"/>'
  )
  sign = _COMBINERS[combiner]
  size = 14 if sign.isalpha() else 20
  yield svg.text(x, y - 8.5, _ACTIVATIONS[activation], 14)
  yield svg.text(x, y + (18 if sign.isalpha() else 21), sign, size)


def _edge(
  path: str, x: float, y: float, source: int | str, target: int | str
) -> str:
  """Returns a line whose arrow points up to `(x, y)`."""
  return (
    f'<g data-from="{source}" data-to="{target}">'
    f'<path d="{path}" fill="none" stroke="{svg.MUTED}" stroke-width="1.5"/>'
    f'<path d="M{x:g} {y:g}l-4 8h8z" fill="{svg.MUTED}"/></g>'
  )


def _side_edge(
  start: float,
  end: float,
  y: float,
  source: int | str,
  target: int | str,
  color: str,
) -> str:
  """Returns a horizontal line whose arrow points right to `(end, y)`."""
  return (
    f'<g data-from="{source}" data-to="{target}">'
    f'<path d="M{start:g} {y:g}H{end - 6:g}" stroke="{color}" '
    'stroke-width="1.8"/>'
    f'<path d="M{end:g} {y:g}l-8 -4v8z" fill="{color}"/></g>'
  )


def _subscript(letter: str, index: str, size: float, after: str = '') -> str:
  """Returns a letter with a subscript, followed by text on the baseline."""
  drop = round(0.22 * size, 1)
  return (
    f'<tspan font-style="italic">{letter}</tspan>'
    f'<tspan dy="{drop}" font-size="{0.72 * size:.1f}">{index}</tspan>'
  ) + (f'<tspan dx="3" dy="-{drop}">{after}</tspan>' if after else '')

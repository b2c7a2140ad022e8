# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A convolutional network as a picture and as lines of text.

The picture is read from below, like figure 7 of "Neural Architecture Search
with Reinforcement Learning", Zoph and Le, 2017
(https://arxiv.org/abs/1611.01578): the image, one box per layer, the
classifier. A line to the next box goes straight up; any other line passes the
boxes in between on one side. Every line has its own path, so lines may cross
but never overlap, and has the color of the box that it leaves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import dataclasses
import os
import pathlib

from jaxnas.spaces import conv_net
from jaxnas.visualize import lanes, svg

# Boxes are numbered like layers; the image comes before the first.
_IMAGE = -1

# Lengths are in the picture's own units, pixels at scale 1.
_BOX_WIDTH, _BOX_HEIGHT = 156, 48
_STRIDE_HEIGHT = 14
_CHIP = 34
_GLYPH = 28
_GAP, _POOL_GAP = 24, 46
_BAND = 14
_PORT_GAP, _PORT_MARGIN = 6, 10
_FIRST_LANE, _LANE_GAP, _MIN_LANE_GAP = 28, 8, 4
# Beyond this width lanes move closer together, to keep the picture legible.
_LANES_WIDTH = 320
_RADIUS = 40
_LEGEND_LINE = 18
_POOL_LABEL = 100
# The legend's longest line, in the widest of the usual sans-serif fonts.
_MIN_WIDTH = 420

_FILL, _POOL = '#f7f8fa', '#e3e8ee'
# Close to Okabe and Ito's colors, which color-blind readers can distinguish,
# and dark enough for thin lines.
_COLORS = ('#0067a8', '#c04f00', '#00805c', '#a5548a', '#3d9dd4', '#b88600')


def to_text(net: conv_net.ConvNet) -> str:
  """Returns the network as plain text, one line per layer.

  Args:
    net: the network.
  """
  lines = []
  for number in range(len(net.layers)):
    lines.append(f'layer {number}: {_describe(net, number)}')
    if number in net.pool_after:
      lines.append('everything so far: 2 x 2 max pool')
  return '\n'.join([*lines, f'classifier: {_reads(net.outputs)}'])


def write_net(
  path: str | os.PathLike[str], net: conv_net.ConvNet, title: str = ''
) -> None:
  """Writes the picture of `draw_net` to a file.

  Args:
    path: the file to write; an existing one is replaced.
    net: the network.
    title: the title above the network.

  Raises:
    OSError: the file cannot be written.
  """
  pathlib.Path(path).write_text(draw_net(net, title), encoding='utf-8')


def draw_net(net: conv_net.ConvNet, title: str = '') -> str:
  """Returns a standalone SVG picture of a network.

  Layers have the attribute `data-layer`, lines `data-from` and `data-to`, and
  poolings `data-pool`. Hovering over a layer shows its inputs. There are no ids
  and no style sheet, so several pictures can be on one page.

  Args:
    net: the network.
    title: the title above the network; may be empty.
  """
  title = svg.printable(title)
  lines = lanes.route(
    (source, target)
    for target, sources in enumerate(_sources(net))
    for source in sources
  )
  legend = _legend(net)
  layout = _place(net, lines, title, len(legend))
  parts = [*_draw_pools(net, layout)]
  # Long lines are drawn first, since short ones are harder to follow.
  for line in sorted(lines, key=lambda line: line.source - line.target):
    parts.append(_draw_line(net, line, layout))
  parts += _draw_boxes(net, layout)
  for row, content in enumerate(reversed(legend)):
    y = layout.height - svg.MARGIN - _LEGEND_LINE * row
    parts.append(svg.text(layout.width / 2, y, content, 11, svg.MUTED))
  return svg.sheet(
    layout.width,
    layout.height,
    title,
    f'Convolutional network of {len(net.layers)} layers',
    to_text(net),
    parts,
  )


def _describe(net: conv_net.ConvNet, number: int) -> str:
  layer = net.layers[number]
  parts = [f'{layer.height} x {layer.width}', f'{layer.filters} filters']
  if (layer.stride_height, layer.stride_width) != (1, 1):
    parts.append(f'stride {layer.stride_height} x {layer.stride_width}')
  return ', '.join([*parts, _reads(layer.inputs)])


def _reads(sources: Sequence[int]) -> str:
  if not sources:
    return 'reads the image'
  plural = 's' if len(sources) > 1 else ''
  return f'reads layer{plural} {", ".join(map(str, sources))}'


def _legend(net: conv_net.ConvNet) -> list[str]:
  legend = [
    'read from below; a line has the color of the box that it leaves',
    'filter height × width, number of filters',
  ]
  if any(len(sources) > 1 for sources in _sources(net)):
    joined = 'concatenated' if net.merge == 'concat' else 'added'
    legend[1] += f'; inputs of a box are {joined}'
  if net.pool_after:
    legend.append('all that passes a gray band is max pooled')
  return legend


def _sources(net: conv_net.ConvNet) -> list[tuple[int, ...]]:
  """Returns the boxes that every layer, and then the classifier, reads."""
  targets = (*(layer.inputs for layer in net.layers), net.outputs)
  return [sources or (_IMAGE,) for sources in targets]


@dataclasses.dataclass(frozen=True)
class _Column:
  """The positions of boxes and of the ends of lines, with `y` down.

  Attributes:
    tops: the top of every box, from the image to the classifier.
    bottoms: the bottom of every box.
    exits: the point where each line leaves the side of its source.
    entries: the point where each line enters the side of its target.
  """

  tops: dict[int, float]
  bottoms: dict[int, float]
  exits: dict[lanes.Line, float]
  entries: dict[lanes.Line, float]


def _stack(
  net: conv_net.ConvNet, lines: Sequence[lanes.Line], top: float
) -> _Column:
  """Stacks the boxes, each as high as its text and its lines need."""
  column = _Column({}, {}, {}, {})
  for box in range(len(net.layers), _IMAGE - 1, -1):
    top += _POOL_GAP if box in net.pool_after else _GAP
    sides = [lanes.ports(lines, box, side) for side in (1, -1)]
    most = max(map(len, sides))
    height = max(
      _text_height(net, box), 2 * _PORT_MARGIN + _PORT_GAP * (most - 1)
    )
    column.tops[box], column.bottoms[box] = top, top + height
    for ports in sides:
      # A single line is in the middle.
      margin = _PORT_MARGIN if len(ports) > 1 else height / 2
      step = (height - 2 * margin) / max(len(ports) - 1, 1)
      for number, line in enumerate(ports):
        place = column.entries if line.target == box else column.exits
        place[line] = top + height - margin - step * number
    top += height
  return column


@dataclasses.dataclass(frozen=True)
class _Layout:
  """The layout of the picture, with `x` to the right and `y` down.

  Attributes:
    x: the middle of every box.
    column: the boxes and the ends of lines.
    lane_gap: the distance between lanes.
    band: the left and right end of the bands that represent pooling.
    width: the width of the picture.
    height: the height of the picture.
  """

  x: float
  column: _Column
  lane_gap: float
  band: tuple[float, float]
  width: float
  height: float


def _place(
  net: conv_net.ConvNet,
  lines: Sequence[lanes.Line],
  title: str,
  num_legend: int,
) -> _Layout:
  counts = [lanes.num_lanes(lines, side) for side in (-1, 1)]
  gap = max(_LANES_WIDTH / max(*counts, 1), _MIN_LANE_GAP)
  gap = min(gap, _LANE_GAP)
  left, right = (
    _BOX_WIDTH / 2 + (_FIRST_LANE + gap * count if count else svg.MARGIN)
    for count in counts
  )
  content = left + right + (_POOL_LABEL if net.pool_after else 0)
  width = max(content, _MIN_WIDTH, 10 * len(title)) + 2 * svg.MARGIN
  start = (width - content) / 2
  column = _stack(net, lines, svg.MARGIN + (12 if title else -_GAP))
  legend = _LEGEND_LINE * num_legend + 12 + svg.MARGIN
  return _Layout(
    x=start + left,
    column=column,
    lane_gap=gap,
    band=(start, start + left + right),
    width=width,
    height=column.bottoms[_IMAGE] + legend,
  )


def _text_height(net: conv_net.ConvNet, box: int) -> float:
  if not 0 <= box < len(net.layers):
    return _BOX_HEIGHT if box > 0 else 34
  layer = net.layers[box]
  has_stride = (layer.stride_height, layer.stride_width) != (1, 1)
  return _BOX_HEIGHT + _STRIDE_HEIGHT * has_stride


def _draw_line(net: conv_net.ConvNet, line: lanes.Line, layout: _Layout) -> str:
  color = _color(line.source)
  names = {_IMAGE: 'image', len(net.layers): 'classifier'}
  source, target = (
    names.get(box, str(box)) for box in (line.source, line.target)
  )
  if not line.side:
    x, y = layout.x, layout.column.bottoms[line.target]
    path = f'M{x:g} {layout.column.tops[line.source]:g}V{y + 6:g}'
    arrow = f'M{x:g} {y:g}l-4 8h8z'
  else:
    start, y = layout.column.exits[line], layout.column.entries[line]
    x = layout.x + line.side * _BOX_WIDTH / 2
    reach = _FIRST_LANE + line.lane * layout.lane_gap
    radius = min(_RADIUS, reach - 10, (start - y) / 2)
    lane, turn = x + line.side * reach, x + line.side * (reach - radius)
    arc = f'A{radius:g} {radius:g} 0 0 {int(line.side < 0)}'
    path = (
      f'M{x:g} {start:g}H{turn:g}{arc} {lane:g} {start - radius:g}'
      f'V{y + radius:g}{arc} {turn:g} {y:g}H{x + 6 * line.side:g}'
    )
    arrow = f'M{x:g} {y:g}l{8 * line.side} -3v6z'
  # A white rim shows which line passes over which, if there is room for one.
  rim = 0.4 * layout.lane_gap
  return (
    f'<g data-from="{source}" data-to="{target}" fill="none">'
    f'<path d="{path}" stroke="#ffffff" stroke-width="{rim:g}"/>'
    f'<path d="{path}" stroke="{color}" stroke-width="1.5"/>'
    f'<path d="{arrow}" fill="{color}"/></g>'
  )


def _draw_pools(net: conv_net.ConvNet, layout: _Layout) -> Iterator[str]:
  left, right = layout.band
  for number in net.pool_after:
    y = (layout.column.tops[number] + layout.column.bottoms[number + 1]) / 2
    yield f'<g data-pool="{number}">'
    yield (
      f'<rect x="{left:g}" y="{y - _BAND / 2:g}" width="{right - left:g}" '
      f'height="{_BAND}" fill="{_POOL}"/>'
    )
    yield svg.text(
      right + 8, y + 4, '2 × 2 max pool', 11, svg.MUTED, anchor='start'
    )
    yield '</g>'


def _draw_boxes(net: conv_net.ConvNet, layout: _Layout) -> Iterator[str]:
  yield from _draw_end(_IMAGE, ['image'], layout)
  for number in range(len(net.layers)):
    yield from _draw_layer(net, number, layout)
  yield from _draw_end(
    len(net.layers), ['global average pool', 'linear classifier'], layout
  )


def _draw_end(
  box: int, content: Sequence[str], layout: _Layout
) -> Iterator[str]:
  top, bottom = layout.column.tops[box], layout.column.bottoms[box]
  y = (top + bottom) / 2 + 4.5 - 8 * (len(content) - 1)
  yield _box(layout.x, top, bottom, svg.MUTED)
  for row, words in enumerate(content):
    yield svg.text(layout.x, y + 16 * row, words, 12)


def _draw_layer(
  net: conv_net.ConvNet, number: int, layout: _Layout
) -> Iterator[str]:
  layer = net.layers[number]
  color = _color(number)
  top, bottom = layout.column.tops[number], layout.column.bottoms[number]
  left, y = layout.x - _BOX_WIDTH / 2, (top + bottom) / 2
  yield f'<g data-layer="{number}">'
  yield f'<title>layer {number}: {_describe(net, number)}</title>'
  yield _box(layout.x, top, bottom, color)
  yield (
    f'<path d="M{left + _CHIP:g} {top:g}h{9 - _CHIP}a9 9 0 0 0 -9 9'
    f'V{bottom - 9:g}a9 9 0 0 0 9 9h{_CHIP - 9}z" fill="{color}"/>'
  )
  middle = left + _CHIP / 2
  yield svg.text(middle, y + 5, str(number), 14, '#ffffff', 'bold')
  # The filter is drawn in proportion to the largest of the network.
  unit = _GLYPH / max(max(other.height, other.width) for other in net.layers)
  width, height = unit * layer.width, unit * layer.height
  x = left + _CHIP + 8 + _GLYPH / 2
  yield (
    f'<rect x="{x - width / 2:g}" y="{y - height / 2:g}" width="{width:g}" '
    f'height="{height:g}" fill="{color}" fill-opacity="0.22" '
    f'stroke="{color}"/>'
  )
  x += _GLYPH / 2 + 9
  rows = [f'{layer.filters} filters']
  if (layer.stride_height, layer.stride_width) != (1, 1):
    rows.append(f'stride {layer.stride_height} × {layer.stride_width}')
  y -= 3 + 7 * (len(rows) - 1)
  size = f'{layer.height} × {layer.width}'
  yield svg.text(x, y, size, 14, weight='bold', anchor='start')
  for row, content in enumerate(rows):
    yield svg.text(x, y + 16 + 14 * row, content, 11, anchor='start')
  yield '</g>'


def _color(box: int) -> str:
  return svg.MUTED if box == _IMAGE else _COLORS[box % len(_COLORS)]


def _box(x: float, top: float, bottom: float, color: str) -> str:
  return (
    f'<rect x="{x - _BOX_WIDTH / 2:g}" y="{top:g}" width="{_BOX_WIDTH}" '
    f'height="{bottom - top:g}" rx="9" fill="{_FILL}" stroke="{color}" '
    'stroke-width="1.4"/>'
  )

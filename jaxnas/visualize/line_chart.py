# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A chart of curves with intervals, for a web page of any width.

Curves are SVG that is stretched to the page; labels are HTML, so that letters
stay as large as they are on a telephone. A script on the page may show the
values at the pointer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import dataclasses
import math
from typing import Any

import numpy as np

from jaxnas.visualize import markup

MAX_POINTS = 240
"""More points than this of one curve are thinned."""

_SIZE = 1000
_NUM_COLORS = 6
_MAX_PARTS = 32
_DASHES = ('', '7 4', '2 3', '9 3 2 3', '14 4', '1 5')


@dataclasses.dataclass(frozen=True)
class Curve:
  """A curve.

  Attributes:
    name: the curve's name in the legend.
    color: the number of the curve's color and dashes.
    x: where its points are, ascending, `[P]`.
    y: the values, `[P]`; NaN where there is none.
    low: the lower ends of the intervals, `[P]`; NaN where there is none.
    high: the upper ends.
    parts: further curves, `[P]` each, that this one is the mean of.
    is_stepped: whether a value holds until the next point.
  """

  name: str
  color: int
  x: np.ndarray
  y: np.ndarray
  low: np.ndarray
  high: np.ndarray
  parts: Sequence[np.ndarray] = ()
  is_stepped: bool = False

  @property
  def has_interval(self) -> bool:
    """Whether any point has an interval."""
    return bool(np.isfinite(self.low).any())

  def thinned(self) -> Curve:
    """Returns the curve with at most `MAX_POINTS` points, with both ends."""
    if len(self.x) <= MAX_POINTS:
      return self
    kept = np.unique(np.linspace(0, len(self.x) - 1, MAX_POINTS).astype(int))
    return dataclasses.replace(
      self,
      parts=[part[kept] for part in self.parts],
      **{name: getattr(self, name)[kept] for name in ('x', 'y', 'low', 'high')},
    )


@dataclasses.dataclass(frozen=True)
class Chart:
  """Curves over one axis.

  Attributes:
    title: what the chart shows.
    x_label: the name of the axis to the right.
    y_label: the name of the axis upwards.
    curves: the curves.
    note: what the intervals are, or why there are none.
    spell: spells a value of the axis upwards.
  """

  title: str
  x_label: str
  y_label: str
  curves: Sequence[Curve]
  note: str
  spell: Callable[[float], str] = '{:.4g}'.format


def draw(chart: Chart, number: int) -> str:
  """Returns a chart as HTML.

  Args:
    chart: the chart; one without a finite value becomes a sentence.
    number: the position of the chart's data among those of the page.
  """
  curves = [each.thinned() for each in chart.curves]
  curves = [each for each in curves if np.isfinite(each.y).any()]
  if not curves:
    return markup.paragraphs([f'{chart.title}: nothing was measured.'], 'note')
  left = min(float(each.x[0]) for each in curves)
  right = max(float(each.x[-1]) for each in curves)
  if left == right:
    # A single point stands in the middle; only its own place has a number.
    left, right = left - 0.5, right + 0.5
  frame = _Frame(left, right, *_limits(curves))
  parts = []
  for value in ticks(frame.bottom, frame.top):
    y = frame.y(value)
    parts.append(f'<path class="grid" d="M0 {y:.1f}H{_SIZE}"/>')
  parts += [_draw_band(each, frame) for each in curves if each.has_interval]
  parts += [_draw_curve(each, frame) for each in curves]
  return _figure(chart, curves, frame, parts, number)


def _figure(chart, curves, frame, parts, number: int) -> str:
  values = ticks(frame.bottom, frame.top)
  spelled = list(map(chart.spell, values))
  if len(set(spelled)) < len(values):
    spelled = [f'{each:.7g}' for each in values]
  y_ticks = ''.join(
    f'<span style="top:{frame.y(each) / 10:.2f}%">{markup.escape(text)}</span>'
    for each, text in zip(values, spelled, strict=True)
  )
  x_ticks = ''.join(
    f'<span style="left:{frame.x(each) / 10:.2f}%">{each:,.0f}</span>'
    for each in ticks(frame.left, frame.right, whole=True)
  )
  legend = ''.join(
    f'<li><svg class="key c{_color(each)}" viewBox="0 0 28 8" '
    f'aria-hidden="true"><path class="line" d="M0 4H28"{_dashes(each)}/></svg>'
    f'{markup.escape(each.name)}</li>'
    for each in curves
  )
  note = f'<p class="note">{markup.escape(chart.note)}</p>'
  return (
    f'<figure class="chart" data-chart="{number}">'
    f'<figcaption>{markup.escape(chart.title)}</figcaption>'
    f'<p class="axis">{markup.escape(chart.y_label)}</p>'
    f'<div class="plot"><div class="y-ticks">{y_ticks}</div>'
    f'<div class="canvas"><svg viewBox="0 0 {_SIZE} {_SIZE}" '
    f'preserveAspectRatio="none" role="img" '
    f'aria-label="{markup.escape(_describe(chart, curves))}">'
    f'{"".join(parts)}</svg></div>'
    f'<div class="x-ticks">{x_ticks}</div></div>'
    f'<p class="axis right">{markup.escape(chart.x_label)}</p>'
    f'<ul class="legend">{legend}</ul>{note}</figure>'
  )


def _describe(chart: Chart, curves: Sequence[Curve]) -> str:
  """Returns a chart in words, for those who cannot see it."""
  ends = []
  for each in curves:
    values = each.y[np.isfinite(each.y)]
    first, last = (chart.spell(float(values[place])) for place in (0, -1))
    ends.append(f'{each.name} from {first} to {last}')
  return f'{chart.title}: {"; ".join(ends)}.'


def to_json(chart: Chart) -> dict[str, Any]:
  """Returns what a script needs to show a chart's values at the pointer."""
  curves = [each.thinned() for each in chart.curves]
  return {
    'x_label': chart.x_label,
    'curves': [
      {
        'name': each.name,
        'color': _color(each),
        'x': each.x,
        'y': _spell_all(chart, each.y),
        **(
          {
            'low': _spell_all(chart, each.low),
            'high': _spell_all(chart, each.high),
          }
          if each.has_interval
          else {}
        ),
      }
      for each in curves
      if np.isfinite(each.y).any()
    ],
  }


def _spell_all(chart: Chart, values: np.ndarray) -> list[str | None]:
  return [
    chart.spell(each) if math.isfinite(each) else None
    for each in map(float, values)
  ]


def ticks(low: float, high: float, whole: bool = False) -> list[float]:
  """Returns about five round numbers between two others.

  Args:
    low: the lower end.
    high: the upper end, above the lower one.
    whole: whether only whole numbers will do.
  """
  raw = (high - low) / 5
  power = 10.0 ** math.floor(math.log10(raw))
  step = next(
    power * each for each in (1, 2, 5, 10) if power * each >= raw * 0.999
  )
  if whole:
    step = max(1.0, step)
  first = math.ceil(low / step - 1e-9)
  count = math.floor(high / step + 1e-9) - first + 1
  # The sum keeps a negative zero away.
  return [(first + number) * step + 0.0 for number in range(count)]


@dataclasses.dataclass(frozen=True)
class _Frame:
  """The ends of both axes, and where values are between them."""

  left: float
  right: float
  bottom: float
  top: float

  def x(self, value: float) -> float:
    return _SIZE * (value - self.left) / (self.right - self.left)

  def y(self, value: float) -> float:
    place = _SIZE * (self.top - value) / (self.top - self.bottom)
    # Far outside is as good as outside, and shorter.
    return min(max(place, -_SIZE), 2 * _SIZE)


def _limits(curves: Sequence[Curve]) -> tuple[float, float]:
  """Returns the ends of the axis upwards.

  The first tenth of a curve, and intervals that are much wider than most of
  them, would press the rest together, so they may be cut.
  """
  shown, lows, highs = [], [], []
  for curve in curves:
    start = len(curve.x) // 10
    for values in (curve.y, *curve.parts):
      late = values[start:]
      shown.append(late[np.isfinite(late)])
    finite = np.isfinite(curve.low) & np.isfinite(curve.high)
    finite[:start] = False
    lows.append(curve.low[finite])
    highs.append(curve.high[finite])
  values = np.concatenate(shown)
  if not len(values):
    values = np.concatenate([each.y[np.isfinite(each.y)] for each in curves])
  low, high = float(values.min()), float(values.max())
  bottoms, tops = np.concatenate(lows), np.concatenate(highs)
  if len(tops):
    room = max(0.3 * (high - low), float(np.median(tops - bottoms)) / 2)
    low = min(low, max(float(bottoms.min()), low - room))
    high = max(high, min(float(tops.max()), high + room))
  margin = 0.06 * (high - low) or 0.06 * abs(high) or 1.0
  return low - margin, high + margin


def _draw_band(curve: Curve, frame: _Frame) -> str:
  """Returns the interval of a curve as an area."""
  finite = np.isfinite(curve.low) & np.isfinite(curve.high)
  x = curve.x[finite]
  edges = []
  for values in (curve.high[finite], curve.low[finite]):
    points = list(zip(x.tolist(), values.tolist(), strict=True))
    if curve.is_stepped:
      points = _stepped(points)
    edges.append(points)
  around = [*edges[0], *reversed(edges[1])]
  path = 'L'.join(f'{frame.x(x):.1f} {frame.y(y):.1f}' for x, y in around)
  return f'<path class="band c{_color(curve)}" d="M{path}Z"/>'


def _draw_curve(curve: Curve, frame: _Frame) -> str:
  parts = curve.parts[:_MAX_PARTS]
  lines = [('part', part) for part in parts] + [('line', curve.y)]
  return ''.join(
    f'<path class="{kind} c{_color(curve)}" d="{_path(curve, values, frame)}"'
    f'{_dashes(curve) if kind == "line" else ""}/>'
    for kind, values in lines
  )


def _path(curve: Curve, values: np.ndarray, frame: _Frame) -> str:
  finite = np.isfinite(values)
  x, y = curve.x[finite].tolist(), values[finite].tolist()
  points = list(zip(x, y, strict=True))
  if curve.is_stepped:
    points = _stepped(points)
  if len(points) == 1:
    # A line to its own start is drawn as a dot by round ends.
    points *= 2
  return 'M' + 'L'.join(f'{frame.x(x):.1f} {frame.y(y):.1f}' for x, y in points)


def _stepped(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
  """Returns points with the corners of steps; those on a level are left out."""
  kept = points[:1]
  for x, y in points[1:]:
    if y != kept[-1][1]:
      kept += [(x, kept[-1][1]), (x, y)]
  if points and kept[-1][0] != points[-1][0]:
    kept.append(points[-1])
  return kept


def _color(curve: Curve) -> int:
  return curve.color % _NUM_COLORS


def _dashes(curve: Curve) -> str:
  dashes = _DASHES[curve.color % len(_DASHES)]
  return f' stroke-dasharray="{dashes}"' if dashes else ''

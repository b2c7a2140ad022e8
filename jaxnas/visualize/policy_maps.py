# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""How a policy changed: how likely each value of each decision was, over time.

A strategy with a policy of its own has the policy's probabilities recorded with
its rounds. Of others, and in logs of older versions, there are the proposals:
their frequencies in consecutive windows of a search.

Letters: `W` windows, `K` values of a decision.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
import itertools
import math

import numpy as np

from jaxnas.records import round_log, trial_log
from jaxnas.records import summary as summary_lib
from jaxnas.visualize import markup

MAX_WINDOWS = 16
"""The largest number of windows of a search."""

MAX_MAPS = 150
"""Decisions after so many have no map."""

# Fewer trials say little of a probability.
_MIN_TRIALS = 8
_MIN_POOLED = 24
_MAX_ROWS = 10
_NUM_GROUPS = 8
_NUM_SHADES = 10
_ROW = 10


def windows(num_trials: int, num_searches: int) -> list[tuple[int, int]]:
  """Returns the first and the last trial, exclusive, of each window.

  Args:
    num_trials: the trials of one search.
    num_searches: the searches whose trials are counted together, at least 1.
  """
  needed = _MIN_TRIALS if num_searches < 2 else _MIN_POOLED
  least = -(-needed // num_searches)
  count = max(1, min(MAX_WINDOWS, num_trials // least))
  edges = np.linspace(0, num_trials, count + 1).round().astype(int).tolist()
  return list(itertools.pairwise(edges))


def frequencies(
  decisions: Sequence[summary_lib.Options],
  searches: Sequence[Sequence[trial_log.Trial]],
) -> Iterator[np.ndarray]:
  """Yields how often each value was proposed in each window, `[K, W]`.

  There is one array for each decision. Of an anchor point, the frequencies of
  its `K` layers need not add up to 1. They are NaN in windows in which the
  decision was not made.

  Args:
    decisions: the decisions of the space, in order.
    searches: the trials of each search of one arm; at least one trial.
  """
  edges = windows(max(map(len, searches)), len(searches))
  start = 0
  for options in decisions:
    found = []
    for first, last in edges:
      tokens = [
        trial.tokens[start : start + options.num_tokens]
        for trials in searches
        for trial in trials[first:last]
        if trial.tokens is not None
      ]
      found.append(_count(options, [each for each in tokens if _is_made(each)]))
    yield np.array(found).T.reshape(len(options.labels), len(found))
    start += options.num_tokens


def has_probabilities(rounds: Sequence[round_log.Round]) -> bool:
  """Returns whether a log has the probabilities of a policy from the start.

  Args:
    rounds: the rounds of all searches of one arm.
  """
  firsts = [each for each in rounds if each.round == 0]
  return bool(firsts) and all(each.probabilities for each in firsts)


def probabilities(
  decisions: Sequence[summary_lib.Options],
  rounds: Sequence[round_log.Round],
) -> Iterator[np.ndarray]:
  """Yields how likely each value was in each window of rounds, `[K, W]`.

  There is one array for each decision, of means over the policies of the window
  in all searches. Of an anchor point, the probabilities of its `K` layers need
  not add up to 1. They are NaN in windows in which the decision was not made.

  Args:
    decisions: the decisions of the space, in order.
    rounds: the rounds of all searches of one arm, which has probabilities.
  """
  size = sum(len(options.labels) for options in decisions)
  known = [each for each in rounds if each.probabilities is not None]
  numbers = sorted({each.round for each in known})
  num_windows = min(MAX_WINDOWS, len(numbers))
  sums, counts = np.zeros((2, num_windows, size))
  for each in known:
    row = np.full(size, math.nan)
    values = (each.probabilities or ())[:size]
    row[: len(values)] = values
    is_made = np.isfinite(row)
    window = each.round * num_windows // (numbers[-1] + 1)
    sums[window, is_made] += row[is_made]
    counts[window] += is_made
  with np.errstate(invalid='ignore'):
    means = (sums / counts).T
  start = 0
  for options in decisions:
    stop = start + len(options.labels)
    yield means[start:stop]
    start = stop


def _is_made(tokens: Sequence[int]) -> bool:
  return bool(tokens) and min(tokens) >= 0


def _count(
  options: summary_lib.Options, tokens: Sequence[Sequence[int]]
) -> np.ndarray:
  if not tokens:
    return np.full(len(options.labels), np.nan)
  chosen = np.array(tokens)
  if options.kind == 'anchors':
    return chosen.mean(axis=0)
  return (chosen == np.arange(len(options.labels))).mean(axis=0)


def draw(
  decisions: Sequence[summary_lib.Options],
  shares: Iterable[np.ndarray],
  num_shown: int = 24,
  max_bytes: int = 1 << 20,
) -> str:
  """Returns a heat map for each decision, as HTML.

  Args:
    decisions: the decisions of the space, in order.
    shares: how much of each window each value of each decision has, `[K, W]`:
      `probabilities` or `frequencies`.
    num_shown: how many maps are seen at once; others open by a click.
    max_bytes: the maps are at most as large together.
  """
  panels: list[str] = []
  is_cut = False
  for options, mine in zip(decisions, shares, strict=True):
    # The anchor point of the first layer has nothing to decide.
    if len(options.labels) > (options.kind != 'anchors'):
      panel = _draw_panel(options, mine)
      max_bytes -= len(panel.encode())
      is_cut = max_bytes < 0 or len(panels) == MAX_MAPS
      if is_cut:
        break
      panels.append(panel)
  shown = f'<div class="maps">{"".join(panels[:num_shown])}</div>'
  if len(panels) > num_shown:
    rest = f'<div class="maps">{"".join(panels[num_shown:])}</div>'
    title = f'{len(panels) - num_shown} more decisions'
    shown += markup.unfold(title, rest)
  if is_cut:
    shown += markup.paragraphs(['Later decisions are left out.'], 'note')
  return shown


def _draw_panel(options: summary_lib.Options, shares: np.ndarray) -> str:
  labels, shares = _merge(options, shares)
  names = ''.join(f'<li>{markup.escape(label)}</li>' for label in labels)
  percents = _percents(shares[:, -1], adds_up=options.kind != 'anchors')
  last = ''.join(f'<li>{each}</li>' for each in percents)
  title = markup.escape(options.name)
  now = ', '.join(
    f'{label} {each}' for label, each in zip(labels, percents, strict=True)
  )
  return (
    f'<div class="map"><h4>{title}</h4><div class="rows">'
    f'<ul>{names}</ul>{_draw_map(shares, f"At the end: {now}")}'
    f'<ul class="number">{last}</ul></div></div>'
  )


def _merge(
  options: summary_lib.Options, shares: np.ndarray
) -> tuple[list[str], np.ndarray]:
  """Returns few enough rows to be told apart.

  Neighbors on a scale share a row. The values of a choice have no neighbors:
  those with the largest shares stay, and the others share one.
  """
  labels = list(options.labels)
  if len(labels) <= _MAX_ROWS:
    return labels, shares
  if options.kind == 'choice':
    order = np.argsort(-np.nansum(shares, axis=1), kind='stable')
    kept = np.sort(order[: _MAX_ROWS - 1])
    others = np.setdiff1d(order, kept)
    return (
      [*(labels[row] for row in kept), f'{len(others)} others'],
      np.vstack([shares[kept], shares[others].sum(axis=0)]),
    )
  edges = np.linspace(0, len(labels), _NUM_GROUPS + 1).round().astype(int)
  groups = list(itertools.pairwise(edges.tolist()))
  if options.kind == 'anchors':
    return (
      [f'{labels[a]} to {labels[b - 1]}' for a, b in groups],
      np.array([shares[a:b].mean(axis=0) for a, b in groups]),
    )
  return (
    [f'≥ {labels[a]}' for a, _ in groups],
    np.array([shares[a:b].sum(axis=0) for a, b in groups]),
  )


def _percents(shares: np.ndarray, adds_up: bool) -> list[str]:
  """Returns shares as whole percentages.

  Args:
    shares: the shares; NaN where there is none.
    adds_up: whether they are parts of one whole. Their percentages then add up
      to 100: those that lose most by being cut are rounded up.
  """
  if not np.isfinite(shares).all():
    return ['–'] * len(shares)
  if not adds_up:
    return [f'{each:.0%}'.replace('%', ' %') for each in shares]
  # Shares that were rounded add up to 1 only nearly.
  exact = 100 * shares / max(shares.sum(), 1e-3)
  whole = np.floor(exact + 1e-9).astype(int)
  order = np.argsort(whole - exact, kind='stable')
  whole[order[: 100 - whole.sum()]] += 1
  return [f'{each} %' for each in whole]


def _draw_map(shares: np.ndarray, name: str) -> str:
  """Returns the cells, all of a shade in one path, which keeps pages small."""
  num_rows, num_windows = shares.shape
  shades: dict[int, list[str]] = {}
  for row in range(num_rows):
    for window in range(num_windows):
      share = shares[row, window]
      if np.isfinite(share):
        shade = round(float(share) * _NUM_SHADES)
        shades.setdefault(shade, []).append(
          f'M{window * _ROW} {row * _ROW}h{_ROW}v{_ROW}h-{_ROW}z'
        )
  paths = ''.join(
    _shade(shade, ''.join(shades[shade])) for shade in sorted(shades)
  )
  width, height = num_windows * _ROW, num_rows * _ROW
  return (
    f'<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none" '
    f'style="--rows:{num_rows}" role="img" aria-label="{markup.escape(name)}">'
    f'{paths}</svg>'
  )


def _shade(shade: int, path: str) -> str:
  opacity = max(0.04, shade / _NUM_SHADES)
  return f'<path fill-opacity="{opacity:g}" d="{path}"/>'


def legend() -> str:
  """Returns the key of the shades, as HTML."""
  cells: Iterable[str] = (
    f'<i style="opacity:{max(0.04, shade / _NUM_SHADES):g}"></i>'
    for shade in range(_NUM_SHADES + 1)
  )
  return (
    '<p class="shades"><span>never</span><span class="scale">'
    f'{"".join(cells)}</span><span>always</span></p>'
  )

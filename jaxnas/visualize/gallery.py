# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Architectures from a log as pictures, formulas and lists, for a web page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import json
from typing import Any

from jaxnas.records import summary as summary_lib
from jaxnas.records import trial_log
from jaxnas.spaces import conv_net as conv_nets
from jaxnas.spaces import recurrent_cell as cells
from jaxnas.visualize import conv_net, markup, recurrent_cell

MAX_BYTES = 900_000
"""The pictures of a page are at most as large together."""

_MAX_DIALS = 60
_MAX_TEXT = 60_000
_XMLNS = ' xmlns="http://www.w3.org/2000/svg"'


def best_trials(
  trials: Sequence[trial_log.Trial], count: int
) -> list[trial_log.Trial]:
  """Returns the trials of the highest reward, each architecture once.

  Args:
    trials: the trials that strategies proposed.
    count: the largest number to return; trials that failed or that stopped at
      a rung are left out.
  """
  found: dict[str, trial_log.Trial] = {}
  for trial in sorted(trials, key=lambda trial: -trial.reward):
    if trial.is_complete:
      found.setdefault(json.dumps(trial.architecture, sort_keys=True), trial)
  return list(found.values())[:count]


class Gallery:
  """Draws architectures as long as a page has room for pictures."""

  def __init__(self, decisions: Sequence[summary_lib.Options]):
    """Makes an empty gallery.

    Args:
      decisions: the decisions of the space; none if they are not known.
    """
    self._decisions = decisions
    self._left = MAX_BYTES

  def picture(
    self, architecture: Mapping[str, Any], tokens: Sequence[int] | None
  ) -> str:
    """Returns a picture of an architecture as HTML.

    Cells and networks are drawn, if there is room; of all others, the choice
    of each decision is shown.

    Args:
      architecture: the architecture as a JSON-compatible dict.
      tokens: the architecture's tokens, if there are any.
    """
    drawn = _draw(architecture)
    if drawn is not None:
      shown = f'<div class="paper">{drawn}</div>'
    elif tokens is not None and self._fits(tokens):
      shown = self._dials(tokens)
    else:
      shown = markup.facts(architecture)
    if len(shown.encode()) > self._left:
      return markup.paragraphs(['Too large to be drawn here.'], 'note')
    self._left -= len(shown.encode())
    return shown

  def _fits(self, tokens: Sequence[int]) -> bool:
    expected = sum(each.num_tokens for each in self._decisions)
    return bool(expected) and len(tokens) == expected

  def _dials(self, tokens: Sequence[int]) -> str:
    items, start = [], 0
    for options in self._decisions:
      chosen = tokens[start : start + options.num_tokens]
      start += options.num_tokens
      place, text = _place(options, chosen)
      dot = '' if place is None else f'<b style="left:{100 * place:.1f}%"></b>'
      items.append(
        f'<li><span>{markup.escape(options.name)}</span><i>{dot}</i>'
        f'<span class="number">{markup.escape(text)}</span></li>'
      )
      if len(items) == _MAX_DIALS:
        break
    left = len(self._decisions) - len(items)
    note = markup.paragraphs([f'{left:,} more.'], 'note') if left else ''
    return f'<ul class="dials">{"".join(items)}</ul>{note}'


def _place(
  options: summary_lib.Options, tokens: Sequence[int]
) -> tuple[float | None, str]:
  """Returns where among its values a choice is, from 0 to 1, and its name."""
  labels = options.labels
  if options.kind == 'anchors':
    chosen = [labels[i] for i, token in enumerate(tokens) if token == 1]
    return None, ', '.join(chosen) or 'none'
  (token,) = tokens
  if not 0 <= token < len(labels):
    return None, '–'
  return token / max(1, len(labels) - 1), labels[token]


def _draw(architecture: Mapping[str, Any]) -> str | None:
  """Returns the picture of a cell or a network; `None` of anything else."""
  made = _make(architecture)
  if isinstance(made, cells.RecurrentCell):
    drawn = recurrent_cell.draw_cell(made)
  elif isinstance(made, conv_nets.ConvNet):
    drawn = conv_net.draw_net(made)
  else:
    return None
  # A page knows the elements without the address of their definition.
  return drawn.replace(_XMLNS, '').strip()


def formulas(architecture: Mapping[str, Any]) -> tuple[str, str] | None:
  """Returns a heading, and a cell's formulas or a network's layers as text.

  Args:
    architecture: the architecture as a JSON-compatible dict; `None` is returned
      of what is neither a cell nor a network.
  """
  made = _make(architecture)
  if isinstance(made, cells.RecurrentCell):
    return 'Formulas', _cut(recurrent_cell.to_formula(made))
  if isinstance(made, conv_nets.ConvNet):
    return 'Layers', _cut(conv_net.to_text(made))
  return None


def _cut(text: str) -> str:
  return text if len(text) <= _MAX_TEXT else f'{text[:_MAX_TEXT]}\n…'


def _make(architecture: Mapping[str, Any]) -> Any:
  for kind in (cells.RecurrentCell, conv_nets.ConvNet):
    try:
      return kind.from_json(architecture)
    # A space of one's own may have fields of the same names and other kinds.
    except (ValueError, TypeError, KeyError, AttributeError):
      continue
  return None

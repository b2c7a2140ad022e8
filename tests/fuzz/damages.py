# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Damages the files of a run, as disks, editors and people do."""

from __future__ import annotations

from collections.abc import Callable
import json
import pathlib
import re
from typing import Any

import numpy as np

Damage = Callable[[bytes, np.random.Generator], bytes]


def kinds_of(folder: pathlib.Path) -> dict[str, list[pathlib.Path]]:
  """Returns the files of a run that may be read back, by what they are."""
  kinds: dict[str, list[pathlib.Path]] = {}
  for path in sorted(folder.rglob('*')):
    name = str(path.relative_to(folder))
    if not path.is_file() or path.suffix in ('.png', '.svg', '.lock', '.csv'):
      continue
    if path.name != '.lock' and path.stat().st_size:
      kinds.setdefault(name.partition('/')[0], []).append(path)
  return kinds


def damage(content: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
  """Returns what was done to the content of a file, and what became of it."""
  for _ in range(100):
    change = _CHANGES[rng.integers(len(_CHANGES))]
    damaged = change(content, rng)
    if damaged != content:
      return change.__name__.strip('_'), damaged
  return 'emptied', b''


def _flipped_bit(content, rng):
  place = rng.integers(len(content))
  changed = bytes([content[place] ^ 1 << int(rng.integers(8))])
  return content[:place] + changed + content[place + 1 :]


def _cut(content, rng):
  return content[: rng.integers(len(content))]


def _hole(content, rng):
  start, end = sorted(rng.integers(len(content) + 1, size=2))
  return content[:start] + content[end:]


def _zeroed(content, rng):
  start, end = sorted(rng.integers(len(content) + 1, size=2))
  return content[:start] + bytes(end - start) + content[end:]


def _junk_added(content, rng):
  return (
    content + [b'x', b'{}\n', b'\n', b'null\n', b'\xff\xfe'][rng.integers(5)]
  )


def _changed_digit(content, rng):
  places = [match.start() for match in re.finditer(rb'[0-9]', content)]
  if not places:
    return content
  place = places[rng.integers(len(places))]
  return content[:place] + b'%d' % rng.integers(10) + content[place + 1 :]


def _line_again(content, rng):
  lines = content.splitlines(keepends=True)
  place = rng.integers(len(lines))
  return b''.join([*lines[: place + 1], *lines[place:]])


def _line_lost(content, rng):
  lines = content.splitlines(keepends=True)
  place = rng.integers(len(lines))
  return b''.join([*lines[:place], *lines[place + 1 :]])


def _lines_swapped(content, rng):
  lines = content.splitlines(keepends=True)
  one, other = rng.integers(len(lines), size=2)
  lines[one], lines[other] = lines[other], lines[one]
  return b''.join(lines)


def _other_value(content, rng):
  """Gives another value to a key of a JSON object, or takes the key away."""
  lines = content.splitlines() if content.count(b'\n{') else [content]
  place = rng.integers(len(lines))
  try:
    document = json.loads(lines[place])
  except ValueError:
    return content
  if not isinstance(document, dict) or not document:
    return content
  inside: Any = document
  while True:
    keys = list(inside) if isinstance(inside, dict) else range(len(inside))
    key = keys[rng.integers(len(keys))]
    if not isinstance(inside[key], (dict, list)) or not inside[key]:
      break
    if rng.random() < 0.3:
      break
    inside = inside[key]
  if rng.random() < 0.3:
    del inside[key]
  else:
    values = (None, True, -1, 10**30, 0.5, '', 'x', [], {}, [[1]], {'a': 1})
    inside[key] = values[rng.integers(len(values))]
  lines[place] = json.dumps(document).encode()
  return b'\n'.join(lines) + b'\n'


_CHANGES: tuple[Damage, ...] = (
  _flipped_bit,
  _cut,
  _hole,
  _zeroed,
  _junk_added,
  _changed_digit,
  _line_again,
  _line_lost,
  _lines_swapped,
  _other_value,
  _other_value,
)

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A found architecture as a JSON file.

{"kind": "recurrent_cell", "architecture": {...}, "reward": 0.71, ...,
"checksum": "89abcdef"}

The checksum detects damage. Omit it when writing or editing a file by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import json
import os
import reprlib
from typing import Any
import zlib

from jaxnas.records import workdir
from jaxnas.spaces import conv_net, hyperparameters, recurrent_cell
from jaxnas.types import Architecture, SearchSpace

CLASSES: tuple[Any, ...] = (
  recurrent_cell.RecurrentCell,
  conv_net.ConvNet,
  hyperparameters.Hyperparameters,
)
"""The architecture classes of this package's search spaces. Each has a name for
files, `kind`, and a method `from_json`, the inverse of `to_json`."""

_OTHER = 'other'
_CHECKSUM = 'checksum'


def write_architecture(
  path: str | os.PathLike, architecture: Architecture, **facts: Any
) -> None:
  """Writes an architecture and facts about it.

  Args:
    path: the file to write; an existing one is replaced atomically.
    architecture: the architecture. If its class has no `kind`, it is written as
      `'other'`, which only the class itself can load.
    **facts: further entries of the file, such as the reward; JSON-compatible
      values or arrays.

  Raises:
    ValueError: the architecture has no `to_json`, or a fact is named `kind` or
      `checksum`.
  """
  for name in ('kind', _CHECKSUM):
    if name in facts:
      raise ValueError(f'No fact may be named {name!r}, got {facts[name]!r}.')
  if not hasattr(architecture, 'to_json'):
    raise ValueError(
      f'An architecture must have a method to_json to be written, got a '
      f'{type(architecture).__name__}.'
    )
  fields = architecture.to_json()
  kind = kind_of(type(architecture))
  content = workdir.plain_json({'kind': kind, 'architecture': fields, **facts})
  workdir.write_json(path, {**content, _CHECKSUM: _checksum(content)})


def load_architecture(
  path: str | os.PathLike,
  kind: str | None = None,
  space: SearchSpace | None = None,
  classes: Sequence[Any] = CLASSES,
) -> Architecture:
  """Returns the architecture in a file that `write_architecture` wrote.

  Args:
    path: the file, such as the `best.json` of a search.
    kind: the expected kind, such as `'conv_net'`; any by default.
    space: the search space that it must belong to; any by default.
      Hyperparameters can have any names, so only their space can detect a
      misspelled one.
    classes: the possible classes, with the interface of those in `CLASSES`.
      Pass your own class to load architectures of your own search space.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: the file is not JSON, its kind is unknown or not the expected
      one, or its fields are not a valid architecture of the search space.
  """
  try:
    content = workdir.read_json(path)
  except FileNotFoundError:
    raise FileNotFoundError(
      f'There is no architecture file {path}; give the best.json of a search.'
    ) from None
  content = dict(content)
  checksum = content.pop(_CHECKSUM, None)
  if checksum is not None and checksum != _checksum(content):
    raise ValueError(
      f'{path} is damaged, or was changed by hand: its checksum does not '
      f'match. Restore it from a copy, or remove {_CHECKSUM!r} from it.'
    )
  known = {kind_of(each): each for each in classes}
  found = content.get('kind')
  expected = known if kind is None else (kind,)
  if found == _OTHER:
    raise ValueError(
      f'{path} holds an architecture of your own search space, whose class has '
      'no kind; give the class a kind, and pass the class when reading the '
      'file.'
    )
  if not isinstance(found, str) or found not in expected:
    own = (
      ' An architecture of your own search space is read with its class, or '
      'exported with its exporter.'
    )
    raise ValueError(
      f'{path} holds an architecture of kind {reprlib.repr(found)}; expected '
      f'{"one of " if kind is None else ""}{", ".join(expected)}.'
      f'{own if kind is None and isinstance(found, str) else ""}'
    )
  try:
    architecture = known[found].from_json(content.get('architecture', {}))
    if space is not None:
      space.encode(architecture)
    return architecture
  except (RecursionError, TypeError, ValueError) as error:
    raise ValueError(f'{path} holds no valid {found}: {error}') from None


def kind_of(architecture_class: type) -> str:
  """Returns the kind of a class's architectures, as written to files."""
  return getattr(architecture_class, 'kind', _OTHER)


def _checksum(content: Mapping[str, Any]) -> str:
  """Returns a checksum, 8 hexadecimal digits, independent of order."""
  return f'{zlib.crc32(json.dumps(content, sort_keys=True).encode()):08x}'

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A found architecture as a JSON file.

{"kind": "recurrent_cell", "architecture": {...}, "reward": 0.71, ...,
"checksum": "89abcdef"}

The checksum tells a damaged file. Who writes or changes a file by hand leaves
it out.
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
"""The classes of the architectures of this package's spaces. Each has a name
for files, `kind`, and makes of what `to_json` returned, by `from_json`, an
architecture again."""

_OTHER = 'other'
_CHECKSUM = 'checksum'


def write_architecture(
  path: str | os.PathLike, architecture: Architecture, **facts: Any
) -> None:
  """Writes an architecture and what is known of it.

  Args:
    path: the file; an older one is replaced as a whole.
    architecture: an architecture. One whose class has no `kind` gets
      `'other'`, which is not loaded: its own class reads it.
    **facts: what else the file should say, such as the reward; values that
      JSON can hold, or arrays.

  Raises:
    ValueError: the architecture has no `to_json`, or a fact is named `kind` or
      `checksum`.
  """
  for name in ('kind', _CHECKSUM):
    if name in facts:
      raise ValueError(f'No fact may be named {name!r}, got {facts[name]!r}.')
  if not hasattr(architecture, 'to_json'):
    raise ValueError(
      f'An architecture to write must have a method to_json, got a '
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
    kind: the only kind that will do, as `'conv_net'`; any by default.
    space: the space that it must be of, any by default. Hyperparameters can
      have any names, so that only their space knows one that is misspelt.
    classes: the classes that it may be of, as those in `CLASSES`. A space of
      your own joins by giving its class.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: the file is not JSON, its kind is not known or another, its
      fields make no architecture, or one that the space has not.
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
      f'{path} is damaged, or was changed by hand: its checksum is that of '
      f'other content. Restore it from a copy, or take {_CHECKSUM!r} out of it.'
    )
  known = {kind_of(each): each for each in classes}
  found = content.get('kind')
  expected = known if kind is None else (kind,)
  if not isinstance(found, str) or found not in expected:
    raise ValueError(
      f'{path} holds an architecture of kind {reprlib.repr(found)}; expected '
      f'{"one of " if kind is None else ""}{", ".join(expected)}.'
    )
  try:
    architecture = known[found].from_json(content.get('architecture', {}))
    if space is not None:
      space.encode(architecture)
    return architecture
  except (RecursionError, TypeError, ValueError) as error:
    raise ValueError(f'{path} holds no valid {found}: {error}') from None


def kind_of(architecture_class: type) -> str:
  """Returns the kind of a class's architectures, as a file says it."""
  return getattr(architecture_class, 'kind', _OTHER)


def _checksum(content: Mapping[str, Any]) -> str:
  """Returns 8 hexadecimal digits of what a file says, in any order."""
  return f'{zlib.crc32(json.dumps(content, sort_keys=True).encode()):08x}'

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A found architecture as a JSON file.

{"kind": "recurrent_cell", "architecture": {...}, "reward": 0.71, ...}
"""

from __future__ import annotations

import os
from typing import Any

from jaxnas.records import workdir
from jaxnas.spaces import recurrent_cell
from jaxnas.types import Architecture

_KINDS = {'recurrent_cell': recurrent_cell.RecurrentCell}


def write_architecture(
  path: str | os.PathLike, architecture: Architecture, **facts: Any
) -> None:
  """Writes an architecture and what is known of it.

  Args:
    path: the file; an older one is replaced as a whole.
    architecture: an architecture of one of the search spaces.
    **facts: what else the file should say, such as the reward; values that
      JSON can hold, or arrays.

  Raises:
    ValueError: the architecture is of no known kind, or a fact is named
      `kind`.
  """
  if 'kind' in facts:
    raise ValueError(f"No fact may be named 'kind', got {facts['kind']!r}.")
  for kind, architecture_class in _KINDS.items():
    if isinstance(architecture, architecture_class):
      fields = architecture.to_json()
      content = {'kind': kind, 'architecture': fields, **facts}
      workdir.write_json(path, content)
      return
  raise ValueError(
    f'An architecture to write must be one of {", ".join(_KINDS)}, got a '
    f'{type(architecture).__name__}.'
  )


def load_architecture(path: str | os.PathLike) -> Architecture:
  """Returns the architecture in a file that `write_architecture` wrote.

  Args:
    path: the file, such as the `best.json` of a search.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: the file is not JSON, its kind is not known, or its fields make
      no architecture.
  """
  try:
    content = workdir.read_json(path)
  except FileNotFoundError:
    raise FileNotFoundError(
      f'There is no architecture file {path}; give the best.json of a search.'
    ) from None
  kind = content.get('kind')
  if not isinstance(kind, str) or kind not in _KINDS:
    raise ValueError(
      f'{path} holds an architecture of kind {kind!r}; expected one of '
      f'{", ".join(_KINDS)}.'
    )
  try:
    return _KINDS[kind].from_json(content.get('architecture', {}))
  except (TypeError, ValueError) as error:
    raise ValueError(f'{path} holds no valid {kind}: {error}') from None

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A trained language model, with all that is needed to use it, as one file.

The file, see `weights_file`, holds the parameters, and as JSON the vocabulary,
the architecture and the facts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import os
from typing import Any, NamedTuple

from jaxnas.export import weights_file
from jaxnas.spaces import recurrent_cell
from jaxnas.types import Params

_FORMAT = 'jaxnas weights 1'


class Weights(NamedTuple):
  """What is in a weights file.

  Attributes:
    params: the parameters, as they were written.
    vocabulary: the token that each integer stands for.
    architecture: a `RecurrentCell`, or the name of a cell that is not in the
      grammar.
    facts: what else the file says.
  """

  params: Params
  vocabulary: tuple[str, ...]
  architecture: recurrent_cell.RecurrentCell | str
  facts: Mapping[str, Any]


def write_weights(
  path: str | os.PathLike,
  params: Params,
  vocabulary: Sequence[str],
  architecture: recurrent_cell.RecurrentCell | str,
  **facts: Any,
) -> None:
  """Writes parameters; the same ones give the same bytes.

  Args:
    path: the file; an older one is replaced as a whole.
    params: the variables of a Flax module, `{'params': {...}}`.
    vocabulary: the token that each integer stands for.
    architecture: a `RecurrentCell`, or the name of another cell.
    **facts: what else the file should say, such as the recipe and the
      perplexity; values that JSON can hold, or arrays.

  Raises:
    ValueError: the parameters are none of a Flax module, or one is of a type
      that numpy does not know.
    OSError: the file cannot be written.
  """
  is_named = isinstance(architecture, str)
  about = {
    'format': _FORMAT,
    'vocabulary': list(vocabulary),
    'architecture': architecture if is_named else architecture.to_json(),  # type: ignore[union-attr]
    'facts': facts,
  }
  weights_file.write(path, params, about)


def load_weights(path: str | os.PathLike) -> Weights:
  """Returns what is in a file that `write_weights` wrote.

  Args:
    path: the file.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: the file is damaged, or another kind of file.
  """
  return weights_file.load(path, _FORMAT, _parse)


def _parse(variables: dict[str, Any], about: Mapping[str, Any]) -> Weights:
  architecture = about['architecture']
  if not isinstance(architecture, str):
    architecture = recurrent_cell.RecurrentCell.from_json(architecture)
  return Weights(
    variables, tuple(about['vocabulary']), architecture, about['facts']
  )

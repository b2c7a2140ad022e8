# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A trained language model, with everything needed to use it, as one file.

The file, see `weights_file`, holds the parameters, and as JSON the vocabulary,
the architecture and facts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import os
from typing import Any, NamedTuple

from jaxnas.export import weights_file
from jaxnas.spaces import recurrent_cell
from jaxnas.types import Params


class Weights(NamedTuple):
  """The content of the weights file of a language model.

  Attributes:
    params: the parameters, as they were written.
    vocabulary: the token that each integer stands for.
    architecture: the cell, a `RecurrentCell` or the name of a cell that is not
      in the grammar.
    facts: further facts about the model.
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
  """Writes a language model; equal models give equal bytes.

  Args:
    path: the file to write; an existing one is replaced atomically.
    params: the parameters, variables of a Flax module, `{'params': {...}}`.
    vocabulary: the token that each integer stands for.
    architecture: the cell, a `RecurrentCell` or the name of another cell.
    **facts: further facts, such as the recipe and the perplexity;
      JSON-compatible values or arrays.

  Raises:
    ValueError: the parameters are not those of a Flax module, or one has a type
      that NumPy does not know.
    OSError: the file cannot be written.
  """
  is_named = isinstance(architecture, str)
  about = {
    'format': weights_file.LANGUAGE_MODEL,
    'vocabulary': list(vocabulary),
    'architecture': architecture if is_named else architecture.to_json(),  # type: ignore[union-attr]
    'facts': facts,
  }
  weights_file.write(path, params, about)


def load_weights(path: str | os.PathLike) -> Weights:
  """Returns the content of a file that `write_weights` wrote.

  Args:
    path: the file.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: the file is damaged or of another kind.
  """
  return weights_file.load(path, weights_file.LANGUAGE_MODEL, _parse)


def _parse(variables: dict[str, Any], about: Mapping[str, Any]) -> Weights:
  architecture = about['architecture']
  if not isinstance(architecture, str):
    architecture = recurrent_cell.RecurrentCell.from_json(architecture)
  vocabulary = about['vocabulary']
  if not isinstance(vocabulary, list) or not all(
    isinstance(token, str) for token in vocabulary
  ):
    raise ValueError('its vocabulary is not a list of strings')
  return Weights(variables, tuple(vocabulary), architecture, about['facts'])

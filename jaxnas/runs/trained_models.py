# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Loads the results of a long training, ready to use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import os
from typing import Any, NamedTuple

import numpy as np

from jaxnas.children import language_model
from jaxnas.export import image_weights, weights
from jaxnas.spaces import recurrent_cell
from jaxnas.training import long_text


class TrainedText(NamedTuple):
  """A trained language model.

  Attributes:
    model: the module; `model.initialize_carry(batch_size)` is its initial
      carry.
    params: the module's variables, for `model.apply`.
    vocabulary: the token that each integer stands for.
    architecture: the cell, or the name of one outside the grammar.
    facts: the recipe and the measured perplexities.
  """

  model: language_model.LanguageModel
  params: Mapping[str, Any]
  vocabulary: tuple[str, ...]
  architecture: recurrent_cell.RecurrentCell | str
  facts: Mapping[str, Any]


def load_language_model(path: str | os.PathLike[str]) -> TrainedText:
  """Loads the `weights.npz` of `experiments.train_recurrent_cell`.

  Args:
    path: the path of the file.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: the file is damaged, or another kind of file.
  """
  params, vocabulary, architecture, facts = weights.load_weights(path)
  recipe = long_text.Recipe(**facts['recipe'])
  model = long_text.make_model(recipe, len(vocabulary), architecture)
  return TrainedText(model, params, vocabulary, architecture, facts)


def load_classifier(
  path: str | os.PathLike[str],
) -> Callable[[np.ndarray], np.ndarray]:
  """Loads the `weights.npz` of `experiments.train_conv_net`.

  Args:
    path: the path of the file.

  Returns:
    `images -> logits`, from images before any preprocessing; see
    `image_weights.make_classifier`.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: the file is damaged, or another kind of file.
  """
  return image_weights.make_classifier(image_weights.load_weights(path))

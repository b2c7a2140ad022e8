# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The costs of a recurrent cell in a language model, counted exactly.

At equal width, all cells with the same base number have as many parameters and
multiply-adds, since only leaves have weights. Cells differ in the number of
their transcendental functions, each of which takes several times as long as a
product unless it is fused with other operations, and in their latency.

Letters: `D` features, `L` leaves, `V` tokens of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.children import language_model
from jaxnas.children import recurrent_cell as cells
from jaxnas.costs import latency
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.types import Cost, SearchSpace

TRANSCENDENTAL = ('tanh', 'sigmoid', 'sin')
"""The activations that are transcendental functions."""


@dataclasses.dataclass(frozen=True)
class Model:
  """The language model that a cell is part of.

  Attributes:
    vocab_size: the number of tokens in the vocabulary, `V`.
    features: the width `D` of the embedding and of every layer.
    num_layers: the number of recurrent layers.
    tie_embeddings: whether the softmax uses the embedding as its kernel.
  """

  vocab_size: int
  features: int
  num_layers: int = 1
  tie_embeddings: bool = False

  def num_params(self, cell: spaces.RecurrentCell) -> int:
    """Returns the number of parameters: embedding, cells and softmax.

    Args:
      cell: the cell of every layer.
    """
    table = self.vocab_size * self.features
    tables = table if self.tie_embeddings else 2 * table
    return tables + self.vocab_size + self._num_weights(cell)

  def num_multiply_adds(self, cell: spaces.RecurrentCell) -> int:
    """Returns the multiply-adds of the forward pass of one token.

    The products with the cells' weights and with the softmax kernel count;
    combiners, activations, biases and the look-up of the embedding do not.

    Args:
      cell: the cell of every layer.
    """
    return self._num_weights(cell) + self.vocab_size * self.features

  def num_transcendentals(self, cell: spaces.RecurrentCell) -> int:
    """Returns the number of transcendental functions evaluated for one token.

    These are the cells' tanh, sigmoid and sin, that of the injection included;
    the softmax, which is the same for all cells, does not count.

    Args:
      cell: the cell of every layer.
    """
    return num_transcendentals(cell) * self.features * self.num_layers

  def costs(self) -> dict[str, Cost]:
    """Returns functions that count a cell's costs, by metric name."""
    return {
      'num_params': self.num_params,
      'num_multiply_adds': self.num_multiply_adds,
      'num_transcendentals': self.num_transcendentals,
    }

  def fewest(self, space: SearchSpace) -> dict[str, Callable[[], float]]:
    """Returns functions that count the least costs of a space of cells.

    Args:
      space: a space of `spaces.recurrent_cell`.
    """
    # The first choices make a cell, and every cell has as many parameters.
    any_cell: Any = space.decode(np.zeros(space.num_tokens, np.int32))
    activation: Any = space.decisions[1]
    is_needed = set(activation.values) <= set(TRANSCENDENTAL)
    # One for each node and one for the injection: if zero is not the least, all
    # of them are needed.
    most = 2 * any_cell.base * self.features * self.num_layers
    return {
      'num_params': lambda: self.num_params(any_cell),
      'num_multiply_adds': lambda: self.num_multiply_adds(any_cell),
      'num_transcendentals': lambda: most if is_needed else 0,
    }

  def program(
    self, cell: spaces.RecurrentCell, num_steps: int, batch_size: int
  ) -> latency.Program:
    """Returns the forward pass whose latency is that of a cell.

    Args:
      cell: the cell of every layer.
      num_steps: the number of tokens that the model reads at a time.
      batch_size: the number of texts that the model reads side by side.
    """
    model = language_model.LanguageModel(
      lambda features: cells.GrammarCell(features, architecture=cell),
      self.vocab_size,
      self.features,
      self.num_layers,
      self.tie_embeddings,
    )
    carry = model.initialize_carry(batch_size)
    tokens = jnp.zeros((num_steps, batch_size), jnp.int32)
    variables = model.init(jax.random.key(0), carry, tokens, method='logits')

    def forward(variables, carry, tokens):
      return model.apply(variables, carry, tokens, method='logits')

    return latency.Program(forward, (variables, carry, tokens))

  def _num_weights(self, cell: spaces.RecurrentCell) -> int:
    return 2 * cell.base * self.features**2 * self.num_layers


def num_transcendentals(cell: spaces.RecurrentCell) -> int:
  """Returns the number of a cell's transcendental functions per unit and token.

  Args:
    cell: the cell.
  """
  activations = (*cell.activations, cell.inject_activation)
  return sum(name in TRANSCENDENTAL for name in activations)

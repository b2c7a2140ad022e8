# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A recurrent language model around any recurrent cell."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
from typing import Any

from flax import linen as nn
from flax.typing import Initializer
import jax
import jax.numpy as jnp

from jaxnas.children import cross_entropy, initializers, platforms


class LanguageModel(nn.Module):
  """Predicts the next token of a text.

  Embedding, recurrent layers, softmax; as in "Recurrent Neural Network
  Regularization", Zaremba et al., 2014 (https://arxiv.org/abs/1409.2329), and
  with `variational` as in "A Theoretically Grounded Application of Dropout in
  Recurrent Neural Networks", Gal and Ghahramani, 2016
  (https://arxiv.org/abs/1512.05287).

  Written for one child; use `jax.vmap` for many. `V` is the number of tokens in
  the vocabulary.

  Attributes:
    make_cell: `features -> cell`, any `flax.linen.RNNCellBase`. A method
      `unroll` of the cell is used if there is one.
    vocab_size: the size `V` of the vocabulary.
    features: the width `D` of the embedding and of every layer.
    num_layers: the number of recurrent layers.
    tie_embeddings: whether the softmax uses the embedding as its kernel.
    dropout_rate: the dropout rate of the inputs and outputs of every layer.
    recurrent_dropout_rate: the dropout rate of the hidden state between steps;
      the mask is the same for all steps of a segment. Needs a cell with
      `unroll`.
    embedding_dropout_rate: the dropout rate of whole rows of the embedding.
    variational: whether the masks of `dropout_rate` are the same for all steps
      of a segment.
    embedding_init: the initializer of the embedding and the softmax kernel.
    platform: the platform that the model is compiled for, such as `'cpu'`.
  """

  make_cell: Callable[[int], nn.RNNCellBase]
  vocab_size: int
  features: int
  num_layers: int = 1
  tie_embeddings: bool = False
  dropout_rate: float = 0.0
  recurrent_dropout_rate: float = 0.0
  embedding_dropout_rate: float = 0.0
  variational: bool = False
  embedding_init: Initializer = initializers.uniform(0.05)
  platform: str = dataclasses.field(
    default_factory=platforms.default, metadata=platforms.CONDITION
  )

  def setup(self):
    """Declares the parameters."""
    self.embedding = self.param(
      'embedding',
      self.embedding_init,
      (self.vocab_size, self.features),
      jnp.float32,
    )
    self.layers = [
      self.make_cell(self.features) for _ in range(self.num_layers)
    ]
    self.scans = [
      None
      if hasattr(cell, 'unroll')
      else nn.RNN(cell, time_major=True, return_carry=True)
      for cell in self.layers
    ]
    if not self.tie_embeddings:
      self.output_kernel = self.param(
        'output_kernel',
        self.embedding_init,
        (self.features, self.vocab_size),
        jnp.float32,
      )
    self.output_bias = self.param(
      'output_bias', nn.initializers.zeros, (self.vocab_size,), jnp.float32
    )
    broadcast = (0,) if self.variational else ()
    self.dropout = nn.Dropout(self.dropout_rate, broadcast_dims=broadcast)
    self.recurrent_dropout = nn.Dropout(self.recurrent_dropout_rate)
    self.embedding_dropout = nn.Dropout(
      self.embedding_dropout_rate, broadcast_dims=(1,)
    )

  @nn.nowrap
  def initialize_carry(self, batch_size: int) -> Any:
    """Returns the initial carry: zeros, one entry per layer."""
    cell = self.make_cell(self.features)
    shape = (batch_size, self.features)
    return [
      jax.tree.map(
        jnp.zeros_like, cell.initialize_carry(jax.random.key(0), shape)
      )
      for _ in range(self.num_layers)
    ]

  def encode(self, carry, inputs, deterministic=True):
    """Runs the recurrent layers.

    Args:
      carry: the carry of each layer.
      inputs: the tokens to read, `int32[T, B]`.
      deterministic: whether dropout is off; if on, it uses the key `'dropout'`.

    Returns:
      The new carry, and the inputs of the softmax layer, `[T, B, D]`.
    """
    table = self.embedding_dropout(self.embedding, deterministic=deterministic)
    return self.read(carry, table[inputs], deterministic)

  def read(self, carry, embedded, deterministic=True):
    """Runs the recurrent layers on embedded tokens.

    Args:
      carry: the carry of each layer.
      embedded: the rows of the embedding that are read, `[T, B, D]`.
      deterministic: whether dropout is off; if on, it uses the key `'dropout'`.

    Returns:
      The new carry, and the inputs of the softmax layer, `[T, B, D]`.
    """
    hidden = self.dropout(embedded, deterministic=deterministic)
    new_carry = []
    for cell, scan, layer_carry in zip(
      self.layers, self.scans, carry, strict=True
    ):
      layer_carry, hidden = self._run_layer(
        cell, scan, layer_carry, hidden, deterministic
      )
      new_carry.append(layer_carry)
      hidden = self.dropout(hidden, deterministic=deterministic)
    return new_carry, hidden

  def _run_layer(self, cell, scan, carry, inputs, deterministic):
    use_mask = self.recurrent_dropout_rate > 0 and not deterministic
    if scan is None:
      mask = None
      if use_mask:
        mask = self.recurrent_dropout(
          jnp.ones((inputs.shape[1], self.features), inputs.dtype),
          deterministic=False,
        )
      return cell.unroll(carry, inputs, mask)
    if use_mask:
      raise ValueError(
        'recurrent_dropout_rate needs a cell with a method `unroll`, got '
        f'{type(cell).__name__}.'
      )
    return scan(inputs, initial_carry=carry)

  def logits(self, carry, inputs, deterministic=True):
    """Returns the logits of the next token.

    Call it as `model.apply(params, carry, inputs, method='logits')`.

    Args:
      carry: the recurrent state after the previous segment, one entry per
        layer.
      inputs: the tokens to read, `int32[T, B]`.
      deterministic: whether dropout is off.

    Returns:
      The logits of the token that follows each token, `[T, B, V]`, and the new
      carry.
    """
    carry, hidden = self.encode(carry, inputs, deterministic)
    return self.predict(hidden), carry

  def predict(self, hidden):
    """Returns the logits of the next token, `[T, B, V]`.

    Args:
      hidden: the inputs of the softmax layer, `[T, B, D]`.
    """
    bias = self.output_bias[None, None]
    return hidden @ self._output_matrix() + bias

  def _output_matrix(self):
    return self.embedding.T if self.tie_embeddings else self.output_kernel

  def __call__(self, carry, inputs, targets, weights, deterministic=True):
    """Returns the loss on a segment of text.

    Args:
      carry: the recurrent state after the previous segment, one entry per
        layer.
      inputs: the tokens to read, `int32[T, B]`.
      targets: the tokens to predict, `int32[T, B]`.
      weights: the weight of each token, `[T, B]`.
      deterministic: whether dropout is off.

    Returns:
      The weighted sum of the tokens' cross-entropies, in nats, and the new
      carry.
    """
    carry, hidden = self.encode(carry, inputs, deterministic)
    loss = cross_entropy.cross_entropy(
      hidden.reshape(-1, self.features),
      self._output_matrix(),
      self.output_bias,
      targets.reshape(-1),
      weights.reshape(-1),
      is_sequential=self.platform == 'cpu',
    )
    return loss, carry

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A stack of recurrent cells that runs over sequences of decisions."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.controllers import anchors as mechanisms
from jaxnas.controllers import layout as layouts
from jaxnas.controllers import lstm_stack
from jaxnas.types import Params


class Network(NamedTuple):
  """A controller's network without its parameters.

  Attributes:
    layout: the layout of the decisions, each of which is a step.
    cell: the cell of every layer.
    num_layers: the number of stacked cells.
    features: the width `D` of the embeddings and of every layer.
    anchors: the mechanism of anchor points.
  """

  layout: layouts.Layout
  cell: nn.RNNCellBase
  num_layers: int
  features: int
  anchors: mechanisms.AnchorMechanism

  @property
  def layers(self) -> tuple[str, ...]:
    """The names of the layers' parameters."""
    return tuple(f'layer_{i}' for i in range(self.num_layers))

  def make_reader(self, params: Params, num_sequences: int):
    """Makes what runs all layers over rows of the embeddings, one by one.

    Args:
      params: the controller's parameters.
      num_sequences: the number `N` of sequences.

    Returns:
      `(carries, step)`: the first carries, and `(carries, rows int32[N]) ->
      (carries, activations)`, whose `hidden` is the output, `[N, D]`; the
      stacks of other cells than the default remember nothing else.
    """
    rows = params['embeddings']
    if lstm_stack.serves(self.cell):
      stack = self.make_stack(params)
      return (
        lstm_stack.first_carries(stack, (num_sequences,)),
        functools.partial(lstm_stack.step, stack),
      )

    def step(carries, row):
      carries, hidden = self.step(params, carries, rows[row])
      return carries, lstm_stack.Activations((hidden,), (), ())

    first_rows = jnp.broadcast_to(rows[0], (num_sequences, self.features))
    return self.first_carries(params, first_rows), step

  def make_stack(self, params: Params) -> lstm_stack.Stack:
    """Returns the layers as a stack that reads the embeddings."""
    cells = params['cells']
    return lstm_stack.make_stack(
      params['embeddings'], [cells[layer] for layer in self.layers]
    )

  def first_carries(self, params: Params, step_input: jax.Array):
    """Returns every layer's first carry, for inputs like `step_input`."""
    return tuple(
      _initial_carry(self.cell, params['cells'][layer], step_input)
      for layer in self.layers
    )

  def step(self, params: Params, carries, step_input: jax.Array):
    """Runs all layers once; returns carries and output, `[..., D]`."""
    hidden: Any = step_input
    next_carries = []
    for layer, carry in zip(self.layers, carries, strict=True):
      variables = {'params': params['cells'][layer]}
      carry, hidden = self.cell.apply(variables, carry, hidden)
      next_carries.append(carry)
    return tuple(next_carries), hidden


def param_shapes(network: Network) -> Params:
  """Returns the shapes of a controller's parameters.

  Raises:
    ValueError: the cell cannot be used.
  """
  layout, features = network.layout, network.features

  def float32(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)

  num_softmaxes, max_choices = layout.is_choice.shape
  cell_shapes = _cell_param_shapes(network.cell, features)
  shapes: dict[str, Params] = {
    'embeddings': float32(int(layout.first_rows[-1]), features),
    'cells': dict.fromkeys(network.layers, cell_shapes),
    'kernel': float32(num_softmaxes, features, max_choices),
    'bias': float32(num_softmaxes, max_choices),
  }
  if layout.num_sources:
    shapes['anchors'] = network.anchors.param_shapes(
      layout.num_anchors, features
    )
  return shapes


def uniform(key: jax.Array, shapes: Params, scale: float) -> Params:
  """Draws parameters of the given shapes, uniform in +-scale."""
  leaves, treedef = jax.tree.flatten(shapes)
  # One draw for all leaves: a draw for each takes seconds to compile.
  ends = np.cumsum([leaf.size for leaf in leaves])
  values = jax.random.uniform(key, (ends[-1],), jnp.float32, -scale, scale)
  return jax.tree.unflatten(
    treedef,
    [
      value.reshape(leaf.shape).astype(leaf.dtype)
      for value, leaf in zip(jnp.split(values, ends[:-1]), leaves, strict=True)
    ],
  )


def _rows(
  layout: layouts.Layout, tokens: jax.Array, is_active: jax.Array
) -> jax.Array:
  """Returns which embedding every step reads: the one of the decision before.

  Args:
    layout: the layout of the decisions.
    tokens: one token of each decision, `int32[N, steps]`.
    is_active: which decisions are made, `bool[N, steps]`.

  Returns:
    `int32[steps, N]`.
  """
  rows = jnp.broadcast_to(layout.first_rows, tokens.shape) + tokens
  rows = jnp.where(is_active, rows, 0)[:, :-1]
  return jnp.pad(rows, ((0, 0), (1, 0))).T


def run_choices(
  network: Network,
  params: Params,
  tokens: jax.Array,
  is_active: jax.Array,
  known: lstm_stack.Activations | None = None,
) -> jax.Array:
  """Runs given sequences without anchor points.

  Stacks of the default cell run all layers step by step, others layer by layer.

  Args:
    network: the controller's network.
    params: the controller's parameters.
    tokens: the sequences, `int32[N, T]`.
    is_active: which decisions are made, `bool[N, T]`.
    known: what stacks of the default cell computed when they drew the
      sequences, as `lstm_stack.unroll` takes it.

  Returns:
    The outputs, `[T, N, D]`.
  """
  rows = _rows(network.layout, tokens, is_active)
  if lstm_stack.serves(network.cell):
    return lstm_stack.unroll(network.make_stack(params), rows, known)
  hidden = params['embeddings'][rows]
  for layer in network.layers:
    hidden = _run_layer(network.cell, params['cells'][layer], hidden)
  return hidden


def run_anchors(
  network: Network, params: Params, tokens: jax.Array, is_active: jax.Array
) -> jax.Array:
  """Runs given sequences step by step, as later inputs are earlier outputs.

  Args:
    network: the controller's network.
    params: the controller's parameters.
    tokens: the sequences, `int32[N, T]`.
    is_active: which decisions are made, `bool[N, steps]`.

  Returns:
    The outputs, `[steps, N, D]`.
  """
  layout, num_sources = network.layout, network.layout.num_sources
  dtype = params['embeddings'].dtype
  step_tokens = layout.join(
    tokens[:, layout.choice_tokens],
    jnp.zeros((len(tokens), layout.num_anchors), tokens.dtype),
  )
  follows_anchor = np.pad(layout.is_anchor[:-1], (1, 0))
  embedded = params['embeddings'][_rows(layout, step_tokens, is_active)]
  embedded = jnp.where(follows_anchor[:, None, None], 0.0, embedded)

  chosen = tokens[:, layout.anchor_tokens] == 1
  chosen &= is_active[:, layout.anchor_steps, None] & layout.is_pair[None]
  weights = mechanisms.mean_weights(chosen, dtype)
  # Weights of the anchor point before each step, or else of none.
  weights = jnp.pad(weights, ((0, 0), (0, 1), (0, 1)))
  before = np.where(
    follows_anchor, np.roll(layout.numbers, 1), np.int32(layout.num_anchors)
  )
  weights = jnp.moveaxis(weights[:, before], 1, 0)

  def step(state, inputs):
    carries, states = state
    step_input, step_weights, slot = inputs
    step_input += jnp.einsum('ns,snd->nd', step_weights, states)
    carries, hidden = network.step(params, carries, step_input)
    hidden = hidden.astype(dtype)
    states = jax.lax.dynamic_update_index_in_dim(states, hidden, slot, 0)
    return (carries, states), hidden

  carries = network.first_carries(params, embedded[0])
  states = jnp.zeros((num_sources + 1, *embedded.shape[1:]), dtype)
  _, hidden = jax.lax.scan(
    step, (carries, states), (embedded, weights, layout.slots)
  )
  return hidden


def _run_layer(
  cell: nn.RNNCellBase, params: Params, inputs: jax.Array
) -> jax.Array:
  """Runs one layer over whole sequences, `[T, N, D] -> [T, N, D]`."""
  variables = {'params': params}
  carry = _initial_carry(cell, params, inputs[0])
  if hasattr(cell, 'unroll'):
    outputs: Any = cell.apply(variables, carry, inputs, method='unroll')
    return outputs[1]

  def step(carry, step_inputs):
    return cell.apply(variables, carry, step_inputs)

  return jax.lax.scan(step, carry, inputs)[1]


def _initial_carry(cell: nn.RNNCellBase, params: Params, step_input: jax.Array):
  """Returns the cell's first carry, in the types of those that follow."""
  carry = cell.initialize_carry(jax.random.key(0), step_input.shape)
  following, _ = jax.eval_shape(
    cell.apply, {'params': params}, carry, step_input
  )
  return jax.tree.map(lambda x, y: x.astype(y.dtype), carry, following)


def _cell_param_shapes(cell: nn.RNNCellBase, features: int) -> Params:
  """Returns the shapes of a cell's parameters; checks that it can be used."""

  def init_and_apply(key):
    carry_key, init_key = jax.random.split(key)
    step_input = jnp.zeros(features)
    carry = cell.initialize_carry(carry_key, step_input.shape)
    (_, output), variables = cell.init_with_output(init_key, carry, step_input)
    return output, variables

  output, variables = jax.eval_shape(init_and_apply, jax.random.key(0))
  name = type(cell).__name__
  if output.shape != (features,):
    raise ValueError(
      f'make_cell must return a cell with outputs of {features} features, got '
      f'a {name} with outputs of shape {output.shape}.'
    )
  if set(variables) != {'params'}:
    raise ValueError(
      f'make_cell must return a cell whose variables are all parameters, got '
      f'a {name} with collections {", ".join(sorted(variables))}.'
    )
  return variables['params']

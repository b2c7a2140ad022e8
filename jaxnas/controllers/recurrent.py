# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A recurrent network that predicts one decision after the other.

Sections 3.1 and 4 of "Neural Architecture Search with Reinforcement Learning",
Zoph and Le, 2017 (https://arxiv.org/abs/1611.01578). At step `t` the network
reads the embedding of token `t - 1`, and a softmax of that step's own gives the
distribution of token `t`. The recurrent cell is an argument: any Linen cell.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import chex
from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.children import recurrent_cell
from jaxnas.types import Choice, Controller, Decision, Params, Range

# Finite, so that neither a probability of zero times its logarithm nor a
# gradient through it is NaN.
_MASKED_LOGIT = -1e9


def make_controller(
  decisions: tuple[Decision, ...],
  make_cell: Callable[[int], nn.RNNCellBase] = recurrent_cell.LSTMCell,
  num_layers: int = 2,
  features: int = 35,
  init_scale: float = 0.08,
) -> Controller:
  """Makes a controller for decisions of one token each.

  The defaults are the paper's: two layers of 35 LSTM units, every parameter
  uniform in +-0.08. "Every" includes biases: what a cell initialises itself is
  drawn again, so an LSTM's forget gate has no head start.

  The parameters are a dict: `embeddings float[1 + choices of all decisions but
  the last, D]`, whose first row starts the sequence and whose other rows are
  the decisions' own tables, in order; `cells`, with one `layer_<i>` a layer;
  `kernel float[T, D, K]` and `bias float[T, K]` of the softmaxes, where `K` is
  the largest number of choices and what is beyond a decision's own is zero.

  `log_prob` also takes tokens of -1 as decisions that were not made. A cell
  with a method `unroll`, such as the default, runs by it there.

  Args:
    decisions: what to decide, in order; `Choice` and `Range`.
    make_cell: `features -> cell`; carry and outputs may have any structure that
      `flax.linen.RNNCellBase` allows, with outputs of `features` values. The
      initial carry must not be random: it is asked for with a fixed key.
    num_layers: how many cells are stacked.
    features: width `D` of the embeddings and of every layer.
    init_scale: bound of the uniform initial distribution.

  Returns:
    A controller.

  Raises:
    ValueError: a decision is an `AnchorPoint`, a number is not positive, or the
      cell cannot be used.
  """
  _check_arguments(decisions, num_layers, features, init_scale)
  cell = make_cell(features)
  cell_shapes = _cell_param_shapes(cell, features)
  num_choices = np.asarray([decision.num_choices for decision in decisions])
  num_steps, max_choices = len(decisions), int(num_choices.max())
  is_choice = np.arange(max_choices)[None] < num_choices[:, None]
  # Where each decision's table starts. The last one's is never read: its rows
  # lie beyond the embeddings' end.
  first_rows = np.cumsum([1, *num_choices[:-1]]).astype(np.int32)
  layers = tuple(f'layer_{i}' for i in range(num_layers))

  def float32(*shape):
    return jax.ShapeDtypeStruct(shape, jnp.float32)

  param_shapes = {
    'embeddings': float32(int(first_rows[-1]), features),
    'cells': dict.fromkeys(layers, cell_shapes),
    'kernel': float32(num_steps, features, max_choices),
    'bias': float32(num_steps, max_choices),
  }

  def init(key: jax.Array) -> Params:
    leaves, treedef = jax.tree.flatten(param_shapes)
    # One draw for all leaves: a draw for each takes seconds to compile.
    ends = np.cumsum([leaf.size for leaf in leaves])
    values = jax.random.uniform(
      key, (ends[-1],), jnp.float32, -init_scale, init_scale
    )
    params = jax.tree.unflatten(
      treedef,
      [
        value.reshape(leaf.shape).astype(leaf.dtype)
        for value, leaf in zip(
          jnp.split(values, ends[:-1]), leaves, strict=True
        )
      ],
    )
    params['kernel'] = jnp.where(is_choice[:, None, :], params['kernel'], 0.0)
    params['bias'] = jnp.where(is_choice, params['bias'], 0.0)
    return params

  def predict(params: Params, hidden: jax.Array) -> jax.Array:
    """Returns the log-probabilities of all choices, `[..., T, K]`."""
    logits = jnp.einsum('...td,tdk->...tk', hidden, params['kernel'])
    masked = jnp.where(is_choice, params['bias'], _MASKED_LOGIT)
    logits += jnp.broadcast_to(masked, logits.shape)
    return jax.nn.log_softmax(logits)

  def pick(log_probs: jax.Array, tokens: jax.Array) -> jax.Array:
    # A comparison rather than a gather, whose gradient would be a scatter.
    choices = jax.lax.broadcasted_iota(
      tokens.dtype, log_probs.shape, tokens.ndim
    )
    is_token = choices == tokens[..., None]
    return jnp.sum(jnp.where(is_token, log_probs, 0.0), axis=-1)

  def sample_and_log_prob(
    params: Params, key: jax.Array, num_active: jax.Array | int | None = None
  ) -> tuple[jax.Array, jax.Array]:
    noise = jax.random.gumbel(key, is_choice.shape, params['bias'].dtype)
    # Noise and mask are in one array, to leave the loop an argmax of a sum.
    noise = jnp.where(is_choice, params['bias'] + noise, _MASKED_LOGIT)

    def step(state, inputs):
      carries, row = state
      kernel, step_noise, first_row = inputs
      hidden, next_carries = params['embeddings'][row], []
      for layer, carry in zip(layers, carries, strict=True):
        variables = {'params': params['cells'][layer]}
        carry, hidden = cell.apply(variables, carry, hidden)
        next_carries.append(carry)
      token = jnp.argmax(hidden @ kernel + step_noise).astype(jnp.int32)
      return (tuple(next_carries), first_row + token), (token, hidden)

    start = params['embeddings'][0]
    carries = tuple(
      _initial_carry(cell, params['cells'][layer], start) for layer in layers
    )
    _, (tokens, hidden) = jax.lax.scan(
      step, (carries, jnp.int32(0)), (params['kernel'], noise, first_rows)
    )
    is_active = _is_active(num_steps, num_active)
    log_prob = pick(predict(params, hidden), tokens)
    return jnp.where(is_active, tokens, -1), jnp.where(is_active, log_prob, 0.0)

  def log_prob(
    params: Params,
    tokens: jax.Array,
    num_active: jax.Array | int | None = None,
  ) -> tuple[jax.Array, jax.Array]:
    chex.assert_axis_dimension(tokens, -1, num_steps)
    chex.assert_type(tokens, int)
    is_active = (tokens >= 0) & jnp.broadcast_to(
      _is_active(num_steps, num_active), tokens.shape
    )
    rows = jnp.broadcast_to(first_rows, tokens.shape) + tokens
    rows = jnp.where(is_active, rows, 0)[..., :-1]
    rows = rows.reshape(tokens.size // num_steps, num_steps - 1)
    hidden = params['embeddings'][jnp.pad(rows, ((0, 0), (1, 0))).T]
    for layer in layers:
      hidden = _run_layer(cell, params['cells'][layer], hidden)
    hidden = jnp.moveaxis(hidden, 0, 1).reshape(*tokens.shape, features)
    log_probs = predict(params, hidden)
    entropy = -jnp.sum(jnp.exp(log_probs) * log_probs, axis=-1)
    return (
      jnp.where(is_active, pick(log_probs, tokens), 0.0),
      jnp.where(is_active, entropy, 0.0),
    )

  return Controller(init, sample_and_log_prob, log_prob)


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


def _is_active(
  num_steps: int, num_active: jax.Array | int | None
) -> jax.Array | np.ndarray:
  """Returns which decisions are made, `bool[T]`."""
  if num_active is None:
    return np.ones(num_steps, bool)
  return jnp.arange(num_steps) < num_active


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


def _check_arguments(decisions, num_layers, features, init_scale) -> None:
  if not decisions:
    raise ValueError('decisions needs at least one decision, got none.')
  for decision in decisions:
    # By type, an AnchorPoint with one previous layer also has one token.
    if not isinstance(decision, Choice | Range):
      raise ValueError(
        f'decisions of a recurrent controller must be Choice or Range, got '
        f'{decision}; anchor points need a controller with attention over them.'
      )
  for name, value in (
    ('num_layers', num_layers),
    ('features', features),
    ('init_scale', init_scale),
  ):
    if not value > 0:
      raise ValueError(f'{name} must be greater than 0, got {value}.')

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A recurrent network that predicts one decision after another.

Sections 3.1, 3.3 and 4 of "Neural Architecture Search with Reinforcement
Learning", Zoph and Le, 2017 (https://arxiv.org/abs/1611.01578). At step `t` the
network reads decision `t - 1` and outputs the distribution of decision `t`: by
a softmax of the step's own, for a range by a head from `ordered`, for an anchor
point by a mechanism from `anchors`. The recurrent cell can be any Linen cell.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import chex
from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.children import recurrent_cell
from jaxnas.controllers import anchors as mechanisms
from jaxnas.controllers import layout as layouts
from jaxnas.controllers import lstm_stack, recurrent_network, softmaxes
from jaxnas.controllers import ordered as ordered_heads
from jaxnas.decisions import check_decisions
from jaxnas.types import AnchorPoint, Controller, Decision, Params

_ATTENTION = mechanisms.make_attention()
_COSINE = ordered_heads.make_cosine()


def make_controller(
  decisions: tuple[Decision, ...],
  make_cell: Callable[[int], nn.RNNCellBase] = recurrent_cell.LSTMCell,
  num_layers: int = 2,
  features: int = 35,
  init_scale: float = 0.08,
  anchors: mechanisms.AnchorMechanism = _ATTENTION,
  ordered: ordered_heads.OrderedHead | None = _COSINE,
) -> Controller:
  """Makes a controller.

  Every decision is one step of the network. At an anchor point the step's
  output is the layer's state, from which the mechanism draws all of its tokens
  at once, independently. The next step reads the embedding of the decision's
  token or, after an anchor point, the mean of the states of the chosen layers,
  which is zero if none is chosen, as always after the first layer's. (The paper
  does not say what is read there.)

  The defaults are the paper's: two layers of 35 LSTM units, every parameter
  uniform in +-0.08. That includes biases: they replace the cell's own initial
  values, so an LSTM's forget gate has no head start.

  The parameters are a dict: `embeddings float[1 + choices of all decisions but
  the last, D]`, whose first row starts the sequence and whose other rows are
  the decisions' own tables, in order; `cells`, with one `layer_<i>` a layer;
  `kernel float[C, D, K]` and `bias float[C, K]` of the `C` softmaxes, where `K`
  is the largest number of choices and what is beyond a decision's own is zero;
  and, if there are two anchor points or more, `anchors`, the mechanism's. An
  anchor point has neither a table nor a softmax. A range has as many choices in
  them as its head has waves; these are zero in `kernel` and `bias` at first, so
  that all of its levels are equally likely.

  `log_prob` also takes tokens of -1 as decisions that were not made, and so
  does `log_prob_and_divergence`, which needs two anchor points or more. Without
  anchor points the default cell runs by `lstm_stack`, which `sample_and_vjp`
  needs, and in `log_prob` any other with a method `unroll` by that.

  Args:
    decisions: the decisions, in order. An anchor point has to choose among all
      anchor points before it.
    make_cell: `features -> cell`; carry and outputs may have any structure that
      `flax.linen.RNNCellBase` allows, with outputs of `features` values. The
      initial carry must not be random; it is made with a fixed key.
    num_layers: the number of stacked cells.
    features: the width `D` of the embeddings and of every layer.
    init_scale: the bound of the uniform initial distribution.
    anchors: the mechanism of anchor points.
    ordered: the head of ranges; `None` treats their levels as choices.

  Returns:
    A controller.

  Raises:
    ValueError: these are not decisions, an anchor point does not follow as many
      as it chooses among, a number is not positive, or the cell cannot be used.
  """
  _check_arguments(decisions, num_layers, features, init_scale)
  network = recurrent_network.Network(
    layouts.Layout(decisions),
    make_cell(features),
    num_layers,
    features,
    anchors,
  )
  layout = network.layout
  waves = ordered_heads.Waves(decisions, ordered)
  param_shapes = recurrent_network.param_shapes(
    network._replace(layout=waves.layout)
  )
  sample = _sample_alone
  run: Callable[..., jax.Array] = recurrent_network.run_choices
  if layout.num_anchors:
    sample, run = _sample_anchors, recurrent_network.run_anchors

  def init(key: jax.Array) -> Params:
    params = recurrent_network.uniform(key, param_shapes, init_scale)
    is_random = waves.is_random
    params['kernel'] = jnp.where(is_random[:, None, :], params['kernel'], 0.0)
    params['bias'] = jnp.where(is_random, params['bias'], 0.0)
    return params

  def sample_and_log_prob(
    params: Params, key: jax.Array, num_active: jax.Array | int | None = None
  ) -> tuple[jax.Array, jax.Array]:
    params = waves.expand(params)
    tokens, hidden = sample(network, params, key)
    log_prob, _ = _score(network, params, hidden, tokens)
    is_active = _is_active(layout.num_steps, num_active)
    return (
      jnp.where(is_active[layout.token_steps], tokens, -1),
      jnp.where(is_active, log_prob, 0.0),
    )

  def read(params, tokens, num_active=None, *known):
    """Returns which decisions are made, and the outputs of every step."""
    chex.assert_axis_dimension(tokens, -1, layout.num_tokens)
    chex.assert_type(tokens, int)
    is_made = layout.is_made(tokens)
    is_active = is_made & jnp.broadcast_to(
      _is_active(layout.num_steps, num_active), is_made.shape
    )
    hidden = run(
      network,
      params,
      tokens.reshape(-1, layout.num_tokens),
      is_active.reshape(-1, layout.num_steps),
      *known,
    )
    hidden = jnp.moveaxis(hidden, 0, 1).reshape(*is_made.shape, features)
    return is_active, hidden

  def score(params, tokens, is_active, hidden, *products):
    """Returns what `log_prob` does, of the outputs of every step."""
    return tuple(
      jnp.where(is_active, value, 0.0)
      for value in _score(network, params, hidden, tokens, *products)
    )

  def log_prob(
    params: Params,
    tokens: jax.Array,
    num_active: jax.Array | int | None = None,
  ) -> tuple[jax.Array, jax.Array]:
    params = waves.expand(params)
    return score(params, tokens, *read(params, tokens, num_active))

  def sample_and_vjp(
    params: Params, keys: jax.Array, num_active: jax.Array | int | None = None
  ):
    drawn = _sample_choices(network, waves.expand(params), keys)
    is_active = _is_active(layout.num_steps, num_active)
    tokens = jnp.where(is_active[layout.token_steps], drawn.tokens, -1)
    products = jnp.moveaxis(drawn.products, 0, 1)

    def recall(params):
      """Returns what `log_prob` does, of what the sampler knows."""
      params = waves.expand(params)
      outputs = read(params, tokens, num_active, drawn.activations)
      return score(params, tokens, *outputs, products)

    values, vjp = jax.vjp(recall, params)
    return tokens, values, lambda cotangents: vjp(cotangents)[0]

  def sample_probabilities(
    params: Params, key: jax.Array, num_active: jax.Array | int | None = None
  ) -> jax.Array:
    params = waves.expand(params)
    _, hidden = sample(network, params, key)
    is_active = _is_active(layout.num_steps, num_active)
    return jnp.where(
      is_active[layout.outcome_steps],
      _probabilities(network, params, hidden),
      -1,
    )

  def log_prob_and_divergence(
    params: Params, tokens: jax.Array, prior: jax.typing.ArrayLike
  ) -> tuple[jax.Array, jax.Array, jax.Array]:
    params = waves.expand(params)
    is_active, hidden = read(params, tokens)
    divergence = mechanisms.divergence(
      _anchor_logits(network, params, hidden), prior, layout.is_pair
    )
    return (
      *score(params, tokens, is_active, hidden),
      jnp.where(is_active[..., layout.anchor_steps], divergence, 0.0),
    )

  # Others would have to differentiate their sampler's loop.
  is_kept = not layout.num_anchors and lstm_stack.serves(network.cell)
  return Controller(
    init,
    sample_and_log_prob,
    log_prob,
    sample_probabilities,
    log_prob_and_divergence if layout.num_sources else None,
    sample_and_vjp if is_kept else None,
  )


def _is_active(
  num_steps: int, num_active: jax.Array | int | None
) -> jax.Array | np.ndarray:
  """Returns which decisions are made, `bool[T]`."""
  if num_active is None:
    return np.ones(num_steps, bool)
  return jnp.arange(num_steps) < num_active


class _Drawn(NamedTuple):
  """Sequences without anchor points.

  Attributes:
    tokens: the sequences, `int32[N, T]`.
    activations: what the network computed at every step, `[T, N, ...]`.
    products: what the softmaxes were computed from, `[T, N, K]`.
  """

  tokens: jax.Array
  activations: lstm_stack.Activations
  products: jax.Array


def _sample_alone(
  network: recurrent_network.Network, params: Params, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Draws one sequence without anchor points; `tokens [T], hidden [T, D]`."""
  drawn = _sample_choices(network, params, key[None])
  return drawn.tokens[0], drawn.activations.hidden[:, 0]


def _sample_choices(
  network: recurrent_network.Network, params: Params, keys: jax.Array
) -> _Drawn:
  """Draws `N` sequences without anchor points."""
  layout, dtype = network.layout, params['bias'].dtype

  # Drawn in one row, as a draw of two axes takes seconds to compile.
  def draw_noise(key):
    noise = jax.random.gumbel(key, (layout.is_choice.size,), dtype)
    noise = softmaxes.make_noise(layout, params, noise)
    return noise.reshape(layout.is_choice.shape)

  def step(state, inputs):
    carries, row = state
    kernel, step_noise, first_row = inputs
    carries, activations = read(carries, row)
    products = activations.hidden @ kernel
    token = jnp.argmax(products + step_noise, axis=-1).astype(jnp.int32)
    return (carries, first_row + token), (token, activations, products)

  noise = jax.vmap(draw_noise, out_axes=1)(keys)
  carries, read = network.make_reader(params, len(keys))
  _, (tokens, *known) = lstm_stack.scan(
    step,
    (carries, jnp.zeros(len(keys), jnp.int32)),
    (params['kernel'], noise, jnp.asarray(layout.first_rows)),
  )
  return _Drawn(tokens.T, *known)


def _sample_anchors(
  network: recurrent_network.Network, params: Params, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Draws one sequence; returns `tokens [T], hidden [steps, D]`."""
  layout, num_sources = network.layout, network.layout.num_sources
  start = params['embeddings'][0]
  # One draw for all, as a second one would take seconds to compile.
  size = layout.is_choice.size
  noise = jax.random.gumbel(key, (size + 2 * layout.is_pair.size,), start.dtype)
  choice_noise = softmaxes.make_noise(layout, params, noise[:size])
  choice_noise = choice_noise.reshape(layout.is_choice.shape)
  on, off = noise[size:].reshape(2, *layout.is_pair.shape)
  anchor_noise = on - off
  width = max(num_sources, 1)

  def draw_choice(number, first_row, hidden, states):
    del states
    logits = hidden @ params['kernel'][number] + choice_noise[number]
    token = jnp.argmax(logits).astype(jnp.int32)
    next_input = params['embeddings'][first_row + token]
    return jnp.full(width, token), next_input

  def draw_anchor(number, first_row, hidden, states):
    del first_row
    if not num_sources:
      return jnp.zeros(width, jnp.int32), jnp.zeros_like(start)
    sources = states[:num_sources]
    logits = network.anchors.logits(params['anchors'], number, hidden, sources)
    is_pair = jnp.arange(num_sources) < number
    is_chosen = (logits + anchor_noise[number] > 0) & is_pair
    weights = mechanisms.mean_weights(is_chosen, start.dtype)
    return is_chosen.astype(jnp.int32), weights @ sources

  def step(state, inputs):
    carries, step_input, states = state
    is_anchor, slot, number, first_row = inputs
    carries, hidden = network.step(params, carries, step_input)
    hidden = hidden.astype(start.dtype)
    if len(layout.choice_steps):
      # Every sequence is at the same step, so that this stays a branch under
      # `jax.vmap` over keys.
      tokens, step_input = jax.lax.cond(
        is_anchor, draw_anchor, draw_choice, number, first_row, hidden, states
      )
    else:
      tokens, step_input = draw_anchor(number, first_row, hidden, states)
    states = jax.lax.dynamic_update_index_in_dim(states, hidden, slot, 0)
    return (carries, step_input, states), (tokens, hidden)

  carries = network.first_carries(params, start)
  states = jnp.zeros((num_sources + 1, network.features), start.dtype)
  _, (tokens, hidden) = jax.lax.scan(
    step,
    (carries, start, states),
    (layout.is_anchor, layout.slots, layout.numbers, layout.first_rows),
  )
  return tokens[layout.token_steps, layout.token_places], hidden


def _score(
  network: recurrent_network.Network,
  params: Params,
  hidden: jax.Array,
  tokens: jax.Array,
  products: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
  """Returns log-probability and entropy of every decision.

  Args:
    network: the controller's.
    params: its parameters.
    hidden: the outputs of every step, `[..., steps, D]`.
    tokens: `[..., T]`.
    products: without anchor points, the softmaxes' products if they are known.

  Returns:
    Two `[..., steps]`, in nats.
  """
  layout = network.layout
  if not layout.num_anchors:
    return softmaxes.score(layout, params, hidden, tokens, products)
  log_prob, entropy = softmaxes.score(
    layout,
    params,
    hidden[..., layout.choice_steps, :],
    tokens[..., layout.choice_tokens],
  )
  anchor_tokens = tokens[..., layout.anchor_tokens]
  anchor_log_prob, anchor_entropy = mechanisms.log_prob_and_entropy(
    _anchor_logits(network, params, hidden), anchor_tokens, layout.is_pair
  )
  return (
    layout.join(log_prob, anchor_log_prob),
    layout.join(entropy, anchor_entropy),
  )


def _probabilities(
  network: recurrent_network.Network, params: Params, hidden: jax.Array
) -> jax.Array:
  """Returns every decision's distribution, `[steps, D] -> [V]`."""
  layout = network.layout
  choices = jnp.exp(
    softmaxes.log_probs(layout, params, hidden[layout.choice_steps])
  )
  anchors = jax.nn.sigmoid(_anchor_logits(network, params, hidden))
  return layout.outcomes(choices, anchors)


def _anchor_logits(
  network: recurrent_network.Network, params: Params, hidden: jax.Array
) -> jax.Array:
  """Returns the logits of pairs of layers, `[..., steps, D] -> [..., L, S]`."""
  layout = network.layout
  states = hidden[..., layout.anchor_steps, :]
  if not layout.num_sources:
    return jnp.zeros((*states.shape[:-1], 0), states.dtype)
  return jax.vmap(network.anchors.logits, (None, 0, -2, None), -2)(
    params['anchors'],
    jnp.arange(layout.num_anchors),
    states,
    states[..., : layout.num_sources, :],
  )


def _check_arguments(decisions, num_layers, features, init_scale) -> None:
  check_decisions(decisions)
  if not any(decision.num_tokens for decision in decisions):
    raise ValueError(
      f'decisions needs at least one decision with a token, got {decisions}.'
    )
  anchor_points = [d for d in decisions if isinstance(d, AnchorPoint)]
  for number, decision in enumerate(anchor_points):
    if decision.num_previous != number:
      raise ValueError(
        f'AnchorPoint {decision.name!r} must choose among the {number} anchor '
        f'points before it, got num_previous={decision.num_previous}.'
      )
  for name, value in (
    ('num_layers', num_layers),
    ('features', features),
    ('init_scale', init_scale),
  ):
    if not value > 0:
      raise ValueError(f'{name} must be greater than 0, got {value}.')

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

r"""Training-free proxies: scores of a child that has not been trained.

A proxy looks at one batch and at the initial parameters `theta`, with the loss
`L` and its gradient `g`:

    gradient_norm        log ||g||
    snip                 log sum |theta g|
    synflow              log sum |theta dR/d theta|, where all parameters are
                         their absolute values, all inputs are 1, and R is the
                         sum of the outputs
    jacobian_covariance  score of the rows d(sum of the outputs)/d(inputs)
    hidden_covariance    score of the rows of hidden states

where the score of rows, one for each of the `B` examples of the batch, is

    -1/B sum_i log(lambda_i + k) + 1/(lambda_i + k)

with the eigenvalues of the rows' correlation matrix and `k = 1e-5`: the less
the examples resemble each other, the higher. Logarithms keep the sums within
single precision, and means over tokens and examples make scores of different
batches comparable. A higher score is meant to be better.

The first four are from "Zero-Cost Proxies for Lightweight NAS", Abdelfattah et
al., 2021 (https://arxiv.org/abs/2101.08134, section 3), which has logarithms
only of their products; the last is from "Training-Free Neural Architecture
Search for RNNs and Transformers", Serianni and Kalita, 2023
(https://arxiv.org/abs/2306.00288, section 3).

Everything is written for one child; use `jax.vmap` for many. A child that is
dead from the start, whose values are not finite, has a score that is not
finite. So has one of whose values a proxy can tell nothing: the rows are
constant, or every gradient is 0.

Letters: `B` examples in the batch, `F` numbers in a row, `T` time steps, `D`
units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import types
from typing import Any, NamedTuple

import chex
import jax
from jax import lax
import jax.numpy as jnp

from jaxnas.children import language_model, network

_K = 1e-5

SYNFLOW_STEPS = 4
"""The number of time steps that synflow reads; each may square the values."""


class Untrained(NamedTuple):
  """An untrained child and one batch, as pure functions.

  Attributes:
    params: the initial parameters.
    loss_and_grad: `params -> (loss, grads)`, the mean loss on the batch.
    outputs: `(params, inputs [B, ...]) -> [B, ...]`, the outputs before the
      loss, which are differentiable in both. `B` may differ from the batch's.
    inputs: the batch as the child sees it, in real numbers, `[B, ...]`.
    ones: the inputs of synflow, all 1, `[1, ...]`.
    hidden: `(params, inputs) -> [B, ...]`, the hidden states of all steps;
      `None` for a network that has none.
  """

  params: Any
  loss_and_grad: Callable[[Any], tuple[jax.Array, Any]]
  outputs: Callable[[Any, jax.Array], jax.Array]
  inputs: jax.Array
  ones: jax.Array
  hidden: Callable[[Any, jax.Array], jax.Array] | None = None


def of_language_model(
  model: language_model.LanguageModel,
  params: Any,
  inputs: jax.Array,
  targets: jax.Array,
) -> Untrained:
  """Returns a recurrent language model as proxies look at it.

  Its inputs are the embedded tokens, so the embedding takes no part in synflow,
  whose inputs are 1 instead; its hidden states are those of the last layer. The
  recurrent state starts at 0.

  Args:
    model: the model.
    params: the model's initial parameters.
    inputs: the tokens to read, `int32[T, B]`.
    targets: the tokens to predict, which follow, `int32[T, B]`.
  """
  chex.assert_rank([inputs, targets], 2)
  chex.assert_equal_shape([inputs, targets])
  weights = jnp.full(inputs.shape, 1 / inputs.size)

  def loss(params):
    carry = model.initialize_carry(inputs.shape[1])
    return model.apply(params, carry, inputs, targets, weights)[0]

  def hidden(params, embedded):
    carry = model.initialize_carry(len(embedded))
    steps = jnp.swapaxes(embedded, 0, 1)
    _, states = model.apply(params, carry, steps, method='read')
    return jnp.swapaxes(jnp.asarray(states), 0, 1)

  def outputs(params, embedded):
    return model.apply(params, hidden(params, embedded), method='predict')

  return Untrained(
    params,
    jax.value_and_grad(loss),
    outputs,
    params['params']['embedding'][inputs.T],
    jnp.ones((1, SYNFLOW_STEPS, model.features)),
    hidden,
  )


def of_network(
  net: network.Network, key: jax.Array, images: jax.Array, labels: jax.Array
) -> Untrained:
  """Returns an image classifier as proxies look at it.

  Batch norm takes part in the loss, by the moments of the batch, but not in the
  outputs: untrained running averages normalize nothing, as synflow wants it.

  Args:
    net: the network, compiled or interpreted.
    key: the random key that the network is initialized with.
    images: the images of the batch, `[B, H, W, C]`.
    labels: the images' classes, `int32[B]`.
  """
  chex.assert_rank([images, labels], [4, 1])
  params, batch_stats = net.init(key)

  def loss_and_grad(params):
    loss, _, grads = net.loss_and_grad(params, batch_stats, images, labels)
    return loss, grads

  return Untrained(
    params,
    loss_and_grad,
    lambda params, images: net.predict(params, batch_stats, images),
    images,
    jnp.ones((1, *images.shape[1:])),
  )


def gradient_norm(child: Untrained) -> jax.Array:
  """Returns the logarithm of the norm of the loss's gradient, a scalar."""
  _, grads = child.loss_and_grad(child.params)
  # Squares of small gradients would vanish in single precision.
  leaves = [jnp.abs(leaf) for leaf in jax.tree.leaves(grads)]
  largest = jnp.stack([leaf.max() for leaf in leaves]).max()
  squares = sum(jnp.square(leaf / largest).sum() for leaf in leaves)
  return jnp.log(largest) + jnp.log(squares) / 2


def snip(child: Untrained) -> jax.Array:
  """Returns the logarithm of the summed saliency `|theta g|`, a scalar.

  "SNIP: Single-shot Network Pruning based on Connection Sensitivity", Lee et
  al., 2019 (https://arxiv.org/abs/1810.02340).

  Args:
    child: the child and its batch.
  """
  _, grads = child.loss_and_grad(child.params)
  return _log_saliency(child.params, grads)


def synflow(child: Untrained) -> jax.Array:
  """Returns the logarithm of the summed synaptic flow, a scalar.

  "Pruning neural networks without any data by iteratively conserving synaptic
  flow", Tanaka et al., 2020 (https://arxiv.org/abs/2006.05467). No data takes
  part. A recurrent network reads only `SYNFLOW_STEPS` steps: its values grow
  exponentially, and those of products doubly so.

  Args:
    child: the child; its batch is not used.
  """
  params = jax.tree.map(jnp.abs, child.params)
  grads = jax.grad(lambda params: child.outputs(params, child.ones).sum())(
    params
  )
  return _log_saliency(params, grads)


def jacobian_covariance(child: Untrained) -> jax.Array:
  """Returns how little the examples' Jacobians resemble each other, a scalar.

  "Neural Architecture Search without Training", Mellor et al., 2020
  (https://arxiv.org/abs/2006.04647v1), the first version's score.

  Args:
    child: the child and its batch.
  """
  rows = jax.grad(lambda inputs: child.outputs(child.params, inputs).sum())(
    child.inputs
  )
  return covariance_score(rows.reshape(len(rows), -1))


def hidden_covariance(child: Untrained) -> jax.Array:
  """Returns how little the examples' hidden states resemble each other.

  Args:
    child: the child and its batch.

  Returns:
    A scalar.

  Raises:
    ValueError: the child has no hidden states.
  """
  if child.hidden is None:
    raise ValueError(
      'hidden_covariance needs hidden states, which only recurrent networks '
      'have; use jacobian_covariance.'
    )
  rows = child.hidden(child.params, child.inputs)
  return covariance_score(rows.reshape(len(rows), -1))


PROXIES: Mapping[str, Callable[[Untrained], jax.Array]] = (
  types.MappingProxyType(
    {
      'gradient_norm': gradient_norm,
      'snip': snip,
      'synflow': synflow,
      'jacobian_covariance': jacobian_covariance,
      'hidden_covariance': hidden_covariance,
    }
  )
)
"""All proxies by name."""


def covariance_score(rows: jax.Array) -> jax.Array:
  """Returns the score of rows by the eigenvalues of their correlations.

  Args:
    rows: the rows, `[B, F]`.

  Returns:
    A scalar, at most 0 (orthogonal rows have -1); NaN if a row is constant.
  """
  chex.assert_rank(rows, 2)
  rows -= rows.mean(1, keepdims=True)
  # Squares of small values would vanish in single precision.
  rows /= jnp.abs(rows).max(1, keepdims=True)
  rows /= jnp.linalg.norm(rows, axis=1, keepdims=True)
  correlations = jnp.matmul(rows, rows.T, precision=lax.Precision.HIGHEST)
  # Rounding may give a singular matrix small negative eigenvalues.
  eigenvalues = jnp.maximum(_eigenvalues(correlations), 0) + _K
  return -jnp.mean(jnp.log(eigenvalues) + 1 / eigenvalues)


@jax.custom_batching.sequential_vmap
def _eigenvalues(matrix: jax.Array) -> jax.Array:
  # On a CPU, LAPACK's kernel for a batch waits for threads of the pool that it
  # runs in, and two devices that do so at once wait forever.
  return jnp.linalg.eigvalsh(matrix)


def _log_saliency(params: Any, grads: Any) -> jax.Array:
  """Returns the logarithm of the sum of `|theta g|`."""
  products = jax.tree.map(
    lambda param, grad: jnp.abs(param * grad).sum(), params, grads
  )
  return jnp.log(sum(jax.tree.leaves(products)))

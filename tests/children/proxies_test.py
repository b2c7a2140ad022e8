# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of proxies against plain computations of one child, by `jax.grad`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.children import conv_net, network, proxies
from jaxnas.children import recurrent_cell as cells
from jaxnas.children import recurrent_interpreter as interpreter
from jaxnas.spaces import conv_net as conv_spaces
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.training import text_task

T, B, V, D = 5, 3, 11, 4
SPACE = spaces.make_space(2)
RECIPE = text_task.Recipe(features=D, cell_scale=0.8, embedding_scale=0.8)
# Of each node the combiner (add, elem_mult) and the activation (identity, tanh,
# sigmoid, relu); of the injection the same; the two indices.
TOKENS = np.array(
  [
    [0, 2, 0, 3, 1, 1, 0, 1, 1, 1],
    [0, 0, 0, 1, 0, 2, 1, 1, 2, 1],
    # Both leaves multiply by a state that is 0 and so remains.
    [1, 0, 1, 1, 0, 1, 0, 0, 2, 2],
  ]
)
VANISHING, DEAD = 2, 3
TEXT = np.random.default_rng(0).integers(V, size=(T + 1, B))
BATCH = TEXT[:-1], TEXT[1:]
KEYS = jax.random.split(jax.random.key(7), len(TOKENS) + 1)


def interpret(program, key):
  model = text_task.make_program_model(
    RECIPE, V, interpreter.InterpretedCell, True, program
  )
  params = text_task.init(model, RECIPE, key, B).params
  return proxies.of_language_model(model, params, *BATCH)


@pytest.fixture(scope='module', name='scores')
def fixture_scores():
  """Returns all scores of all cells and of a dead one, from one program."""

  def score(program, key, scale):
    child = interpret(program, key)
    child = child._replace(
      params=jax.tree.map(lambda leaf: leaf * scale, child.params),
      inputs=child.inputs * scale,
    )
    return {name: each(child) for name, each in proxies.PROXIES.items()}

  rows = [*TOKENS, TOKENS[0]]
  programs = interpreter.assemble([SPACE.decode(row) for row in rows])
  mapped = jax.jit(jax.vmap(score, (interpreter.BATCH_AXES, 0, 0)))
  scales = np.ones(len(rows), np.float32)
  scales[DEAD] = np.inf
  return jax.tree.map(np.asarray, mapped(programs, KEYS, scales))


def plain_scores(row, key):
  """Returns all scores of one child, step by step with the compiled cell."""
  cell = cells.GrammarCell(D, architecture=SPACE.decode(row))
  model = text_task.make_model(
    RECIPE,
    V,
    functools.partial(cells.GrammarCell, architecture=SPACE.decode(row)),
  )

  def hidden(params, embedded):
    zeros = jnp.zeros((embedded.shape[1], D))
    variables, carry, states = (
      {'params': params['layers_0']},
      (zeros, zeros),
      [],
    )
    for inputs in embedded:
      carry, state = cell.apply(variables, carry, inputs)
      states.append(state)
    return jnp.stack(states)

  def logits(params, embedded):
    bias = params['output_bias'][None, None]
    return hidden(params, embedded) @ params['output_kernel'] + bias

  def loss(params):
    log_prob = jax.nn.log_softmax(logits(params, params['embedding'][BATCH[0]]))
    return -jnp.take_along_axis(log_prob, BATCH[1][..., None], -1).mean()

  @jax.jit
  def differentiate():
    params = text_task.init(model, RECIPE, key, B).params['params']
    positive = jax.tree.map(jnp.abs, params)
    ones = jnp.ones((proxies.SYNFLOW_STEPS, 1, D))
    embedded = params['embedding'][BATCH[0]]
    return (
      (params, jax.grad(loss)(params)),
      (positive, jax.grad(lambda p: logits(p, ones).sum())(positive)),
      jax.grad(lambda x: logits(params, x).sum())(embedded),
      hidden(params, embedded),
    )

  trained, flow, jacobian, states = jax.tree.map(np.asarray, differentiate())
  return {
    'gradient_norm': log_norm(trained[1]),
    'snip': log_saliency(*trained),
    'synflow': log_saliency(*flow),
    'jacobian_covariance': plain_score(by_example(jacobian)),
    'hidden_covariance': plain_score(by_example(states)),
  }


def by_example(steps):
  return np.moveaxis(steps, 1, 0).reshape(B, -1)


def log_norm(grads):
  return np.log(np.sqrt(sum(np.sum(x**2) for x in jax.tree.leaves(grads))))


def log_saliency(params, grads):
  pairs = zip(jax.tree.leaves(params), jax.tree.leaves(grads), strict=True)
  return np.log(sum(np.sum(np.abs(param * grad)) for param, grad in pairs))


def plain_score(rows):
  correlations = np.corrcoef(np.asarray(rows, np.float64))
  shifted = np.linalg.eigvalsh(correlations) + 1e-5
  return -np.mean(np.log(shifted) + 1 / shifted)


@pytest.mark.slow
def test_scores_are_those_of_plain_children(scores):
  for place in range(VANISHING):
    plain = plain_scores(TOKENS[place], KEYS[place])
    for name in proxies.PROXIES:
      # In single precision, and eigenvalues magnify rounding.
      np.testing.assert_allclose(
        scores[name][place], plain[name], rtol=2e-3, err_msg=name
      )
  for name in proxies.PROXIES:
    assert len(set(scores[name][:VANISHING].tolist())) == VANISHING


def test_a_child_through_which_nothing_flows_has_no_finite_score(scores):
  for name in proxies.PROXIES:
    is_finite = np.isfinite(scores[name][:DEAD])
    # The bias of the softmax still has a gradient.
    expected = np.ones(len(TOKENS), bool)
    expected[VANISHING] = name == 'gradient_norm'
    np.testing.assert_array_equal(is_finite, expected, name)
  assert scores['snip'][VANISHING] == scores['synflow'][VANISHING] == -np.inf


def test_a_dead_child_has_no_finite_score(scores):
  for name in proxies.PROXIES:
    assert not np.isfinite(scores[name][DEAD]), name


def test_orthogonal_rows_score_best_and_constant_ones_nothing():
  score = proxies.covariance_score
  apart = jnp.array([[1.0, -1, 0, 0], [0, 0, 1, -1]])
  alike = jnp.array([[1.0, -1, 0, 0], [3, -1, -1, -1]])
  # An eigenvalue of 1 gives log(1) + 1 / 1.
  np.testing.assert_allclose(score(apart), -1, rtol=1e-6)
  assert score(alike) < score(apart)
  for rows in (apart, alike):
    # Correlations do not change with the scale and the mean of a row, even
    # where squares are too small for single precision.
    np.testing.assert_allclose(score(rows), plain_score(rows), rtol=1e-5)
    np.testing.assert_allclose(score(1e-30 * rows), score(rows), rtol=1e-5)
    np.testing.assert_allclose(score(2 + rows), score(rows), rtol=1e-5)
  # Equal rows have the eigenvalues 0 and 2.
  np.testing.assert_allclose(
    score(jnp.stack([apart[0], apart[0]])),
    -(np.log(1e-5) + 1e5 + np.log(2) + 0.5) / 2,
    rtol=0.02,
  )
  assert np.isnan(score(jnp.array([[1.0, 2.0], [3.0, 3.0]])))


def test_matrices_of_a_batch_are_taken_one_by_one():
  # In a batch, several devices at once would wait for each other forever.
  rows = jnp.zeros((5, B, 7))
  program = str(jax.make_jaxpr(jax.vmap(proxies.covariance_score))(rows))
  assert f'f32[{B},{B}]' in program
  (line,) = [line for line in program.splitlines() if ' = eigh' in line]
  assert f'f32[5,{B}' not in line


NET = conv_spaces.ConvNet(
  layers=(
    conv_spaces.ConvLayer(3, 3, 4),
    conv_spaces.ConvLayer(3, 3, 3, inputs=(0,)),
  ),
)
IMAGES = np.random.default_rng(1).normal(size=(B, 6, 6, 2)).astype(np.float32)
LABELS = np.array([0, 2, 1])


def test_an_image_classifier_has_the_scores_of_a_plain_one():
  key = jax.random.key(3)
  child = proxies.of_network(
    conv_net.make_network(NET, (6, 6, 2), 3), key, IMAGES, LABELS
  )
  params, batch_stats = conv_net.init(key, NET, (6, 6, 2), 3)
  module = conv_net.ConvNetwork(NET, 3)

  def logits(params, images, is_training=False):
    variables = {'params': params, 'batch_stats': batch_stats}
    found, _ = module.apply(
      variables, images, is_training, mutable='batch_stats'
    )
    return found

  def loss(params):
    log_prob = jax.nn.log_softmax(logits(params, IMAGES, True))
    return -log_prob[np.arange(B), LABELS].mean()

  @jax.jit
  def differentiate():
    positive = jax.tree.map(jnp.abs, params)
    ones = jnp.ones((1, 6, 6, 2))
    return (
      jax.grad(loss)(params),
      (positive, jax.grad(lambda p: logits(p, ones).sum())(positive)),
      jax.grad(lambda images: logits(params, images).sum())(IMAGES),
    )

  grads, flow, rows = jax.tree.map(np.asarray, differentiate())
  expected = {
    'gradient_norm': log_norm(grads),
    'snip': log_saliency(params, grads),
    'synflow': log_saliency(*flow),
    'jacobian_covariance': plain_score(rows.reshape(B, -1)),
  }

  @jax.jit
  def score():
    return {name: proxies.PROXIES[name](child) for name in expected}

  for name, value in score().items():
    np.testing.assert_allclose(value, expected[name], rtol=1e-3, err_msg=name)
  with pytest.raises(ValueError, match='needs hidden states'):
    proxies.hidden_covariance(child)


def test_a_network_is_initialized_by_the_key():
  calls = []

  def init(key):
    calls.append(key)
    return {'w': jnp.ones(2)}, {}

  net = network.Network(
    init,
    lambda params, stats, images, labels: (
      jnp.sum(params['w']), stats, {'w': jnp.array([3.0, 4.0])}
    ),
    lambda params, stats, images: images.sum((1, 2)),
  )  # fmt: skip
  child = proxies.of_network(net, jax.random.key(0), IMAGES, LABELS)
  np.testing.assert_allclose(proxies.gradient_norm(child), np.log(5), rtol=1e-6)
  np.testing.assert_allclose(proxies.snip(child), np.log(7), rtol=1e-6)
  assert calls == [jax.random.key(0)]

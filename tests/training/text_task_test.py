# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnas.children import recurrent_cell as cells
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.training import text_task
from jaxnas.types import Span

V, D, T, B, S = 17, 5, 4, 3, 2
RECIPE = text_task.Recipe(features=D)


@pytest.fixture(autouse=True, scope='module')
def quick_compilation():
  # XLA's optimizations do not change what is tested here, and they are most of
  # the time that it takes.
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', False)


def make_segments(tokens):
  """Cuts columns `[S * T + 1, B]`."""
  inputs, targets = (
    jnp.asarray(x.reshape(-1, T, B)) for x in (tokens[:-1], tokens[1:])
  )
  return text_task.Segments(inputs, targets, jnp.ones(inputs.shape))


# Every token is followed by one and the same, so a child can learn all.
SEGMENTS = make_segments(
  np.arange(S * T + 1)[:, None] % 4 + 4 * np.arange(B)[None]
)


@functools.cache
def make_child(optimizer='adam'):
  """Returns a model, a state and jitted `train` and `step`."""
  recipe = text_task.Recipe(features=D, optimizer=optimizer)
  model = text_task.make_model(recipe, V, cells.LSTMCell)
  state = text_task.init(model, recipe, jax.random.key(0), B)
  train = functools.partial(text_task.train, model, recipe)
  step = functools.partial(text_task.step, model, recipe)
  return model, state, jax.jit(train), jax.jit(step)


def assert_equal(first, second):
  jax.tree.map(np.testing.assert_array_equal, first, second)


def assert_close(first, second, atol=1e-6):
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=atol),
    first,
    second,
  )


@pytest.mark.slow
def test_a_child_learns_a_repetitive_text():
  model, state, train, _ = make_child()
  perplexity = jax.jit(functools.partial(text_task.perplexity, model))
  untrained = perplexity(state.params, SEGMENTS)
  np.testing.assert_allclose(untrained, V, rtol=0.05)
  state = train(state, SEGMENTS, 0.05, 150)
  assert perplexity(state.params, SEGMENTS) < 1.5
  assert state.is_alive
  assert state.num_trained == 150


def test_a_child_that_diverges_is_frozen():
  _, state, train, _ = make_child()
  # One step with it leaves finite parameters whose loss is not.
  late = train(state, SEGMENTS, 3e38, 50)
  early = train(state, SEGMENTS, 3e38, 2)
  assert not late.is_alive
  assert late.num_trained == 1
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(late.params))
  assert_equal(late.params, train(state, SEGMENTS, 3e38, 1).params)
  assert_equal(late.opt_state, early.opt_state)
  assert not any(x.any() for x in jax.tree.leaves(late.carry))


def test_a_dead_child_stays_dead():
  _, state, train, _ = make_child()
  dead = state._replace(is_alive=jnp.array(False))
  result = train(dead, SEGMENTS, 0.01, 5)
  assert_equal(result.params, state.params)
  assert not result.is_alive
  assert result.num_trained == 0


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_a_child_that_starts_broken_never_trains(value):
  _, state, train, _ = make_child()
  params = jax.tree.map(lambda x: x.at[0].set(value), state.params)
  result = train(state._replace(params=params), SEGMENTS, 0.01, 3)
  assert not result.is_alive
  assert result.num_trained == 0
  assert_equal(result.params, params)


def test_what_a_live_child_remembers_is_never_repaired():
  # An infinite memory saturates the tanh at the root: loss and gradients are
  # finite, and the next memory is infinite too.
  architecture = spaces.parse(
    'add,identity, add,identity, add,tanh, add,identity, 2,0'
  )
  make_cell = functools.partial(cells.GrammarCell, architecture=architecture)
  model = text_task.make_model(RECIPE, V, make_cell)
  state = text_task.init(model, RECIPE, jax.random.key(0), B)
  ((memory, hidden),) = state.carry
  memory = memory.at[1].set(np.inf)
  result, loss = jax.jit(functools.partial(text_task.step, model, RECIPE))(
    state._replace(carry=[(memory, hidden)]),
    SEGMENTS.inputs[0],
    SEGMENTS.targets[0],
    0.1,
  )
  assert result.is_alive
  assert np.isfinite(loss)
  ((memory, _),) = result.carry
  np.testing.assert_array_equal(
    np.isposinf(memory), np.repeat([[False], [True], [False]], D, 1)
  )


def test_the_state_is_carried_on_and_forgotten_at_the_start_of_the_text():
  _, state, train, step = make_child('sgd')
  # With weights this large the state matters.
  state = state._replace(params=jax.tree.map(lambda x: 20 * x, state.params))

  def by_hand(resets):
    result = state
    for index, reset in enumerate(resets):
      if reset:
        carry = jax.tree.map(jnp.zeros_like, result.carry)
        result = result._replace(carry=carry)
      segment = index % S
      result, _ = step(
        result, SEGMENTS.inputs[segment], SEGMENTS.targets[segment], 1.0
      )
    return result

  result = train(state, SEGMENTS, 1.0, 3)
  assert_close(result, by_hand([True, False, True]), atol=1e-5)
  for resets in ([True, False, False], [True, True, True]):
    other = by_hand(resets).params['params']['embedding']
    difference = result.params['params']['embedding'] - other
    assert np.abs(difference).max() > 1e-3


def test_sgd_follows_the_clipped_gradient():
  model, state, _, step = make_child('sgd')
  inputs, targets, weights = (x[0] for x in SEGMENTS)
  loss, grads = jax.jit(
    jax.value_and_grad(
      lambda params: model.apply(
        params, state.carry, inputs, targets, weights / weights.size
      )[0]
    )
  )(state.params)
  norm = optax.tree.norm(grads)
  assert 0.01 < norm < 1
  result, step_loss = step(state, inputs, targets, 0.5)
  assert_close(step_loss, loss)
  assert_close(
    result.params,
    jax.tree.map(lambda x, g: x - 0.5 * g, state.params, grads),
  )
  # Targets that are all equal pull harder: the step is as long as allowed.
  steep = jax.tree.map(lambda x: 40 * x, state.params)
  result, _ = step(
    state._replace(params=steep), inputs, jnp.zeros_like(targets), 0.5
  )
  moved = jax.tree.map(jnp.subtract, result.params, steep)
  np.testing.assert_allclose(optax.tree.norm(moved), 0.5, rtol=1e-3)


def test_initial_weights_have_the_scales_of_the_recipe():
  model, state, _, _ = make_child()
  params = state.params['params']
  cell = params['layers_0']
  for leaf, scale in (
    (params['embedding'], RECIPE.embedding_scale),
    (params['output_kernel'], RECIPE.embedding_scale),
    (cell['recurrent_kernel'], RECIPE.cell_scale),
    (cell['input_projection']['kernel'], RECIPE.cell_scale),
  ):
    assert 0.8 * scale < np.abs(leaf).max() <= scale
  assert not params['output_bias'].any()
  other = text_task.init(model, RECIPE, jax.random.key(1), B)
  assert (other.params['params']['embedding'] != params['embedding']).any()


def numpy_perplexity(model, params, segments):
  """Returns the perplexity from the outputs on the text in one piece."""
  inputs, targets, weights = (np.asarray(x).reshape(-1, B) for x in segments)
  _, hidden = model.apply(
    params, model.initialize_carry(B), inputs, method='encode'
  )
  kernel = np.asarray(params['params']['output_kernel'], np.float64)
  logits = np.asarray(hidden) @ kernel
  log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
  nats = -np.take_along_axis(log_probs, targets[..., None], -1)[..., 0]
  return np.exp((weights * nats).sum() / weights.sum())


def test_a_task_measures_the_perplexity_of_tokens_with_weight():
  rng = np.random.default_rng(0)
  long = make_segments(rng.integers(0, V, (S * T + 1, B)))
  weights = long.weights.at[-1, 1:].set(0).at[0, 0, 2].set(0)
  splits = {
    'validation': long._replace(weights=weights),
    # Shorter: padded, so that one program measures both.
    'report': make_segments(rng.integers(0, V, (T + 1, B))),
  }
  task = text_task.make_task(RECIPE, V, cells.LSTMCell, SEGMENTS, splits)
  model, state, *_ = make_child()
  # Far from uniform, so that every token and what precedes it matters.
  params = jax.tree.map(lambda x: 20 * x, state.params)
  num_traces = 0

  @jax.jit
  def measure(*arguments):
    nonlocal num_traces
    num_traces += 1
    return task.measure(*arguments)

  for name, segments in splits.items():
    result = measure(task.splits[name], None, state._replace(params=params))
    expected = numpy_perplexity(model, params, segments)
    assert set(result) == {'perplexity'}
    np.testing.assert_allclose(result['perplexity'], expected, rtol=1e-5)
  assert num_traces == 1


def test_a_task_trains_as_its_parts_do():
  task = text_task.make_task(
    RECIPE, V, cells.LSTMCell, SEGMENTS, {'validation': SEGMENTS}
  )
  _, state, train, _ = make_child()
  key = jax.random.key(0)
  child = jax.jit(task.train)(
    task.train_data, None, task.init(None, key, 0.01), key, 0.01, Span(0, 3, 3)
  )
  metrics = task.train_metrics(child)
  assert_close(child.params, train(state, SEGMENTS, 0.01, 3).params, atol=1e-5)
  assert set(metrics) == {'num_trained', 'is_alive'}
  assert metrics['num_trained'] == 3
  assert metrics['is_alive']


@pytest.mark.parametrize(
  ('tie_embeddings', 'expected'), [(False, 987), (True, 902)]
)
def test_golden_parameter_counts(tie_embeddings, expected):
  recipe = text_task.Recipe(
    features=D, num_layers=2, tie_embeddings=tie_embeddings
  )
  assert text_task.num_params(recipe, V, cells.GrammarCell) == expected


@pytest.mark.parametrize(
  ('settings', 'message'),
  [
    ({'features': 0}, 'features must be at least 1, got 0'),
    ({'num_layers': 0}, 'num_layers must be at least 1, got 0'),
    ({'max_grad_norm': 0.0}, 'max_grad_norm must be positive, got 0.0'),
    ({'embedding_scale': -1.0}, 'embedding_scale must be positive, got -1.0'),
    ({'cell_scale': float('nan')}, 'cell_scale must be positive, got nan'),
    ({'optimizer': 'adm'}, "'adm'; expected one of adam, sgd"),
  ],
)
def test_a_bad_recipe_is_refused(settings, message):
  with pytest.raises(ValueError, match=message):
    text_task.Recipe(**settings)

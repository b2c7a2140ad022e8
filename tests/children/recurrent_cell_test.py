# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import functools
import json
import pathlib

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.children import recurrent_cell as cells
from jaxnas.spaces import recurrent_cell as spaces

VECTORS = json.loads(
  (pathlib.Path(__file__).parents[1] / 'data' / 'cell_vectors.json').read_text()
)
T, B, INPUTS, D = 4, 2, 3, 4


@pytest.fixture(autouse=True, scope='module')
def quick_compilation():
  # XLA's optimizations do not change what is tested here, and they are most of
  # the time that it takes.
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', False)


@pytest.fixture(autouse=True)
def float64():
  with jax.enable_x64(True):
    yield


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def to_params(input_weights, recurrent_weights, architecture, bias=None):
  """Returns a `GrammarCell`'s parameters, from weights in leaf order."""

  def arrange(weights):
    return cells.arrange_leaves(jnp.asarray(weights), architecture)

  params = {
    'input_projection': {'kernel': arrange(input_weights)},
    'recurrent_kernel': arrange(recurrent_weights),
  }
  if bias is not None:
    params['bias'] = arrange(bias)
  return {'params': params}


def random_weights(seed, base):
  rng = np.random.default_rng(seed)
  return (
    rng.normal(size=(base, INPUTS, D)),
    rng.normal(size=(base, D, D)),
    rng.normal(size=(base, D)),
    (rng.normal(size=(B, D)), rng.normal(size=(B, D))),
    rng.normal(size=(T, B, INPUTS)),
  )


def random_cell(seed, base):
  space = spaces.make_space(
    base, spaces.EXTENDED_COMBINERS, spaces.EXTENDED_ACTIVATIONS
  )
  rng = np.random.default_rng(seed)
  return space.decode(
    np.array([rng.integers(d.num_choices) for d in space.decisions])
  )


def run_steps(cell, params, carry, inputs):
  """Returns c and h of every step."""
  rows = []
  carry = tuple(map(jnp.asarray, carry))
  for step_inputs in inputs:
    carry, output = apply(cell, params, carry, jnp.asarray(step_inputs))
    np.testing.assert_array_equal(output, carry[1])
    rows.append(carry)
  memory, hidden = zip(*rows, strict=True)
  return np.stack(memory), np.stack(hidden)


def apply(cell, *arguments, **settings):
  return cell.apply(*arguments, **settings)


def assert_close(result, expected):
  np.testing.assert_allclose(result, expected, rtol=0, atol=1e-12)


def test_operations_are_those_of_the_space():
  assert tuple(cells.COMBINERS) == spaces.EXTENDED_COMBINERS
  assert tuple(cells.ACTIVATIONS) == spaces.EXTENDED_ACTIVATIONS


@pytest.mark.parametrize(
  'case', VECTORS['cases'], ids=[case['name'] for case in VECTORS['cases']]
)
def test_every_vector_holds_step_by_step(case):
  architecture = spaces.parse(case['tokens'])
  params = to_params(np.array(case['Wx']), np.array(case['Wh']), architecture)
  cell = cells.GrammarCell(
    architecture=architecture, features=len(case['h0'][0])
  )
  carry = np.array(case['c0']), np.array(case['h0'])
  memory, hidden = run_steps(cell, params, carry, np.array(case['x']))
  tolerance = VECTORS['tolerance']
  assert tolerance == 1e-10
  np.testing.assert_allclose(memory, case['c'], rtol=0, atol=tolerance)
  np.testing.assert_allclose(hidden, case['h'], rtol=0, atol=tolerance)


def test_rnn_and_unroll_and_steps_agree():
  architecture = spaces.KNOWN_CELLS['paper_example']
  wx, wh, bias, carry, inputs = random_weights(0, 2)
  cell = cells.GrammarCell(architecture=architecture, features=D, use_bias=True)
  params = to_params(wx, wh, architecture, bias)
  (memory, hidden), outputs = apply(
    cell, params, carry, inputs, method='unroll'
  )
  rnn = nn.RNN(cell, time_major=True, return_carry=True)
  rnn_carry, rnn_outputs = rnn.apply(
    {'params': {'cell': params['params']}}, inputs, initial_carry=carry
  )
  step_memory, step_hidden = run_steps(cell, params, carry, inputs)
  assert_close(outputs, step_hidden)
  assert_close(rnn_outputs, step_hidden)
  for result in ((memory, hidden), rnn_carry):
    assert_close(result[0], step_memory[-1])
    assert_close(result[1], step_hidden[-1])


def test_the_carry_is_memory_then_hidden_state():
  # The memory is read at a leaf whose value is W x + U h.
  architecture = spaces.parse(
    'add,tanh, add,identity, add,identity, add,identity, 0,2'
  )
  wx, wh, _, carry, inputs = random_weights(1, 2)
  cell = cells.GrammarCell(architecture=architecture, features=D)
  (memory, hidden), output = apply(
    cell, to_params(wx, wh, architecture), carry, inputs[0]
  )
  first, second = (inputs[0] @ wx[i] + carry[1] @ wh[i] for i in (0, 1))
  assert_close(memory, first)
  assert_close(hidden, np.tanh(first) + second + carry[0])
  np.testing.assert_array_equal(output, hidden)
  start = cell.initialize_carry(jax.random.key(0), (7, B, INPUTS))
  assert [leaf.shape for leaf in start] == [(7, B, D)] * 2
  assert not any(leaf.any() for leaf in start)


def test_leading_axes_are_free():
  cell = cells.GrammarCell(features=D, use_bias=True)
  wx, wh, bias, (memory, hidden), inputs = random_weights(2, 8)
  params = to_params(wx, wh, cell.architecture, bias)
  expected = apply(cell, params, (memory, hidden), inputs[0])[1]
  single = apply(cell, params, (memory[1], hidden[1]), inputs[0, 1])[1]
  assert_close(single, expected[1])
  nested = apply(cell, params, (memory[None], hidden[None]), inputs[:1])[1]
  assert_close(nested[0], expected)


def test_nascell_is_tensorflows():
  # tensorflow_addons.rnn.NASCell, with its bias: once by its formulas, once
  # without one on a hidden state that ends in a constant 1.
  architecture = spaces.KNOWN_CELLS['nascell']
  wx, wh, bias, carry, inputs = random_weights(3, 8)
  cell = cells.GrammarCell(architecture=architecture, features=D, use_bias=True)
  params = to_params(wx, wh, architecture, bias)
  _, outputs = apply(cell, params, carry, inputs, method='unroll')
  kernel = jnp.concatenate([wh, bias[:, None]], 1)
  kernel = cells.arrange_leaves(kernel, architecture)
  memory, hidden = carry
  for time in range(T):
    zx = [inputs[time] @ wx[i] for i in range(8)]
    zh = [hidden @ wh[i] + bias[i] for i in range(8)]
    augmented = jnp.concatenate([hidden, np.ones((B, 1))], -1) @ kernel
    by_column, _ = cell.combine(
      None,
      inputs[time] @ params['params']['input_projection']['kernel'],
      augmented,
      memory,
    )
    p = [x + h for x, h in zip(zx, zh, strict=True)]
    first = np.tanh(sigmoid(p[0]) * np.maximum(p[1], 0))
    second = np.tanh(sigmoid(p[2]) + np.maximum(zx[3] * zh[3], 0))
    third = np.tanh(np.tanh(p[4]) * sigmoid(p[5]))
    fourth = sigmoid(np.tanh(p[6]) + sigmoid(p[7]))
    memory = np.tanh(first + memory) * second
    hidden = np.tanh(memory * np.tanh(third + fourth))
    assert_close(outputs[time], hidden)
    assert_close(by_column, hidden)


def flax_lstm(seed, bias_scale):
  """Returns flax's LSTM, and its weights by gate."""
  cell = nn.OptimizedLSTMCell(D)
  rng = np.random.default_rng(seed)
  weights = {
    gate: (
      rng.normal(size=(INPUTS, D)),
      rng.normal(size=(D, D)),
      bias_scale * rng.normal(size=D),
    )
    for gate in 'ifgo'
  }
  params = {}
  for gate, (kernel, recurrent, bias) in weights.items():
    params[f'i{gate}'] = {'kernel': kernel}
    params[f'h{gate}'] = {'kernel': recurrent, 'bias': bias}
  return cell, {'params': params}, weights


def flax_steps(cell, params, carry, inputs):
  # Flax adds a vector to a matrix.
  with jax.numpy_rank_promotion('allow'):
    return run_steps(cell, params, carry, inputs)


def split(rng, weight, count):
  """Returns `count` random arrays whose sum is `weight`."""
  parts = rng.normal(size=(count, *weight.shape))
  parts[-1] = weight - parts[:-1].sum(0)
  return list(parts)


def test_lstm_of_the_grammar_is_an_lstm():
  flax_cell, flax_params, gates = flax_lstm(4, bias_scale=0)
  *_, carry, inputs = random_weights(5, 8)
  rng = np.random.default_rng(6)
  wx, wh = (
    [
      *split(rng, gates['f'][kind], 2),
      gates['i'][kind],
      gates['g'][kind],
      *split(rng, gates['o'][kind], 4),
    ]
    for kind in (0, 1)
  )
  architecture = spaces.KNOWN_CELLS['lstm']
  cell = cells.GrammarCell(architecture=architecture, features=D)
  params = to_params(np.stack(wx), np.stack(wh), architecture)
  memory, hidden = flax_steps(flax_cell, flax_params, carry, inputs)
  (last, _), outputs = apply(cell, params, carry, inputs, method='unroll')
  assert_close(outputs, hidden)
  assert_close(last, memory[-1])


def test_lstm_cell_is_flaxs():
  flax_cell, flax_params, gates = flax_lstm(7, bias_scale=1)
  *_, carry, inputs = random_weights(8, 4)
  kernel, recurrent_kernel, bias = (
    np.concatenate(parts, -1)
    for parts in zip(*(gates[gate] for gate in 'ifgo'), strict=True)
  )
  params = {
    'input_projection': {'kernel': kernel},
    'recurrent_kernel': recurrent_kernel,
    'bias': bias,
  }
  memory, hidden = flax_steps(flax_cell, flax_params, carry, inputs)
  cell = cells.LSTMCell(features=D)
  (last, _), outputs = apply(
    cell, {'params': params}, carry, inputs, method='unroll'
  )
  assert_close(outputs, hidden)
  assert_close(last, memory[-1])
  step_carry, _ = apply(cell, {'params': params}, carry, inputs[0])
  assert_close(step_carry, (memory[0], hidden[0]))


def test_gru_cell_is_flaxs():
  rng = np.random.default_rng(11)
  kernels = {gate: rng.normal(size=(INPUTS, D)) for gate in 'rzn'}
  recurrent = {gate: rng.normal(size=(D, D)) for gate in 'rzn'}
  biases = {gate: rng.normal(size=D) for gate in 'rzn'}
  flax_params = {
    f'i{gate}': {
      'kernel': kernels[gate],
      # That of the candidate's input half is one too many.
      'bias': 0 * biases[gate] if gate == 'n' else biases[gate],
    }
    for gate in 'rzn'
  } | {f'h{gate}': {'kernel': recurrent[gate]} for gate in 'rzn'}
  flax_params['hn']['bias'] = biases['n']
  params = {
    'input_projection': {'kernel': np.concatenate([*kernels.values()], -1)},
    'recurrent_kernel': np.concatenate([*recurrent.values()], -1),
    'bias': np.concatenate([*biases.values()]),
  }
  *_, (hidden, _), inputs = random_weights(12, 4)
  cell = cells.GRUCell(features=D)
  (memory, last), outputs = apply(
    cell, {'params': params}, (hidden, hidden), inputs, method='unroll'
  )
  flax_cell = nn.GRUCell(D)
  with jax.numpy_rank_promotion('allow'):
    for time in range(T):
      hidden, _ = flax_cell.apply({'params': flax_params}, hidden, inputs[time])
      assert_close(outputs[time], hidden)
  assert_close(memory, hidden)
  assert_close(last, hidden)


def test_the_forget_gate_starts_open():
  zeros = nn.initializers.zeros
  cell = cells.LSTMCell(
    features=D, kernel_init=zeros, recurrent_kernel_init=zeros
  )
  carry = cell.initialize_carry(jax.random.key(0), (B, INPUTS))
  params = cell.init(jax.random.key(0), carry, jnp.zeros((B, INPUTS)))['params']
  np.testing.assert_array_equal(
    params['bias'].reshape(4, D), [[0] * D, [1] * D, [0] * D, [0] * D]
  )


def test_gru_of_the_grammar_is_the_reset_after_gru():
  rng = np.random.default_rng(9)
  w, u = (
    {gate: rng.normal(size=(rows, D)) for gate in 'zrn'} for rows in (INPUTS, D)
  )
  zeros = np.zeros((INPUTS, D)), np.zeros((D, D))
  leaves = [
    (
      *split(rng, weights['z'], 8),
      *split(rng, -weights['z'], 4),
      # Two leaves sum to W_n x, the last one is U_n h.
      *(split(rng, weights['n'], 2) if rows == INPUTS else [zeros[1]] * 2),
      weights['r'],
      zeros[0] if rows == INPUTS else weights['n'],
    )
    for rows, weights in ((INPUTS, w), (D, u))
  ]
  architecture = spaces.KNOWN_CELLS['gru']
  cell = cells.GrammarCell(architecture=architecture, features=D)
  wx, wh = map(np.stack, leaves)
  params = to_params(wx, wh, architecture)
  *_, (hidden, _), inputs = random_weights(10, 16)
  (memory, _), outputs = apply(
    cell, params, (hidden, hidden), inputs, method='unroll'
  )
  for time in range(T):
    x = inputs[time]
    update = sigmoid(x @ w['z'] + hidden @ u['z'])
    reset = sigmoid(x @ w['r'] + hidden @ u['r'])
    candidate = np.tanh(x @ w['n'] + reset * (hidden @ u['n']))
    hidden = update * hidden + (1 - update) * candidate
    assert_close(outputs[time], hidden)
  assert_close(memory, hidden)


def swap_children(cell, node):
  """Exchanges the subtrees below a node.

  Returns the cell, and for each of its nodes the node of the old one.
  """
  source = list(range(2 * cell.base - 1))
  pairs = [(2 * (node - cell.base), 2 * (node - cell.base) + 1)]
  for left, right in pairs:
    source[left], source[right] = right, left
    if left >= cell.base:
      children = (2 * (n - cell.base) for n in (left, right))
      first, second = children
      pairs += [(first, second), (first + 1, second + 1)]
  swapped = dataclasses.replace(
    cell,
    combiners=tuple(cell.combiners[n] for n in source),
    activations=tuple(cell.activations[n] for n in source),
    read_index=source.index(cell.read_index),
    inject_index=source.index(cell.inject_index),
  )
  return swapped, source


@pytest.mark.parametrize('base', [2, 4, 8])
def test_swapped_children_are_one_child(base):
  wx, wh, bias, carry, inputs = random_weights(11, base)
  for node in range(base, 2 * base - 1):
    architecture = random_cell(node, base)
    swapped, source = swap_children(architecture, node)
    assert swap_children(swapped, node)[0] == architecture
    leaves = source[:base]
    old, new = (
      cells.GrammarCell(architecture=a, features=D, use_bias=True)
      for a in (architecture, swapped)
    )
    params = to_params(wx, wh, architecture, bias)
    expected = run_steps(old, params, carry, inputs[:1])
    # The same parameters, as one key makes them, serve both.
    same = run_steps(new, params, carry, inputs[:1])
    np.testing.assert_array_equal(same, expected)
    moved = to_params(wx[leaves], wh[leaves], swapped, bias[leaves])
    assert_close(run_steps(new, moved, carry, inputs[:1]), expected)


def test_half_order_joins_halves():
  assert cells.half_order(2) == (0, 1, 2)
  assert cells.half_order(4) == (0, 2, 1, 3, 4, 5, 6)
  for base in (2, 4, 8, 16):
    order = cells.half_order(base)
    assert sorted(order) == list(range(2 * base - 1))
    for (below, width), (first, half) in zip(
      spaces.levels(base), spaces.levels(base)[1:], strict=False
    ):
      assert order[below] == below
      for i in range(half):
        children = {order[below + i], order[below + i + width // 2]}
        child = 2 * (order[first + i] - base)
        assert children == {child, child + 1}


@pytest.mark.parametrize(
  ('cell', 'expected'),
  [
    (cells.GrammarCell(features=5), 8 * 5 * (3 + 5)),
    (cells.GrammarCell(features=5, use_bias=True), 8 * 5 * (3 + 5 + 1)),
    (
      cells.GrammarCell(architecture=spaces.KNOWN_CELLS['gru'], features=64),
      16 * 64 * (3 + 64),
    ),
    (cells.LSTMCell(features=5), 4 * 5 * (3 + 5 + 1)),
    (cells.LSTMCell(features=5, use_bias=False), 4 * 5 * (3 + 5)),
    (cells.GRUCell(features=5), 3 * 5 * (3 + 5 + 1)),
  ],
)
def test_golden_parameter_counts(cell, expected):
  carry = cell.initialize_carry(jax.random.key(0), (B, INPUTS))
  params = jax.eval_shape(
    cell.init, jax.random.key(0), carry, jnp.ones((B, INPUTS))
  )
  assert sum(leaf.size for leaf in jax.tree.leaves(params)) == expected
  assert {leaf.dtype.name for leaf in jax.tree.leaves(params)} == {'float32'}


def test_initializers_see_one_block():
  cell = cells.GrammarCell(
    architecture=spaces.KNOWN_CELLS['paper_example'],
    features=D,
    kernel_init=lambda key, shape, dtype: jnp.full(shape, shape[1], dtype),
  )
  carry = cell.initialize_carry(jax.random.key(0), (B, INPUTS))
  params = cell.init(jax.random.key(0), carry, jnp.ones((B, INPUTS)))['params']
  np.testing.assert_array_equal(params['input_projection']['kernel'], D)
  blocks = np.split(np.asarray(params['recurrent_kernel']), 2, -1)
  for block in blocks:
    np.testing.assert_allclose(block.T @ block, np.eye(D), atol=1e-5)
  assert np.abs(blocks[0] - blocks[1]).max() > 0.1


@pytest.mark.parametrize(
  'make_cell',
  [
    cells.LSTMCell,
    cells.GRUCell,
    functools.partial(
      cells.GrammarCell, architecture=spaces.KNOWN_CELLS['paper_example']
    ),
  ],
  ids=['lstm', 'gru', 'paper_example'],
)
def test_half_precision_runs_by_step_and_by_unroll(make_cell):
  dtype = jnp.dtype(jnp.bfloat16)
  cell = make_cell(features=D, dtype=dtype)
  inputs = jnp.asarray(random_weights(20, 2)[-1], jnp.float32)
  carry = cell.initialize_carry(jax.random.key(0), inputs[0].shape)
  params = cell.init(jax.random.key(1), carry, inputs[0])['params']
  rnn = nn.RNN(cell, time_major=True, return_carry=True)
  expected = rnn.apply({'params': {'cell': params}}, inputs)
  assert {leaf.dtype for leaf in jax.tree.leaves(expected)} == {dtype}
  assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(expected))
  full = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), carry)
  mask = jnp.ones((B, D), jnp.float32)
  for arguments in ((carry, inputs), (full, inputs), (carry, inputs, mask)):
    result = apply(cell, {'params': params}, *arguments, method='unroll')
    assert {leaf.dtype for leaf in jax.tree.leaves(result)} == {dtype}
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(
        a.astype(np.float32), b.astype(np.float32), rtol=0.03, atol=0.01
      ),
      result,
      expected,
    )


def test_memory_is_promoted_with_the_hidden_state():
  cell = cells.GrammarCell(features=D, dtype=jnp.bfloat16)
  carry = jnp.zeros((B, D), jnp.float32), jnp.zeros((B, D), jnp.float32)
  (carry, output), _ = cell.init_with_output(
    jax.random.key(0), carry, jnp.ones((B, INPUTS), jnp.float32)
  )
  assert {leaf.dtype.name for leaf in (*carry, output)} == {'bfloat16'}


@pytest.mark.parametrize(
  ('make_cell', 'arguments'),
  [
    (cells.GrammarCell, (spaces.KNOWN_CELLS['nascell'], 64)),
    (cells.LSTMCell, (64.0,)),
  ],
)
def test_features_that_are_no_integer_are_refused(make_cell, arguments):
  with pytest.raises(
    ValueError, match=r'features must be an integer, got .*Cell\(features=64'
  ):
    make_cell(*arguments)
  assert make_cell(features=np.int64(64)).features == 64

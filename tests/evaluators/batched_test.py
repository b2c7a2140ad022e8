# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

from collections.abc import Callable
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.children import recurrent_cell, recurrent_interpreter, text_training
from jaxnas.evaluators import batched, compiled, rewards
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.types import ProxyTask, Status

V, D, T, B, S, N = 17, 5, 4, 3, 4, 6
NUM_STEPS = 20
LEARNING_RATE = 0.03
SPACE = spaces.make_space(2)
decode: Callable[..., Any] = SPACE.decode
KEYS = jax.random.split(jax.random.key(3), N)
RECIPE = text_training.Recipe(features=D)


def make_segments(seed):
  # One token in four is a surprise; the rest can be learned.
  rng = np.random.default_rng(seed)
  tokens = np.cumsum(rng.integers(0, 4, (S * T + 1, B)) > 0, 0) % V
  inputs, targets = (x.reshape(S, T, B) for x in (tokens[:-1], tokens[1:]))
  return text_training.Segments(
    jnp.asarray(inputs), jnp.asarray(targets), jnp.ones(inputs.shape)
  )


TRAIN = make_segments(0)
SPLITS = {'validation': make_segments(1), 'report': make_segments(2)}


def make_tokens():
  rng = np.random.default_rng(5)
  rows = [
    [rng.integers(decision.num_choices) for decision in SPACE.decisions]
    for _ in range(N - 1)
  ]
  return np.array(
    [SPACE.encode(spaces.KNOWN_CELLS['paper_example']), *rows], np.int32
  )


TOKENS = make_tokens()


class Counter:
  """Counts how often a function is traced."""

  def __init__(self, function):
    self.function = function
    self.num_calls = 0

  def __call__(self, *arguments):
    self.num_calls += 1
    return self.function(*arguments)


@pytest.fixture(scope='module')
def task():
  task = text_training.make_task(
    RECIPE,
    V,
    recurrent_interpreter.InterpretedCell,
    TRAIN,
    SPLITS,
    recurrent_interpreter.BATCH_AXES,
  )
  return task._replace(train=Counter(task.train), measure=Counter(task.measure))


@pytest.fixture(scope='module')
def runner(task):
  return batched.BlockRunner(task, block_size=4, num_devices=2)


@pytest.fixture(scope='module')
def evaluator(runner):
  return batched.make_evaluator(
    SPACE,
    recurrent_interpreter.assemble,
    runner,
    rewards.make_perplexity_reward(),
    LEARNING_RATE,
    NUM_STEPS,
  )


@pytest.fixture(scope='module')
def evaluation(evaluator):
  return evaluator.evaluate(KEYS, TOKENS)


def run(runner, learning_rates, num_steps=NUM_STEPS, **settings):
  programs = recurrent_interpreter.assemble(list(map(decode, TOKENS)))
  return runner.run(KEYS, programs, learning_rates, num_steps, **settings)


def assert_equal(first, second):
  jax.tree.map(np.testing.assert_array_equal, first, second)


def test_children_learn_and_differ(evaluator, evaluation):
  assert evaluation.status.tolist() == [Status.OK] * N
  assert len(set(evaluation.rewards.tolist())) == N
  perplexity = evaluation.metrics['validation_perplexity']
  np.testing.assert_allclose(evaluation.rewards, 80 / perplexity**2, rtol=1e-5)
  assert perplexity.min() < 0.5 * V
  assert evaluation.metrics['num_trained'].tolist() == [NUM_STEPS] * N
  assert (evaluator.block_size, evaluator.floor_reward) == (4, 0.0)


def test_the_compiled_route_gives_the_same(evaluation):
  def make_task(architecture):
    make_cell = functools.partial(
      recurrent_cell.GrammarCell, architecture=architecture
    )
    return text_training.make_task(RECIPE, V, make_cell, TRAIN, SPLITS)

  reference = compiled.make_evaluator(
    SPACE,
    make_task,
    rewards.make_perplexity_reward(),
    LEARNING_RATE,
    NUM_STEPS,
  )
  # One of each block.
  rows = np.array([2, 4])
  expected = reference.evaluate(KEYS[rows], TOKENS[rows])
  np.testing.assert_allclose(
    evaluation.rewards[rows], expected.rewards, rtol=1e-4
  )
  assert_equal(evaluation.status[rows], expected.status)
  for name, values in expected.metrics.items():
    np.testing.assert_allclose(
      evaluation.metrics[name][rows], values, rtol=1e-4
    )


def test_order_and_company_do_not_matter(evaluator, evaluation):
  for rows in ([5, 3, 1, 0, 2, 4], [4], [2, 5, 2]):
    result = evaluator.evaluate(KEYS[np.array(rows)], TOKENS[rows])
    assert_equal(result, jax.tree.map(lambda x: x[rows], evaluation))  # noqa: B023


def test_a_diverging_child_leaves_its_neighbours_alone(runner):
  learning_rates = np.full(N, LEARNING_RATE)
  expected = run(runner, learning_rates)
  learning_rates[1] = 3e38
  metrics = run(runner, learning_rates)
  others = [0, 2, 3, 4, 5]
  assert_equal(
    {name: values[others] for name, values in metrics.items()},
    {name: values[others] for name, values in expected.items()},
  )
  assert metrics['is_alive'].tolist() == [n != 1 for n in range(N)]
  assert metrics['num_trained'][1] < NUM_STEPS
  evaluation = rewards.judge(metrics, rewards.make_perplexity_reward())
  assert evaluation.status.tolist() == [
    Status.DIVERGED if n == 1 else Status.OK for n in range(N)
  ]
  assert evaluation.rewards[1] == 0
  assert np.isfinite(evaluation.rewards).all()


def test_one_program_serves_all(task, runner, evaluation):
  compile_seconds = runner.compile_seconds
  run_seconds = runner.run_seconds
  assert compile_seconds > 0
  metrics = run(runner, np.full(N, 0.01), 3, splits=('report', 'validation'))
  assert metrics['num_trained'].tolist() == [3] * N
  assert runner.compile_seconds == compile_seconds
  assert runner.run_seconds > run_seconds
  assert (task.train.num_calls, task.measure.num_calls) == (1, 1)
  report, validation = (
    metrics[f'{split}_perplexity'] for split in ('report', 'validation')
  )
  assert (report != validation).all()


def make_toy(train_data=10.0):
  """Makes a task without programs whose results tell what a child was given."""

  def train(train_data, program, key, learning_rate, num_steps):
    assert program is None
    is_alive = learning_rate < 100
    child = {'sum': train_data + learning_rate, 'key': key}
    return child, {'num_steps': num_steps, 'is_alive': is_alive}

  def measure(split, program, child):
    assert program is None
    noise = jax.random.uniform(child['key'])
    return {'total': split + child['sum'], 'noise': noise}

  return ProxyTask(
    train, measure, jnp.array(train_data), {'validation': jnp.array(7.0)}, None
  )


@pytest.mark.parametrize(('block_size', 'num_devices'), [(4, None), (3, 1)])
@pytest.mark.parametrize('num_children', [1, 4, 5])
def test_each_child_gets_its_own(block_size, num_devices, num_children):
  runner = batched.BlockRunner(make_toy(), block_size, num_devices)
  assert runner.num_devices == (num_devices or len(jax.local_devices()))
  keys = jax.random.split(jax.random.key(1), num_children)
  learning_rates = [float(n) for n in range(num_children)]
  metrics = runner.run(keys, None, learning_rates, 9)
  assert_equal(metrics['validation_total'], 17 + np.arange(num_children))
  assert_equal(metrics['validation_noise'], jax.vmap(jax.random.uniform)(keys))
  assert metrics['num_steps'].tolist() == [9] * num_children
  assert metrics['is_alive'].tolist() == [True] * num_children


@pytest.mark.parametrize(
  ('block_size', 'num_devices', 'message'),
  [
    (3, 2, r'block_size must be a multiple of num_devices \(2\), got 3'),
    (0, 2, r'block_size must be a multiple of num_devices \(2\), got 0'),
    (-2, 1, r'block_size must be a multiple of num_devices \(1\), got -2'),
    (99, 99, 'num_devices must be from 1 to'),
  ],
)
def test_a_bad_block_is_refused(block_size, num_devices, message):
  with pytest.raises(ValueError, match=message):
    batched.BlockRunner(make_toy(), block_size, num_devices)


def test_the_default_block_divides_over_devices():
  for num_devices in (1, 2, 8):
    block_size = batched.default_block_size(num_devices)
    assert block_size > 0
    assert block_size % num_devices == 0


def make_plain_task():
  """A task whose loop runs as often as the child's program says."""

  def train(train_data, program, key, learning_rate, num_steps):
    step = lambda _, x: jnp.cos(x) * learning_rate  # noqa: E731
    start = jax.random.normal(key, (3,)) + train_data
    child = jax.lax.fori_loop(0, num_steps * program['count'], step, start)
    return child, {'is_alive': jnp.array(True), 'count': program['count']}

  def measure(split, program, child):
    return {'value': split * program['scale'] * child.sum()}

  return ProxyTask(
    train,
    measure,
    jnp.array(1.0),
    {'validation': jnp.array(2.0)},
    {'count': 0, 'scale': None},
  )


@pytest.mark.parametrize('block_size', [2, 6, 8])
def test_a_loop_gives_what_vmap_gives_in_any_order(block_size):
  count = np.array([3, 0, 7, 1, 5, 2], np.int32)
  programs = {'count': count, 'scale': jnp.array(0.5)}
  rates = np.linspace(0.5, 1, N)
  mapped = batched.BlockRunner(make_plain_task(), 6, 2)
  loop = batched.BlockRunner(make_plain_task(), block_size, 2, mapping='loop')
  expected = mapped.run(KEYS, programs, rates, 2)
  plain = loop.run(KEYS, programs, rates, 2)
  # Only the order of operations within a row may differ.
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6), expected, plain
  )
  assert plain['count'].tolist() == count.tolist()
  costed = loop.run(KEYS, programs, rates, 2, costs=count.tolist())
  assert_equal(plain, costed)


def test_a_loop_runs_only_the_branch_that_a_child_takes():
  ran = []

  def train(train_data, program, key, learning_rate, num_steps):
    def costly():
      jax.debug.callback(lambda number: ran.append(int(number)), program)
      return train_data

    child = jax.lax.cond(program % 2 == 0, costly, lambda: -train_data)
    return child, {'is_alive': jnp.array(True)}

  def measure(split, program, child):
    return {'value': child}

  task = ProxyTask(train, measure, jnp.array(1.0), {'validation': 0.0}, 0)
  runner = batched.BlockRunner(task, 6, 2, mapping='loop')
  metrics = runner.run(KEYS, np.arange(N), np.ones(N), 1)
  jax.effects_barrier()
  assert sorted(ran) == [0, 2, 4]
  assert metrics['validation_value'].tolist() == [1, -1, 1, -1, 1, -1]


def test_costs_are_shared_out_evenly():
  rows = batched._share_out(np.arange(8), 2).reshape(2, 4)
  assert sorted(rows.ravel()) == list(range(8))
  assert rows.sum(axis=1).tolist() == [14, 14]


def test_a_block_that_does_not_fit_is_refused(monkeypatch):
  monkeypatch.setattr(batched.memory, 'available', lambda device: 10)
  runner = batched.BlockRunner(make_plain_task(), 2, 2)
  programs = {'count': np.ones(2, np.int32), 'scale': jnp.array(0.5)}
  with pytest.raises(ValueError, match='A block of 2 children on 2 devices'):
    runner.run(KEYS[:2], programs, [1, 1], 2)


def test_splits_may_have_different_sizes():
  splits = {'validation': np.arange(3.0), 'report': np.arange(5.0)}
  task = ProxyTask(
    train=lambda data, program, key, rate, num_steps: (
      rate * data,
      {'is_alive': True},
    ),
    measure=lambda split, program, child: {'sum': child * split.sum()},
    train_data=np.float32(2),
    splits=splits,
    program_axes=None,
  )
  blocks = batched.BlockRunner(task, block_size=2, num_devices=2)
  programs = compiled.CompiledRunner(lambda _: task, 2, num_devices=1)
  for runner, architectures in (
    (blocks, None),
    (programs, [decode(row) for row in TOKENS[:3]]),
  ):
    metrics = runner.run(
      KEYS[:3], architectures, [1.0, 2.0, 3.0], 1, tuple(splits)
    )
    np.testing.assert_allclose(metrics['validation_sum'], [6, 12, 18])
    np.testing.assert_allclose(metrics['report_sum'], [20, 40, 60])

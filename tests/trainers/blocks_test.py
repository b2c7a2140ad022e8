# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

from collections.abc import Callable
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import evaluators, rewards
from jaxnas.children import recurrent_cell, recurrent_interpreter
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.trainers import blocks, compiled
from jaxnas.training import text_task
from jaxnas.types import Status, Task

V, D, T, B, S, N = 17, 5, 4, 3, 4, 6
NUM_STEPS = 20
LEARNING_RATE = 0.03
SPACE = spaces.make_space(2)
decode: Callable[..., Any] = SPACE.decode
KEYS = jax.random.split(jax.random.key(3), N)
RECIPE = text_task.Recipe(features=D)


def make_segments(seed):
  # One token in four is a surprise; the rest can be learned.
  rng = np.random.default_rng(seed)
  tokens = np.cumsum(rng.integers(0, 4, (S * T + 1, B)) > 0, 0) % V
  inputs, targets = (x.reshape(S, T, B) for x in (tokens[:-1], tokens[1:]))
  return text_task.Segments(
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
  task = text_task.make_task(
    RECIPE,
    V,
    recurrent_interpreter.InterpretedCell,
    TRAIN,
    SPLITS,
    recurrent_interpreter.assemble,
    recurrent_interpreter.BATCH_AXES,
  )
  return task._replace(train=Counter(task.train), measure=Counter(task.measure))


@pytest.fixture(scope='module')
def trainer(task):
  return blocks.BlockTrainer(task, block_size=4, num_devices=2)


@pytest.fixture(scope='module')
def evaluator(trainer):
  return evaluators.make_evaluator(
    SPACE,
    trainer,
    rewards.make_perplexity_reward(),
    LEARNING_RATE,
    NUM_STEPS,
  )


@pytest.fixture(scope='module')
def evaluation(evaluator):
  return evaluator.evaluate(KEYS, TOKENS)


CELLS = [decode(row) for row in TOKENS]


def run(trainer, learning_rates, num_steps=NUM_STEPS, **settings):
  return trainer.run(CELLS, KEYS, learning_rates, num_steps, **settings)


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
    return text_task.make_task(RECIPE, V, make_cell, TRAIN, SPLITS)

  reference = evaluators.make_evaluator(
    SPACE,
    compiled.CompiledTrainer(make_task, block_size=1),
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


def test_a_diverging_child_leaves_its_neighbors_alone(trainer):
  learning_rates = np.full(N, LEARNING_RATE)
  expected = run(trainer, learning_rates)
  learning_rates[1] = 3e38
  trained = run(trainer, learning_rates)
  others = [0, 2, 3, 4, 5]
  assert_equal(
    {name: values[others] for name, values in trained.metrics.items()},
    {name: values[others] for name, values in expected.metrics.items()},
  )
  assert trained.status.tolist() == [
    Status.DIVERGED if n == 1 else Status.OK for n in range(N)
  ]
  assert trained.metrics['num_trained'][1] < NUM_STEPS


def test_a_training_in_spans_is_the_training_in_one(trainer):
  rates = np.linspace(0.01, 0.05, N)
  rates[2] = 3e38
  whole = run(trainer, rates, keep=True)
  assert whole.status[2] == Status.DIVERGED
  first = run(trainer, rates, stop=7, keep=True)
  assert first.metrics['num_trained'].max() == 7
  assert (first.kept.num_trained, first.kept.num_steps) == (7, NUM_STEPS)
  second = trainer.resume(first.kept, stop=8, keep=True)
  third = trainer.resume(second.kept, splits=('validation',), keep=True)
  assert_equal(whole.metrics, third.metrics)
  assert_equal(whole.status, third.status)
  assert_equal(whole.kept.states, third.kept.states)
  # Some of them, in another order and in other company.
  rows = [4, 2, 0]
  some = trainer.resume(first.kept.select(rows), splits=('report',))
  report = run(trainer, rates, splits=('report',)).metrics['report_perplexity']
  assert_equal(some.metrics['report_perplexity'], report[rows])
  assert some.kept is None


def test_a_span_that_is_none_is_refused(trainer):
  kept = run(trainer, np.full(N, 0.01), 9, stop=5, keep=True).kept
  for stop in (4, 10):
    with pytest.raises(ValueError, match=f'from 5, .* to 9, .* got {stop}'):
      trainer.resume(kept, stop=stop)
  with pytest.raises(ValueError, match=r'from 0, .* to 9, .* got 10'):
    run(trainer, np.full(N, 0.01), 9, stop=10)


def test_one_program_serves_all(task, trainer, evaluation):
  compile_seconds = trainer.compile_seconds
  run_seconds = trainer.run_seconds
  assert compile_seconds > 0
  metrics = run(
    trainer, np.full(N, 0.01), 3, splits=('report', 'validation')
  ).metrics
  assert metrics['num_trained'].tolist() == [3] * N
  assert trainer.compile_seconds == compile_seconds
  assert trainer.run_seconds > run_seconds
  assert (task.train.num_calls, task.measure.num_calls) == (1, 1)
  report, validation = (
    metrics[f'{split}_perplexity'] for split in ('report', 'validation')
  )
  assert (report != validation).all()


def make_toy(train_data=10.0):
  """Makes a task without programs whose results tell what a child was given."""

  def init(program, key, learning_rate):
    assert program is None
    return {'sum': learning_rate, 'key': key, 'num_steps': jnp.int32(0)}

  def train(train_data, program, state, key, learning_rate, span):
    assert program is None
    total = train_data + state['sum']
    return {'sum': total, 'key': key, 'num_steps': span.stop - span.start}

  def measure(split, program, state):
    assert program is None
    noise = jax.random.uniform(state['key'])
    return {'total': split + state['sum'], 'noise': noise}

  return Task(
    init,
    train,
    lambda state: {
      'num_steps': state['num_steps'],
      'is_alive': state['sum'] < 100,
    },
    measure,
    jnp.array(train_data),
    {'validation': jnp.array(7.0)},
  )


@pytest.mark.parametrize(('block_size', 'num_devices'), [(4, None), (3, 1)])
@pytest.mark.parametrize('num_children', [1, 4, 5])
def test_each_child_gets_its_own(block_size, num_devices, num_children):
  trainer = blocks.BlockTrainer(make_toy(), block_size, num_devices)
  assert trainer.num_devices == (num_devices or len(jax.local_devices()))
  keys = jax.random.split(jax.random.key(1), num_children)
  learning_rates = [float(n) for n in range(num_children)]
  names = [None] * num_children
  trained = trainer.run(names, keys, learning_rates, 9)
  metrics = trained.metrics
  assert_equal(metrics['validation_total'], 17 + np.arange(num_children))
  assert_equal(metrics['validation_noise'], jax.vmap(jax.random.uniform)(keys))
  assert metrics['num_steps'].tolist() == [9] * num_children
  assert trained.status.tolist() == [Status.OK] * num_children


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
    blocks.BlockTrainer(make_toy(), block_size, num_devices)


def test_the_memory_of_a_block_is_known_before_it_runs():
  trainers = [blocks.BlockTrainer(make_toy(), size, 2) for size in (2, 64)]
  needs = [trainer.needed_bytes('any') for trainer in trainers]
  assert 0 < needs[0] < needs[1]
  seconds = trainers[0].compile_seconds
  assert seconds > 0
  assert trainers[0].run_seconds == 0
  # The program is the one that trains.
  keys = jax.random.split(jax.random.key(0), 2)
  trainers[0].run(['any'] * 2, keys, [0.1] * 2, 1, splits=())
  assert trainers[0].compile_seconds == seconds


def test_the_default_block_divides_over_devices():
  for num_devices in (1, 2, 8):
    block_size = blocks.default_block_size(num_devices)
    assert block_size > 0
    assert block_size % num_devices == 0


COUNTS = [3, 0, 7, 1, 5, 2]


def assemble(counts):
  return {'count': np.array(counts, np.int32), 'scale': jnp.array(0.5)}


def make_plain_task():
  """A task whose loop runs as often as the child's program says."""

  def init(program, key, learning_rate):
    return jax.random.normal(key, (3,)), program['count']

  def train(train_data, program, state, key, learning_rate, span):
    step = lambda _, x: jnp.cos(x) * learning_rate  # noqa: E731
    num_steps = span.stop * program['count']
    start = state[0] + train_data
    return jax.lax.fori_loop(0, num_steps, step, start), state[1]

  def measure(split, program, state):
    return {'value': split * program['scale'] * state[0].sum()}

  return Task(
    init,
    train,
    lambda state: {'is_alive': jnp.array(True), 'count': state[1]},
    measure,
    jnp.array(1.0),
    {'validation': jnp.array(2.0)},
    assemble,
    {'count': 0, 'scale': None},
  )


@pytest.mark.parametrize('block_size', [2, 6, 8])
def test_a_loop_gives_what_vmap_gives_in_any_order(block_size):
  rates = np.linspace(0.5, 1, N)
  mapped = blocks.BlockTrainer(make_plain_task(), 6, 2)
  loop = blocks.BlockTrainer(make_plain_task(), block_size, 2, mapping='loop')
  expected = mapped.run(COUNTS, KEYS, rates, 2).metrics
  plain = loop.run(COUNTS, KEYS, rates, 2).metrics
  # Only the order of operations within a row may differ.
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6), expected, plain
  )
  assert plain['count'].tolist() == COUNTS
  shared = loop.run(COUNTS, KEYS, rates, 2, durations=COUNTS, keep=True)
  assert_equal(plain, shared.metrics)
  assert [int(state[1]) for state in shared.kept.states] == COUNTS


def test_a_loop_runs_only_the_branch_that_a_child_takes():
  ran = []

  def train(train_data, program, state, key, learning_rate, span):
    def costly():
      jax.debug.callback(lambda number: ran.append(int(number)), program)
      return train_data

    return jax.lax.cond(program % 2 == 0, costly, lambda: -train_data)

  task = Task(
    init=lambda program, key, learning_rate: jnp.array(0.0),
    train=train,
    train_metrics=lambda state: {'is_alive': jnp.array(True)},
    measure=lambda split, program, state: {'value': state},
    train_data=jnp.array(1.0),
    splits={'validation': 0.0},
    assemble=np.array,
    program_axes=0,
  )
  trainer = blocks.BlockTrainer(task, 6, 2, mapping='loop')
  metrics = trainer.run(range(N), KEYS, np.ones(N), 1).metrics
  jax.effects_barrier()
  assert sorted(ran) == [0, 2, 4]
  assert metrics['validation_value'].tolist() == [1, -1, 1, -1, 1, -1]


def test_costs_are_shared_out_evenly():
  rows = blocks._share_out(np.arange(8), 2).reshape(2, 4)
  assert sorted(rows.ravel()) == list(range(8))
  assert rows.sum(axis=1).tolist() == [14, 14]


def test_a_block_that_does_not_fit_is_refused(monkeypatch):
  monkeypatch.setattr(blocks.memory, 'available', lambda device: 10)
  trainer = blocks.BlockTrainer(make_plain_task(), 2, 2)
  with pytest.raises(ValueError, match='A block of 2 children on 2 devices'):
    trainer.run(COUNTS[:2], KEYS[:2], [1, 1], 2)
  # Where there is one architecture, it is a result.
  trainer = blocks.BlockTrainer(make_toy(), 2, 2)
  trained = trainer.run([None] * 3, KEYS[:3], [1, 1, 1], 2)
  assert trained.status.tolist() == [Status.OUT_OF_MEMORY] * 3
  assert 'would need about' in trained.reasons[0]


def test_children_that_do_not_go_together_are_refused():
  trainer = blocks.BlockTrainer(make_toy(), 2)
  with pytest.raises(ValueError, match='2 architectures, 6 keys and 1 learn'):
    trainer.run([None] * 2, KEYS, [0.1], 3)
  with pytest.raises(ValueError, match='at least one child'):
    trainer.run([], KEYS[:0], [], 3)
  silent = make_toy()._replace(train_metrics=lambda state: {})
  with pytest.raises(ValueError, match=r"include 'is_alive'.*got nothing"):
    blocks.BlockTrainer(silent, 2).run([None], KEYS[:1], [0.1], 3)


def test_a_split_that_is_not_there_is_told():
  task = make_toy()
  one = [None], KEYS[:1], [0.1], 3
  with pytest.raises(ValueError, match=r"no split 'report' to .* validation"):
    blocks.BlockTrainer(task, 2).run(*one, splits=('report',))
  with pytest.raises(ValueError, match=r"no split 'report' to .* validation"):
    compiled.CompiledTrainer(lambda _: task, 1).run(*one, splits=('report',))


def test_splits_may_have_different_sizes():
  splits = {'validation': np.arange(3.0), 'report': np.arange(5.0)}
  task = Task(
    init=lambda program, key, rate: jnp.float32(rate),
    train=lambda data, program, state, key, rate, span: rate * data,
    train_metrics=lambda state: {'is_alive': jnp.array(True)},
    measure=lambda split, program, state: {'sum': state * split.sum()},
    train_data=np.float32(2),
    splits=splits,
  )
  for trainer in (
    blocks.BlockTrainer(task, block_size=2, num_devices=2),
    compiled.CompiledTrainer(lambda _: task, 2, num_devices=1),
  ):
    metrics = trainer.run(
      CELLS[:3], KEYS[:3], [1.0, 2.0, 3.0], 1, splits=tuple(splits)
    ).metrics
    np.testing.assert_allclose(metrics['validation_sum'], [6, 12, 18])
    np.testing.assert_allclose(metrics['report_sum'], [20, 40, 60])

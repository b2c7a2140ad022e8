# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import threading
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import evaluators
from jaxnas.spaces import recurrent_cell
from jaxnas.trainers import compiled, memory
from jaxnas.types import Reward, Status, Task

SPACE = recurrent_cell.make_space(2)
TOKENS = np.stack(
  [
    SPACE.encode(recurrent_cell.KNOWN_CELLS['paper_example']),
    np.zeros(SPACE.num_tokens, np.int32),
    np.array([0, 1, 1, 2, 0, 3, 0, 0, 2, 1], np.int32),
  ]
)
KEYS = jax.random.split(jax.random.key(0), 3)


def num_names(architecture):
  return len(set(architecture.names))


class State(NamedTuple):
  value: jax.Array
  num_trained: jax.Array
  learning_rate: jax.Array


class Tasks:
  """Makes tasks that cost nothing, and counts."""

  def __init__(self):
    self.made = []
    self.num_traces = 0

  def make(self, architecture):
    self.made.append(architecture)
    size = num_names(architecture)

    def init(program, key, learning_rate):
      assert program is None
      return State(jax.random.uniform(key), jnp.int32(0), learning_rate)

    def train(train_data, program, state, key, learning_rate, span):
      self.num_traces += 1
      assert program is None
      steps = span.stop - span.start
      value = state.value + train_data * size * steps / span.num_steps
      return State(value, state.num_trained + steps, learning_rate)

    def train_metrics(state):
      return {
        'num_trained': state.num_trained,
        'learning_rate': state.learning_rate,
        # The cell of zeros has three different names.
        'is_alive': jnp.array(size > 3),
      }

    def measure(split, program, state):
      assert program is None
      return {'value': split + state.value}

    splits = {'validation': 100.0, 'report': -1.0}
    return Task(init, train, train_metrics, measure, jnp.array(10.0), splits)


@pytest.fixture
def tasks():
  return Tasks()


@pytest.fixture
def evaluator(tasks):
  return make_evaluator(tasks.make, -3.0)


def make_evaluator(make_task, floor=0.0):
  return evaluators.make_evaluator(
    SPACE,
    compiled.CompiledTrainer(make_task, block_size=1),
    Reward(lambda _, metrics: metrics['validation_value'], floor),
    learning_rate=0.5,
    num_steps=7,
  )


def test_each_child_is_trained_and_measured_on_validation(evaluator):
  evaluation = evaluator.evaluate(KEYS, TOKENS)
  sizes = [num_names(SPACE.decode(row)) for row in TOKENS]
  noise = [jax.random.uniform(key) for key in KEYS]
  expected = 100 + 10 * np.array(sizes) + np.array(noise)
  np.testing.assert_allclose(
    evaluation.metrics['validation_value'], expected, rtol=1e-6
  )
  assert sizes[1] <= 3 < min(sizes[0], sizes[2])
  assert evaluation.status.tolist() == [Status.OK, Status.DIVERGED, Status.OK]
  assert evaluation.rewards[1] == -3.0
  np.testing.assert_allclose(
    evaluation.rewards[[0, 2]], expected[[0, 2]], rtol=1e-6
  )
  assert evaluation.metrics['num_trained'].tolist() == [7, 7, 7]
  assert evaluation.metrics['learning_rate'].tolist() == [0.5, 0.5, 0.5]
  assert evaluator.block_size == 1
  assert evaluator.floor_reward == -3.0


def test_an_architecture_is_compiled_once(tasks, evaluator):
  first = evaluator.evaluate(KEYS, TOKENS)
  order = [2, 0, 0]
  again = evaluator.evaluate(KEYS[np.array(order)], TOKENS[order])
  assert len(tasks.made) == 3
  assert tasks.num_traces == 3
  np.testing.assert_array_equal(again.rewards, first.rewards[order])


def test_keys_and_tokens_go_together(evaluator):
  with pytest.raises(ValueError, match='3 architectures, 2 keys'):
    evaluator.evaluate(KEYS[:2], TOKENS)


def test_children_are_spread_over_devices(tasks):
  trainer = compiled.CompiledTrainer(tasks.make, block_size=3)
  architectures = [SPACE.decode(row) for row in TOKENS]
  alone = compiled.CompiledTrainer(tasks.make, block_size=3, num_devices=1)
  assert (trainer.num_devices, alone.num_devices) == (2, 1)
  results = [
    each.run(architectures, KEYS, [0.5] * 3, 7, splits=('validation', 'report'))
    for each in (trainer, alone)
  ]
  jax.tree.map(np.testing.assert_array_equal, *results)
  assert results[0].metrics['report_value'].shape == (3,)
  assert results[0].status.tolist() == [Status.OK, Status.DIVERGED, Status.OK]
  assert trainer.compile_seconds > 0


@pytest.mark.parametrize('when', ['compiling', 'training'])
def test_a_child_without_memory_costs_only_itself(tasks, when, monkeypatch):
  def refuse(program, devices, what, advice):
    if 'f32[4096]' in program.as_text():
      raise memory.NotEnoughMemoryError('too large')

  def exhaust(values):
    raise MemoryError

  def make(architecture):
    task = tasks.make(architecture)
    if num_names(architecture) > 3:
      return task

    def train(train_data, *arguments):
      state = task.train(train_data, *arguments)
      if when == 'compiling':
        extra = jnp.ones(4096).cumsum()[-1] * train_data
      else:
        shape = jax.ShapeDtypeStruct((), jnp.float32)
        extra = jax.pure_callback(exhaust, shape, state.value)
      return state._replace(value=state.value + extra)

    return task._replace(train=train)

  monkeypatch.setattr(memory, 'check', refuse)
  monkeypatch.setattr(
    memory,
    'is_exhausted',
    lambda error: 'MemoryError' in repr(error),
  )
  evaluator = make_evaluator(make)
  evaluation = evaluator.evaluate(KEYS, TOKENS)
  assert evaluation.status.tolist() == [
    Status.OK,
    Status.OUT_OF_MEMORY,
    Status.OK,
  ]
  assert evaluation.rewards[1] == 0
  assert np.isnan(evaluation.metrics['validation_value'][1])
  only = evaluator.evaluate(KEYS[1:2], TOKENS[1:2])
  # What is told of a child, to the type, is the same in any company.
  alone = evaluator.evaluate(KEYS[:1], TOKENS[:1])
  for one, row in ((alone, 0), (only, 1)):
    assert one.metrics.keys() == evaluation.metrics.keys()
    for name, values in one.metrics.items():
      assert values.dtype == evaluation.metrics[name].dtype
      np.testing.assert_array_equal(values[0], evaluation.metrics[name][row])
  assert evaluation.metrics['num_trained'].dtype == np.int32
  assert evaluation.metrics['num_trained'].tolist() == [7, 0, 7]
  assert only.status.tolist() == [Status.OUT_OF_MEMORY]
  assert only.rewards.tolist() == [0]


def test_children_that_train_at_once_share_the_memory_of_a_cpu(
  tasks, monkeypatch
):
  monkeypatch.setattr(memory, 'needed', lambda program: 2 * 2**30)
  monkeypatch.setattr(memory, 'available', lambda device: 3 * 2**30)
  architectures = [SPACE.decode(TOKENS[0])]
  for num_devices, fits in ((1, True), (2, False)):
    trainer = compiled.CompiledTrainer(tasks.make, 2, num_devices)
    trained = trainer.run(architectures, KEYS[:1], [0.5], 7)
    assert trained.status.tolist() == [
      Status.OK if fits else Status.OUT_OF_MEMORY
    ]


def test_keys_may_be_on_any_device(tasks):
  trainer = compiled.CompiledTrainer(tasks.make, 3, 2)
  architectures = [SPACE.decode(row) for row in TOKENS]
  results = [
    trainer.run(architectures, keys, [0.5] * 3, 7)
    for keys in (jax.device_put(KEYS, jax.local_devices()[1]), KEYS)
  ]
  jax.tree.map(np.testing.assert_array_equal, *results)


class CallbackTasks:
  """Makes tasks that call a function on the host, with their number."""

  def __init__(self, function):
    self.function = function
    self.made = []

  def make(self, number):
    self.made.append(number)

    def call(seed):
      self.function(number)
      return np.float32(seed)

    def train(train_data, program, state, key, learning_rate, span):
      seed = jax.random.uniform(key)
      shape = jax.ShapeDtypeStruct((), jnp.float32)
      return train_data + jax.pure_callback(call, shape, seed)

    return Task(
      lambda program, key, learning_rate: jnp.array(0.0),
      train,
      lambda state: {'is_alive': state > -1},
      lambda split, program, state: {'value': split + state},
      jnp.array(10.0),
      {'validation': 100.0},
    )


def test_a_device_that_is_free_takes_the_next_child(monkeypatch):
  lock, finished, all_others = threading.Lock(), [], threading.Event()

  def call(number):
    if number == 0:
      # All but the one that may wait behind this one.
      assert all_others.wait(10)
      return
    with lock:
      finished.append(number)
      if len(finished) == 4:
        all_others.set()

  places = {}
  device_put = jax.device_put

  def put_and_note(values, device=None, **settings):
    # A key and a learning rate, the child's number, before it is trained.
    if (
      isinstance(values, tuple)
      and len(values) == 2
      and jax.dtypes.issubdtype(values[0].dtype, jax.dtypes.prng_key)
    ):
      places[int(values[1])] = device
    return device_put(values, device, **settings)

  monkeypatch.setattr(jax, 'device_put', put_and_note)
  trainer = compiled.CompiledTrainer(CallbackTasks(call).make, 6, 2)
  trained = trainer.run(range(6), jax.random.split(KEYS[0], 6), range(6), 7)
  assert not trained.status.any()
  assert sorted(finished) == [1, 2, 3, 4, 5]
  assert set(places.values()) == set(jax.local_devices())
  assert list(places.values()).count(places[0]) <= 2


@pytest.mark.parametrize('when', ['compiling', 'training'])
def test_nothing_more_is_begun_after_an_error(when):
  is_broken = True

  def call(number):
    if is_broken and number == 0:
      raise RuntimeError('a mistake')

  def make(number):
    if when == 'compiling':
      call(number)
    return tasks.make(number)

  tasks = CallbackTasks(call if when == 'training' else lambda number: None)
  trainer = compiled.CompiledTrainer(make, 40, 2)
  keys = jax.random.split(KEYS[0], 40)
  with pytest.raises(Exception, match='a mistake'):
    trainer.run(range(40), keys, [0.5] * 40, 7)
  assert len(tasks.made) < 20
  # What was broken off is not taken for done.
  is_broken = False
  assert not trainer.run(range(2), keys[:2], [0.5] * 2, 7).status.any()


def test_other_errors_are_not_swallowed(tasks):
  def make(architecture):
    raise RuntimeError('a mistake')

  trainer = compiled.CompiledTrainer(make, block_size=1)
  with pytest.raises(RuntimeError, match='a mistake'):
    trainer.run([SPACE.decode(TOKENS[0])], KEYS[:1], [0.5], 7)


def test_arguments_are_checked(tasks):
  with pytest.raises(ValueError, match='block_size must be at least 1'):
    compiled.CompiledTrainer(tasks.make, block_size=0)
  with pytest.raises(ValueError, match='num_devices must be from 1 to 2'):
    compiled.CompiledTrainer(tasks.make, block_size=1, num_devices=3)
  with pytest.raises(ValueError, match='at least one child'):
    compiled.CompiledTrainer(tasks.make, block_size=1).run([], KEYS[:0], [], 7)


def test_a_training_in_spans_is_the_training_in_one(tasks):
  trainer = compiled.CompiledTrainer(tasks.make, block_size=3)
  cells = [SPACE.decode(row) for row in TOKENS]
  whole = trainer.run(cells, KEYS, [0.5] * 3, 8, keep=True)
  first = trainer.run(cells, KEYS, [0.5] * 3, 8, stop=2, keep=True)
  assert first.metrics['num_trained'].tolist() == [2, 2, 2]
  second = trainer.resume(first.kept.select([2, 0]), keep=True)
  for name, values in second.metrics.items():
    np.testing.assert_array_equal(values, whole.metrics[name][[2, 0]])
  assert second.kept.states[1] == whole.kept.states[0]
  assert second.kept.num_trained == 8
  # Both spans ran the programs that were there.
  assert tasks.num_traces == 3

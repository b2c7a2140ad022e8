# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import functools
import multiprocessing
import os
import pathlib
import signal
import sys
import threading
import time

import jax
import numpy as np
import pytest

from jaxnas.evaluators import queues
from jaxnas.trainers import remote, training_servant
from jaxnas.types import Status
from jaxnas.workers import policies, processes

sys.path.append(str(pathlib.Path(__file__).parent))

import worker_trainers  # Workers find it there too.
from worker_trainers import Child

KEYS = jax.random.split(jax.random.key(1), 10)
CHILDREN = [Child(0.5 * number) for number in range(10)]
RATES = np.linspace(0.01, 0.1, 10).astype(np.float32)


def make_remotes(num_workers, make=worker_trainers.make_trainers, **settings):
  return remote.RemoteTrainers(
    make, processes.ProcessEngine(num_workers), **settings
  )


@pytest.fixture(scope='module')
def local():
  return worker_trainers.make_trainer()


@pytest.fixture(scope='module')
def remotes():
  with make_remotes(2) as remotes:
    yield remotes


@pytest.fixture
def trainer(remotes, local):
  return remotes.wrap('toy', local)


def run(trainer, children=CHILDREN, num_steps=20, **settings):
  count = len(children)
  return trainer.run(
    children, KEYS[:count], RATES[:count], num_steps, **settings
  )


def assert_equal(trained, expected):
  assert trained.metrics.keys() == expected.metrics.keys()
  for name, values in expected.metrics.items():
    np.testing.assert_array_equal(trained.metrics[name], values)
    assert trained.metrics[name].dtype == values.dtype
  np.testing.assert_array_equal(trained.status, expected.status)
  assert trained.reasons == expected.reasons


def test_children_of_workers_are_those_of_this_process(trainer, local):
  assert_equal(run(trainer), run(local))
  assert_equal(
    run(trainer, splits=('report',), durations=list(range(10))),
    run(local, splits=('report',)),
  )


@pytest.mark.slow
@pytest.mark.parametrize('num_workers', [1, 4])
def test_the_number_of_workers_changes_nothing(local, num_workers):
  before = set(multiprocessing.active_children())
  with make_remotes(num_workers) as remotes:
    trained = run(remotes.wrap('toy', local))
    processes = set(multiprocessing.active_children()) - before
    assert len(processes) == num_workers
  assert not any(process.is_alive() for process in processes)
  assert_equal(trained, run(local))


def test_children_that_are_kept_go_on_elsewhere(trainer, local):
  first = run(trainer, stop=7, keep=True)
  other = run(local, stop=7, keep=True)
  assert_equal(first, other)
  assert first.kept.num_trained == 7
  # They are trained on here, and what was kept here is trained on there.
  rows = [8, 1, 3]
  expected = local.resume(other.kept.select(rows), stop=12, keep=True)
  for mine, theirs in ((trainer, other), (local, first)):
    trained = mine.resume(theirs.kept.select(rows), stop=12, keep=True)
    assert_equal(trained, expected)
    assert_equal(mine.resume(trained.kept), local.resume(expected.kept))
  np.testing.assert_array_equal(
    trainer.resume(first.kept).metrics['sum'], run(local).metrics['sum']
  )


def test_a_remote_trainer_is_as_the_one_here(trainer, local, remotes):
  assert trainer.task is local.task
  assert trainer.block_size == 8
  assert trainer.num_devices == 4
  compiled, ran = trainer.compile_seconds, trainer.run_seconds
  run(trainer)
  assert trainer.run_seconds > ran
  assert trainer.compile_seconds >= compiled > 0
  assert remotes.wrap('another', local).run_seconds == 0
  assert trainer.dry_run(CHILDREN, ('report',)) == local.dry_run(
    CHILDREN, ('report',)
  )
  with pytest.raises(ValueError, match='a key and a learning rate for each'):
    trainer.run(CHILDREN, KEYS[:3], RATES, 5)
  with pytest.raises(ValueError, match='stop must be from 0'):
    run(trainer, stop=21)


def test_the_line_on_workers_says_how_far_a_search_is_behind(trainer, remotes):
  queue = queues.OfTrainer(trainer.queue, prepare=None, judge=None)
  queue.tell_lag(lambda: 2.5)
  assert remotes.dispatcher.lag() == 2.5


def test_blocks_are_finished_in_any_order(trainer, local):
  queue = trainer.queue
  assert trainer.queue is queue
  assert queue.block_size == 4
  assert queue.collect() == []
  assert queue.num_wanted == 2
  slow = [Child(each.value, 'sleep') for each in CHILDREN[:4]]
  first = queue.submit(slow, KEYS[:4], RATES[:4], 20)
  second = queue.submit(CHILDREN[4:8], KEYS[4:8], RATES[4:8], 20)
  assert queue.num_wanted == 0
  assert [number for number, _ in queue.collect()] == [second]
  # Others may use the same workers meanwhile.
  assert_equal(run(trainer), run(local))
  ((number, trained),) = queue.collect()
  assert number == first
  assert_equal(trained, run(local, CHILDREN[:4]))
  assert queue.collect() == []


@pytest.mark.slow
def test_a_poisoned_child_costs_only_itself(trainer, local):
  children = [*CHILDREN[:3], Child(1.5, 'die'), *CHILDREN[4:8]]
  trained = run(trainer, children)
  expected = run(local, CHILDREN[:8])
  assert trained.status.tolist() == [
    *[Status.OK] * 3, Status.CRASHED, *[Status.OK] * 4
  ]  # fmt: skip
  assert trained.reasons[3] == 'its process ended with signal SIGKILL'
  assert not any(trained.reasons[:3] + trained.reasons[4:])
  for name, values in expected.metrics.items():
    np.testing.assert_array_equal(
      np.delete(trained.metrics[name], 3), np.delete(values, 3)
    )
    assert np.isnan(trained.metrics[name][3])


@pytest.mark.parametrize('deed', ['die once', 'halt once'])
def test_a_process_that_dies_or_halts_costs_nothing(
  local, deed, tmp_path, monkeypatch
):
  # A worker of its own, which has been seen to be quick.
  monkeypatch.setattr(policies, 'MIN_DEADLINE_SECONDS', 1.0)
  with make_remotes(1) as remotes:
    trainer = remotes.wrap('toy', local)
    run(trainer)
    run(trainer)
    child = Child(0.5, deed, str(tmp_path / 'mark'))
    trained = run(trainer, [CHILDREN[0], child])
  assert (tmp_path / 'mark').exists()
  assert_equal(trained, run(local, CHILDREN[:2]))


def test_a_process_killed_from_outside_costs_nothing(trainer, local, tmp_path):
  mark = tmp_path / 'mark'

  def kill():
    while not mark.exists() or not mark.read_text():
      time.sleep(0.02)
    os.kill(int(mark.read_text()), signal.SIGKILL)

  killer = threading.Thread(target=kill)
  killer.start()
  children = [CHILDREN[0], Child(0.5, 'wait once', str(mark)), *CHILDREN[2:]]
  trained = run(trainer, children)
  killer.join()
  assert_equal(trained, run(local))


def test_an_error_in_a_worker_stops_the_search_in_one_line(trainer, local):
  with pytest.raises(ValueError, match='failed twice, on process') as error:
    run(trainer, [Child(1.0, 'raise')])
  line = str(error.value)
  assert '(1 child)' in line
  assert 'RuntimeError at ' in line
  assert line.endswith(': no such child')
  assert_equal(run(trainer), run(local))


def test_an_interrupted_queue_is_empty_and_serves_the_next(
  trainer, local, monkeypatch
):
  queue = trainer.queue
  dispatcher = trainer._remotes.dispatcher
  collect, submit = dispatcher.collect, dispatcher.submit

  def interrupt():
    monkeypatch.setattr(dispatcher, 'collect', collect)
    raise KeyboardInterrupt

  queue.submit(CHILDREN[:4], KEYS[:4], RATES[:4], 20)
  monkeypatch.setattr(dispatcher, 'collect', interrupt)
  with pytest.raises(KeyboardInterrupt):
    queue.collect()
  assert queue.collect() == []

  def interrupt_later(block):
    monkeypatch.setattr(dispatcher, 'submit', submit)
    submit(block)
    raise KeyboardInterrupt

  monkeypatch.setattr(dispatcher, 'submit', interrupt_later)
  with pytest.raises(KeyboardInterrupt):
    queue.submit(CHILDREN[:4], KEYS[:4], RATES[:4], 20)
  assert queue.collect() == []
  assert_equal(run(trainer), run(local))


def test_workers_with_other_data_are_refused(local):
  make = functools.partial(worker_trainers.make_trainers, '2')
  with (
    make_remotes(1, make, facts={'data': '1'}) as remotes,
    pytest.raises(ValueError, match=r'its data is 2, not 1 as elsewhere\.$'),
  ):
    run(remotes.wrap('toy', local))


def test_workers_that_can_not_make_trainers_end_the_search(local):
  with (
    make_remotes(2, worker_trainers.fail_to_make) as remotes,
    pytest.raises(
      ValueError, match=r'^No worker can be started: FileNotFoundError at '
    ),
  ):
    run(remotes.wrap('toy', local))


def test_a_block_is_split_in_halves():
  block = training_servant.TrainingBlock(
    'toy',
    'abcde',
    training_servant.pack(KEYS[:5]),
    RATES[:5],
    20,
    (),
    [1.0, 2.0, 3.0, 4.0, 5.0],
    7,
    True,
    3,
    [1, 2, 3, 4, 5],
  )
  first, second = block.split()
  assert first.architectures == ['a', 'b']
  assert second.architectures == ['c', 'd', 'e']
  assert second.durations == [3.0, 4.0, 5.0]
  assert second.states == [3, 4, 5]
  np.testing.assert_array_equal(second.learning_rates, RATES[2:5])
  np.testing.assert_array_equal(
    jax.random.key_data(training_servant.unpack(second.keys)),
    jax.random.key_data(KEYS[2:5]),
  )
  assert second.kind == ('toy', 4, ())
  assert first.select([0]).split() == ()

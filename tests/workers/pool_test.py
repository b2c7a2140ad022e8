# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import contextlib
import logging
import math
import multiprocessing
import pathlib
import pickle
import sys
import time

import pytest

from jaxnas.types import Status
from jaxnas.workers import pool

sys.path.append(str(pathlib.Path(__file__).parent))

import worker_functions  # Workers find it there too.


def make_workers(num_workers=1, timeout_seconds=20.0):
  return contextlib.closing(
    pool.Workers(
      pickle.dumps(worker_functions.act), 'act', num_workers, timeout_seconds
    )
  )


@pytest.fixture(scope='module')
def workers():
  with make_workers(2) as workers:
    yield workers


def call(*value, seed=0, **settings):
  return value, seed, settings


def test_calls_run_at_the_same_time_and_come_back_in_order(workers, tmp_path):
  # Each of the two waits until the other has begun.
  folder = str(tmp_path)
  outcomes = workers.run(
    [
      call('meet', folder, 2, seed=1),
      call('meet', folder, 1, seed=2),
      call('seed', seed=3),
    ],
    0,
  )
  assert [each.values for each in outcomes] == [
    {'reward': 1.0},
    {'reward': 2.0},
    {'reward': 3.0},
  ]
  assert {each.status for each in outcomes} == {Status.OK}


def test_named_arguments_arrive_and_named_numbers_come_back(workers):
  (outcome,) = workers.run([call('settings', reward=2, size=7)], 0)
  assert outcome == pool.Outcome(Status.OK, {'reward': 2.0, 'size': 7.0}, '')


@pytest.mark.parametrize(
  ('result', 'status', 'num_calls'),
  [
    (None, Status.FAILED, 3),
    # What a function returns, it would return again.
    (math.inf, Status.NOT_FINITE, 1),
    (0.5, Status.OK, 1),
  ],
)
def test_only_what_may_go_better_is_tried_again(
  workers, tmp_path, caplog, result, status, num_calls
):
  with caplog.at_level(logging.WARNING):
    (outcome,) = workers.run([call('count', str(tmp_path), result, seed=5)], 2)
  assert outcome.status is status
  assert (tmp_path / '5').read_text() == 'x' * num_calls
  lines = [record.getMessage() for record in caplog.records]
  failures = 0 if status is Status.OK else num_calls
  assert len(lines) == failures
  for number, line in enumerate(lines, start=1):
    is_last = number == num_calls
    assert line.endswith('trial fails.' if is_last else 'is called again.')
    assert ('was called 3 times' in line) == (number == 3)
    assert 'seed=5' in line


def test_a_call_that_ends_its_process_takes_no_other_with_it(workers):
  calls = [
    call('exit', seed=3),
    call('seed', seed=1),
    call('leave', seed=2),
    call('seed', seed=4),
  ]
  crashed, first, left, second = workers.run(calls, 0)
  assert crashed.status is Status.CRASHED
  assert crashed.reason == 'its process ended with exit code 3'
  assert crashed.values == {}
  assert left.status is Status.FAILED
  assert left.reason.startswith('SystemExit at ')
  assert (first.values, second.values) == ({'reward': 1.0}, {'reward': 4.0})


def test_only_a_call_that_takes_too_long_costs_its_process():
  with make_workers(timeout_seconds=1.0) as workers:
    before, late, after, again = workers.run(
      [call('pid'), call('hang'), call('pid'), call('pid')], 0
    )
  assert late.status is Status.TIMED_OUT
  assert late.reason == 'it took longer than 1 s'
  assert before.values != after.values
  assert after.values == again.values


def test_processes_start_at_the_first_call_and_end_with_the_pool():
  before = set(multiprocessing.active_children())
  with make_workers() as workers:
    assert set(multiprocessing.active_children()) == before
    workers.run([call('seed')] * 2, 0)
    (process,) = set(multiprocessing.active_children()) - before
  assert not process.is_alive()


def test_an_interruption_while_calls_are_handed_out_ends_them():
  def calls():
    yield call('hang')
    raise KeyboardInterrupt

  started = time.monotonic()
  with (
    make_workers(timeout_seconds=None) as workers,
    pytest.raises(KeyboardInterrupt),
  ):
    workers.run(calls(), 0)
  assert time.monotonic() - started < 40


@pytest.mark.parametrize(
  ('value', 'expected'),
  [
    (0.5, True),
    (-3e38, True),
    (1e39, False),
    (math.nan, False),
    (-math.inf, False),
    (10**400, False),
  ],
)
def test_rewards_are_finite_in_single_precision(value, expected):
  assert pool.is_finite(value) is expected

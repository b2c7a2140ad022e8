# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import contextlib
import multiprocessing
import pathlib
import pickle
import sys

import pytest

from jaxnas.workers import process

sys.path.append(str(pathlib.Path(__file__).parent))

import worker_functions  # The process finds it there too.


@contextlib.contextmanager
def serving(function):
  """Yields a process that serves a function, and the pipe to it."""
  spawn = multiprocessing.get_context('spawn')
  ours, theirs = spawn.Pipe()
  server = spawn.Process(target=process.serve, args=(theirs, function))
  server.start()
  theirs.close()
  try:
    yield server, ours
  finally:
    ours.close()
    server.join(20)
    server.kill()


@pytest.fixture(scope='module')
def pipe():
  with serving(pickle.dumps(worker_functions.act)) as (_, pipe):
    assert pipe.poll(20)
    assert pipe.recv() == process.Answer(0, '')
    yield pipe


def ask(pipe, number, arguments):
  pipe.send(process.Call(number, arguments))
  assert pipe.poll(20)
  return pipe.recv()


@pytest.mark.parametrize(
  ('result', 'values'),
  [
    (3, {'reward': 3.0}),
    (True, {'reward': 1.0}),
    ({'reward': -2, 'size': 7}, {'reward': -2.0, 'size': 7.0}),
    ({'reward': 0, 5: 10**400}, {'reward': 0.0, '5': float('inf')}),
  ],
)
def test_an_answer_has_numbers_by_name(pipe, result, values):
  arguments = pickle.dumps((('return', result), 0, {}))
  assert ask(pipe, 7, arguments) == process.Answer(7, '', values)


@pytest.mark.parametrize(
  ('result', 'error'),
  [
    (None, 'expected a number, got a NoneType'),
    ('0.5', 'expected a number, got a str'),
    (
      {'reward': 1, 'size': [2]},
      "expected a number as 'size', got a list",
    ),
    ({}, "the mapping needs a 'reward', got nothing"),
    ({'a': 1, 'b': 2}, "the mapping needs a 'reward', got a, b"),
  ],
)
def test_what_is_no_reward_is_told(pipe, result, error):
  arguments = pickle.dumps((('return', result), 0, {}))
  assert ask(pipe, 8, arguments) == process.Answer(8, error)


def test_whatever_a_call_raises_is_told_and_the_next_is_served(pipe):
  answer = ask(pipe, 1, pickle.dumps((('leave',), 3, {})))
  assert answer.number == 1
  assert answer.error.startswith('SystemExit at ')
  assert 'worker_functions.py' in answer.error
  answer = ask(pipe, 2, b'not a pickle')
  assert answer.number == 2
  assert answer.error.startswith('UnpicklingError')
  answer = ask(pipe, 3, pickle.dumps((('seed',), 6, {})))
  assert answer == process.Answer(3, '', {'reward': 6.0})


def test_a_process_ends_when_nobody_can_ask_it_any_more():
  with serving(pickle.dumps(worker_functions.act)) as (server, pipe):
    assert pipe.poll(20)
    pipe.recv()
    pipe.close()
    server.join(20)
    assert server.exitcode == 0


def test_a_function_that_can_not_be_loaded_is_told():
  with serving(b'cno_such_module\nf\n.') as (server, pipe):
    assert pipe.poll(20)
    answer = pipe.recv()
    server.join(20)
    assert server.exitcode == 0
  assert answer.number == 0
  assert answer.error.startswith('ModuleNotFoundError')
  assert "'no_such_module'" in answer.error

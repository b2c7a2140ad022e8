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


class Serving:
  """A process that serves, and this end of its pipes."""

  def __init__(self, factory):
    spawn = multiprocessing.get_context('spawn')
    theirs, self.requests = spawn.Pipe(duplex=False)
    self.answers, their_answers = spawn.Pipe(duplex=False)
    self.process = spawn.Process(
      target=process.serve, args=(theirs, their_answers, factory)
    )
    self.process.start()
    theirs.close()
    their_answers.close()
    self._read = process.make_reader()

  def receive(self):
    message = None
    while message is None:
      assert self.answers.poll(20)
      message = self._read(self.answers.recv_bytes())
    return message

  def ask(self, number, request):
    self.requests.send_bytes(pickle.dumps((number, request)))
    return self.receive()


@contextlib.contextmanager
def serving(factory):
  server = Serving(factory)
  try:
    yield server
  finally:
    server.requests.close()
    server.process.join(20)
    server.process.kill()


@pytest.fixture(scope='module')
def server():
  with serving(pickle.dumps(worker_functions.Actor)) as server:
    assert server.receive() == process.Ready({'kind': 'actor'})
    yield server


def ask(server, number, *request):
  return server.ask(number, pickle.dumps(request))


def test_an_answer_has_the_number_of_its_request(server):
  answer = ask(server, 7, 'return', {'a': [1, 2]})
  assert answer.number == 7
  assert answer.reason == ''
  assert pickle.loads(answer.answer) == {'a': [1, 2]}
  assert 0 <= answer.seconds < 5


def test_a_large_answer_comes_as_it_was(server):
  data = bytes(range(256)) * 4000
  assert pickle.loads(ask(server, 8, 'return', data).answer) == data


def test_the_time_of_a_request_is_told(server):
  assert ask(server, 1, 'sleep', 0.2).seconds >= 0.2


def test_whatever_a_servant_raises_is_told_and_the_next_is_served(server):
  answer = ask(server, 1, 'leave', 3)
  assert (answer.number, answer.answer) == (1, b'')
  assert answer.reason.startswith('SystemExit at ')
  assert 'worker_functions.py' in answer.reason
  answer = server.ask(2, b'not a pickle')
  assert answer.number == 2
  assert answer.reason.startswith('UnpicklingError')
  answer = ask(server, 3, 'refuse', 'no such thing')
  assert (answer.number, answer.reason) == (3, 'no such thing')
  answer = ask(server, 4, 'unpicklable')
  assert answer.answer == b''
  assert 'local object' in answer.reason
  assert pickle.loads(ask(server, 5, 'return', 6).answer) == 6


def test_a_process_ends_when_nobody_can_ask_it_any_more():
  with serving(pickle.dumps(worker_functions.Actor)) as server:
    server.receive()
    server.requests.close()
    server.process.join(20)
    assert server.process.exitcode == 0


@pytest.mark.parametrize(
  ('factory', 'reason'),
  [
    (b'cno_such_module\nf\n.', "ModuleNotFoundError: .*'no_such_module'"),
    (pickle.dumps(worker_functions.refuse_to_make), 'RuntimeError at .*: no'),
    (pickle.dumps(worker_functions.leave), 'SystemExit at '),
    (pickle.dumps(worker_functions.WithoutCard), 'AttributeError'),
  ],
)
def test_a_servant_that_can_not_be_made_is_told(factory, reason):
  with serving(factory) as server:
    ready = server.receive()
    server.process.join(20)
    assert server.process.exitcode == 0
  assert ready.card == {}
  assert pytest.RaisesExc(Exception, match=reason).matches(
    Exception(ready.reason)
  )


def test_pieces_of_others_are_passed_over():
  read = process.make_reader()
  pieces = []

  class Pipe:
    def send_bytes(self, piece):
      pieces.append(bytes(piece))

  process.send_in_pieces(Pipe(), ['x' * 9000])
  assert len(pieces) == 3
  assert read(pickle.dumps('nonsense')) is None
  messages = [read(piece) for piece in pieces]
  assert messages == [None, None, ['x' * 9000]]

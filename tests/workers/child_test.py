# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import contextlib
import multiprocessing
from multiprocessing import connection
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import time

import pytest

from jaxnas.workers import child as child_lib
from jaxnas.workers import process

sys.path.append(str(pathlib.Path(__file__).parent))

import worker_functions  # The process finds it there too.

on_linux = pytest.mark.skipif(sys.platform != 'linux', reason='no /proc')


@contextlib.contextmanager
def started(factory=worker_functions.Actor, **settings):
  child = child_lib.Child(pickle.dumps(factory), **settings)
  try:
    yield child
  finally:
    child.kill()


def receive(child, seconds=20.0):
  """Returns the next message, or `None` if none comes in time."""
  deadline = time.monotonic() + seconds
  while not (messages := child.receive()):
    child.look()
    left = deadline - time.monotonic()
    if left <= 0:
      return None
    connection.wait(child.waitables, min(left, child.POLL_SECONDS))
  (message,) = messages
  return message


def ask(child, *request, number=1):
  child.send(number, pickle.dumps(request))
  message = receive(child)
  if isinstance(message, process.Answer):
    assert message.number == number
    return message.reason or pickle.loads(message.answer)
  return message


@pytest.fixture(scope='module')
def child():
  with started() as child:
    assert receive(child) == process.Ready({'kind': 'actor'})
    yield child


def test_requests_are_answered_one_by_one(child):
  assert ask(child, 'return', 5, number=3) == 5
  assert child.number is None
  assert ask(child, 'pid', number=4) == child.pid != os.getpid()
  assert child.receive() == []


def test_a_request_of_any_size_arrives(child):
  data = bytes(range(256)) * 4000
  assert ask(child, 'return', data) == data


def test_a_child_whose_servant_needs_no_jax_does_not_import_it(child):
  assert ask(child, 'modules', 'jax') is False


def test_environment_variables_are_those_of_the_child_alone():
  with started(environment={'PLACE_OF_CHILD': 'here'}) as child:
    receive(child)
    assert ask(child, 'environment', 'PLACE_OF_CHILD') == 'here'
  assert 'PLACE_OF_CHILD' not in os.environ


@pytest.mark.parametrize(
  ('request_', 'reason'),
  [(('exit', 5), 'exit code 5'), (('end', 'SIGKILL'), 'signal SIGKILL')],
)
def test_an_end_is_told_once(request_, reason):
  with started() as child:
    receive(child)
    assert ask(child, *request_) == child_lib.Ended(reason)
    assert child.has_ended
    assert child.waitables == []
    assert child.receive() == []


def test_an_idle_child_that_is_killed_has_ended():
  with started() as child:
    receive(child)
    os.kill(child.pid, signal.SIGKILL)
    assert receive(child) == child_lib.Ended('signal SIGKILL')


@on_linux
@pytest.mark.skipif(not hasattr(os, 'setsid'), reason='no sessions')
def test_ctrl_c_does_not_reach_a_child_that_is_being_started():
  # Tests that run in the background may inherit that it is ignored.
  before = signal.signal(signal.SIGINT, signal.default_int_handler)
  try:
    with started() as child:
      os.kill(child.pid, signal.SIGINT)
      assert receive(child) == process.Ready({'kind': 'actor'})
      # Later, it is as usual.
      assert ask(child, 'end', 'SIGINT').startswith('KeyboardInterrupt at ')
  finally:
    signal.signal(signal.SIGINT, before)


def test_a_start_that_is_interrupted_leaves_no_process(monkeypatch):
  @contextlib.contextmanager
  def interrupted():
    yield
    raise KeyboardInterrupt

  monkeypatch.setattr(child_lib, '_without_interrupts', interrupted)
  before = multiprocessing.active_children()
  with pytest.raises(KeyboardInterrupt):
    child_lib.Child(pickle.dumps(worker_functions.Actor))
  assert multiprocessing.active_children() == before


def test_neither_side_waits_for_a_process_that_is_stopped():
  with started() as child:
    receive(child)
    os.kill(child.pid, signal.SIGSTOP)
    begun = time.monotonic()
    child.send(1, pickle.dumps(('return', b'x' * 10**7)))
    assert receive(child, 0.3) is None
    child.kill()
    assert time.monotonic() - begun < 5


def is_running(pid):
  with contextlib.suppress(OSError):
    stat = pathlib.Path(f'/proc/{int(pid)}/stat').read_text()
    return stat.rpartition(')')[2].split()[0] not in 'ZX'
  return False


def wait_for_the_end_of(pids):
  deadline = time.monotonic() + 20
  while any(map(is_running, pids)):
    assert time.monotonic() < deadline
    time.sleep(0.02)


@on_linux
@pytest.mark.parametrize('way', ['kill', 'exit'])
def test_what_a_servant_started_ends_with_it(tmp_path, way):
  with started() as child:
    receive(child)
    ask(child, 'start', str(tmp_path))
    time.sleep(1.1)  # A table of processes is a second old at most.
    child.look()
    if way == 'kill':
      child.kill()
    else:
      assert ask(child, 'exit', 3) == child_lib.Ended('exit code 3')
    wait_for_the_end_of((tmp_path / 'pid').read_text().split())


STOPS = """
import os
import pickle
import signal
import subprocess
import sys
import time

sys.path.append(sys.argv[1])
import worker_functions

from jaxnas.workers import child as child_lib

if __name__ == '__main__':
  child = child_lib.Child(pickle.dumps(worker_functions.Actor))
  while not child.receive():
    time.sleep(0.01)
  # As `kill` does before all else.
  os.kill(child.pid, signal.SIGSTOP)
  print(child.pid, flush=True)
  os.kill(os.getpid(), signal.SIGKILL)
"""


@on_linux
def test_a_parent_killed_while_it_ends_a_child_leaves_none(tmp_path):
  script = tmp_path / 'script.py'
  script.write_text(STOPS)
  folder = pathlib.Path(__file__).parent
  ended = subprocess.run(
    [sys.executable, script, folder],
    stdout=(tmp_path / 'pid').open('w'),
    env=os.environ | {'PYTHONPATH': str(folder.parents[1])},
    timeout=300,
  )
  assert ended.returncode == -signal.SIGKILL
  wait_for_the_end_of((tmp_path / 'pid').read_text().split())

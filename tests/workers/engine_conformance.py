# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What every engine does, as tests of an engine that a fixture makes.

A file of tests imports all of it and has a fixture `make_engine`, a function
`num_workers -> engine`; engines are closed by the tests.
"""

import contextlib
import os
import pathlib
import pickle
import signal
import sys
import time

sys.path.append(str(pathlib.Path(__file__).parent))

import worker_functions  # Workers find it there too.

from jaxnas.workers.engine import Kind

SECONDS = 60.0


@contextlib.contextmanager
def started(engine, factory=worker_functions.Actor):
  """Starts an engine, and yields what tells of its next event of some kind."""
  seen = []

  def wait_for(*kinds, worker=None):
    deadline = time.monotonic() + SECONDS
    while True:
      for event in seen:
        if event.kind in kinds and worker in (None, event.worker):
          seen.remove(event)
          return event
      assert time.monotonic() < deadline, seen
      seen.extend(engine.wait(1.0))

  try:
    engine.start(pickle.dumps(factory))
    yield wait_for
  finally:
    engine.close()


def ask(engine, worker, number, *request):
  engine.send(worker, number, pickle.dumps(request))


def is_running(pid):
  with contextlib.suppress(OSError):
    stat = pathlib.Path(f'/proc/{pid}/stat').read_text()
    return stat.rpartition(')')[2].split()[0] not in 'ZX'
  return False


def wait_for_the_end_of(pids):
  deadline = time.monotonic() + SECONDS
  while any(map(is_running, pids)):
    assert time.monotonic() < deadline
    time.sleep(0.05)


def test_workers_join_answer_raise_and_end(make_engine):
  engine = make_engine(2)
  assert engine.num_workers == 2
  with started(engine) as wait_for:
    joined = [wait_for(Kind.JOINED) for _ in range(2)]
    assert engine.num_starting == 0
    names = {each.worker for each in joined}
    assert len(names) == 2
    assert [each.card for each in joined] == [{'kind': 'actor'}] * 2
    pids = set()
    for number, name in enumerate(sorted(names)):
      ask(engine, name, number, 'pid')
      event = wait_for(Kind.ANSWERED)
      assert (event.worker, event.number) == (name, number)
      assert event.seconds < 5
      pids.add(pickle.loads(event.answer))
    assert len(pids) == 2
    assert os.getpid() not in pids
    name = joined[0].worker
    ask(engine, name, 7, 'raise', 3)
    event = wait_for(Kind.RAISED)
    assert (event.worker, event.number, event.answer) == (name, 7, b'')
    assert event.reason.startswith('IndexError at ')
    data = os.urandom(10**6)
    ask(engine, name, 8, 'return', data)
    assert pickle.loads(wait_for(Kind.ANSWERED).answer) == data
    began = time.monotonic()
    assert engine.wait(0.3) == []
    assert time.monotonic() - began >= 0.25
  wait_for_the_end_of(pids)


def test_workers_work_at_the_same_time(make_engine, tmp_path):
  engine = make_engine(2)
  with started(engine) as wait_for:
    first, second = (wait_for(Kind.JOINED).worker for _ in range(2))
    ask(engine, first, 1, 'meet', str(tmp_path), 'a', 'b')
    ask(engine, second, 2, 'meet', str(tmp_path), 'b', 'a')
    answers = {wait_for(Kind.ANSWERED).number for _ in range(2)}
    assert answers == {1, 2}


def test_a_worker_that_dies_is_told_with_its_request_and_starts_again(
  make_engine,
):
  engine = make_engine(2)
  with started(engine) as wait_for:
    first, second = (wait_for(Kind.JOINED).worker for _ in range(2))
    ask(engine, second, 4, 'sleep', 1.0)
    ask(engine, first, 3, 'exit', 5)
    event = wait_for(Kind.DIED)
    assert (event.worker, event.number) == (first, 3)
    assert event.reason == 'its process ended with exit code 5'
    assert wait_for(Kind.JOINED).worker == first
    ask(engine, first, 5, 'pid')
    event = wait_for(Kind.ANSWERED, worker=first)
    assert event.number == 5
    # The other has not been disturbed.
    assert wait_for(Kind.ANSWERED, worker=second).number == 4
    # Nor is anybody to blame for a worker that had nothing to do.
    os.kill(pickle.loads(event.answer), signal.SIGKILL)
    event = wait_for(Kind.DIED)
    assert (event.worker, event.number) == (first, None)
    assert event.reason == 'its process ended with signal SIGKILL'
    assert wait_for(Kind.JOINED).worker == first


def test_a_worker_is_stopped_with_all_that_it_started(make_engine, tmp_path):
  engine = make_engine(1)
  with started(engine) as wait_for:
    name = wait_for(Kind.JOINED).worker
    ask(engine, name, 1, 'start_and_hang', str(tmp_path))
    path = tmp_path / 'pid'
    deadline = time.monotonic() + SECONDS
    while not path.exists() or len(path.read_text().split()) < 2:
      assert engine.wait(0.05) == []
      assert time.monotonic() < deadline
    engine.stop(name)
    event = wait_for(Kind.STOPPED)
    assert (event.worker, event.number) == (name, 1)
    wait_for_the_end_of(path.read_text().split())
    assert wait_for(Kind.JOINED).worker == name
    ask(engine, name, 2, 'return', 6)
    event = wait_for(Kind.ANSWERED)
    assert (event.number, pickle.loads(event.answer)) == (2, 6)


def test_a_stopped_process_can_be_ended(make_engine):
  engine = make_engine(1)
  with started(engine) as wait_for:
    name = wait_for(Kind.JOINED).worker
    ask(engine, name, 1, 'pid')
    pid = pickle.loads(wait_for(Kind.ANSWERED).answer)
    ask(engine, name, 2, 'end', 'SIGSTOP')
    assert engine.wait(0.5) == []
    engine.stop(name)
    assert wait_for(Kind.STOPPED).number == 2
    wait_for_the_end_of([pid])


def test_a_servant_that_can_not_be_made_is_refused(make_engine):
  engine = make_engine(1)
  with started(engine, worker_functions.refuse_to_make) as wait_for:
    event = wait_for(Kind.REFUSED)
    assert event.number is None
    assert event.reason.startswith('RuntimeError at ')
    assert engine.num_starting == 0


def test_a_process_that_ends_while_it_starts_is_refused(make_engine):
  engine = make_engine(1)
  with started(engine, worker_functions.exit_at_once) as wait_for:
    assert wait_for(Kind.REFUSED).reason == (
      'it ended while starting with exit code 4'
    )


def test_a_worker_that_is_dismissed_is_gone(make_engine):
  engine = make_engine(2)
  with started(engine) as wait_for:
    first, second = (wait_for(Kind.JOINED).worker for _ in range(2))
    ask(engine, first, 1, 'pid')
    pid = pickle.loads(wait_for(Kind.ANSWERED).answer)
    engine.dismiss(first)
    wait_for_the_end_of([pid])
    assert engine.wait(0.5) == []
    assert engine.num_starting == 0
    ask(engine, second, 2, 'return', 1)
    assert wait_for(Kind.ANSWERED).worker == second


def test_a_worker_closed_at_work_leaves_nothing(make_engine, tmp_path):
  engine = make_engine(1)
  with started(engine) as wait_for:
    name = wait_for(Kind.JOINED).worker
    ask(engine, name, 1, 'start_and_hang', str(tmp_path))
    path = tmp_path / 'pid'
    while not path.exists() or len(path.read_text().split()) < 2:
      assert engine.wait(0.05) == []
  wait_for_the_end_of(path.read_text().split())

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""That a process ends is held by `tests/experiments/launch_test.py`."""

import concurrent.futures
import os
import signal
import threading
import time

import pytest

from jaxnas.runs import interruption

# The stand-in for the end of the process.
pytestmark = pytest.mark.filterwarnings(
  'ignore::pytest.PytestUnhandledThreadExceptionWarning'
)


@pytest.fixture
def leaves(monkeypatch):
  """What would have been said at the end, which does not come."""
  said = []

  def leave(line):
    said.append(line)
    raise SystemExit

  monkeypatch.setattr(interruption, 'leave', leave)
  before = signal.signal(signal.SIGINT, signal.default_int_handler)
  yield said
  signal.signal(signal.SIGINT, before)


def _interrupt():
  os.kill(os.getpid(), signal.SIGINT)
  time.sleep(60)


def _wait_for(said):
  deadline = time.monotonic() + 60
  while not said and time.monotonic() < deadline:
    time.sleep(0.01)


def test_who_closes_in_time_is_left_alone(leaves):
  wakeup = signal.set_wakeup_fd(-1)
  before = set(threading.enumerate())
  watchers = []

  def work():
    with interruption.watched('late', 60.0):
      watchers.extend(set(threading.enumerate()) - before)
      _interrupt()

  with pytest.raises(KeyboardInterrupt):
    work()
  (watcher,) = watchers
  watcher.join(60)
  assert not watcher.is_alive()
  assert not leaves
  assert signal.set_wakeup_fd(wakeup) == -1


def test_who_does_not_is_ended(leaves):
  with interruption.watched('late', 0.2):
    with pytest.raises(KeyboardInterrupt):
      _interrupt()
    _wait_for(leaves)
    assert leaves == ['late']


def test_a_second_interruption_waits_for_nothing(leaves):
  with interruption.watched('late', 60.0):
    for _ in range(2):
      with pytest.raises(KeyboardInterrupt):
        _interrupt()
    _wait_for(leaves)
    assert leaves == ['late']


def test_other_signals_are_none_of_its_business(leaves):
  before = signal.signal(signal.SIGTERM, lambda *_: None)
  try:
    with interruption.watched('late', 0.1):
      os.kill(os.getpid(), signal.SIGTERM)
      time.sleep(0.3)
  finally:
    signal.signal(signal.SIGTERM, before)
  assert not leaves


def test_threads_are_not_watched(monkeypatch):
  monkeypatch.setattr(interruption, 'socket', None)

  def enter():
    with interruption.watched('late'):
      return 'entered'

  with concurrent.futures.ThreadPoolExecutor(1) as pool:
    assert pool.submit(enter).result() == 'entered'

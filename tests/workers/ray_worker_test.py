# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""An actor's work without Ray; `ray_engine_test` has it with Ray."""

import os
import pathlib
import pickle
import signal
import sys
import time

import pytest

sys.path.append(str(pathlib.Path(__file__).parent))

from engine_conformance import wait_for_the_end_of
import worker_functions

from jaxnas.workers import main_program, ray_worker
from jaxnas.workers.engine import Kind


@pytest.fixture
def worker():
  made = ray_worker.RayWorker(
    'ray 3',
    pickle.dumps(worker_functions.Actor),
    {'CARD': '7'},
    main_program.read(),
  )
  yield made
  made.close()


def only(events, kind):
  (event,) = events
  assert event.kind is kind, event
  assert event.worker == 'ray 3'
  return event


def ask(worker, number, *request):
  worker.send(number, pickle.dumps(request))


def test_requests_are_answered_with_the_environment(worker):
  assert only(worker.wait(), Kind.JOINED).card == {'kind': 'actor'}
  ask(worker, 5, 'environment', 'CARD')
  event = only(worker.wait(), Kind.ANSWERED)
  assert (event.number, pickle.loads(event.answer)) == (5, '7')


def test_only_the_process_that_was_meant_is_stopped(worker, tmp_path):
  only(worker.wait(), Kind.JOINED)
  ask(worker, 1, 'pid')
  pid = pickle.loads(only(worker.wait(), Kind.ANSWERED).answer)
  # It says that it has the request, and never meets another.
  ask(worker, 2, 'meet', str(tmp_path), 'here', 'nobody')
  while not (tmp_path / 'here').exists():
    time.sleep(0.01)
  # It was given another request since.
  worker.stop(1)
  os.kill(pid, signal.SIGKILL)
  assert only(worker.wait(), Kind.DIED).number == 2
  # It has died since, and a request to it is lost.
  worker.stop(2)
  ask(worker, 3, 'sleep', 60)
  only(worker.wait(), Kind.JOINED)
  ask(worker, 4, 'return', 1)
  assert only(worker.wait(), Kind.ANSWERED).number == 4
  ask(worker, 5, 'sleep', 60)
  worker.stop(5)
  assert only(worker.wait(), Kind.STOPPED).number == 5
  only(worker.wait(), Kind.JOINED)


def test_a_worker_that_is_closed_ends_its_process(worker):
  only(worker.wait(), Kind.JOINED)
  ask(worker, 1, 'pid')
  pid = pickle.loads(only(worker.wait(), Kind.ANSWERED).answer)
  ask(worker, 2, 'sleep', 60)
  worker.close()
  wait_for_the_end_of([pid])

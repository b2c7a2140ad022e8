# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import pathlib
import pickle
import sys
import time

import pytest

sys.path.append(str(pathlib.Path(__file__).parent))

from engine_conformance import *  # noqa: F403  # Its tests are run here.
from engine_conformance import ask, started
import worker_functions

from jaxnas.workers import processes
from jaxnas.workers.engine import Kind


@pytest.fixture
def make_engine():
  return processes.ProcessEngine


def test_each_worker_has_its_own_environment():
  engine = processes.ProcessEngine(2, [{'CARD': '3'}, {'CARD': '7'}])
  with started(engine) as wait_for:
    names = sorted(wait_for(Kind.JOINED).worker for _ in range(2))
    assert names == ['process 1', 'process 2']
    for name, card in zip(names, '37', strict=True):
      ask(engine, name, 1, 'environment', 'CARD')
      assert pickle.loads(wait_for(Kind.ANSWERED).answer) == card


def test_a_refused_worker_is_tried_again(monkeypatch, tmp_path):
  monkeypatch.setattr(processes, 'REFUSED_SECONDS', 0.1)
  monkeypatch.setenv('REFUSES_ONCE', str(tmp_path / 'mark'))
  engine = processes.ProcessEngine(1)
  with started(engine, worker_functions.RefusesOnce) as wait_for:
    assert 'not yet' in wait_for(Kind.REFUSED).reason
    wait_for(Kind.JOINED)


def test_a_machine_without_processes_refuses(monkeypatch):
  def fail(*_):
    raise BlockingIOError('no more processes')

  monkeypatch.setattr(processes.child_lib, 'Child', fail)
  with started(processes.ProcessEngine(1)) as wait_for:
    reason = wait_for(Kind.REFUSED).reason
    assert 'BlockingIOError' in reason
    assert 'no more processes' in reason


def test_a_process_that_ends_again_and_again_waits(monkeypatch):
  monkeypatch.setattr(processes, 'REFUSED_SECONDS', 3.0)
  engine = processes.ProcessEngine(1)
  with started(engine, worker_functions.EndsSoon) as wait_for:
    for _ in range(2):
      assert 'exit code 6' in wait_for(Kind.DIED).reason
    ended = time.monotonic()
    assert engine.num_starting == 0
    for _ in range(3):
      wait_for(Kind.JOINED)
    assert time.monotonic() - ended >= 2.9

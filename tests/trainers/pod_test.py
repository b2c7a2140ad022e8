# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Pods of processes of this machine, which meet at the loopback address."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import pytest

PROGRAM = pathlib.Path(__file__).parent / 'pod_program.py'
ROOT = PROGRAM.parents[2]
LOST = 'error: another process of the pod has ended; the same command on every'
# How long the processes wait for each other, in seconds.
PATIENCE = 20.0


def free_port():
  with socket.socket() as listener:
    listener.bind(('127.0.0.1', 0))
    return listener.getsockname()[1]


@contextlib.contextmanager
def started(folder, num_processes=2, num_devices=2, **settings):
  """Starts the processes of a pod, and ends what is left of them."""
  port = free_port()
  processes = [
    subprocess.Popen(
      [
        sys.executable,
        PROGRAM,
        json.dumps(
          {
            'folder': str(folder),
            'port': port,
            'process_id': number,
            'num_processes': num_processes,
            'num_devices': num_devices,
            'patience': PATIENCE,
            **settings,
          }
        ),
      ],
      env=os.environ | {'PYTHONPATH': str(ROOT)},
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    for number in range(num_processes)
  ]
  try:
    yield processes
  finally:
    for process in processes:
      process.kill()
      process.communicate()


def run(folder, **settings):
  """Runs a pod to its end; returns `(exit code, output, errors)` of each."""
  with started(folder, **settings) as processes:
    outputs = [process.communicate(timeout=300) for process in processes]
    return [
      (process.returncode, *output)
      for process, output in zip(processes, outputs, strict=True)
    ]


def read(folder):
  return (folder / 'log.jsonl').read_text()


@pytest.fixture(scope='module')
def expected(tmp_path_factory):
  """The log of one process with as many devices."""
  folder = tmp_path_factory.mktemp('alone')
  assert run(folder, num_processes=1, num_devices=4) == [(0, '', '')]
  assert len(read(folder).splitlines()) == 4
  return read(folder)


@pytest.mark.slow
def test_results_are_those_of_one_process(tmp_path, expected):
  assert run(tmp_path) == [(0, '', '')] * 2
  assert read(tmp_path) == expected


@pytest.mark.slow
def test_the_loss_of_another_process_ends_the_pod(tmp_path, expected):
  settings = {'deed': 'die once', 'doer': 1}
  first, second = run(tmp_path, **settings)
  assert second[0] == -signal.SIGKILL
  assert first[0] == 1
  assert first[2].startswith(LOST)
  assert len(first[2].splitlines()) == 1
  assert read(tmp_path) == ''.join(expected.splitlines(True)[:2])
  assert run(tmp_path, **settings) == [(0, '', '')] * 2
  assert read(tmp_path) == expected


@pytest.mark.slow
def test_the_loss_of_process_0_ends_the_pod(tmp_path, expected):
  settings = {'deed': 'die once', 'doer': 0}
  first, second = run(tmp_path, **settings)
  assert first[0] == -signal.SIGKILL
  # JAX may notice first, and aborts.
  assert second[0] in (1, -signal.SIGABRT)
  assert run(tmp_path, **settings) == [(0, '', '')] * 2
  assert read(tmp_path) == expected


@pytest.mark.slow
def test_a_process_that_is_stuck_ends_the_pod(tmp_path, expected):
  settings = {'deed': 'halt once', 'doer': 1, 'patience': 6.0}
  with started(tmp_path, **settings) as (first, second):
    _, line = first.communicate(timeout=300)
    assert first.returncode == 1
    assert line.startswith(
      'error: another process of the pod has not answered for 6 s; the same'
    )
    assert len(line.splitlines()) == 1
    assert second.poll() is None
    # Once it can, it ends too.
    second.send_signal(signal.SIGCONT)
    second.communicate(timeout=300)
    assert second.returncode in (1, -signal.SIGABRT)
  assert read(tmp_path) == ''.join(expected.splitlines(True)[:2])


@pytest.mark.slow
def test_an_error_of_a_child_is_told_by_process_0(tmp_path):
  (code, _, line), other = run(tmp_path, deed='raise', doer=1)
  assert code == 1
  assert line.startswith('error: Process 1 of the pod: RuntimeError at ')
  assert line.endswith(': no such child.\n')
  assert other == (0, '', '')


def test_processes_that_differ_are_refused(tmp_path):
  outputs = run(tmp_path, data_hash='2')
  line = (
    "error: Process 1 of the pod differs from process 0: data is '1' instead "
    "of '2'; make the hosts alike.\n"
  )
  assert outputs == [(1, '', line)] * 2


def test_a_process_without_data_is_refused(tmp_path):
  for code, _, line in run(tmp_path, fails_to_make=True):
    assert code == 1
    assert line.startswith('error: Process 1 of the pod: FileNotFoundError at')
    assert line.endswith(': no data here.\n')


@pytest.mark.slow
def test_an_end_by_signal_ends_the_pod(tmp_path):
  settings = {'deed': 'wait once', 'doer': 1}
  with started(tmp_path, **settings) as (first, second):
    deadline = time.monotonic() + 60
    while not (tmp_path / 'mark').exists():
      assert time.monotonic() < deadline
      time.sleep(0.05)
    second.terminate()
    _, line = first.communicate(timeout=300)
    assert first.returncode == 1
    assert line.startswith(LOST)
    second.communicate(timeout=300)
    assert second.returncode == -signal.SIGTERM


def test_a_process_that_nobody_joins_ends(tmp_path):
  with started(tmp_path, patience=4.0) as (first, second):
    second.kill()
    _, line = first.communicate(timeout=300)
    assert first.returncode == 1
    assert line == (
      'error: the processes of the pod did not come together within 4 s; the '
      'same command on every host continues the run.\n'
    )

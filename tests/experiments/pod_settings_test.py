# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of --pod, by processes that meet at the loopback address."""

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from experiments import pod_settings, search_recurrent_cell, worker_settings
from jaxnas.records import trial_log

ROOT = pathlib.Path(__file__).parents[2]


@dataclasses.dataclass(frozen=True)
class Config(worker_settings.Workers):
  """Settings of an experiment that trains."""


@pytest.fixture
def config(tmp_path):
  generator = np.random.default_rng(0)
  for split, length in (('train', 800), ('valid', 200)):
    steps = np.where(generator.random(length) < 0.8, 1, 5)
    words = [f'w{n}' for n in np.cumsum(steps) % 12]
    (tmp_path / f'{split}.txt').write_text(' '.join(words) + '\n')
  return search_recurrent_cell.Config(
    dataset='text',
    data_dir=str(tmp_path),
    base=2,
    known_cells=(),
    features=4,
    batch_size=4,
    num_unrolled=5,
    num_steps=8,
    retrain_steps=8,
    num_trials=16,
    trials_per_update=8,
    controller_features=4,
    controller_layers=1,
    num_winners=1,
    num_selection_seeds=1,
    num_seeds=2,
    retrain_learning_rates=(0.05,),
    block_size=4,
    num_host_devices=2,
  )


@contextlib.contextmanager
def started(config, folders):
  """Starts the command in every folder, one process of a pod each."""
  with socket.socket() as listener:
    listener.bind(('127.0.0.1', 0))
    port = listener.getsockname()[1]
  default = type(config)()
  flags = [
    f'--{name}={",".join(map(str, value)) if type(value) is tuple else value}'
    for name, value in dataclasses.asdict(config).items()
    if value != getattr(default, name)
  ]
  processes = [
    subprocess.Popen(
      [
        sys.executable,
        '-m',
        'experiments.search_recurrent_cell',
        f'--workdir={folder}',
        '--pod',
        f'--coordinator=127.0.0.1:{port}',
        f'--num_processes={len(folders)}',
        f'--process_id={number}',
        *flags,
      ],
      cwd=ROOT,
      env=os.environ | {'JAXNAS_DATA_DIR': str(folders[0].parent / 'cache')},
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    for number, folder in enumerate(folders)
  ]
  try:
    yield processes
  finally:
    for process in processes:
      process.kill()
      process.communicate()


def trials_of(folder):
  lines = []
  for trial in trial_log.read_trials(folder / 'trials.jsonl'):
    fields = {**trial.__dict__, 'number': None}
    lines.append(json.dumps(fields, sort_keys=True, default=str))
  return sorted(lines)


@pytest.mark.slow
def test_a_pod_finds_what_one_process_finds(config, tmp_path, monkeypatch):
  monkeypatch.setenv('JAXNAS_DATA_DIR', str(tmp_path / 'cache'))
  here, there = tmp_path / 'run', tmp_path / 'other'
  with started(config, [here, there]) as (first, second):
    deadline = time.monotonic() + 240
    log = here / 'trials.jsonl'
    while not log.exists() or not log.stat().st_size:
      assert time.monotonic() < deadline
      time.sleep(0.02)
    second.send_signal(signal.SIGKILL)
    _, errors = first.communicate(timeout=240)
    assert first.returncode == 1
    assert errors.splitlines()[-1] == (
      'error: another process of the pod has ended; the same command on every '
      'host continues the run.'
    )
  with started(config, [here, there]) as processes:
    outputs = [process.communicate(timeout=240) for process in processes]
  assert [process.returncode for process in processes] == [0, 0], outputs
  assert 'Resuming the run' in outputs[0][0]
  assert 'A pod of 2 processes of 2 devices each.' in outputs[0][1]
  # The other process has neither a screen nor a folder.
  assert outputs[1][0] == ''
  assert not there.exists()
  search_recurrent_cell.run(config, str(tmp_path / 'local'))
  assert trials_of(here) == trials_of(tmp_path / 'local')


@pytest.mark.parametrize(
  ('settings', 'line'),
  [
    ({'coordinator': 'a:80'}, '--coordinator is for a pod; give --pod too'),
    ({'process_id': 0}, '--process_id is for a pod; give --pod too'),
    (
      {'pod': True, 'coordinator': 'a:80', 'num_processes': 2},
      '--process_id is missing',
    ),
    (
      {'pod': True, 'num_processes': 2, 'process_id': 1},
      '--coordinator is missing',
    ),
    (
      {'pod': True, 'workers': 'processes'},
      '--workers=processes in others; leave one of the two out',
    ),
  ],
)
def test_settings_that_disagree_are_refused(settings, line):
  with (
    pytest.raises(ValueError, match=line),
    pod_settings.joined(Config(**settings)),
  ):
    raise AssertionError


def test_nothing_is_joined_without_the_flag():
  for config in (Config(), object()):
    with pod_settings.joined(config) as pod:
      assert pod is None
    assert pod_settings.current() is None


def test_all_settings_may_change_on_resume():
  fields = {
    field.name for field in dataclasses.fields(pod_settings.PodSettings)
  }
  assert fields == set(pod_settings.FREE)
  assert fields <= set(worker_settings.FREE)


def test_the_command_line_tells_what_is_missing(tmp_path):
  # Neither SLURM nor a TPU is here.
  environment = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(('SLURM_', 'TPU_', 'JAX_COORDINATOR'))
  }
  done = subprocess.run(
    [
      sys.executable,
      '-m',
      'experiments.search_recurrent_cell',
      f'--workdir={tmp_path / "run"}',
      '--pod',
    ],
    cwd=ROOT,
    env=environment,
    capture_output=True,
    text=True,
    check=False,
    timeout=120,
  )
  assert done.returncode == 1
  assert done.stderr.splitlines()[-1].startswith('error: No pod is found here')
  assert not (tmp_path / 'run').exists()

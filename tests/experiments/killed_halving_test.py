# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Kills a search with rungs at random instants, between and inside rungs.

`KILLS=20` kills it so often; the default is small, since every start of the
process takes a while.
"""

import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from jaxnas.records import trial_log, workdir

ROOT = pathlib.Path(__file__).parents[2]
NUM_KILLS = int(os.environ.get('KILLS', '1'))
FLAGS = (
  '--dataset=text',
  '--base=2',
  '--known_cells=paper_example',
  '--num_trials=64',
  '--trials_per_update=8',
  '--num_steps=16',
  '--halving=4',
  '--rungs=auto',
  '--features=4',
  '--batch_size=4',
  '--num_unrolled=5',
  '--num_winners=1',
  '--num_selection_seeds=1',
  '--num_seeds=2',
  '--retrain_learning_rates=0.05',
  '--retrain_steps=8',
  '--block_size=4',
  '--num_host_devices=2',
  '--checkpoint_every=1',
)
OUTPUTS = 'trials.jsonl', 'rounds.jsonl', 'best.json'


def write_text(folder):
  """Writes a text whose words follow one another in a fixed order, mostly."""
  folder.mkdir()
  generator = np.random.default_rng(0)
  for split, length in (('train', 1500), ('valid', 300)):
    steps = np.where(generator.random(length) < 0.8, 1, 5)
    words = [f'w{n % 12}' for n in np.cumsum(steps)]
    (folder / f'{split}.txt').write_text(' '.join(words) + '\n')


@pytest.fixture(scope='module')
def place(tmp_path_factory):
  folder = tmp_path_factory.mktemp('halving')
  write_text(folder / 'text')
  return folder


def start(place, name):
  return subprocess.Popen(
    [
      *(sys.executable, '-m', 'experiments.search_recurrent_cell'),
      *(f'--workdir={place / name}', f'--data_dir={place / "text"}', *FLAGS),
    ],
    env=os.environ | {'JAXNAS_DATA_DIR': str(place / 'cache')},
    cwd=ROOT,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )


def finish(place, name):
  process = start(place, name)
  told, _ = process.communicate()
  assert process.returncode == 0, told
  return told


def contents(folder):
  return [(folder / name).read_bytes() for name in OUTPUTS]


@pytest.fixture(scope='module')
def whole(place):
  started = time.monotonic()
  told = finish(place, 'whole')
  return place / 'whole', told, time.monotonic() - started


def test_a_run_says_its_rungs(whole):
  folder, told, _ = whole
  rungs = workdir.read_manifest(folder)['rungs']
  assert rungs[-1] == 16
  assert 'Finding the first rung with 32 random children' in told
  assert 'Rungs: ' in told or 'No rungs: ' in told
  assert 'children ended' in told or len(rungs) == 1
  trials = trial_log.read_trials(folder / 'trials.jsonl')
  searched = [each for each in trials if each.arm != 'retrain']
  assert {each.steps for each in searched if each.rung is not None} <= {*rungs}
  # Winners are taken among children that were trained fully.
  by_number = {each.number: each for each in trials}
  labels = {each.settings['label'] for each in trials[len(searched) :]}
  winners = [each for each in labels if '#' in each]
  assert winners
  for label in winners:
    trial = by_number[int(label.split('#')[1])]
    assert trial.is_complete
    assert trial.steps == 16
  assert 'Rungs' in (folder / 'report.html').read_text()


def test_killed_at_random_instants_and_resumed(place, whole):
  folder, _, seconds = whole
  moments = random.Random(os.environ.get('JAXNAS_KILL_SEED', '0'))
  name = 'killed-0'
  for number in range(NUM_KILLS):
    process = start(place, name)
    try:
      process.wait(0.2 + moments.random() * seconds)
    except subprocess.TimeoutExpired:
      process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode in (0, -signal.SIGKILL)
    if process.returncode == 0:
      assert contents(place / name) == contents(folder)
      name = f'killed-{number + 1}'
  finish(place, name)
  assert contents(place / name) == contents(folder)

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Kills a search with rungs at random instants, between and inside rungs.

`KILLS=20` kills it so often; the default is small, since every start of the
process takes a while.
"""

import contextlib
import multiprocessing
import os
import random
import signal
import time

import jax
import numpy as np
import pytest

from experiments import search_recurrent_cell
from jaxnas.records import trial_log, workdir

pytestmark = pytest.mark.slow

NUM_KILLS = int(os.environ.get('KILLS', '1'))
SETTINGS = {
  'dataset': 'text',
  'base': 2,
  'known_cells': ('paper_example',),
  'num_trials': 64,
  'trials_per_update': 8,
  'num_steps': 16,
  'halving': 4,
  # Measured rungs are those of `rung_choice_test`.
  'rungs': ('4', '16'),
  'features': 4,
  'batch_size': 4,
  'num_unrolled': 5,
  'num_winners': 1,
  'num_selection_seeds': 1,
  'num_seeds': 2,
  'retrain_learning_rates': (0.05,),
  'retrain_steps': 8,
  'block_size': 4,
  'num_host_devices': 2,
  'checkpoint_every': 1,
}
# What children of it need not import anew.
FORKS = multiprocessing.get_context('forkserver')
FORKS.set_forkserver_preload(['experiments.search_recurrent_cell'])
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


def run(place, name):
  """Runs or resumes a search, in a process of its own."""
  os.environ['JAXNAS_DATA_DIR'] = str(place / 'data')
  jax.config.update('jax_compilation_cache_dir', str(place / 'cache'))
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)
  config = search_recurrent_cell.Config(
    data_dir=str(place / 'text'), **SETTINGS
  )
  with (
    open(place / f'{name}.txt', 'w') as told,
    contextlib.redirect_stdout(told),
  ):
    search_recurrent_cell.run(config, str(place / name))


def start(place, name):
  process = FORKS.Process(target=run, args=(place, name))
  process.start()
  return process


def finish(place, name):
  process = start(place, name)
  process.join()
  assert process.exitcode == 0


def contents(folder):
  return [(folder / name).read_bytes() for name in OUTPUTS]


@pytest.fixture(scope='module')
def whole(place):
  # The first run fills the cache of programs, the second tells the duration.
  for name in ('whole', 'again'):
    started = time.monotonic()
    finish(place, name)
    seconds = time.monotonic() - started
  assert contents(place / 'again') == contents(place / 'whole')
  return place / 'whole', (place / 'whole.txt').read_text(), seconds


def test_a_run_says_its_rungs(whole):
  folder, told, _ = whole
  rungs = workdir.read_manifest(folder)['rungs']
  assert rungs == [4, 16]
  assert 'Rungs: 4 and 16 steps' in told
  assert 'children ended' in told
  trials = trial_log.read_trials(folder / 'trials.jsonl')
  searched = [each for each in trials if each.arm != 'retrain']
  assert {each.steps for each in searched if each.rung is not None} == {*rungs}
  # Winners are taken among children that were trained fully.
  by_number = {each.number: each for each in trials}
  labels = {each.settings['label'] for each in trials[len(searched) :]}
  winners = [each for each in labels if '#' in each]
  assert winners
  for label in winners:
    trial = by_number[int(label.split('#')[1])]
    assert trial.is_complete
    assert trial.steps == 16
  assert 'Rungs: 4, 16 steps' in (folder / 'report.html').read_text()


def test_killed_at_random_instants_and_resumed(place, whole):
  folder, _, seconds = whole
  moments = random.Random(os.environ.get('JAXNAS_KILL_SEED', '0'))
  name = 'killed-0'
  for number in range(NUM_KILLS):
    process = start(place, name)
    process.join(moments.random() * seconds)
    process.kill()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    if process.exitcode == 0:
      assert contents(place / name) == contents(folder)
      name = f'killed-{number + 1}'
  finish(place, name)
  assert contents(place / name) == contents(folder)

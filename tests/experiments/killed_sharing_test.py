# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Runs a search with shared weights end to end, and kills it.

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
  'known_cells': (),
  'strategies': ('random',),
  'trials_per_update': 8,
  'num_steps': 8,
  'sharing': 'leaf',
  'shared_steps': 72,
  # The same number of cells at all times, for the same programs.
  'shared_cells': 8,
  'judged_cells': 8,
  'num_drawn': 8,
  'num_ranked': 6,
  'ranked_minibatches': 2,
  'controller_features': 8,
  'controller_layers': 1,
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
OUTPUTS = (
  'trials.jsonl',
  'rounds.jsonl',
  'best.json',
  'shared/shared_reinforce-0.json',
  'shared/shared_random-0.json',
)


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
  folder = tmp_path_factory.mktemp('sharing')
  write_text(folder / 'text')
  return folder


def run(place, name):
  """Runs or resumes a search."""
  os.environ['JAXNAS_DATA_DIR'] = str(place / 'data')
  # Processes find the programs of others.
  jax.config.update('jax_compilation_cache_dir', str(place / 'cache'))
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)
  jax.config.update('jax_disable_most_optimizations', True)
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
  run(place, 'whole')
  # With the programs that this one compiled, which tells the duration.
  started = time.monotonic()
  finish(place, 'again')
  seconds = time.monotonic() - started
  assert contents(place / 'again') == contents(place / 'whole')
  return place / 'whole', seconds


def test_what_is_ranked_first_is_trained_alone(place, whole):
  folder, _ = whole
  told = (place / 'whole.txt').read_text()
  trials = trial_log.read_trials(folder / 'trials.jsonl')
  for name, label in (
    ('shared_reinforce', 'shared weights, REINFORCE'),
    ('shared_random', 'shared weights, random ranking'),
  ):
    found = workdir.read_json(folder / 'shared' / f'{name}-0.json')
    mine = [each for each in trials if each.arm == name]
    assert [list(each.tokens) for each in mine] == found['tokens']
    assert len(mine) == 6
    assert found['num_drawn'] == 8
    assert found['rewards'] == sorted(found['rewards'], reverse=True)
    assert f'S{label[1:]}: training weights and policy' in told
    assert f'Shared against own weights, {label}: rank correlation' in told
    assert f' by {label} (best of 1)' in told
    assert f'(by {label}) against #' in told
  random = [each for each in trials if each.arm == 'random']
  judged = workdir.read_json(folder / 'shared' / 'shared_random-0.json')
  tokens = [
    list(each.tokens) for each in sorted(random, key=lambda t: t.proposal)
  ]
  count = len(judged['random_tokens'])
  assert tokens[:count] == judged['random_tokens']
  # 72 steps of 8, 54 of which judge 8 forward; 8 forward on 2; 6 trainings.
  cost = (72 * 8 + 54 * 8 / 3 + 8 * 2 / 3 + 6 * 8) / 8
  assert f'That is the cost of {cost:.1f} trials' in told
  assert 0 <= len(random) - cost < 8
  assert told.count('Equal cost') == 2
  assert 'Shared against own weights' in (folder / 'report.html').read_text()


def test_killed_at_random_instants_and_resumed(place, whole):
  folder, seconds = whole
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

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of workers: every experiment finds with them what it finds without."""

import dataclasses
import importlib.util
import json
import multiprocessing
import os
import types

import jax
import numpy as np
import pytest

from experiments import (
  build_base2_table,
  search_controller_cell,
  search_conv_net,
  search_hyperparameters,
  search_recurrent_cell,
  worker_settings,
)
from jaxnas import errors
from jaxnas.records import events, trial_log

WORKERS = {'workers': 'processes', 'num_workers': 2}
# How a run and its events name them.
KINDS = {'processes': ('processes', 'process'), 'ray': ('Ray', 'ray')}
NEEDS_RAY = pytest.mark.skipif(
  importlib.util.find_spec('ray') is None, reason='Ray is not installed.'
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
  monkeypatch.setenv('JAXNAS_DATA_DIR', str(tmp_path / 'cache'))


@pytest.fixture(autouse=True)
def _no_process_is_left():
  before = set(multiprocessing.active_children())
  yield
  assert set(multiprocessing.active_children()) == before


def write_images(path):
  """Writes images whose class is where they are bright."""
  generator = np.random.default_rng(0)
  labels = generator.integers(0, 3, 200)
  images = generator.integers(0, 120, (200, 5, 5))
  images[np.arange(200), :, 1 + labels] += 100
  np.savez(path, x_train=images.astype(np.uint8), y_train=labels)
  return str(path)


def write_text(folder):
  """Writes a text whose words follow one another in a fixed order, mostly."""
  generator = np.random.default_rng(0)
  for split, length in (('train', 800), ('valid', 200)):
    steps = np.where(generator.random(length) < 0.8, 1, 5)
    words = [f'w{n}' for n in np.cumsum(steps) % 12]
    (folder / f'{split}.txt').write_text(' '.join(words) + '\n')
  return str(folder)


SEARCH = {
  'num_trials': 16,
  'trials_per_update': 8,
  'controller_features': 4,
  'controller_layers': 1,
  'num_winners': 1,
  'num_selection_seeds': 1,
  'num_seeds': 2,
  'retrain_learning_rates': (0.05,),
  'block_size': 4,
  'num_host_devices': 2,
}


def recurrent(folder):
  return search_recurrent_cell.Config(
    dataset='text',
    data_dir=write_text(folder),
    base=2,
    known_cells=(),
    features=4,
    batch_size=4,
    num_unrolled=5,
    num_steps=8,
    retrain_steps=8,
    **SEARCH,
  )


def conv(folder):
  return search_conv_net.Config(
    dataset='npz',
    data_dir=write_images(folder / 'images.npz'),
    num_layers=2,
    heights=(3,),
    widths=(3,),
    filters=(2, 3),
    known_nets=('chain',),
    route='interpreted',
    batch_size=16,
    num_steps=10,
    **SEARCH,
  )


def hyperparameters(folder):
  return search_hyperparameters.Config(
    dataset='npz',
    data_dir=write_images(folder / 'images.npz'),
    widths=(4,),
    batch_sizes=(16, 32),
    num_layers=1,
    num_epochs=2,
    **SEARCH,
  )


def fields(trial):
  """Returns what tells a trial, but for its place in the log."""
  line = dict(trial.__dict__)
  line.pop('number')
  line['duplicate_of'] = line.get('duplicate_of') is None
  settings = dict(line['settings'])
  # A winner is named by the number of its trial, its place in the log.
  if 'label' in settings:
    settings['label'] = settings['label'].partition('#')[0]
  line['settings'] = settings
  return json.dumps(line, sort_keys=True, default=str)


def trials_of(folder):
  trials = trial_log.read_trials(folder / 'trials.jsonl')
  assert trials
  return sorted(fields(trial) for trial in trials)


@pytest.fixture(scope='module')
def search_alone(tmp_path_factory):
  """Returns a search's settings, and its folder after a run without workers."""
  done = {}

  def search(module, make_config):
    if module not in done:
      folder = tmp_path_factory.mktemp('alone')
      config = make_config(folder)
      module.run(config, str(folder / 'local'))
      done[module] = config, folder / 'local'
    return done[module]

  return search


@pytest.mark.slow
@pytest.mark.parametrize(
  ('module', 'make_config', 'kind'),
  [
    (search_recurrent_cell, recurrent, 'processes'),
    (search_conv_net, conv, 'processes'),
    pytest.param(search_recurrent_cell, recurrent, 'ray', marks=NEEDS_RAY),
  ],
)
def test_a_search_finds_the_same_with_workers(
  module, make_config, kind, search_alone, tmp_path, capfd
):
  config, local = search_alone(module, make_config)
  assert '2 workers' not in capfd.readouterr().err
  there = tmp_path / 'workers'
  workers = WORKERS | {'workers': kind}
  module.run(dataclasses.replace(config, **workers), str(there))
  assert trials_of(there) == trials_of(local)
  name, worker = KINDS[kind]
  line = f'2 workers ({name}) of {worker_settings._num_threads(config)} '
  assert line in capfd.readouterr().err
  lines = (there / events.FILE_NAME).read_text().splitlines()
  found = [json.loads(line) for line in lines]
  assert {each['event'] for each in found} == {'joined', 'answered'}
  assert {each['worker'] for each in found} == {f'{worker} 1', f'{worker} 2'}
  # A run goes on with other workers or none, here to no more than its
  # retraining.
  changes = {'num_seeds': 3, 'num_workers': 1}
  changes['workers'] = {'processes': 'local', 'ray': 'processes'}[kind]
  if module is search_recurrent_cell:
    module.run(dataclasses.replace(config, **changes), str(there))
    assert len(trials_of(there)) > len(trials_of(local))


@pytest.mark.slow
def test_a_search_with_replicas_is_replayed_without_workers(tmp_path):
  config = dataclasses.replace(
    hyperparameters(tmp_path), trials_per_update=4, replicas=2
  )
  there, here = tmp_path / 'workers', tmp_path / 'local'
  search_hyperparameters.run(dataclasses.replace(config, **WORKERS), str(there))
  replay = dataclasses.replace(config, replay=str(there / 'trials.jsonl'))
  fewer = dataclasses.replace(replay, num_trials=8)
  with (
    errors.naming_flags(),
    pytest.raises(
      ValueError, match=r'has 8 trials .* asks for 4.*--num_trials'
    ),
  ):
    search_hyperparameters.run(fewer, str(here))
  search_hyperparameters.run(replay, str(here))
  trials = (there / 'trials.jsonl').read_bytes()
  assert (here / 'trials.jsonl').read_bytes() == trials


@pytest.mark.slow
def test_a_table_is_the_same_with_workers(tmp_path):
  config = build_base2_table.Config(
    vocab_size=20, features=2, num_steps=4, num_seeds=2, repeated=0.001,
    shard_size=12, block_size=4, num_shards=1,
  )  # fmt: skip
  build_base2_table.run(config, tmp_path / 'local')
  config = dataclasses.replace(config, **WORKERS)
  build_base2_table.run(config, tmp_path / 'workers')
  local, there = (
    dict(np.load(tmp_path / name / 'shards' / '0000.npz'))
    for name in ('local', 'workers')
  )
  for each in (local, there):
    assert each.pop('core_seconds') > 0
  assert local.keys() == there.keys()
  for name, values in local.items():
    np.testing.assert_array_equal(there[name], values)


@pytest.mark.slow
def test_a_succession_is_the_same_with_workers(tmp_path):
  config = search_controller_cell.Config(
    evaluator='train', num_lineages=1, num_generations=2, num_trials=4,
    trials_per_update=2, controller_features=3, controller_layers=1,
    num_seeds=1, vocab_size=20, features=2, num_steps=4, block_size=2,
  )  # fmt: skip
  search_controller_cell.run(config, str(tmp_path / 'local'))
  there = tmp_path / 'workers'
  search_controller_cell.run(dataclasses.replace(config, **WORKERS), str(there))
  for name in ('generations.jsonl', 'best.json'):
    expected = (tmp_path / 'local' / name).read_bytes()
    assert (there / name).read_bytes() == expected
  # These lines are in the order of finishing.
  for name in ('rewards.jsonl', 'retrainings.jsonl'):
    expected, found = (
      sorted((folder / name).read_text().splitlines())
      for folder in (tmp_path / 'local', there)
    )
    assert found == expected


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'workers': 'boats'}, "must be 'processes' or 'ray', got 'boats'"),
    ({'num_workers': 0}, 'num_workers must be .* got 0'),
    ({'worker_timeout': 0.0}, r'worker_timeout must be above 0, got 0\.0'),
    ({'gpus_per_worker': -1}, 'gpus_per_worker must be .* got -1'),
    (
      {'ray_address': 'auto'},
      r"^--ray_address is 'auto', which needs --workers=ray\.$",
    ),
    (
      {'gpus_per_worker': 1},
      '^--gpus_per_worker is 1, which needs --workers=processes or',
    ),
    (
      {'workers': 'processes', 'ray_address': 'auto'},
      r"^--ray_address is 'auto', which needs --workers=ray\.$",
    ),
    ({'workers': 'ray'}, r"pip install 'jaxnas\[ray\]'"),
  ],
)
def test_bad_settings_are_told_in_one_line(
  changes, message, tmp_path, monkeypatch
):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with errors.naming_flags(), pytest.raises(ValueError, match=message) as error:
    worker_settings.Team(worker_settings.Workers(**changes), tmp_path)
  assert '\n' not in str(error.value)


def test_each_worker_has_its_environment(monkeypatch):
  monkeypatch.setenv('XLA_FLAGS', '--some')
  monkeypatch.setattr(worker_settings.host, 'num_cores', lambda: 8)

  def environments(**changes):
    config = worker_settings.Workers(workers='processes', **changes)
    return worker_settings._environments(
      config, worker_settings._num_threads(config)
    )

  shared = {'XLA_FLAGS': '--some', 'JAX_PLATFORMS': 'cpu'}
  assert environments(num_workers=3) == [{**shared, 'NPROC': '2'}] * 3
  assert environments(num_workers=20) == [{**shared, 'NPROC': '1'}] * 20
  first, second = environments(num_workers=2, gpus_per_worker=2)
  assert first['CUDA_VISIBLE_DEVICES'] == '0,1'
  assert second['CUDA_VISIBLE_DEVICES'] == '2,3'
  assert first['JAX_PLATFORMS'] == ''


def test_a_worker_without_its_gpus_does_not_use_the_cpu(tmp_path):
  fields = worker_settings.without_workers(recurrent(tmp_path))
  with pytest.raises(ValueError, match='is 2, but jax finds 0 GPUs for this'):
    worker_settings.make_trainers('search_recurrent_cell', fields, 2)


def test_the_driver_leaves_gpus_to_workers(monkeypatch):
  updates = []
  monkeypatch.setattr(jax.config, 'update', lambda *each: updates.append(each))
  worker_settings.prepare_driver(types.SimpleNamespace())
  worker_settings.prepare_driver(worker_settings.Workers())
  assert updates == []
  worker_settings.prepare_driver(
    worker_settings.Workers(workers='ray', gpus_per_worker=1)
  )
  assert updates == [('jax_platforms', 'cpu')]
  assert os.environ['JAX_PLATFORMS'] == 'cpu'


def test_a_search_that_leaves_workers_idle_says_so(tmp_path):
  config = dataclasses.replace(recurrent(tmp_path), **WORKERS)
  # Two searches of 8 trials, and 8 children at a time.
  assert not worker_settings._advice(config)
  many = dataclasses.replace(config, num_workers=8)
  assert '--replicas' not in worker_settings._advice(many)
  with errors.naming_flags():
    assert worker_settings._advice(many) == (
      '16 trials are in flight, and workers train 32 at a time: some will '
      'idle. --replicas=3 (48 trials) would keep them busy.'
    )
  enough = dataclasses.replace(many, replicas=3)
  assert not worker_settings._advice(enough)
  assert not worker_settings._advice(build_base2_table.Config(num_workers=8))

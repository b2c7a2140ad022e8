# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import json
import os
import pathlib
import subprocess
import sys

import jax
from jax.experimental.compilation_cache import compilation_cache
import numpy as np
import pytest

from experiments import (
  train_conv_net,
  train_recurrent_cell,
  tune_found,
  worker_settings,
)
from jaxnas.datasets import held_out, images
from jaxnas.export import architecture as architecture_file
from jaxnas.export import weights as weights_file
from jaxnas.records import checkpoints, workdir
from jaxnas.runs import point_trainer, run_page, training_clock
from jaxnas.spaces import known_conv_nets, recurrent_cell

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module', autouse=True)
def caches(tmp_path_factory):
  """Compiles each program once for all the runs of this module."""
  settings = {
    'jax_compilation_cache_dir': str(tmp_path_factory.mktemp('xla')),
    'jax_persistent_cache_min_compile_time_secs': 0.1,
    'jax_disable_most_optimizations': True,
  }
  before = {name: jax.config.values[name] for name in settings}
  for name, value in settings.items():
    jax.config.update(name, value)
  compilation_cache.reset_cache()
  yield
  for name, value in before.items():
    jax.config.update(name, value)
  compilation_cache.reset_cache()


@pytest.fixture(scope='module')
def config(tmp_path_factory):
  folder = tmp_path_factory.mktemp('data')
  generator = np.random.default_rng(0)
  for name, count in (('train', 40), ('valid', 20)):
    starts = generator.integers(5, size=count)
    lines = (' '.join('abcdefghi'[start : start + 5]) for start in starts)
    (folder / f'{name}.txt').write_text('\n'.join(lines) + '\n')
  architecture = folder / 'best.json'
  architecture_file.write_architecture(
    architecture, recurrent_cell.KNOWN_CELLS['paper_example']
  )
  return tune_found.Config(
    architecture=str(architecture),
    dataset='text',
    data_dir=str(folder),
    features=4,
    num_layers=1,
    dropout_rate=0.1,
    init_scale=0.3,
    batch_size=4,
    num_unrolled=5,
    num_epochs=2,
    constant_epochs=1,
    learning_rates=(1.0, 0.5, 1e30),
    init_scales=(0.3,),
    dropout_rates=(0.1,),
    decay_epochs=(1, 2),
    num_trials=6,
  )


@pytest.fixture(scope='module')
def finished(config, tmp_path_factory):
  folder = tmp_path_factory.mktemp('runs') / 'finished'
  tune_found.run(config, str(folder))
  return folder


def trials_of(folder):
  return [
    json.loads(line)
    for line in (folder / 'trials.jsonl').read_text().splitlines()
  ]


@pytest.mark.slow
def test_the_grid_is_trained_and_the_best_settings_are_written(
  finished, config
):
  trials = trials_of(finished)
  assert len(trials) == 6
  assert trials[0]['architecture'] == {
    'learning_rate': 1.0,
    'init_scale': 0.3,
    'dropout_rate': 0.1,
    'constant_epochs': 1,
  }
  diverged = [each for each in trials if each['status'] != 'ok']
  assert {each['architecture']['learning_rate'] for each in diverged} == {1e30}
  assert len(diverged) == 2
  assert 'The training diverged' in diverged[0]['reason']
  values = {
    number: each['metrics']['validation_perplexity']
    for number, each in enumerate(trials)
    if each['status'] == 'ok'
  }
  best = trials[min(values, key=values.get)]
  found = workdir.read_json(finished / 'best_settings.json')
  assert found['num_trials'] == 6
  assert found['metrics'] == best['metrics']
  for name, value in best['architecture'].items():
    assert found['settings'][name] == value
  assert found['settings']['features'] == 4
  assert 'evaluate_test' not in found['settings']
  assert len(list((finished / 'trainings').iterdir())) == 6
  written = (finished / 'report.html').read_text(encoding='utf-8')
  assert 'Best of 6 by validation, which flatters it: learning_rate' in written
  assert '2 of 6 trainings failed.</p>' in written
  run_page.write(finished)
  assert (finished / 'report.html').read_text(encoding='utf-8') == written


@pytest.mark.slow
def test_a_long_training_takes_the_settings_and_comes_out_the_same(
  finished, tmp_path
):
  done = subprocess.run(
    [
      sys.executable,
      '-m',
      'experiments.train_recurrent_cell',
      f'--settings={finished / "best_settings.json"}',
      f'--workdir={tmp_path / "run"}',
    ],
    cwd=ROOT,
    env={
      **os.environ,
      'JAX_DISABLE_MOST_OPTIMIZATIONS': 'True',
      'JAX_COMPILATION_CACHE_DIR': jax.config.values[
        'jax_compilation_cache_dir'
      ],
    },
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  found = workdir.read_json(finished / 'best_settings.json')['metrics']
  result = workdir.read_json(tmp_path / 'run' / 'result.json')
  for name, value in found.items():
    np.testing.assert_allclose(result[name], value, rtol=1e-6)
  weights = weights_file.load_weights(tmp_path / 'run' / 'weights.npz')
  assert weights.facts['recipe']['features'] == 4


@pytest.mark.slow
def test_workers_find_the_same_and_may_change(
  finished, config, tmp_path, monkeypatch, capsys
):
  # What the fixture `caches` sets is known to this process alone.
  monkeypatch.setenv('JAX_DISABLE_MOST_OPTIMIZATIONS', 'True')
  cache = jax.config.values['jax_compilation_cache_dir']
  monkeypatch.setenv('JAX_COMPILATION_CACHE_DIR', cache)
  workers = {'workers': 'processes', 'num_workers': 2}
  tune_found.run(
    dataclasses.replace(config, num_trials=4, **workers), str(tmp_path)
  )
  told = capsys.readouterr()
  assert '2 workers (processes)' in told.err
  # Trainings of workers say nothing themselves.
  assert 'Estimated cost' not in told.out
  events = (tmp_path / 'events.jsonl').read_text().splitlines()
  answered = [
    each for each in map(json.loads, events) if each['event'] == 'answered'
  ]
  assert len(answered) == 4
  # One may have done all before the other was ready.
  assert {each['worker'] for each in answered} <= {'process 1', 'process 2'}
  tune_found.run(dataclasses.replace(config, num_trials=5), str(tmp_path))
  trials = trials_of(tmp_path)
  assert trials[4]['proposal'] == 4
  trials.sort(key=lambda each: each['proposal'])
  for here, there in zip(trials, trials_of(finished)[:5], strict=True):
    # Which is recorded first depends on which worker was faster.
    place = {name: there[name] for name in ('number', 'crc32')}
    assert here | place == there
    reason, metrics = here.get('reason'), here['metrics']
    outcome = reason or f'{metrics["validation_perplexity"]:.2f} on validation'
    assert outcome in told.out or here['proposal'] == 4


class _Killed(BaseException):
  """Ends a run at once, as a signal would."""


@pytest.mark.slow
def test_a_tuning_that_is_killed_goes_on_within_a_training(
  finished, config, tmp_path, monkeypatch, capsys
):
  save = checkpoints.Checkpoints.save
  monkeypatch.setattr(training_clock.Clock, 'CALL_SECONDS', 0.0)
  saves = []

  def save_some(self, step, state):
    save(self, step, state)
    saves.append(step)
    if len(saves) == 3:  # After the second training's first epoch.
      raise _Killed

  monkeypatch.setattr(checkpoints.Checkpoints, 'save', save_some)
  # Fewer points first: they are the first ones of the others.
  with pytest.raises(_Killed):
    tune_found.run(dataclasses.replace(config, num_trials=3), str(tmp_path))
  assert len(trials_of(tmp_path)) == 1
  tune_found.run(config, str(tmp_path))
  assert 'Resuming the training in' in capsys.readouterr().out
  for name in ('trials.jsonl', 'best_settings.json'):
    old, new = (
      (folder / name).read_text().replace(str(folder), '')
      for folder in (finished, tmp_path)
    )
    assert old == new
  tune_found.run(config, str(tmp_path))
  shown = capsys.readouterr().out
  assert 'Found the finished tuning' in shown
  assert 'Best of 6 by validation' in shown
  assert '2 of 6 trainings failed' in shown
  with pytest.raises(ValueError, match=r'num_trials is 2, but .* trained 6'):
    tune_found.run(dataclasses.replace(config, num_trials=2), str(tmp_path))
  with pytest.raises(ValueError, match="Config field 'learning_rates'"):
    tune_found.run(
      dataclasses.replace(config, learning_rates=(1.0,), num_trials=2),
      str(tmp_path),
    )


def test_a_network_is_tuned(tmp_path, capsys, monkeypatch):
  labels = np.arange(90) % 3
  pixels = np.random.default_rng(0).integers(0, 120, (90, 5, 5))
  pixels[np.arange(90), 2 * labels] += 100
  data = tmp_path / 'images.npz'
  np.savez(data, x_train=pixels.astype(np.uint8), y_train=labels)
  config = tune_found.NetConfig(
    architecture='chain',
    num_layers=1,
    filters=3,
    dataset='npz',
    data_dir=str(data),
    num_epochs=1,
    batch_size=8,
    learning_rates=(0.1,),
    weight_decays=(1e-4,),
    batch_norm_epsilons=(1e-5, 0.5),
    decay_starts=(0.25,),
  )
  loads = []
  load = images.load

  def count(*args, **kwargs):
    loads.append(args)
    return load(*args, **kwargs)

  monkeypatch.setattr(images, 'load', count)
  tune_found.run(config, str(tmp_path / 'run'))
  assert len(loads) == 1
  assert 'Best of 2 by validation' in capsys.readouterr().out
  metrics = [trial['metrics'] for trial in trials_of(tmp_path / 'run')]
  assert all(0 <= each['validation_accuracy'] <= 1 for each in metrics)
  settings = workdir.read_json(tmp_path / 'run' / 'best_settings.json')
  assert settings['settings']['decay_start'] == 0.25
  # A worker makes the same trainer of the same settings.
  made = worker_settings.make_trainers(
    'tune_found', worker_settings.without_workers(config), kind='NetConfig'
  )
  values = trials_of(tmp_path / 'run')[0]['architecture']
  point = point_trainer.Point(str(tmp_path / 'run'), values)
  found = made.get('points').run([point], (), (), 1).metrics
  assert {name: each[0] for name, each in found.items()} == metrics[0]
  train_conv_net.Config(
    **{
      name: tuple(value) if isinstance(value, list) else value
      for name, value in settings['settings'].items()
    }
  )


def test_the_test_split_is_out_of_reach(config, tmp_path, monkeypatch):
  monkeypatch.setattr(held_out, 'load_text', None)
  with pytest.raises(ValueError, match='give it to train_recurrent_cell'):
    tune_found.run(
      dataclasses.replace(config, evaluate_test=True), str(tmp_path / 'run')
    )
  assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'learning_rates': ()}, 'at least one value of learning_rate'),
    ({'dropout_rates': (1.0,)}, 'dropout_rates must be'),
    ({'num_trials': 0}, 'num_trials must be from 1'),
    ({'init_scales': (0.1, 0.1)}, 'init_scale'),
    ({'architecture': 'lsmt'}, 'lsmt'),
  ],
)
def test_a_bad_setting_is_refused_and_nothing_written(
  config, tmp_path, changes, message
):
  with pytest.raises(ValueError, match=message) as error:
    tune_found.run(
      dataclasses.replace(config, **changes), str(tmp_path / 'run')
    )
  assert '\n' not in str(error.value)
  assert not (tmp_path / 'run').exists()


def test_the_architecture_decides_about_the_flags(tmp_path):
  net, cell = tmp_path / 'net.json', tmp_path / 'cell.json'
  architecture_file.write_architecture(net, known_conv_nets.FIGURE_7)
  architecture_file.write_architecture(cell, recurrent_cell.KNOWN_CELLS['gru'])
  is_of_net = tune_found.is_of_net
  assert is_of_net([f'--architecture={net}', '--help'])
  assert is_of_net(['--workdir=x', '--architecture', str(net)])
  assert is_of_net(['-architecture=resnet'])
  assert not is_of_net([f'--architecture={cell}'])
  assert not is_of_net(['--architecture=nascell'])
  assert not is_of_net(['--architecture=/none.json'])
  assert not is_of_net(['--architecture'])
  assert not is_of_net([])
  assert tune_found.PRESETS['paper'].architecture == 'figure_7'
  assert issubclass(tune_found.Config, train_recurrent_cell.Config)

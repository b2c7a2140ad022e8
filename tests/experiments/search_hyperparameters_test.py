# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of the search for hyperparameters, end to end in small."""

import dataclasses
import gc
import json
import shutil
from typing import Any

import jax
import numpy as np
import pytest

from experiments import search_hyperparameters
from jaxnas.export import architecture as architecture_file
from jaxnas.records import trial_log, workdir
from jaxnas.visualize import curves

OUTPUTS = (
  'best.json',
  'hyperparameters.png',
  'curve.png',
  'trials.jsonl',
)


@pytest.fixture(scope='module')
def data_file(tmp_path_factory):
  """Writes images whose class is where they are bright.

  There is no test split, for no search may want one.
  """
  generator = np.random.default_rng(0)
  labels = generator.integers(0, 3, 200)
  images = generator.integers(0, 120, (200, 3, 3))
  images[np.arange(200), :, labels] += 100
  path = tmp_path_factory.mktemp('images') / 'images.npz'
  np.savez(path, x_train=images.astype(np.uint8), y_train=labels)
  return str(path)


def small(data_file, **changes):
  settings = {
    'dataset': 'npz',
    'data_dir': data_file,
    # Each pair of them is a program to compile.
    'widths': (4,),
    'batch_sizes': (16, 32),
    'num_layers': 1,
    'num_epochs': 4,
    'controller_features': 5,
    'controller_layers': 1,
    'num_trials': 16,
    'trials_per_update': 4,
    'num_winners': 1,
    'num_selection_seeds': 1,
    'num_seeds': 2,
    'retrain_learning_rates': (0.03, 0.1),
    'block_size': 4,
    'num_host_devices': 2,
    'checkpoint_every': 1,
  }
  return search_hyperparameters.Config(**settings | changes)


@pytest.fixture(scope='module')
def finished(tmp_path_factory, data_file):
  folder = tmp_path_factory.mktemp('run')
  search_hyperparameters.run(small(data_file), str(folder))
  return folder


def contents(folder):
  return {name: (folder / name).read_bytes() for name in OUTPUTS}


@pytest.mark.slow
def test_run_writes_all_its_files(finished):
  # The last two tell times.
  names = (*OUTPUTS, 'config.json', 'manifest.json')
  for name in (*names, 'timings.jsonl', 'report.html'):
    assert (finished / name).stat().st_size > 0
  trials = trial_log.read_trials(finished / 'trials.jsonl')
  arms = [trial.arm for trial in trials]
  assert arms.count('random') == arms.count('reinforce') == 8
  # Two learning rates of the usual settings, and one of each winner; then two
  # seeds of each.
  assert arms.count('retrain') == 4 + 6
  for trial in trials:
    if trial.status == 'ok':
      accuracy = trial.metrics['validation_accuracy']
      assert trial.reward == pytest.approx(accuracy**3, rel=1e-6)
    assert ('report_accuracy' in trial.metrics) == (trial.arm == 'retrain')
  assert max(trial.reward for trial in trials) > 0.5


@pytest.mark.slow
def test_what_was_found_is_retrained_at_its_own_learning_rate(finished):
  trials = trial_log.read_trials(finished / 'trials.jsonl')
  rates: dict = {}
  for trial in trials:
    if trial.arm == 'retrain':
      rates.setdefault(trial.settings['label'], set()).add(
        trial.settings['learning_rate']
      )
  assert rates.pop('usual settings') == {0.03, 0.1}
  assert len(rates) == 2
  for label, found in rates.items():
    trial = trials[int(label.split('#')[1])]
    assert trial.arm == label.split()[0]
    assert found == {trial.architecture['learning_rate']}


@pytest.mark.slow
def test_the_length_of_a_training_is_in_epochs(finished, data_file):
  facts = json.loads((finished / 'best.json').read_text())
  assert facts['num_epochs'] == 4
  best: Any = architecture_file.load_architecture(
    finished / 'best.json', 'hyperparameters'
  )
  assert best['learning_rate'] == facts['learning_rate']
  assert facts['num_params'] == 9 * 4 + 4 + 4 * 3 + 3
  for trial in trial_log.read_trials(finished / 'trials.jsonl'):
    if trial.status == 'ok':
      batch_size = trial.architecture['batch_size']
      assert trial.metrics['num_trained'] == 4 * (160 // batch_size)


@pytest.mark.slow
def test_a_log_that_was_cut_is_continued_to_the_same_bytes(
  tmp_path, data_file, finished
):
  folder = tmp_path / 'run'
  shutil.copytree(finished, folder)
  # In the middle of a round: the rest of it has other neighbors.
  lines = (finished / 'trials.jsonl').read_bytes().splitlines(keepends=True)
  (folder / 'trials.jsonl').write_bytes(b''.join(lines[:11]) + lines[11][:20])
  (folder / 'best.json').unlink()
  search_hyperparameters.run(small(data_file), str(folder))
  assert contents(folder) == contents(finished)


@pytest.mark.slow
def test_failed_trials_are_run_again_on_request(tmp_path, data_file, finished):
  folder = tmp_path / 'run'
  shutil.copytree(finished, folder)
  (folder / 'trials.jsonl').unlink()
  trials = trial_log.read_trials(finished / 'trials.jsonl')
  trials[6] = dataclasses.replace(
    trials[6], status='out_of_memory', reward=0.0, metrics={}
  )
  with trial_log.TrialLog(folder / 'trials.jsonl') as log:
    log.append(trials)
  search_hyperparameters.run(small(data_file, redo_failed=True), str(folder))
  assert contents(folder) == contents(finished)
  assert trial_log.read_trials(folder / 'trials.jsonl.1') == trials


def test_perceptrons_of_all_shapes_share_the_data(data_file):
  evaluator = search_hyperparameters.make_experiment(
    small(data_file)
  ).search.evaluator
  keys = jax.random.split(jax.random.key(0), 4)

  def places():
    gc.collect()
    return {
      shard.data.unsafe_buffer_pointer()
      for array in jax.live_arrays()
      if array.shape == (160, 3, 3, 1)
      for shard in array.addressable_shards
    }

  evaluator.evaluate(keys, np.zeros((4, 6), np.int32))
  one_shape = places()
  assert len(one_shape) >= 2
  evaluator.evaluate(keys, np.array([[0, 0, 0, 0, 0, 1]] * 4, np.int32))
  assert places() == one_shape


@pytest.mark.slow
def test_a_picture_that_fails_hides_no_result(
  finished, data_file, capsys, monkeypatch, caplog
):
  def fail(*_, **__):
    raise RuntimeError('latex was not found')

  monkeypatch.setattr(curves, 'plot_search', fail)
  search_hyperparameters.run(small(data_file), str(finished))
  assert 'Retrained, 4 epochs' in capsys.readouterr().out
  assert 'curve.png is not drawn: RuntimeError: latex was' in caplog.text


@pytest.mark.slow
def test_finished_run_is_found(finished, data_file, capsys):
  search_hyperparameters.run(small(data_file), str(finished))
  printed = capsys.readouterr().out
  assert 'Found the finished run' in printed
  assert 'Retrained, 4 epochs' in printed
  assert '(by REINFORCE) against usual settings: ' in printed
  # Its learning rate is chosen from the grid, and stands in the table.
  assert 'usual settings: momentum 0.9, weight_decay 0.0001, ' in printed


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'learning_rates': (0.1,)}, 'learning_rates must be two numbers'),
    ({'learning_rates': (0.0, 1.0)}, 'learning_rates must be above 0, got 0.0'),
    ({'weight_decays': (0.1, 0.01)}, "'weight_decay' needs low < high"),
    (
      {'momenta': (0.0, 1.0)},
      'momenta must be at least 0 and below 1, got 1.0',
    ),
    ({'widths': ()}, "'width' needs at least one value"),
    ({'batch_sizes': (0, 8)}, 'batch_sizes must be from 1 to 100,000, got 0'),
    ({'batch_sizes': (8, 500)}, 'at most 160, the number of training images'),
    ({'num_epochs': 0}, 'num_epochs must be from 1 to 1,000,000,000, got 0'),
    ({'num_layers': 0}, 'num_layers must be from 1 to 128, got 0'),
    ({'strategies': ('annealing',)}, "Unknown strategy 'annealing'"),
    ({'num_trials': 10}, 'multiple of 8'),
    ({'block_size': 3}, 'multiple of num_devices'),
    ({'max_params': 54}, 'the least num_params is 55, counted exactly'),
    (
      {'cost': 'transcendentals', 'cost_target': 3.0},
      'they have params, multiply_adds and latency',
    ),
  ],
)
def test_bad_settings_leave_no_trace(tmp_path, data_file, changes, message):
  with pytest.raises(ValueError, match=message):
    search_hyperparameters.run(small(data_file, **changes), str(tmp_path / 'x'))
  assert not (tmp_path / 'x').exists()


def test_costs_bound_what_is_trained_and_weigh_in_the_reward(
  tmp_path, data_file
):
  config = small(
    data_file,
    **{'widths': (4, 8, 16), 'max_params': 120, 'max_redraws': 99},
    **{'cost': 'multiply_adds', 'cost_target': 48.0},
  )
  experiment = search_hyperparameters.make_experiment(config)
  search = experiment.search
  for arm in search.arms:
    state = arm.strategy.init(jax.random.key(0))
    tokens = np.asarray(arm.strategy.ask(state, jax.random.key(1), 16).tokens)
    widths = [search.space.decode(row)['width'] for row in tokens]
    # 9 pixels and 3 classes: 55, 107 and 211 parameters.
    assert set(widths) == {4, 8}
  assert experiment.own_reward
  with trial_log.TrialLog(tmp_path / 'trials.jsonl') as log:
    retraining = experiment.make_retraining(log)
  assert retraining.choose_by_reward
  weighed = retraining.reward.function(
    (), {'validation_accuracy': np.ones(2), 'num_multiply_adds': [48, 96]}
  )
  np.testing.assert_allclose(weighed, [1.0, 0.9])


@pytest.mark.slow
def test_every_setting_is_a_field_of_the_file(finished):
  saved = workdir.read_json(finished / 'config.json')
  assert set(saved) == {
    field.name for field in dataclasses.fields(search_hyperparameters.Config)
  }


@pytest.mark.slow
@pytest.mark.parametrize(
  ('arm', 'part', 'name', 'message'),
  [
    ('retrain', 'settings', 'label', 'its label is missing'),
    ('random', 'metrics', 'accuracy', 'it has no'),
    ('random', 'architecture', 'width', 'its tokens are not those of'),
  ],
)
def test_a_finished_run_is_checked_before_it_is_shown(
  finished, data_file, tmp_path, arm, part, name, message
):
  folder = tmp_path / 'run'
  shutil.copytree(finished, folder)
  path = folder / 'trials.jsonl'
  lines = trial_log.read_json_lines(path)
  line = next(each for each in lines if each['arm'] == arm)
  line[part] = {
    key: each for key, each in line[part].items() if name not in key
  }
  # As older versions wrote them, without checksums.
  path.write_text(''.join(f'{json.dumps(each)}\n' for each in lines))
  with pytest.raises(ValueError, match=rf'trial \d+ is damaged \(.*{message}'):
    search_hyperparameters.run(small(data_file), str(folder))

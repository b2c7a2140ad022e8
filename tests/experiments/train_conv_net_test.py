# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import ast
import dataclasses
import functools
import hashlib
import json
import os
import shutil

import jax
from jax.experimental.compilation_cache import compilation_cache
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import launch, train_conv_net
from jaxnas.children import conv_net
from jaxnas.datasets import held_out
from jaxnas.export import architecture as architecture_file
from jaxnas.export import image_weights
from jaxnas.records import checkpoints, workdir
from jaxnas.runs import training_clock, training_run
from jaxnas.spaces import known_conv_nets as known
from jaxnas.spaces import recurrent_cell
from jaxnas.training import image_task

EPOCH_STEPS = 10


@pytest.fixture(scope='module', autouse=True)
def caches(tmp_path_factory):
  """Compiles each program once for all the runs of this module."""
  settings = {
    'jax_compilation_cache_dir': str(tmp_path_factory.mktemp('xla')),
    'jax_persistent_cache_min_compile_time_secs': 0.1,
    'jax_disable_most_optimizations': True,
  }
  before = {name: jax.config.values[name] for name in settings}
  make = functools.cache(train_conv_net.make_training)
  with pytest.MonkeyPatch.context() as patch:
    for name, value in settings.items():
      jax.config.update(name, value)
    compilation_cache.reset_cache()
    patch.setattr(train_conv_net, 'make_training', make)
    yield
  for name, value in before.items():
    jax.config.update(name, value)
  compilation_cache.reset_cache()


@pytest.fixture(scope='module')
def arrays():
  """Images whose class is the row where they are bright."""
  generator = np.random.default_rng(0)
  made: dict = {}
  for split, count in (('train', 200), ('test', 30)):
    labels = np.arange(count) % 3
    pixels = generator.integers(0, 120, (count, 6, 6))
    pixels[np.arange(count), 2 * labels] += 100
    made |= {f'x_{split}': pixels.astype(np.uint8), f'y_{split}': labels}
  return made


@pytest.fixture(scope='module')
def data_file(arrays, tmp_path_factory):
  path = tmp_path_factory.mktemp('data') / 'images.npz'
  np.savez(path, **arrays)
  return path


@pytest.fixture(scope='module')
def config(data_file):
  return train_conv_net.Config(
    architecture='chain',
    num_layers=2,
    filters=4,
    dataset='npz',
    data_dir=str(data_file),
    augmentation='upsample_crop',
    margin=1,
    flip=True,
    batch_size=16,
    learning_rate=0.2,
    schedule='constant',
    num_epochs=4,
  )


@pytest.fixture(scope='module')
def finished(config, tmp_path_factory):
  """The folder of a run that nothing has interrupted."""
  folder = tmp_path_factory.mktemp('runs') / 'finished'
  train_conv_net.run(config, str(folder))
  return folder


@pytest.fixture
def copy(finished, tmp_path):
  return shutil.copytree(finished, tmp_path / 'copy')


def run(config, folder, **changes):
  train_conv_net.run(dataclasses.replace(config, **changes), os.fspath(folder))


def lines_of(folder):
  text = (folder / 'epochs.jsonl').read_text()
  return [json.loads(line) for line in text.splitlines()]


def files_of(folder):
  return {
    path: (path.read_bytes(), path.stat().st_mtime_ns)
    for path in folder.rglob('*')
    if path.is_file() and path.name != '.lock'
  }


def assert_same_end(folder, other):
  for name in ('epochs.jsonl', 'weights.npz', 'result.json'):
    assert (folder / name).read_bytes() == (other / name).read_bytes(), name


def test_a_run_learns_and_leaves_its_files(finished, config):
  lines = lines_of(finished)
  assert [line['epoch'] for line in lines] == [1, 2, 3, 4]
  losses = [line['train_loss'] for line in lines]
  assert losses[-1] < 0.6 < 0.9 < losses[0] < 1.3
  accuracies = [line['validation_accuracy'] for line in lines]
  result = workdir.read_json(finished / 'result.json')
  assert result['validation_accuracy'] == max(accuracies) > 0.8
  assert result['epoch'] == 1 + accuracies.index(max(accuracies))
  assert result['report_accuracy'] > 0.7
  manifest = workdir.read_manifest(finished)
  # Two layers of four 3 x 3 filters with batch norm, and the head.
  assert manifest['num_params'] == 36 + 8 + 144 + 8 + 4 * 3 + 3
  assert manifest['num_multiply_adds'] == 36 * (36 + 144) + 12
  assert not (finished / 'test.json').exists()
  weights = image_weights.load_weights(finished / 'weights.npz')
  assert weights.architecture == known.make_chain(2, 4)
  assert weights.image_shape == (6, 6, 1)
  assert weights.num_classes == 3
  assert weights.recipe.augmentation == 'upsample_crop'
  content = (finished / 'weights.npz').read_bytes()
  noted = dict(result)
  assert noted.pop('weights_sha256') == hashlib.sha256(content).hexdigest()
  assert {name: weights.facts[name] for name in noted} == noted


def test_a_finished_run_is_shown_and_its_lines_classify(
  copy, config, arrays, capsys
):
  run(config, copy, evaluate_test=True)
  capsys.readouterr()
  before = files_of(copy)
  run(config, copy, evaluate_test=True)
  assert files_of(copy) == before
  shown = capsys.readouterr().out
  assert 'nothing is left to train' in shown
  assert '(best)' in shown
  test = workdir.read_json(copy / 'test.json')
  told = f'Test accuracy: {100 * test["test_accuracy"]:.2f} % (30 images).'
  assert told in shown
  printed = shown[shown.index('from jaxnas.runs') :]
  ast.parse(printed)
  # The images as the file has them: the statistics are those of the training.
  names: dict = {}
  exec(printed, names)
  classes = names['trained'](arrays['x_test'][..., None]).argmax(-1)
  is_right = classes == arrays['y_test']
  np.testing.assert_allclose(is_right.mean(), test['test_accuracy'], rtol=1e-6)
  assert is_right.mean() > 0.7


def test_a_longer_run_goes_on_where_a_short_one_ended(
  finished, config, tmp_path, capsys
):
  run(config, tmp_path, num_epochs=2)
  assert len(lines_of(tmp_path)) == 2
  run(config, tmp_path)
  assert f'after {2 * EPOCH_STEPS} steps' in capsys.readouterr().out
  assert_same_end(tmp_path, finished)


class _Killed(BaseException):
  """Ends a run at once, as a signal would."""


@pytest.mark.parametrize('at_epoch_end', [False, True])
def test_a_run_cut_at_any_checkpoint_ends_the_same(
  finished, config, tmp_path, monkeypatch, at_epoch_end
):
  save = checkpoints.Checkpoints.save
  monkeypatch.setattr(training_clock.Clock, 'CALL_SECONDS', 0.0)
  saved = []

  def kill_sometimes(self, step, state):
    is_first = step not in saved
    saved.append(step)
    if at_epoch_end and is_first and step == 2 * EPOCH_STEPS:
      # The epoch's line is written, and its checkpoint is not.
      raise _Killed
    save(self, step, state)
    if not at_epoch_end and len(saved) in (3, 12):
      raise _Killed

  monkeypatch.setattr(checkpoints.Checkpoints, 'save', kill_sometimes)
  minutes = 10.0 if at_epoch_end else 1e-9
  num_kills = 0
  for _ in range(5):
    try:
      run(config, tmp_path, checkpoint_minutes=minutes)
      break
    except _Killed:
      num_kills += 1
  assert num_kills == (1 if at_epoch_end else 2)
  assert any(step % EPOCH_STEPS for step in saved) != at_epoch_end
  assert_same_end(tmp_path, finished)


def test_the_test_split_is_read_once(copy, config, monkeypatch):
  loads = []
  load = held_out.load_images

  def counting(*arguments, **settings):
    loads.append(arguments)
    return load(*arguments, **settings)

  monkeypatch.setattr(held_out, 'load_images', counting)
  run(config, copy)
  assert not loads
  assert not (copy / 'test.json').exists()
  for is_asked in (True, True, False):
    run(config, copy, evaluate_test=is_asked)
    assert len(loads) == 1
  test = workdir.read_json(copy / 'test.json')
  result = workdir.read_json(copy / 'result.json')
  assert test['num_images'] == 30
  assert test['epoch'] == result['epoch']
  with pytest.raises(ValueError, match='after 4 and is final; start with'):
    run(config, copy, num_epochs=5)
  assert len(loads) == 1


@pytest.fixture(scope='module')
def other(config, tmp_path_factory):
  """The folder of a run of another seed, measured on the test split."""
  folder = tmp_path_factory.mktemp('runs') / 'other'
  run(config, folder, seed=1, learning_rate=0.05, evaluate_test=True)
  return folder


@pytest.mark.parametrize(
  ('name', 'message'),
  [
    ('weights.npz', r'weights\.npz is not what this training wrote; remove it'),
    (
      'test.json',
      r'test\.json belongs to another model than .*pass --evaluate_test',
    ),
    ('result.json', r'result\.json does not agree with .*epochs\.jsonl'),
    ('epochs.jsonl', r'epochs\.jsonl does not begin as this run began it'),
    ('timings.jsonl', r'timings\.jsonl does not begin as this run began it'),
    ('checkpoints', r'epochs\.jsonl does not hold the 4 epochs of the check'),
  ],
)
def test_a_file_of_another_run_is_refused(copy, other, config, name, message):
  run(config, copy, evaluate_test=True)
  kept = copy.with_name('kept')
  (copy / name).rename(kept)
  if (other / name).is_dir():
    shutil.copytree(other / name, copy / name)
  else:
    shutil.copy(other / name, copy / name)
  with pytest.raises(ValueError, match=message):
    run(config, copy, evaluate_test=True)
  if kept.is_dir():
    shutil.rmtree(copy / name)
  kept.rename(copy / name)
  run(config, copy, evaluate_test=True)


def test_a_test_of_weights_that_are_as_good_is_refused(copy, config, capsys):
  run(config, copy, evaluate_test=True)
  path = copy / 'test.json'
  written = dict(workdir.read_json(path))
  for kept in (written.pop('weights_sha256')[::-1], None):
    noted = {} if kept is None else {'weights_sha256': kept}
    workdir.write_json(path, written | noted, sealed=True)
    capsys.readouterr()
    if kept is None:  # As an older version wrote it.
      run(config, copy)
      assert 'Test accuracy' in capsys.readouterr().out
    else:
      with pytest.raises(ValueError, match='belongs to another model than'):
        run(config, copy)


def test_what_was_swapped_is_made_again_once_it_is_removed(
  copy, other, finished, config
):
  shutil.copy(other / 'weights.npz', copy)
  with pytest.raises(ValueError, match='remove it, and it will be made again'):
    run(config, copy)
  (copy / 'weights.npz').unlink()
  run(config, copy)
  assert_same_end(copy, finished)


def test_a_run_of_an_older_version_opens(copy, config, capsys):
  path = copy / 'result.json'
  written = dict(workdir.read_json(path))
  del written['weights_sha256']
  workdir.write_json(path, written)
  (copy / 'logs.json').unlink()
  run(config, copy)
  assert 'nothing is left to train' in capsys.readouterr().out
  assert workdir.read_json(path) == written


def test_the_best_epoch_is_the_one_of_the_highest_accuracy(config, tmp_path):
  training = train_conv_net.make_training(config)
  # The second of two equals is not better.
  made_up = jnp.array([0.5, 0.75, 0.25, 0.75])

  def measure(split, program, state):
    return {'accuracy': made_up[state.num_trained // EPOCH_STEPS - 1]}

  training_run.run(
    dataclasses.replace(training, task=training.task._replace(measure=measure)),
    tmp_path / 'made_up',
  )
  run(config, tmp_path / 'short', num_epochs=2)
  kept, short = (
    image_weights.load_weights(tmp_path / name / 'weights.npz')
    for name in ('made_up', 'short')
  )
  assert kept.facts['epoch'] == 2
  assert kept.facts['validation_accuracy'] == 0.75
  assert short.facts['epoch'] == 2
  for name in ('params', 'batch_stats'):
    jax.tree.map(
      np.testing.assert_array_equal, getattr(kept, name), getattr(short, name)
    )


def test_a_training_that_diverges_is_told_in_one_line(config, tmp_path, capsys):
  training = train_conv_net.make_training(config)
  data = training.task.train_data
  task = training.task._replace(
    train_data=data._replace(images=data.images * np.inf)
  )
  training = dataclasses.replace(training, task=task)
  code = launch.report_errors(lambda: training_run.run(training, str(tmp_path)))
  assert code == 1
  error = capsys.readouterr().err
  assert error.count('\n') == 1
  assert 'not finite between steps 0 and 1. Start with another' in error
  assert 'a smaller --learning_rate. The' in error


def test_what_decides_about_the_training_may_not_change(
  copy, config, data_file, tmp_path
):
  moved = shutil.copy(data_file, tmp_path / 'moved.npz')
  run(config, copy, data_dir=str(moved), checkpoint_minutes=1.0)
  for changes, name in (
    ({'learning_rate': 0.01}, 'learning_rate'),
    ({'preprocessing': 'whiten'}, 'preprocessing'),
    ({'seed': 1}, 'seed'),
    ({'filters': 3}, 'filters'),
  ):
    with pytest.raises(ValueError, match=f'Config field {name!r}'):
      run(config, copy, **changes)
  # With a step or a cosine, the rates depend on the length.
  saved = dict(workdir.read_json(copy / 'config.json'))
  workdir.write_json(copy / 'config.json', saved | {'schedule': 'step'})
  with pytest.raises(ValueError, match="Config field 'num_epochs'"):
    run(config, copy, schedule='step', num_epochs=5)


def test_networks_are_read_by_name_and_from_files(tmp_path):
  read = train_conv_net.read_architecture
  assert read('figure_7', 2, 3, None) == known.FIGURE_7
  assert read('dense', 2, 3, None) == known.make_dense(2, 3)
  assert read('dense', 2, 3, 'add') == known.make_dense(2, 3, merge='add')
  assert read('resnet', 4, 3, None) == known.make_resnet(4, 3)
  path = tmp_path / 'best.json'
  architecture_file.write_architecture(path, known.FIGURE_7)
  assert read(str(path), 2, 3, None) == known.FIGURE_7


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    (
      {'architecture': 'chian'},
      'did you mean chain.* a file must end in .json',
    ),
    ({'architecture': '{tmp}/none.json'}, 'no architecture file'),
    ({'architecture': '{tmp}/cell.json'}, "'recurrent_cell'; expected conv_n"),
    ({'architecture': '{tmp}/pooled.json'}, 'Pooling after layer 1 leaves no'),
    (
      {'architecture': 'resnet', 'num_layers': 3},
      'even num_layers of at least 4',
    ),
    ({'num_layers': 0}, 'num_layers must be from 1 to 128, got 0'),
    ({'filters': 0}, 'filters must be from 1 to 16,384, got 0'),
    ({'dataset': 'cifer10'}, "did you mean 'cifar10'"),
    ({'data_dir': '{tmp}/none.npz'}, 'is not a file'),
    ({'num_validation': 200}, 'leave no image to train on'),
    ({'batch_size': 161}, 'batch_size is 161, but there are only 160 images'),
    ({'schedule': 'epoch'}, "Unknown schedule 'epoch'"),
    ({'learning_rate': 0.0}, 'learning_rate must be above 0, got 0.0'),
    ({'num_epochs': 0}, 'num_epochs must be from 1 to 1,000,000,000, got 0'),
    (
      {'checkpoint_minutes': 0.0},
      'checkpoint_minutes must be above 0, got 0.0',
    ),
    ({'seed': -1}, 'seed must be from 0 to 2,147,483,647, got -1'),
  ],
)
def test_a_bad_setting_is_refused_and_nothing_written(
  config, tmp_path, changes, message
):
  pooled = dataclasses.replace(known.make_chain(2, 3), pool_after=(0, 1))
  pooled = dataclasses.replace(
    pooled,
    layers=tuple(
      dataclasses.replace(layer, stride_height=3) for layer in pooled.layers
    ),
  )
  architecture_file.write_architecture(tmp_path / 'pooled.json', pooled)
  architecture_file.write_architecture(
    tmp_path / 'cell.json', recurrent_cell.KNOWN_CELLS['gru']
  )
  changes = {
    name: value.format(tmp=tmp_path) if isinstance(value, str) else value
    for name, value in changes.items()
  }
  with pytest.raises((ValueError, OSError), match=message) as error:
    run(config, tmp_path / 'run', **changes)
  assert '\n' not in str(error.value)
  assert not (tmp_path / 'run').exists()


def test_the_defaults_are_the_published_ones():
  config = train_conv_net.Config()
  assert train_conv_net.PRESETS['densenet'] == config
  for field in dataclasses.fields(image_task.Recipe):
    if hasattr(config, field.name):
      assert getattr(config, field.name) == field.default
  assert (config.learning_rate, config.num_epochs) == (0.1, 300)
  paper = train_conv_net.PRESETS['paper']
  net = train_conv_net.read_architecture(
    paper.architecture, paper.num_layers, paper.filters, paper.merge
  )
  # The parameters that the paper tells.
  assert net.num_params(3, 10) == 4_201_630
  conv_net.make_network(net, (32, 32, 3), 10)

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import ast
import dataclasses
import functools
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

from absl import logging
import jax
from jax.experimental.compilation_cache import compilation_cache
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import launch, train_recurrent_cell
from jaxnas.datasets import held_out, text
from jaxnas.export import architecture as architecture_file
from jaxnas.export import weights as weights_file
from jaxnas.records import checkpoints, trial_log, workdir
from jaxnas.runs import training_clock, training_run
from jaxnas.spaces import recurrent_cell as space
from jaxnas.training import dataset_tasks, text_task

ROOT = pathlib.Path(__file__).resolve().parents[2]
NUM_SEGMENTS = 12


@pytest.fixture(scope='module', autouse=True)
def caches(tmp_path_factory):
  """Compiles each program once for all the runs of this module."""
  settings = {
    'jax_compilation_cache_dir': str(tmp_path_factory.mktemp('xla')),
    'jax_persistent_cache_min_compile_time_secs': 0.1,
    'jax_disable_most_optimizations': True,
  }
  before = {name: jax.config.values[name] for name in settings}
  make = functools.cache(train_recurrent_cell.make_training)
  with pytest.MonkeyPatch.context() as patch:
    for name, value in settings.items():
      # The environment is for the process that a test starts.
      patch.setenv(name.upper(), str(value))
      jax.config.update(name, value)
    compilation_cache.reset_cache()
    patch.setenv('JAXNAS_DATA_DIR', str(tmp_path_factory.mktemp('cache')))
    patch.setattr(train_recurrent_cell, 'make_training', make)
    yield
  for name, value in before.items():
    jax.config.update(name, value)
  compilation_cache.reset_cache()


@pytest.fixture(scope='module')
def data_dir(tmp_path_factory):
  """A text whose words follow each other in one of two ways."""
  folder = tmp_path_factory.mktemp('data')
  draw = random.Random(0)

  def line():
    start, step = draw.randrange(5), draw.randrange(1, 3)
    return ' '.join('abcde'[(start + step * i) % 5] for i in range(5))

  for name, num_lines in (('train', 41), ('valid', 20), ('test', 9)):
    lines = ''.join(f'{line()}\n' for _ in range(num_lines))
    (folder / f'{name}.txt').write_text(lines)
  return folder


@pytest.fixture(scope='module')
def config(data_dir):
  return train_recurrent_cell.Config(
    architecture='paper_example',
    dataset='text',
    data_dir=str(data_dir),
    features=6,
    num_layers=1,
    init_scale=0.3,
    dropout_rate=0.1,
    recurrent_dropout_rate=0.1,
    optimizer='adam',
    learning_rate=0.04,
    constant_epochs=1,
    num_epochs=3,
    batch_size=4,
    num_unrolled=5,
  )


@pytest.fixture(scope='module')
def finished(config, tmp_path_factory):
  """The folder of a run that nothing has interrupted."""
  folder = tmp_path_factory.mktemp('runs') / 'finished'
  train_recurrent_cell.run(config, str(folder))
  return folder


@pytest.fixture
def copy(finished, tmp_path):
  return shutil.copytree(finished, tmp_path / 'copy')


@pytest.fixture
def test_loads(monkeypatch):
  """Counts how often the test split is loaded."""
  loads = []
  load = held_out.load_text

  def counting(*arguments, **settings):
    loads.append(arguments)
    return load(*arguments, **settings)

  monkeypatch.setattr(held_out, 'load_text', counting)
  return loads


def run(config, folder, **changes):
  train_recurrent_cell.run(
    dataclasses.replace(config, **changes), os.fspath(folder)
  )


def lines_of(folder):
  return [
    json.loads(line)
    for line in (folder / 'epochs.jsonl').read_text().splitlines()
  ]


def assert_same_end(folder, other):
  for name in ('epochs.jsonl', 'weights.npz', 'result.json'):
    assert (folder / name).read_bytes() == (other / name).read_bytes(), name


def files_of(folder):
  return {
    path: (path.read_bytes(), path.stat().st_mtime_ns)
    for path in folder.rglob('*')
    if path.is_file() and path.name != '.lock'
  }


def test_a_run_learns_and_leaves_its_files(finished):
  lines = lines_of(finished)
  assert [line['epoch'] for line in lines] == [1, 2, 3]
  np.testing.assert_allclose(
    [line['learning_rate'] for line in lines],
    [0.04, 0.04 * 0.8, 0.04 * 0.64],
    rtol=1e-5,
  )
  perplexities = [line['validation_perplexity'] for line in lines]
  assert perplexities[-1] == min(perplexities) < 5.9 < perplexities[0] < 6.1
  result = workdir.read_json(finished / 'result.json')
  assert result['validation_perplexity'] == perplexities[-1]
  assert result['epoch'] == 3
  assert 5 < result['report_perplexity'] < 6
  manifest = workdir.read_manifest(finished)
  assert manifest['seed'] == 0
  # 6 tokens, width 6, 2 leaves: embedding, softmax, W and U.
  assert manifest['num_params'] == 2 * 6 * 6 + 6 + 2 * 2 * 6 * 6
  assert not (finished / 'test.json').exists()
  timings = (finished / 'timings.jsonl').read_text().splitlines()
  assert [json.loads(line)['num_trained'] for line in timings] == [
    NUM_SEGMENTS * epoch for epoch in (1, 2, 3)
  ]


def test_the_printed_lines_load_what_was_measured(finished, config, capsys):
  before = files_of(finished)
  run(config, finished)
  assert files_of(finished) == before
  shown = capsys.readouterr().out
  assert 'nothing is left to train' in shown
  assert '3 (best)' in shown
  printed = shown[shown.index('from jaxnas.runs') :]
  ast.parse(printed)
  names: dict = {}
  exec(printed, names)
  trained = names['trained']
  assert trained.architecture == space.KNOWN_CELLS['paper_example']
  dataset = text.load('text', config.data_dir)
  assert trained.vocabulary == dataset.vocabulary
  segments = dataset_tasks.to_segments(dataset.validation, 4, 5)
  perplexity = text_task.perplexity(trained.model, trained.params, segments)
  facts = trained.facts
  np.testing.assert_allclose(
    perplexity, facts['validation_perplexity'], rtol=1e-6
  )
  assert facts['data_hash'] == dataset.content_hash
  inputs = np.zeros((3, 1), np.int32)
  carry = trained.model.initialize_carry(batch_size=1)
  _, hidden = trained.model.apply(
    trained.params, carry, inputs, method='encode'
  )
  assert hidden.shape == (3, 1, 6)


def test_a_longer_run_goes_on_where_a_short_one_ended(
  finished, config, tmp_path, capsys
):
  run(config, tmp_path, num_epochs=1)
  assert len(lines_of(tmp_path)) == 1
  run(config, tmp_path, num_epochs=3)
  shown = capsys.readouterr().out
  assert f'Resuming the training in {tmp_path} after {NUM_SEGMENTS}' in shown
  assert_same_end(tmp_path, finished)
  assert workdir.read_json(tmp_path / 'config.json')['num_epochs'] == 3


class _Killed(BaseException):
  """Ends a run at once, as a signal would."""


@pytest.mark.slow
@pytest.mark.parametrize('at_epoch_end', [False, True])
def test_a_run_cut_at_any_checkpoint_ends_the_same(
  finished, config, tmp_path, monkeypatch, at_epoch_end
):
  save = checkpoints.Checkpoints.save
  monkeypatch.setattr(training_clock.Clock, 'CALL_SECONDS', 0.0)
  saved = []

  def kill_sometimes(self, step, state):
    if at_epoch_end:
      # The epoch's line is written, and its checkpoint is not.
      if step == 2 * NUM_SEGMENTS and step not in saved:
        saved.append(step)
        raise _Killed
      save(self, step, state)
      return
    save(self, step, state)
    saved.append(step)
    if len(saved) in (4, 15):
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
  if not at_epoch_end:
    assert any(step % NUM_SEGMENTS for step in saved)
  assert_same_end(tmp_path, finished)


@pytest.mark.slow
def test_a_killed_process_is_continued(config, tmp_path):
  folder = tmp_path / 'run'
  long = dataclasses.replace(config, num_epochs=40, num_host_devices=None)
  flags = [
    f'--{name}={value}'
    for name, value in dataclasses.asdict(long).items()
    if value not in (None, ()) and not isinstance(value, bool)
  ]
  process = subprocess.Popen(
    [
      sys.executable,
      '-m',
      'experiments.train_recurrent_cell',
      f'--workdir={folder}',
      '--num_host_devices=none',
      *flags,
    ],
    cwd=ROOT,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    text=True,
  )
  epochs = folder / 'epochs.jsonl'
  deadline = time.monotonic() + 120
  while process.poll() is None and time.monotonic() < deadline:
    if epochs.exists() and epochs.read_bytes().count(b'\n') >= 3:
      break
    time.sleep(0.002)
  process.send_signal(signal.SIGKILL)
  errors = process.communicate()[1]
  assert process.returncode == -signal.SIGKILL, errors
  num_done = epochs.read_bytes().count(b'\n')
  assert 3 <= num_done < 30
  run(long, folder, num_epochs=num_done + 2)
  run(long, tmp_path / 'other', num_epochs=num_done + 2)
  assert_same_end(folder, tmp_path / 'other')


def test_the_test_split_is_read_once(
  copy, config, capsys, test_loads, monkeypatch
):
  logged = []
  monkeypatch.setattr(
    logging, 'info', lambda text, *args: logged.append((text, args))
  )
  run(config, copy)
  assert not test_loads
  assert 'Test perplexity' not in capsys.readouterr().out
  run(config, copy, evaluate_test=True)
  assert len(test_loads) == 1
  test = workdir.read_json(copy / 'test.json')
  shown = f'Test perplexity: {test["test_perplexity"]:.2f} (53 tokens).'
  assert shown in capsys.readouterr().out
  assert (
    'Test %s: %.4f.',
    ('perplexity', test['test_perplexity']),
  ) in logged
  for is_asked in (True, False):
    run(config, copy, evaluate_test=is_asked)
    assert shown in capsys.readouterr().out
  assert len(test_loads) == 1
  # By hand: every token but the first, `<eos>` like any other, in one go.
  weights = weights_file.load_weights(copy / 'weights.npz')
  dataset = text.load('text', config.data_dir)
  tokens = held_out.load_text(dataset, config.data_dir)
  assert len(tokens) == 9 * 6 == test['num_tokens'] + 1
  model = train_recurrent_cell.long_text.make_model(
    train_recurrent_cell.Recipe(**weights.facts['recipe']),
    len(weights.vocabulary),
    weights.architecture,
  )
  nats, _ = model.apply(
    weights.params,
    model.initialize_carry(1),
    tokens[:-1, None],
    tokens[1:, None],
    np.ones((53, 1), np.float32),
  )
  np.testing.assert_allclose(
    test['test_perplexity'], np.exp(nats / 53), rtol=1e-5
  )


def test_a_run_is_final_once_the_test_split_was_read(copy, config, test_loads):
  run(config, copy, evaluate_test=True)
  before = files_of(copy)
  with pytest.raises(ValueError, match='after 3 and is final; start with'):
    run(config, copy, num_epochs=4)
  assert files_of(copy) == before
  assert len(test_loads) == 1


def with_perplexities(config, values):
  """Returns a training whose perplexities are made up, one for each epoch."""
  training = train_recurrent_cell.make_training(config)
  made_up = jnp.array(values)

  def measure(split, program, state):
    return {'perplexity': made_up[state.num_trained // NUM_SEGMENTS - 1]}

  return dataclasses.replace(
    training, task=training.task._replace(measure=measure)
  )


def test_the_best_epoch_is_kept_and_not_the_last(config, tmp_path):
  training = with_perplexities(config, [5.0, 3.0, 4.0])
  training_run.run(training, tmp_path / 'made_up')
  run(config, tmp_path / 'short', num_epochs=2)
  kept = weights_file.load_weights(tmp_path / 'made_up' / 'weights.npz')
  assert kept.facts['epoch'] == 2
  assert kept.facts['validation_perplexity'] == 3.0
  short = weights_file.load_weights(tmp_path / 'short' / 'weights.npz')
  jax.tree.map(np.testing.assert_array_equal, kept.params, short.params)


def test_a_diverged_training_stops_and_keeps_what_was_good(
  config, tmp_path, capsys
):
  training = with_perplexities(config, [5.0, float('inf')])
  code = launch.report_errors(lambda: training_run.run(training, tmp_path))
  assert code == 1
  error = capsys.readouterr().err
  assert error.count('\n') == 1
  assert 'diverged: the validation perplexity is not finite' in error
  assert f'after {NUM_SEGMENTS} steps stays' in error
  assert 'this one and --num_epochs=1' in error
  assert len(lines_of(tmp_path)) == 1
  assert not (tmp_path / 'weights.npz').exists()
  run(config, tmp_path, num_epochs=1)
  kept = weights_file.load_weights(tmp_path / 'weights.npz')
  assert kept.facts['epoch'] == 1


def test_a_loss_that_is_not_finite_is_told_in_one_line(
  config, tmp_path, capsys
):
  code = launch.report_errors(
    lambda: run(config, tmp_path, init_scale=1e30, architecture='paper_example')
  )
  assert code == 1
  error = capsys.readouterr().err
  assert error.count('\n') == 1
  assert 'was not finite between steps 0 and 1' in error
  assert not lines_of(tmp_path)
  assert not list((tmp_path / 'checkpoints').iterdir())


def test_a_changed_config_is_refused(copy, config, data_dir, tmp_path):
  before = files_of(copy)
  for changes, name in (
    ({'learning_rate': 0.01}, 'learning_rate'),
    ({'seed': 1}, 'seed'),
    ({'architecture': 'lstm'}, 'architecture'),
  ):
    with pytest.raises(ValueError, match=f'Config field {name!r}'):
      run(config, copy, **changes)
  with pytest.raises(ValueError, match='has already trained 3; give'):
    run(config, copy, num_epochs=2)
  other = shutil.copytree(data_dir, tmp_path / 'data')
  with (other / 'test.txt').open('a') as file:
    file.write('a b\n')
  with pytest.raises(ValueError, match="Config field 'data_hash'"):
    run(config, copy, data_dir=str(other))
  assert files_of(copy) == before


def test_a_run_without_a_test_split_may_get_one(copy, config, capsys):
  dataset = text.load('text', config.data_dir)
  settings = workdir.read_json(copy / 'config.json')
  workdir.write_json(
    copy / 'config.json', {**settings, 'data_hash': dataset.seen_hash}
  )
  run(config, copy, evaluate_test=True)
  assert 'Test perplexity' in capsys.readouterr().out


def test_the_text_may_move(copy, config, data_dir, tmp_path):
  moved = shutil.copytree(data_dir, tmp_path / 'moved')
  run(config, copy, data_dir=str(moved))


def test_a_cosine_has_one_length(copy, config):
  settings = dict(workdir.read_json(copy / 'config.json'))
  workdir.write_json(copy / 'config.json', settings | {'schedule': 'cosine'})
  with pytest.raises(ValueError, match="Config field 'num_epochs'"):
    run(config, copy, schedule='cosine', num_epochs=4)
  run(config, copy, schedule='cosine')


def test_damaged_epochs_are_told(copy, config):
  path = copy / 'epochs.jsonl'
  lines = path.read_text().splitlines(keepends=True)
  path.write_text(''.join(lines[:2]))
  with pytest.raises(ValueError, match='does not hold the 3 epochs'):
    run(config, copy, num_epochs=4)
  path.write_text(''.join(lines[:2]) + lines[2].replace('"epoch":3', '"x":3'))
  with pytest.raises(ValueError, match='line 3 is damaged'):
    run(config, copy, num_epochs=4)


def test_an_epoch_that_comes_out_another_way_is_told(copy, config):
  path = copy / 'epochs.jsonl'
  lines = trial_log.read_json_lines(path)
  lines[2]['validation_perplexity'] += 1e-6
  path.unlink()
  with trial_log.JsonLines(path) as written:
    written.append(lines)
  shutil.rmtree(copy / 'checkpoints' / str(3 * NUM_SEGMENTS))
  with pytest.raises(ValueError, match='epoch 3, trained again, does n'):
    run(config, copy)


def test_records_without_a_key_are_one_line(copy, config):
  path = copy / 'epochs.jsonl'
  lines = trial_log.read_json_lines(path)
  del lines[1]['learning_rate']
  # As older versions wrote them, without checksums.
  path.write_text(''.join(f'{json.dumps(line)}\n' for line in lines))
  with pytest.raises(ValueError, match=r'line 2 is damaged .*rate is missing'):
    run(config, copy)


def test_a_result_that_was_changed_is_not_shown(copy, config):
  path = copy / 'result.json'
  written = dict(workdir.read_json(path))
  path.write_text(path.read_text().replace('"epoch": ', '"epoch": 1'))
  with pytest.raises(ValueError, match='it is not what was written'):
    run(config, copy)
  # As older versions wrote it, without a checksum.
  name = 'validation_perplexity'
  workdir.write_json(path, written | {name: written[name] * 1.1})
  with pytest.raises(ValueError, match='does not agree with'):
    run(config, copy)


def test_architectures_are_read_by_name_and_from_files(tmp_path):
  read = train_recurrent_cell.read_architecture
  assert read('lstm') == 'lstm'
  assert read('gru') == space.KNOWN_CELLS['gru']
  path = tmp_path / 'best.json'
  architecture_file.write_architecture(path, space.KNOWN_CELLS['nascell'])
  assert read(str(path)) == space.KNOWN_CELLS['nascell']


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'architecture': 'nascel'}, "Unknown cell 'nascel'; did you mean nascell"),
    ({'architecture': 'none/best.json'}, 'no architecture file none/best.json'),
    ({'architecture': '{tmp}/bad.json'}, 'bad.json holds an architecture of'),
    ({'architecture': '{tmp}/text.json'}, 'text.json is damaged: not JSON'),
    ({'dataset': 'pbt'}, "Unknown dataset 'pbt'.*'ptb'"),
    ({'data_dir': '{tmp}/none'}, 'none'),
    ({'level': 'line'}, "Unknown level 'line'"),
    ({'batch_size': 0}, 'batch_size must be from 1 to 100,000, got 0'),
    ({'num_unrolled': 1000}, 'The text is too short'),
    ({'num_epochs': 0}, 'num_epochs must be from 1 to 1,000,000,000, got 0'),
    (
      {'dropout_rate': 1.0},
      'dropout_rate must be at least 0 and below 1, got 1.0',
    ),
    ({'features': -1}, 'features must be from 1 to 16,384, got -1'),
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
  (tmp_path / 'bad.json').write_text('{"kind": "x"}')
  (tmp_path / 'text.json').write_text('text')
  changes = {
    name: value.format(tmp=tmp_path) if isinstance(value, str) else value
    for name, value in changes.items()
  }
  with pytest.raises((ValueError, OSError), match=message):
    run(config, tmp_path / 'run', **changes)
  assert not (tmp_path / 'run').exists()


def test_the_defaults_are_the_published_ones():
  config = train_recurrent_cell.Config()
  recipe = train_recurrent_cell.Recipe()
  for field in dataclasses.fields(recipe):
    assert getattr(config, field.name) == getattr(recipe, field.name)
  assert (config.batch_size, config.num_unrolled) == (20, 35)
  assert train_recurrent_cell.PRESETS['nascell'] == config


def test_the_presets_have_the_published_sizes():
  words = 100
  for name, features, at_the_end in (
    ('zaremba_small', 200, 0.5**9),
    ('zaremba_medium', 650, 0.8**33),
  ):
    config = train_recurrent_cell.PRESETS[name]
    assert config.dataset == 'ptb'
    made = train_recurrent_cell.make_training(
      dataclasses.replace(config, dataset='pydoc'),
      text.load('pydoc', vocab_size=words),
    )
    gates = 2 * 4 * features * (2 * features + 1)
    assert made.facts['num_params'] == (gates + 2 * words * features + words)
    last_step = (config.num_epochs - 1) * made.epoch_steps
    np.testing.assert_allclose(
      made.learning_rate(last_step), at_the_end, rtol=1e-5
    )
    assert made.learning_rate(0) == 1.0

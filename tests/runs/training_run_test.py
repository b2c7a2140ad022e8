# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import csv
import dataclasses
import json
import pathlib

import jax
import jax.numpy as jnp
import pytest

from jaxnas import statistics
from jaxnas.records import folder
from jaxnas.runs import long_training, training_run, training_terms
from jaxnas.types import Task

EPOCH_STEPS = 4


def init(program, key, learning_rate):
  return {'at': jnp.float32(0), 'num_trained': jnp.int32(0)}


def train(data, program, state, key, learning_rate, span):
  num_steps = span.stop - span.start
  return {
    'at': state['at'] + learning_rate * num_steps,
    'num_trained': state['num_trained'] + num_steps,
  }


# A walk that passes the goal of validation after two epochs of length 1.
TASK = Task(
  init=init,
  train=train,
  train_metrics=lambda state: {**state, 'is_alive': state['at'] < 50},
  measure=lambda goal, _, state: {'distance': jnp.abs(state['at'] - goal)},
  train_data=jnp.float32(0),
  splits={'validation': jnp.float32(2), 'report': jnp.float32(5)},
)


def write_weights(path, model, **facts):
  pathlib.Path(path).write_text(json.dumps({'at': float(model), **facts}))


def load_walk(path):
  return json.loads(pathlib.Path(path).read_text())


def make(num_epochs=3, evaluate_test=False, learning_rate=0.25, **changes):
  training = long_training.Training(
    label='A walk.',
    terms=training_terms.Terms(
      statistics.Measure('distance', is_higher_better=False, is_ratio=False),
      train_metric='steps',
      counted='items',
      remedy='--learning_rate',
    ),
    settings={'learning_rate': learning_rate, 'num_epochs': num_epochs},
    free=('num_epochs',),
    num_epochs=num_epochs,
    epoch_steps=EPOCH_STEPS,
    architecture='walk',
    task=TASK,
    key=jax.random.key(0),
    initial_learning_rate=learning_rate,
    learning_rate=lambda step: learning_rate * (step + 1),
    model=lambda state: state['at'],
    with_model=lambda state, model: {**state, 'at': model},
    train_value=lambda metrics: float(metrics['num_trained']),
    load_test=lambda: (jnp.float32(7), 11),
    write_weights=write_weights,
    load=load_walk,
    evaluate_test=evaluate_test,
    checkpoint_seconds=600.0,
    facts={'data_hash': 'abc'},
  )
  return dataclasses.replace(training, **changes)


def read_lines(path):
  return [json.loads(line) for line in (path / 'epochs.jsonl').open()]


def test_each_epoch_is_measured_and_the_best_is_kept(tmp_path, capsys):
  training_run.run(make(), str(tmp_path))
  fields = ('epoch', 'learning_rate', 'train_steps', 'validation_distance')
  assert [
    tuple(line[name] for name in fields) for line in read_lines(tmp_path)
  ] == [(1, 1.0, 4.0, 1.0), (2, 2.0, 8.0, 0.0), (3, 3.0, 12.0, 1.0)]
  # It had come as far as 3 by the end.
  weights = load_walk(tmp_path / 'weights.npz')
  assert weights == {
    'at': 2.0,
    'num_epochs': 3,
    'epoch': 2,
    'validation_distance': 0.0,
    'report_distance': 3.0,
  }
  result = json.loads((tmp_path / 'result.json').read_text())
  assert result.items() >= {'epoch': 2, 'report_distance': 3.0}.items()
  assert not (tmp_path / 'test.json').exists()
  printed = capsys.readouterr().out
  assert printed.startswith('A walk.\n')
  assert 'Best: epoch 2, distance 0.00 on validation and 3.00' in printed
  assert f"trained = load_walk('{tmp_path}/weights.npz')" in printed


def test_a_finished_run_is_only_shown(tmp_path, capsys):
  training_run.run(make(), str(tmp_path))
  before = capsys.readouterr().out
  files = {
    path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()
  }

  def refuse(*arguments):
    raise AssertionError('There was nothing to train.')

  task = TASK._replace(train=refuse)
  training_run.run(make(task=task, write_weights=refuse), str(tmp_path))
  printed = capsys.readouterr().out
  assert 'Found the finished training' in printed
  assert printed[printed.index('After each epoch') :] in before
  assert files == {path: path.read_bytes() for path in files}


def test_a_longer_run_ends_as_if_it_had_not_been_cut(tmp_path, capsys):
  cut, whole = tmp_path / 'cut', tmp_path / 'whole'
  training_run.run(make(num_epochs=1), str(cut))
  assert load_walk(cut / 'weights.npz')['at'] == 1.0
  training_run.run(make(), str(cut))
  assert 'after 4 steps' in capsys.readouterr().out
  training_run.run(make(), str(whole))
  for name in ('epochs.jsonl', 'weights.npz', 'result.json'):
    assert (cut / name).read_bytes() == (whole / name).read_bytes()
  message = 'num_epochs is 2, but .* has already trained 3; give'
  with pytest.raises(ValueError, match=message):
    training_run.run(make(num_epochs=2), str(cut))


def test_the_test_split_is_read_once_and_is_final(tmp_path, capsys):
  loads = []

  def load_test():
    loads.append(1)
    return jnp.float32(7), 11

  training = make(evaluate_test=True, load_test=load_test)
  for _ in range(2):
    training_run.run(training, str(tmp_path))
    assert 'Test distance: 5.00 (11 items).' in capsys.readouterr().out
  assert len(loads) == 1
  test = json.loads((tmp_path / 'test.json').read_text())
  assert test['test_distance'] == 5.0
  assert test['epoch'] == 2
  message = 'num_epochs is 4, but .* test split after 3 and is final'
  with pytest.raises(ValueError, match=message):
    training_run.run(make(num_epochs=4), str(tmp_path))


def test_a_training_that_diverges_says_what_to_do(tmp_path):
  # Alive after one epoch, which ends at 40, and dead within the second.
  training = make(learning_rate=10.0)
  message = (
    r'The training diverged: .* not finite between steps \d+ and \d+\. Start '
    r'with another --workdir and a smaller --learning_rate, or with '
    r'this one and --num_epochs=1 .* The checkpoint after 4 steps stays'
  )
  with pytest.raises(ValueError, match=message):
    training_run.run(training, str(tmp_path))
  assert [line['epoch'] for line in read_lines(tmp_path)] == [1]
  training_run.run(make(num_epochs=1, learning_rate=10.0), str(tmp_path))
  assert load_walk(tmp_path / 'weights.npz')['at'] == 40.0


def test_a_measure_that_is_not_finite_is_told(tmp_path):
  task = TASK._replace(
    measure=lambda goal, _, state: {'distance': jnp.log(goal - 3)}
  )
  message = 'diverged: the validation distance is not finite.*steps stays'
  with pytest.raises(ValueError, match=message):
    training_run.run(make(task=task), str(tmp_path))
  assert not (tmp_path / 'result.json').exists()


def test_the_time_of_a_training_that_diverges_counts(tmp_path):
  with pytest.raises(ValueError, match='diverged'):
    training_run.run(make(learning_rate=10.0), str(tmp_path))
  lines = folder.read_timings(tmp_path / 'timings.jsonl')
  assert [line['num_trained'] for line in lines] == [4, 4]
  assert lines[1]['wall_seconds'] > 0


def test_sinks_get_the_report_and_the_test(tmp_path):
  def read():
    rows = (tmp_path / 'scalars.csv').read_text().splitlines()
    return [row for row in rows if row.startswith('result')]

  training_run.run(make(num_epochs=1, log_to=('csv',)), str(tmp_path))
  assert read() == ['result,1,report_distance,4.0']
  # A longer training has another result instead.
  training_run.run(make(log_to=('csv',)), str(tmp_path))
  assert read() == ['result,3,report_distance,3.0']
  tested = make(evaluate_test=True, log_to=('csv',))
  for _ in range(2):
    training_run.run(tested, str(tmp_path), is_shown=False)
    assert read() == [
      'result,3,report_distance,3.0',
      'result,3,test_distance,5.0',
    ]


def test_weights_that_are_not_those_of_the_result_are_told(tmp_path):
  training_run.run(make(), str(tmp_path))
  weights = tmp_path / 'weights.npz'
  write_weights(weights, 2.5)
  with pytest.raises(ValueError, match='is not what this training wrote'):
    training_run.run(make(), str(tmp_path))
  weights.unlink()
  training_run.run(make(), str(tmp_path))
  assert load_walk(weights)['at'] == 2.0


def test_a_training_too_long_to_count_is_refused(tmp_path):
  most = (2**31 - 1) // EPOCH_STEPS
  with pytest.raises(ValueError, match=r'at most 536,870,911 with 4 steps'):
    training_run.run(make(num_epochs=most + 1), tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


def test_a_setting_that_is_not_free_may_not_change(tmp_path):
  training_run.run(make(num_epochs=1), str(tmp_path))
  with pytest.raises(ValueError, match='learning_rate'):
    training_run.run(make(learning_rate=0.5), str(tmp_path))


def test_scalars_are_those_of_the_epochs(tmp_path):
  training_run.run(make(num_epochs=1), str(tmp_path))
  assert not (tmp_path / 'scalars.csv').exists()
  training_run.run(make(log_to=('csv',)), str(tmp_path))
  with open(tmp_path / 'scalars.csv', newline='') as file:
    rows = [tuple(row.values()) for row in csv.DictReader(file)]
  assert [
    (axis, int(n), name, float(value))
    for axis, n, name, value in rows
    if axis != 'result'
  ] == [
    ('epoch', line['epoch'], name, line[name])
    for line in read_lines(tmp_path)
    for name in ('learning_rate', 'train_steps', 'validation_distance')
  ]


def test_an_unknown_sink_is_told_before_all_else(tmp_path):
  with pytest.raises(ValueError, match="log_to names 'tb'; expected some of"):
    training_run.run(make(log_to=('tb',)), str(tmp_path / 'run'))
  assert not (tmp_path / 'run').exists()

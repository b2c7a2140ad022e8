# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import json
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import contestants as contestants_lib
from jaxnas import retraining as retraining_lib
from jaxnas import rewards
from jaxnas.records import workdir
from jaxnas.runs import architecture_comparison as comparisons
from jaxnas.trainers import blocks
from jaxnas.types import Task


def make_row(label, learning_rate=0.1, report=(2.0, 4.0)):
  contestant = contestants_lib.Contestant(label, label, label, 10, 2)
  values = np.array(report)
  return retraining_lib.Result(
    contestant, learning_rate, 1, values, values**2, values, np.zeros(2)
  )


def test_bits_are_the_logarithms_of_perplexities():
  row = comparisons.in_bits(make_row('x', report=(2.0, 8.0, np.inf)))
  np.testing.assert_array_equal(row.report, [1, 3, np.inf])
  np.testing.assert_array_equal(row.validation, [2, 6, np.inf])
  assert comparisons.BITS.text(row.report[1]) == '3.000'
  assert comparisons.BITS.is_better(1.0, 3.0)


@pytest.mark.parametrize(
  ('grid', 'told'),
  [
    ((0.01, 0.1, 1.0), ['b (1)']),
    ((0.1, 1.0), ['a (0.1), b (1)']),
    ((0.1,), []),
    ((0.01, 0.1, 1.0, 10.0), []),
  ],
)
def test_a_rate_at_an_end_of_the_grid_is_told(grid, told):
  rows = [make_row('a'), make_row('b', 1.0)]
  lines = comparisons.at_the_end_of_the_grid(
    types.SimpleNamespace(learning_rates=grid), rows
  )
  assert [line.partition(': ')[2].rstrip('.') for line in lines] == told


def test_the_first_is_compared_with_each_of_the_others():
  rows = [make_row(name) for name in 'abc']
  pairs = comparisons._pairs(rows)
  assert [(one.name, other.name) for one, other in pairs] == [
    ('a', 'b'),
    ('a', 'c'),
  ]


def make_trainer(level):
  """A training's perplexity is a level, best at the learning rate 0.1."""

  def init(program, key, learning_rate):
    del program
    value = level + jnp.abs(jnp.log10(learning_rate) + 1)
    value = value + 0.01 * jax.random.uniform(key)
    return value, learning_rate < 5

  def measure(split, program, state):
    del program
    return {'perplexity': split + state[0]}

  task = Task(
    init,
    lambda data, program, state, key, learning_rate, span: state,
    lambda state: {'is_alive': state[1]},
    measure,
    train_data=jnp.zeros(()),
    splits={'validation': jnp.array(1.0), 'report': jnp.array(2.0)},
  )
  return blocks.BlockTrainer(task, 4)


@pytest.fixture(scope='module')
def compared():
  levels = {'found': 10.0, 'LSTM': 15.0, 'GRU': 10.01}
  return comparisons.Comparison(
    settings={'rates': [0.01, 0.1, 1.0, 9.0], 'seeds': 3},
    free=('seeds',),
    defaults={},
    facts={'data_hash': 'x'},
    retraining=retraining_lib.Retraining(
      contestants=tuple(
        contestants_lib.Contestant(name, name, name, 100, 5) for name in levels
      ),
      trainers={name: make_trainer(level) for name, level in levels.items()},
      learning_rates=(0.01, 0.1, 1.0, 9.0),
      num_selection_seeds=1,
      num_seeds=3,
      num_steps=7,
      key=jax.random.key(0),
      reward=rewards.make_perplexity_reward(),
    ),
    estimate=lambda: 3600.0,
    log_to=('csv',),
  )


@pytest.fixture(scope='module')
def finished(compared, tmp_path_factory):
  folder = tmp_path_factory.mktemp('runs') / 'finished'
  comparisons.run(compared, str(folder))
  return folder


def trials_of(folder):
  lines = (folder / 'trials.jsonl').read_text().splitlines()
  return [json.loads(line) for line in lines]


def test_rates_are_chosen_and_the_fresh_trainings_are_compared(finished):
  trials = trials_of(finished)
  assert len(trials) == 3 * 4 + 3 * 3
  # One rate is too high for all.
  failed = [trial for trial in trials if trial['status'] != 'ok']
  assert {each['settings']['learning_rate'] for each in failed} == {9.0}
  assert len(failed) == 3
  found = workdir.read_json(finished / 'comparison.json')
  assert found['measure'] == 'perplexity'
  for row, level in zip(found['architectures'], (10, 15, 10.01), strict=True):
    assert row['learning_rate'] == 0.1
    np.testing.assert_allclose(row['report'], level + 2, atol=0.02)
    np.testing.assert_allclose(row['validation'], level + 1, atol=0.02)
  better, same, note = found['verdicts']
  assert better.startswith('found against LSTM: perplexity ratio 0.706, ')
  assert better.endswith(': found is better.')
  assert same.startswith('found against GRU: perplexity ratio 0.999, ')
  assert 'over fresh trainings, and corrected for the 2 comparisons' in note
  scalars = (finished / 'scalars.csv').read_text()
  assert 'retrain/GRU/report_perplexity' in scalars


def test_killed_after_any_line_it_goes_on_to_the_same_log(
  finished, compared, tmp_path, capsys
):
  lines = (finished / 'trials.jsonl').read_bytes().splitlines(keepends=True)
  path = tmp_path / 'trials.jsonl'
  for count in (0, 1, 11, 12, 20):
    for name in ('config.json', 'manifest.json', 'trials.task.json'):
      (tmp_path / name).write_bytes((finished / name).read_bytes())
    path.write_bytes(b''.join(lines[:count]) + lines[count][:40])
    comparisons.run(compared, str(tmp_path))
    assert path.read_bytes() == b''.join(lines)
    shown = capsys.readouterr().out
    assert ('Resuming the run' in shown) == bool(count)
    left = len(lines) - count
    hours = f'{60 * left // len(lines)} min ' if count else '1 h 00 min'
    assert f'Estimated cost: {hours}' in shown
    assert f'for {left} trainings' in shown


def test_a_finished_run_is_shown_and_may_get_more_seeds(
  finished, compared, tmp_path, capsys
):
  for name in ('config.json', 'manifest.json', 'trials.jsonl'):
    (tmp_path / name).write_bytes((finished / name).read_bytes())
  before = trials_of(tmp_path)
  # Nothing is trained, so nothing is measured.
  comparisons.run(
    dataclasses.replace(compared, estimate=None, is_by_character=True),
    str(tmp_path),
  )
  shown = capsys.readouterr().out
  assert 'Found the finished run' in shown
  assert 'Trained for 7 steps: mean bits per character of 3 fresh' in shown
  assert 'found against LSTM: bits per character difference -0.5' in shown
  assert trials_of(tmp_path) == before
  more = dataclasses.replace(
    compared,
    settings={**compared.settings, 'seeds': 4},
    retraining=dataclasses.replace(compared.retraining, num_seeds=4),
  )
  comparisons.run(more, str(tmp_path))
  assert trials_of(tmp_path)[: len(before)] == before
  assert len(trials_of(tmp_path)) == len(before) + 3
  assert 'mean perplexity of 4 fresh' in capsys.readouterr().out


def test_another_run_is_refused(finished, compared):
  log = (finished / 'trials.jsonl').read_bytes()
  other = make_trainer(11.0)
  retraining = dataclasses.replace(
    compared.retraining,
    trainers={**compared.retraining.trainers, 'found': other},
    num_seeds=5,
  )
  for changes, message in (
    ({'settings': {'rates': [0.1], 'seeds': 3}}, "Config field 'rates' is"),
    ({'facts': {'data_hash': 'y'}}, 'was started with other data'),
    ({'retraining': retraining}, 'What trials are judged by has changed'),
    ({'log_to': ('paper',)}, "log_to names 'paper'"),
  ):
    with pytest.raises(ValueError, match=message):
      comparisons.run(dataclasses.replace(compared, **changes), str(finished))
  assert (finished / 'trials.jsonl').read_bytes() == log

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import importlib
import importlib.util
import json
import pathlib
import re
import signal
import sys
import time

import numpy as np
import pytest

import experiments
from experiments import benchmark_device as benchmark
from experiments.benchmarks import device_parts, equality_jax, sessions
from experiments.benchmarks import worker as worker_lib
from experiments.benchmarks.table import Row
from jaxnas.records import workdir

ROOT = pathlib.Path(__file__).resolve().parents[2]
HAS_TORCH = importlib.util.find_spec('torch') is not None


class LocalWorker:
  """A worker in this process, which starts and compiles nothing twice."""

  def __init__(self, module, environment):
    self._module = importlib.import_module(module)
    if module.endswith('torch'):
      self.facts = self._module.recurrent_torch.describe()
    else:
      self.facts = self._module.device_lib.describe()

  def make(self, name, **settings):
    plain = json.loads(json.dumps(workdir.plain_json(settings)))
    facts, burst = self._module.MAKERS[name](**plain)
    return LocalMeasurement(facts, burst)

  def kill(self):
    pass

  close = kill


class LocalMeasurement:
  def __init__(self, facts, burst):
    self.facts, self.burst = facts, burst


@pytest.mark.slow
def test_every_part_is_measured_at_toy_size(tmp_path, capsys, monkeypatch):
  monkeypatch.setattr(sessions, 'start_worker', LocalWorker)
  # The part `vocabulary` is the part `recurrent` with other words.
  parts = [name for name in benchmark.PARTS if name != 'vocabulary']
  output = tmp_path / 'new' / 'table.json'
  rows = benchmark.run(
    benchmark.Config(dry_run=True, parts=tuple(parts), output=str(output))
  )
  written = json.loads(output.read_text())
  assert [row['name'] for row in written['rows']] == [row.name for row in rows]
  assert set(written) == {'about', 'config', 'rows', 'left_out', 'seconds'}
  assert written['about']['jax']['platform'] == 'cpu'
  assert 'say only that all parts run' in written['about']['dry run']
  printed = capsys.readouterr().out
  for row in rows:
    assert printed.count(row.name) >= 2  # As it came, and in the table.
    assert np.isfinite(row.ours)
    if row.row == 'equality':
      assert row.met == 'floor'
    else:
      assert row.ours > 0
  expected = list(parts)
  if HAS_TORCH:
    assert not written['left_out']
  else:
    expected.remove('torch_compile')
  assert list(dict.fromkeys(row.row for row in rows)) == expected
  names = {row.name: row for row in rows}
  for count in benchmark.TOY['num_children']:
    name = (
      f'training step against PyTorch eager, {count} recurrent children, '
      f'{benchmark.TOY["vocab_sizes"][0]} words'
    )
    assert (names[name].ratio is not None) == HAS_TORCH
  for route in ('1 network, interpreted', '2 networks, vmapped'):
    assert f'training step against the best matmul, {route}' in names


def rows_then_error(config, session):
  yield Row('recurrent', 'first', 's', 1.0)
  raise ValueError('The second failed.\nAnd more.')


def one_row(config, session):
  yield Row('conv', 'third', 's', 3.0)


def test_a_part_that_fails_keeps_its_rows_and_stops_no_other(
  tmp_path, capsys, monkeypatch
):
  for name, measure in (('recurrent', rows_then_error), ('conv', one_row)):
    monkeypatch.setitem(device_parts.PARTS, name, device_parts.Part(1, measure))
  output = tmp_path / 'table.json'
  rows = benchmark.run(
    benchmark.Config(parts=('conv', 'recurrent'), output=str(output))
  )
  assert [row.name for row in rows] == ['first', 'third']
  written = json.loads(output.read_text())
  assert written['left_out'] == {'recurrent': 'The second failed'}
  assert len(written['rows']) == 2
  assert 'recurrent: left out, The second failed.\n' in capsys.readouterr().out


def test_a_slow_machine_leaves_no_part_of_a_dry_run_out(tmp_path, monkeypatch):
  for name, measure in (('recurrent', rows_then_error), ('conv', one_row)):
    monkeypatch.setitem(device_parts.PARTS, name, device_parts.Part(9, measure))
  config = benchmark.Config(
    parts=('recurrent', 'conv'),
    dry_run=True,
    budget_minutes=1e-6,
    output=str(tmp_path / 'table.json'),
  )
  assert [row.name for row in benchmark.run(config)] == ['first', 'third']


def test_rows_are_written_as_they_come(tmp_path, monkeypatch):
  output = tmp_path / 'table.json'
  seen = []

  def measure(config, session):
    yield Row('tables', 'first', 's', 1.0)
    seen.append(len(json.loads(output.read_text())['rows']))
    yield Row('tables', 'second', 's', 1.0)

  monkeypatch.setitem(
    device_parts.PARTS, 'tables', device_parts.Part(1, measure)
  )
  benchmark.run(benchmark.Config(parts=('tables',), output=str(output)))
  assert seen == [1]


def test_parts_that_would_not_fit_the_budget_are_left_out(tmp_path):
  output = tmp_path / 'table.json'
  config = benchmark.Config(budget_minutes=0.1, output=str(output))
  assert benchmark.run(config) == []
  left_out = json.loads(output.read_text())['left_out']
  assert set(left_out) == set(benchmark.PARTS)
  assert left_out['equality'].startswith('it takes about 60 s, and 6 s of')


def test_all_parts_fit_the_budget():
  seconds = sum(part.seconds for part in device_parts.PARTS.values())
  assert seconds <= 60 * benchmark.Config().budget_minutes


def test_a_worker_that_hangs_is_cut(tmp_path, monkeypatch):
  (tmp_path / 'hanging.py').write_text('import time\ntime.sleep(600)\n')

  def start(module, environment):
    path = {'PYTHONPATH': str(tmp_path)}
    return worker_lib.Worker('hanging', environment | path)

  monkeypatch.setattr(sessions, 'start_worker', start)
  with sessions.Session({}, {}, {}) as session:
    session.cut_after(0.2)
    started = time.monotonic()
    with pytest.raises(ChildProcessError, match='hanging failed: it ended'):
      session.attempt('anything', session.jax)
    assert session.is_cut
    assert not session.left_out
    # Nor does one that is started too late go on.
    session._workers.clear()
    with pytest.raises(ChildProcessError):
      session.jax()
  assert time.monotonic() - started < 60


def test_what_fails_within_a_part_is_left_out(capsys, monkeypatch):
  session = sessions.Session({'jax': {'platform': 'cpu'}}, {}, {})
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  assert session.attempt('eager', session.torch) is None
  assert session.left_out == {'eager': 'PyTorch is not installed'}
  assert capsys.readouterr().out == (
    'eager: left out, PyTorch is not installed.\n'
  )
  assert session.attempt('one', lambda: 1) == 1


def test_differences_are_relative_and_must_be_finite():
  found = equality_jax.difference(np.array([1.0, 4.5]), np.array([1.0, 5.0]))
  assert found == pytest.approx(0.1)
  with pytest.raises(ValueError, match='not finite'):
    equality_jax.difference(np.array([np.nan]), np.array([1.0]))


def test_missing_packages_are_named_in_one_line(monkeypatch):
  monkeypatch.setattr(sys, 'argv', ['-m'])
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  handler = signal.getsignal(signal.SIGINT)
  try:
    with pytest.raises(SystemExit, match='lacks absl-py, chex, flax, jax, nu'):
      importlib.reload(experiments)
  finally:
    signal.signal(signal.SIGINT, handler)


def test_tensorflow_datasets_is_needed_by_what_reads_it_alone():
  at_import = re.compile(r'^(import|from) tensorflow_datasets', re.MULTILINE)
  for folder in ('jaxnas', 'experiments'):
    for path in sorted((ROOT / folder).rglob('*.py')):
      assert not at_import.search(path.read_text()), path
  assert at_import.search('import os\nimport tensorflow_datasets as tfds')


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'parts': ('convs',)}, "Unknown part 'convs' in parts; expected some of"),
    ({'strategies': ('tpe',)}, "Unknown strategy 'tpe' in strategies"),
    ({'num_trials': 30}, 'num_trials must be a multiple of trials_per_update'),
    ({'budget_minutes': 0.0}, 'budget_minutes must be above 0'),
  ],
)
def test_a_bad_setting_is_refused(fields, message):
  with pytest.raises(ValueError, match=message):
    benchmark.Config(**fields)

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import csv
import json
import struct
import subprocess
import sys
import types

import pytest

from jaxnas.records import sinks
from jaxnas.records.sinks import Point

POINTS = [
  Point('trial', 0, {'a/reward': 0.5, 'a/best_reward': 0.5}),
  Point('trial', 1, {'b/reward': 0.125}),
  Point('round', 0, {'a/tell/entropy': 1.25}),
  Point('round', 0, {'b/tell/entropy': 3.0}),
  Point('trial', 2, {'a/reward': 0.25, 'a/best_reward': 0.5}),
]


class Records:
  """A run's records, which grow; each start reads them from the first one."""

  def __init__(self):
    self.points = []

  def open(self, folder, *names):
    taken = 0

    def take():
      nonlocal taken
      new = self.points[taken:]
      taken += len(new)
      return new

    return sinks.Sinks(folder, names, take)


def write_in_two_starts(folder, *names, between=lambda: None):
  """Writes the points: two, then one, and in a second start the others."""
  records = Records()
  records.points += POINTS[:2]
  with records.open(folder, *names) as opened:
    records.points.append(POINTS[2])
    opened.update()
    opened.update()
    # It is recorded, and the run is killed before it is written.
    records.points.append(POINTS[3])
  between()
  with records.open(folder, *names) as opened:
    records.points.append(POINTS[4])
    opened.update()


def read_csv(folder):
  with open(folder / 'scalars.csv', newline='') as file:
    header, *rows = csv.reader(file)
  assert header == ['axis', 'step', 'name', 'value']
  return [(axis, int(step), name, float(v)) for axis, step, name, v in rows]


def read_events(folder):
  """Returns `(step, tag, value)` of all event files, and how many there are."""
  event_pb2 = pytest.importorskip('tensorboardX.proto.event_pb2')
  paths = list((folder / 'tensorboard').iterdir())
  found = []
  for path in paths:
    content = path.read_bytes()
    while content:
      (size,) = struct.unpack('<Q', content[:8])
      event = event_pb2.Event.FromString(content[12 : 12 + size])
      content = content[16 + size :]
      found += [
        (event.step, v.tag, v.simple_value) for v in event.summary.value
      ]
  return found, len(paths)


def flat(points):
  return [
    (point.step, name, value)
    for point in points
    for name, value in point.scalars.items()
  ]


@pytest.fixture
def warnings(monkeypatch):
  said = []
  monkeypatch.setattr(
    sinks.logging, 'warning', lambda text, *args: said.append(text % args)
  )
  return said


class FakeRun:
  """A run of the fake wandb."""

  def __init__(self, settings):
    self.settings = settings
    self.logged = []
    self.axes = {}
    self.summary = {}
    self.is_finished = False

  def define_metric(self, name, step_metric=None):
    self.axes[name] = step_metric

  def log(self, values):
    self.logged.append(values)

  def finish(self):
    self.is_finished = True


@pytest.fixture
def wandb(monkeypatch):
  module = types.ModuleType('wandb')
  module.runs = []

  def init(**settings):
    module.runs.append(FakeRun(settings))
    return module.runs[-1]

  module.init = init
  monkeypatch.setitem(sys.modules, 'wandb', module)
  return module


def test_final_values_are_a_summary_and_no_history(tmp_path, wandb):
  records = Records()
  with records.open(tmp_path, 'wandb') as opened:
    records.points += [
      sinks.Point('epoch', 1, {'loss': 0.5}),
      sinks.Point(sinks.RESULT, 1, {'report_loss': 0.25}),
    ]
    opened.update()
  # A longer training has another result instead, and the history goes on.
  records.points[1:] = [
    sinks.Point('epoch', 2, {'loss': 0.25}),
    sinks.Point(sinks.RESULT, 2, {'report_loss': 0.125}),
  ]
  again = Records()
  again.points = records.points
  with again.open(tmp_path, 'wandb'):
    pass
  first, second = wandb.runs
  assert first.logged == [{'epoch': 1, 'loss': 0.5}]
  assert second.logged == [{'epoch': 2, 'loss': 0.25}]
  assert first.summary == {'report_loss': 0.25}
  assert second.summary == {'report_loss': 0.125}
  assert first.settings['id'] == second.settings['id']
  assert sinks.RESULT not in first.axes


def test_a_table_has_each_scalar_once(tmp_path):
  write_in_two_starts(tmp_path, 'csv')
  assert [row[1:] for row in read_csv(tmp_path)] == flat(POINTS)
  assert {row[0] for row in read_csv(tmp_path)} == {'trial', 'round'}


def test_a_table_is_there_at_once_and_whole_after_a_cut(tmp_path):
  records = Records()
  with records.open(tmp_path, 'csv') as opened:
    records.points += POINTS[:2]
    opened.update()
    assert [row[1:] for row in read_csv(tmp_path)] == flat(POINTS[:2])
  path = tmp_path / 'scalars.csv'
  path.write_bytes(path.read_bytes()[:-7])
  with records.open(tmp_path, 'csv'):
    assert [row[1:] for row in read_csv(tmp_path)] == flat(POINTS[:2])


def test_names_with_commas_stay_one_field(tmp_path):
  records = Records()
  records.points.append(Point('trial', 0, {'retrain/a, "b" #3/x': 1e-300}))
  with records.open(tmp_path, 'csv'):
    pass
  assert read_csv(tmp_path) == [('trial', 0, 'retrain/a, "b" #3/x', 1e-300)]


def test_event_files_have_each_scalar_once(tmp_path):
  pytest.importorskip('tensorboardX')

  def age():
    # The name of an event file has the second in which it was begun.
    (path,) = (tmp_path / 'tensorboard').iterdir()
    path.rename(path.with_name('events.out.tfevents.0000000001.host.jaxnas'))

  write_in_two_starts(tmp_path, 'tensorboard', between=age)
  assert read_events(tmp_path) == (flat(POINTS), 1)


def test_event_files_are_written_at_once_beside_those_of_others(tmp_path):
  pytest.importorskip('tensorboardX')
  (tmp_path / 'tensorboard').mkdir()
  other = tmp_path / 'tensorboard' / 'events.out.tfevents.1.host'
  other.touch()
  records = Records()
  with records.open(tmp_path, 'tensorboard') as opened:
    records.points += POINTS[:1]
    opened.update()
    assert read_events(tmp_path) == (flat(POINTS[:1]), 2)
  with records.open(tmp_path, 'tensorboard'):
    assert read_events(tmp_path) == (flat(POINTS[:1]), 2)
  assert other.exists()


def test_characters_that_tags_lack_are_replaced(tmp_path):
  pytest.importorskip('tensorboardX')
  records = Records()
  records.points.append(Point('trial', 3, {'retrain/a #3/x': 1.0}))
  with records.open(tmp_path, 'tensorboard'):
    pass
  assert read_events(tmp_path)[0] == [(3, 'retrain/a__3/x', 1.0)]


def test_a_resumed_run_of_wandb_gets_what_it_lacks(tmp_path, wandb):
  write_in_two_starts(tmp_path, 'wandb')
  first, second = wandb.runs
  assert first.settings['id'] == second.settings['id']
  assert first.settings['dir'] == str(tmp_path)
  assert [*first.logged, *second.logged] == [
    {point.axis: point.step, **point.scalars} for point in POINTS
  ]
  assert len(first.logged) == 3
  assert first.axes['a/reward'] == 'trial'
  assert first.axes['a/tell/entropy'] == 'round'
  assert first.axes['trial'] is None
  assert first.is_finished
  assert second.is_finished


def test_wandb_gets_each_point_once_though_it_fails_amid_some(tmp_path, wandb):
  records = Records()
  with records.open(tmp_path, 'wandb') as opened:
    (run,) = wandb.runs
    log = run.log

    def fail(values):
      if len(run.logged) == 2:
        raise OSError('The network is down.')
      log(values)

    run.log = fail
    records.points += POINTS
    opened.update()
  assert len(run.logged) == 2
  with records.open(tmp_path, 'wandb'):
    pass
  assert [*run.logged, *wandb.runs[1].logged] == [
    {point.axis: point.step, **point.scalars} for point in POINTS
  ]


def test_records_begun_anew_are_another_run_of_wandb(tmp_path, wandb):
  write_in_two_starts(tmp_path, 'wandb')
  records = Records()
  with records.open(tmp_path, 'wandb') as opened:
    records.points += POINTS[:2]
    opened.update()
  assert wandb.runs[-1].settings['id'] != wandb.runs[0].settings['id']
  assert len(wandb.runs[-1].logged) == 2


def test_wandb_is_told_the_settings_of_the_run(tmp_path, wandb):
  (tmp_path / 'config.json').write_text(json.dumps({'seed': 3}))
  with Records().open(tmp_path, 'wandb'):
    pass
  assert wandb.runs[0].settings['config'] == {'seed': 3}


class Full:
  """A file on a full disk."""

  def write(self, data):
    raise OSError(28, 'No space left on device')

  def close(self):
    raise OSError(28, 'No space left on device')


def test_a_sink_that_fails_is_dropped_with_a_line(tmp_path, wandb, warnings):
  records = Records()
  with records.open(tmp_path, 'csv', 'wandb') as opened:
    opened._sinks['csv']._file.close()
    opened._sinks['csv']._file = Full()
    for point in POINTS:
      records.points.append(point)
      opened.update()
  (line,) = warnings
  assert line.startswith('log_to=csv failed and is dropped ([Errno 28] No spa')
  assert '\n' not in line
  # The others go on, and the next start makes up for it.
  assert len(wandb.runs[0].logged) == len(POINTS)
  with records.open(tmp_path, 'csv'):
    assert [row[1:] for row in read_csv(tmp_path)] == flat(POINTS)


@pytest.mark.parametrize('name', ['tensorboard', 'csv'])
def test_a_sink_that_cannot_be_opened_is_dropped(tmp_path, warnings, name):
  pytest.importorskip('tensorboardX')
  (tmp_path / 'tensorboard').write_text('no folder')
  (tmp_path / 'scalars.csv').mkdir()
  records = Records()
  records.points += POINTS
  with records.open(tmp_path, name) as opened:
    records.points += POINTS
    opened.update()
  assert len(warnings) == 1
  assert f'log_to={name} failed and is dropped' in warnings[0]


def test_a_package_that_fails_is_dropped(tmp_path, wandb, warnings):
  def fail(*_, **__):
    raise RuntimeError('no network\nat all.')

  wandb.init = fail
  sinks.check(['wandb'])
  with Records().open(tmp_path, 'wandb', 'csv') as opened:
    opened.update()
  assert len(warnings) == 1
  assert (
    'log_to=wandb failed and is dropped (no network at all);' in warnings[0]
  )
  assert read_csv(tmp_path) == []


def test_a_run_that_cannot_be_finished_is_told(tmp_path, wandb, warnings):
  def fail(*_, **__):
    raise RuntimeError

  with Records().open(tmp_path, 'wandb'):
    wandb.runs[0].finish = fail
  assert len(warnings) == 1
  assert 'log_to=wandb failed and is dropped (RuntimeError)' in warnings[0]


@pytest.mark.parametrize(
  ('name', 'package'), [('tensorboard', 'tensorboardX'), ('wandb', 'wandb')]
)
def test_a_missing_package_is_named(monkeypatch, name, package):
  message = f'log_to={name} needs {package}, .* run pip install {package}, or'
  monkeypatch.setitem(sys.modules, package, None)
  with pytest.raises(ValueError, match=message):
    sinks.check([name])
  # A folder of that name is imported as a package without anything in it.
  monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
  with pytest.raises(ValueError, match=message):
    sinks.check([name])


def test_a_broken_package_is_no_missing_one(monkeypatch, tmp_path, warnings):
  (tmp_path / 'wandb.py').write_text('import no_such_part')
  monkeypatch.delitem(sys.modules, 'wandb', raising=False)
  monkeypatch.syspath_prepend(tmp_path)
  sinks.check(['wandb'])
  with Records().open(tmp_path, 'wandb'):
    pass
  assert "(No module named 'no_such_part')" in warnings[0]


def test_an_unknown_sink_is_named():
  sinks.check([])
  with pytest.raises(ValueError, match="names 'tb'; expected some of tensor"):
    sinks.check(['csv', 'tb'])


def test_a_sink_named_twice_writes_once(tmp_path):
  records = Records()
  records.points += POINTS
  with records.open(tmp_path, 'csv', 'csv'):
    pass
  assert len(read_csv(tmp_path)) == len(flat(POINTS))


def test_nothing_is_imported_or_written_unless_asked(tmp_path):
  script = (
    'import sys\n'
    'from jaxnas.records import sinks\n'
    'sinks.check([])\n'
    f'with sinks.Sinks({str(tmp_path)!r}, [], None) as opened:\n'
    '  opened.update()\n'
    "print(*{'wandb', 'tensorboardX'} & {*sys.modules})\n"
  )
  result = subprocess.run(
    [sys.executable, '-c', script], capture_output=True, text=True, check=True
  )
  assert result.stdout.split() == []
  assert not list(tmp_path.iterdir())

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import json
import math
import os
import pathlib
import shlex
import signal
import subprocess
import sys

from absl import logging
import jax
import numpy as np
import pytest

from jaxnas import files
from jaxnas.records import conditions, workdir

HOLDER = """
import sys, time
from jaxnas.records import conditions, workdir
with workdir.lock(sys.argv[1]):
  print('locked', flush=True)
  time.sleep(60)
"""

CONFIG = {'seed': 3, 'num_trials': 10, 'sizes': (1, 2), 'rate': 0.1}


@pytest.fixture
def warnings(monkeypatch):
  messages: list[str] = []
  monkeypatch.setattr(
    logging, 'warning', lambda text, *args: messages.append(text % args)
  )
  return messages


def test_lock_makes_the_folder_and_names_its_process(tmp_path):
  folder = tmp_path / 'runs' / 'first'
  for _ in range(2):
    with workdir.lock(folder) as path:
      assert path == folder
      assert (folder / '.lock').read_text() == f'{os.getpid()}\n'


def test_a_live_process_keeps_others_out_and_a_killed_one_does_not(tmp_path):
  with subprocess.Popen(
    [sys.executable, '-c', HOLDER, str(tmp_path)],
    stdout=subprocess.PIPE,
    text=True,
  ) as process:
    try:
      assert process.stdout
      assert process.stdout.readline() == 'locked\n'
      with (
        pytest.raises(
          workdir.WorkdirBusyError,
          match=f'{tmp_path} is in use by process {process.pid};',
        ) as error,
        workdir.lock(tmp_path),
      ):
        pass
      assert '\n' not in str(error.value)
      assert isinstance(error.value, ValueError)
    finally:
      process.send_signal(signal.SIGKILL)
      process.wait()
  with workdir.lock(tmp_path):
    assert (tmp_path / '.lock').read_text() == f'{os.getpid()}\n'


def test_lock_holds_within_one_process_and_ends_with_an_error(tmp_path):
  def fail():
    with workdir.lock(tmp_path):
      with pytest.raises(workdir.WorkdirBusyError), workdir.lock(tmp_path):
        pass
      raise ZeroDivisionError

  with pytest.raises(ZeroDivisionError):
    fail()
  with workdir.lock(tmp_path):
    pass


def test_without_file_locks_a_warning_says_so(tmp_path, monkeypatch, warnings):
  monkeypatch.setattr(files, 'fcntl', None)
  with workdir.lock(tmp_path), workdir.lock(tmp_path):
    pass
  assert len(warnings) == 1
  assert 'cannot be locked (this system has no file locks)' in warnings[0]


def test_a_file_system_without_locks_is_a_warning(
  tmp_path, monkeypatch, warnings
):
  def flock(file, operation):
    raise OSError(95, 'Operation not supported')

  monkeypatch.setattr(files.fcntl, 'flock', flock)
  with workdir.lock(tmp_path):
    pass
  assert 'Operation not supported); do not start a second run' in warnings[0]


def test_records_without_their_config_are_refused(tmp_path):
  (tmp_path / 'trials.jsonl').touch()
  (tmp_path / 'notes.txt').write_text('mine')
  workdir.check_config(tmp_path, CONFIG)
  (tmp_path / 'config.json').unlink()
  (tmp_path / 'trials.jsonl').write_text('{}\n')
  with pytest.raises(ValueError, match=r'config\.json is missing, but trials'):
    workdir.check_config(tmp_path, CONFIG)
  assert not (tmp_path / 'config.json').exists()


@pytest.mark.parametrize(
  ('name', 'text', 'begins'),
  [
    ('timings.jsonl', '{}', True),
    ('logs.json', '{"timings.jsonl": "1"}', True),
    ('logs.json', '{"timings.jsonl": "1", "trials.jsonl": "2"}', False),
    ('trials.jsonl', '{}', False),
    ('trials.jsonl.1', '{}', False),
    ('rounds.jsonl', '{}', False),
    ('checkpoints/4', 'x', False),
  ],
)
def test_only_a_folder_without_trials_begins_anew(tmp_path, name, text, begins):
  workdir.check_config(tmp_path, CONFIG)
  workdir.write_manifest(tmp_path, data_hash='abc')
  (tmp_path / 'trials.jsonl').touch()
  (tmp_path / name).parent.mkdir(exist_ok=True)
  (tmp_path / name).write_text(text)
  workdir.begin(tmp_path)
  for settings in ('config.json', 'manifest.json'):
    assert (tmp_path / settings).exists() == (not begins)


def test_a_setting_that_an_older_version_lacks_counts_as_its_default(tmp_path):
  workdir.check_config(tmp_path, CONFIG)
  defaults = {**CONFIG, 'new': 8}
  with pytest.raises(ValueError, match=r"'new' is 8 .* give --new=8, as it"):
    workdir.check_config(tmp_path, {**CONFIG, 'new': 7}, defaults=defaults)
  workdir.check_config(tmp_path, {**CONFIG, 'new': 8}, defaults=defaults)
  assert workdir.read_json(tmp_path / 'config.json')['new'] == 8


def test_the_flag_to_give_is_told(tmp_path):
  workdir.check_config(tmp_path, CONFIG)
  with pytest.raises(ValueError, match='give --sizes=1,2, as it was, or anoth'):
    workdir.check_config(tmp_path, {**CONFIG, 'sizes': ()}, defaults=CONFIG)


def test_what_is_sealed_is_read_only_as_it_was_written(tmp_path):
  path = tmp_path / 'result.json'
  result = {'epoch': 3, 'perplexity': 61.25, 'missing': float('nan')}
  workdir.write_json(path, result, sealed=True)
  assert workdir.read_json(path) == {**result, 'missing': None}
  sound = path.read_text()
  path.write_text(sound.replace('61.25', '61.15'))
  with pytest.raises(ValueError, match='it is not what was written'):
    workdir.read_json(path)
  # As older versions wrote it.
  path.write_text(json.dumps(result | {'missing': None}))
  assert workdir.read_json(path)['epoch'] == 3


def test_an_edited_config_is_taken_with_a_warning(tmp_path, caplog):
  workdir.check_config(tmp_path, CONFIG)
  path = tmp_path / 'config.json'
  edited = json.loads(path.read_text())
  name = next(iter(CONFIG))
  del edited[name]
  path.write_text(json.dumps(edited))
  with caplog.at_level('WARNING', logger='absl'):
    workdir.check_config(tmp_path, CONFIG, defaults=CONFIG)
  assert 'was edited after it was written' in caplog.text
  assert workdir.read_config(tmp_path)[name] == CONFIG[name]


@pytest.mark.parametrize('seal', ['"crc33"', '"c"'])
def test_a_seal_whose_name_is_damaged_still_seals(tmp_path, seal):
  path = tmp_path / 'config.json'
  workdir.check_config(tmp_path, CONFIG)
  path.write_text(path.read_text().replace('"crc32"', seal))
  with pytest.raises(ValueError, match=r'config\.json is damaged'):
    workdir.read_json(path)
  # What somebody wrote by hand may end in a date.
  workdir.write_json(path, {'a': 1, 'date': '20261127'})
  assert workdir.read_json(path) == {'a': 1, 'date': '20261127'}


def test_json_without_end_is_damage(tmp_path):
  (tmp_path / 'a.json').write_text('[' * 200_000)
  with pytest.raises(ValueError, match=r'a\.json is damaged: not JSON'):
    workdir.read_json(tmp_path / 'a.json')


def test_the_same_config_is_accepted_and_left_alone(tmp_path):
  workdir.check_config(tmp_path, CONFIG)
  path = tmp_path / 'config.json'
  assert workdir.read_json(path) == {**CONFIG, 'sizes': [1, 2]}
  before = path.stat().st_mtime_ns, path.stat().st_ino
  workdir.check_config(tmp_path, dict(reversed(CONFIG.items())))
  assert (path.stat().st_mtime_ns, path.stat().st_ino) == before


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'seed': 4}, "'seed' is 3 in .* and 4 now"),
    ({'sizes': (1, 3)}, r"'sizes' is \[1, 2\] in .* and \[1, 3\] now"),
    ({'rate': None}, "'rate' is 0.1 in .* and null now"),
    ({'extra': 'x'}, '\'extra\' is missing in .* and "x" now'),
    ({'rate': 1.0, 'seed': 9}, "'seed' is 3"),
  ],
)
def test_a_changed_config_is_refused_and_nothing_written(
  tmp_path, changes, message
):
  workdir.check_config(tmp_path, CONFIG)
  content = (tmp_path / 'config.json').read_bytes()
  with pytest.raises(ValueError, match=f'{message}.*another folder') as error:
    workdir.check_config(tmp_path, {**CONFIG, 'num_trials': 99, **changes})
  assert str(tmp_path) in str(error.value)
  assert '\n' not in str(error.value)
  assert (tmp_path / 'config.json').read_bytes() == content
  assert [entry.name for entry in tmp_path.iterdir()] == ['config.json']


def test_a_setting_that_is_gone_is_refused(tmp_path):
  workdir.check_config(tmp_path, CONFIG)
  fewer = {name: value for name, value in CONFIG.items() if name != 'rate'}
  with pytest.raises(ValueError, match=r"'rate' is 0\.1 in .* and missing now"):
    workdir.check_config(tmp_path, fewer)


def test_free_settings_may_change(tmp_path):
  workdir.check_config(tmp_path, CONFIG)
  workdir.check_config(tmp_path, {**CONFIG, 'num_trials': 20})
  path = tmp_path / 'config.json'
  assert json.loads(path.read_text())['num_trials'] == 20
  workdir.check_config(
    tmp_path, {**CONFIG, 'seed': 5}, free=('seed', 'num_trials')
  )
  assert json.loads(path.read_text())['seed'] == 5
  with pytest.raises(ValueError, match="'num_trials' is 10"):
    workdir.check_config(tmp_path, {**CONFIG, 'num_trials': 30}, free=('seed',))


@pytest.mark.parametrize('value', [math.inf, [math.nan], {1, 2}])
def test_a_config_holds_what_json_can(tmp_path, value):
  with pytest.raises(ValueError, match=r"'rate' is .*, which JSON cannot hold"):
    workdir.check_config(tmp_path, {'rate': value})
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
  ('content', 'message'), [('{"seed": ', 'not JSON'), ('[]', 'got a list')]
)
def test_a_damaged_config_is_named(tmp_path, content, message):
  path = tmp_path / 'config.json'
  path.write_text(content)
  with pytest.raises(
    ValueError, match=rf'config\.json is damaged: .*{message}'
  ):
    workdir.check_config(tmp_path, CONFIG)
  assert path.read_text() == content


def test_the_manifest_says_by_what_the_run_was_done(tmp_path, monkeypatch):
  monkeypatch.setenv('XLA_FLAGS', '')
  manifest = workdir.write_manifest(
    tmp_path, seed=np.int32(3), data_hash='ab12', route=None
  )
  assert workdir.read_manifest(tmp_path) == manifest
  assert manifest['versions']['jax'] == jax.__version__
  assert manifest['versions']['numpy'] == np.__version__
  assert set(manifest['versions']) == {
    'python',
    'jax',
    'jaxlib',
    'flax',
    'optax',
    'numpy',
    'jaxnas',
  }
  assert manifest['device'] == {
    'kind': jax.devices()[0].device_kind,
    'count': jax.device_count(),
    'platform': jax.default_backend(),
  }
  assert manifest['seed'] == 3
  assert manifest['data_hash'] == 'ab12'
  assert manifest['xla_flags'] == ''
  assert manifest['command'] == shlex.join(sys.orig_argv)
  assert manifest['resumed'] == []


def test_a_resumed_run_keeps_the_first_manifest(tmp_path, monkeypatch):
  first = workdir.write_manifest(tmp_path, seed=3, route='compiled')
  second = workdir.write_manifest(tmp_path, seed=3, route='compiled')
  assert {**second, 'resumed': []} == first
  assert [set(entry) for entry in second['resumed']] == [{'time_started'}]
  versions = {**first['versions'], 'jax': '99.0'}
  monkeypatch.setattr(conditions, '_versions', lambda: versions)
  third = workdir.write_manifest(tmp_path, seed=3, route='batched')
  assert third['versions'] == first['versions']
  assert third['route'] == 'compiled'
  assert third['resumed'][0] == second['resumed'][0]
  assert set(third['resumed'][1]) == {'time_started', 'versions', 'route'}
  assert third['resumed'][1]['versions']['jax'] == '99.0'
  assert workdir.read_manifest(tmp_path) == third


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
  path = tmp_path / 'best.json'
  workdir.write_json(path, {'reward': 1})

  def replace(source, target):
    raise OSError(28, 'No space left on device', source)

  monkeypatch.setattr(os, 'replace', replace)
  with pytest.raises(OSError, match=r"No space left on device: '.*best\.json'"):
    workdir.write_json(path, {'reward': 2})
  assert workdir.read_json(path) == {'reward': 1}
  assert list(tmp_path.iterdir()) == [path]


def test_write_json_into_a_missing_folder_names_the_file(tmp_path):
  with pytest.raises(FileNotFoundError, match=r"'.*none/best\.json'"):
    workdir.write_json(tmp_path / 'none' / 'best.json', {})


def test_plain_json_is_exact():
  assert workdir.plain_json(
    {
      'scalar': np.float32(0.1),
      'array': np.arange(4).reshape(2, 2),
      'jax': jax.numpy.float32(0.5),
      'tuple': (1, (2.5, math.nan), None, True),
      'not finite': np.asarray([np.inf, 1.0]),
      'path': pathlib.Path('a'),
      3: 'x',
    }
  ) == {
    'scalar': 0.10000000149011612,
    'array': [[0, 1], [2, 3]],
    'jax': 0.5,
    'tuple': [1, [2.5, None], None, True],
    'not finite': [None, 1.0],
    'path': 'a',
    '3': 'x',
  }


def test_data_of_another_hash_is_refused(tmp_path):
  workdir.check_data(tmp_path, 'first')
  workdir.write_manifest(tmp_path, data_hash='first')
  workdir.check_data(tmp_path, 'first')
  with pytest.raises(ValueError, match='whose hash is first; now it is second'):
    workdir.check_data(tmp_path, 'second')
  with pytest.raises(ValueError, match='whose hash is first; now it is second'):
    workdir.check_data(tmp_path, 'second', 'seen')


def test_a_test_split_may_come_and_go(tmp_path):
  workdir.write_manifest(tmp_path, data_hash='first', seen_hash='seen')
  workdir.check_data(tmp_path, 'second', 'seen')
  with pytest.raises(ValueError, match='whose hash is first; now it is second'):
    workdir.check_data(tmp_path, 'second', 'other')

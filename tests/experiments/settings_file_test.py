# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import json

from absl import flags
import pytest

from experiments import launch, settings, settings_file


@dataclasses.dataclass(frozen=True)
class Config(settings.Bounded):
  rate: float = settings.setting(0.5, 'Rate.', above=0.0)
  count: int | None = settings.setting(None, 'Count.')
  names: tuple[str, ...] = settings.setting(('a',), 'Names.')
  is_on: bool = settings.setting(False, 'On.')
  kind: str = settings.setting('x', 'Kind.', choices=('x', 'y'))


def read(path, base=None):
  flag_values = flags.FlagValues()
  launch.define_flags(Config, flag_values)
  return settings_file.read(path, base or Config(), flag_values)


@pytest.mark.parametrize(
  'config',
  [
    Config(),
    Config(rate=1e-7, count=3, names=('a', 'b'), is_on=True, kind='y'),
    Config(names=()),
  ],
)
def test_what_is_written_is_read(config, tmp_path):
  path = tmp_path / 'settings.json'
  settings_file.write(path, dataclasses.asdict(config), value=0.25)
  assert read(path) == config
  assert json.loads(path.read_text())['value'] == 0.25


def test_what_is_not_in_the_file_is_as_it_was(tmp_path):
  path = tmp_path / 'settings.json'
  settings_file.write(path, {'count': None, 'rate': 3})
  assert read(path, Config(count=1, kind='y')) == Config(rate=3.0, kind='y')


@pytest.mark.parametrize(
  ('settings', 'message'),
  [
    ({'rat': 1.0}, "unknown setting 'rat'; did you mean rate"),
    ({'zzz': 1.0}, "unknown setting 'zzz'"),
    ({'rate': 'fast'}, "setting 'rate'"),
    ({'rate': {}}, "setting 'rate': expected a value for a flag"),
    ({'count': 1.5}, "setting 'count'"),
    ({'is_on': 'perhaps'}, "setting 'is_on'"),
    ({'kind': 'z'}, "setting 'kind'"),
    ({'rate': 0.0}, 'rate must be above 0'),
  ],
)
def test_a_bad_setting_is_told_in_one_line(settings, message, tmp_path):
  path = tmp_path / 'settings.json'
  settings_file.write(path, settings)
  with pytest.raises(ValueError, match=message) as error:
    read(path)
  assert '\n' not in str(error.value)


@pytest.mark.parametrize(
  ('content', 'message'),
  [
    ('{"rate": 1}', 'is not a file of settings'),
    ('{"format": "jaxnas settings 1", "settings": [1]}', 'is not a file of'),
    ('{"format": ', 'is damaged: not JSON'),
    ('[]', 'expected a JSON object'),
  ],
)
def test_another_file_is_refused(content, message, tmp_path):
  path = tmp_path / 'settings.json'
  path.write_text(content)
  with pytest.raises(ValueError, match=message):
    read(path)
  with pytest.raises(FileNotFoundError):
    read(tmp_path / 'none.json')

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of `--help`: every setting has a group, a sentence and a source."""

import dataclasses
import importlib
import os
import pathlib
import subprocess
import sys

from absl import flags
import pytest

import experiments
from experiments import launch, settings, settings_help

FOLDER = pathlib.Path(experiments.__path__[0])
NAMES = sorted(
  path.stem
  for path in FOLDER.glob('*.py')
  if '\nclass Config' in path.read_text()
)


def config_of(name):
  return importlib.import_module(f'experiments.{name}').Config


def help_of(config_cls):
  flag_values = flags.FlagValues()
  launch.define_flags(config_cls, flag_values)
  return settings_help.describe(config_cls, flag_values)


def test_what_is_launched_stands_directly_inside_and_nothing_else():
  others = {
    path.stem
    for path in FOLDER.glob('*.py')
    if "if __name__ == '__main__':" not in path.read_text()
  }
  assert {
    name for name in others if 'settings' not in name.split('_')
  } == {'__init__'}  # fmt: skip
  launchable = {path.stem for path in FOLDER.glob('*.py')} - others
  assert launchable == {*NAMES, 'launch'}


@pytest.mark.parametrize('name', NAMES)
def test_every_setting_has_a_group_a_sentence_and_a_source(name):
  for field in dataclasses.fields(config_of(name)):
    metadata = field.metadata
    assert metadata['group'] in settings.GROUPS, field.name
    assert metadata['source'], field.name
    help = metadata['help']
    assert help.endswith('.'), field.name
    assert help[0].isupper() or help.startswith('Nesterov'), field.name
    assert len(help.split()) > 1, field.name


@pytest.mark.parametrize('name', NAMES)
def test_help_shows_every_flag_once_in_its_group(name):
  config_cls = config_of(name)
  text = help_of(config_cls)
  titles = {title: group for group, title in settings.GROUPS.items()}
  group, shown = None, {}
  for line in text.splitlines():
    if line.endswith(':') and line[:-1] in titles:
      group = titles[line[:-1]]
    elif line.startswith('  --'):
      flag = line.strip().partition(':')[0].removeprefix('--')
      flag = flag.removeprefix('[no]')
      assert flag not in shown
      shown[flag] = group
  fields = {
    field.name: field.metadata['group']
    for field in dataclasses.fields(config_cls)
  }
  assert shown == fields
  order = list(settings.GROUPS)
  places = [order.index(group) for group in shown.values()]
  assert places == sorted(places)


@dataclasses.dataclass(frozen=True)
class Config(settings.Bounded):
  rate: float = settings.children(
    0.5, 'Rate of a child.', source='the paper, section 9', above=0.0
  )
  depth: int = settings.children(
    3, 'Number of layers.', is_common=True, low=1, high=9
  )
  sizes: tuple[int, ...] = settings.space((1, 2), 'Sizes.', low=1, high=9)
  shuffle: bool = settings.data(True, 'Whether data is shuffled.')
  path: str | None = settings.data(None, 'Path of the data.')


def test_common_flags_come_first_and_defaults_say_where_they_are_from():
  text = ' '.join(help_of(Config).split())
  assert text.startswith('Most used: --depth.')
  assert (
    'Children: how a network is built and trained: --depth: Number of layers. '
    '(an integer from 1 to 9; default: 3, a plain choice) --rate: Rate of a '
    'child. (a number above 0; default: 0.5, the paper, section 9)'
  ) in text
  assert 'default: 1,2, a plain choice' in text
  assert '--[no]shuffle: Whether data is shuffled. (default: yes,' in text
  assert 'default: none, a plain choice' in text


def test_an_inherited_default_can_be_changed():
  @dataclasses.dataclass(frozen=True)
  class Deep(Config):
    depth: int = settings.changed(Config, 'depth', 7, source='elsewhere')

  assert Deep().depth == 7
  with pytest.raises(ValueError, match='--depth must be from 1 to 9, got 10'):
    Deep(depth=10)
  text = help_of(Deep)
  assert 'Number of layers.' in text
  assert 'default: 7, elsewhere' in text


def test_an_unknown_group_is_refused():
  with pytest.raises(ValueError, match="Unknown group 'x'; expected one of da"):
    settings.setting(1, 'A number.', group='x')


def test_the_command_shows_it():
  done = subprocess.run(
    [sys.executable, '-m', 'experiments.train_conv_net', '--help'],
    cwd=FOLDER.parent,
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert done.returncode == 0, done.stderr
  assert done.stdout.startswith('Trains ')
  assert 'Most used: --workdir, --preset, ' in done.stdout
  assert 'must be given' in done.stdout


def test_a_reader_that_goes_away_is_no_error():
  reader, writer = os.pipe()
  os.close(reader)
  try:
    done = subprocess.run(
      [sys.executable, '-m', 'experiments.generate_text', '--help'],
      cwd=FOLDER.parent,
      stdout=writer,
      stderr=subprocess.PIPE,
      text=True,
      timeout=300,
      check=False,
    )
  finally:
    os.close(writer)
  assert (done.returncode, done.stderr) == (0, '')


def test_an_empty_default_is_said():
  config_cls = config_of('generate_text')
  assert '(default: empty, a plain choice)' in help_of(config_cls)

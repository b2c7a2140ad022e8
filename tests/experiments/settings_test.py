# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import dataclasses
import importlib
import math
import pathlib
import re
import types
import typing

from absl import flags
import pytest

import experiments
from experiments import launch, settings

CONFIGS = {
  path.stem: importlib.import_module(f'experiments.{path.stem}').Config
  for path in pathlib.Path(experiments.__path__[0]).glob('*.py')
  if '\nclass Config' in path.read_text()
}


@dataclasses.dataclass(frozen=True)
class Config(settings.Bounded):
  count: int = settings.setting(3, 'A count.', low=1, high=2_000)
  limit: int | None = settings.setting(None, 'A limit.', low=0, high=9)
  rate: float = settings.setting(0.5, 'A rate.', above=0.0)
  decay: float = settings.setting(0.5, 'A decay.', low=0.0, below=1.0)
  rates: tuple[float, ...] = settings.setting((), 'Rates.', above=0.0, high=1.0)
  scale: float = settings.setting(-1.0, 'A scale.')


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'count': 0}, '--count must be from 1 to 2,000, got 0.'),
    ({'count': 2**31}, '--count must be from 1 to 2,000, got 2147483648.'),
    ({'limit': -1}, '--limit must be from 0 to 9, got -1.'),
    ({'rate': 0.0}, '--rate must be above 0, got 0.0.'),
    ({'rate': math.nan}, '--rate must be above 0, got nan.'),
    ({'decay': 1.0}, '--decay must be at least 0 and below 1, got 1.0.'),
    ({'rates': (0.5, 1.5)}, '--rates must be above 0 and at most 1, got 1.5.'),
    (
      {'scale': -math.inf},
      '--scale must be 0, or from',
    ),
    ({'scale': 1e39}, 'from 1.2e-38 to 3.4e+38 in absolute value'),
    ({'rate': 1e-50}, '--rate must be 0, or from'),
  ],
)
def test_a_number_out_of_bounds_is_refused_by_its_flag(changes, message):
  with pytest.raises(ValueError, match=re.escape(message)):
    Config(**changes)
  with pytest.raises(ValueError, match='must be'):
    dataclasses.replace(Config(), **changes)


def test_the_ends_are_allowed_unless_said_otherwise():
  Config(count=1, limit=0, rate=1e-30, decay=0.0, rates=(1.0,), scale=0.0)
  Config(count=2_000, limit=9, rate=3e38, decay=0.999, rates=(), scale=-3e38)


def test_help_shows_the_range():
  flag_values = flags.FlagValues()
  launch.define_flags(Config, flag_values)
  text = flag_values.get_help()
  for line in (
    '(an integer from 1 to 2,000)',
    '(an integer from 0 to 9, or none)',
    '(a number above 0)',
    '(a number at least 0 and below 1)',
    '(a comma-separated list, each a number above 0 and at most 1)',
    '(a number)',
  ):
    assert line in text


@dataclasses.dataclass(frozen=True)
class Recipe:
  count: int = 1
  rate: float = 0.1
  margin: int = 4


def test_a_recipe_is_filled_with_the_settings_of_its_names():
  filled = settings.fill(Recipe, Config(count=7), unset=('margin',))
  assert filled == Recipe(count=7, rate=0.5, margin=4)


def test_a_field_without_a_setting_must_be_named():
  with pytest.raises(AttributeError, match='margin'):
    settings.fill(Recipe, Config())


def test_the_experiments_are_found():
  assert {'search_conv_net', 'train_recurrent_cell'} < set(CONFIGS)


@pytest.mark.parametrize('name', sorted(CONFIGS))
def test_every_number_of_every_experiment_has_bounds(name):
  config_cls = CONFIGS[name]
  hints = typing.get_type_hints(config_cls)
  for field in dataclasses.fields(config_cls):
    kinds = {hints[field.name], *typing.get_args(hints[field.name])}
    limits = field.metadata['bounds']
    if int in kinds:
      assert limits.low is not None, field.name
      # What is greater ends in a traceback where jax counts in 32 bits.
      # Limits of costs are compared without jax.
      names = ('seed', 'max_params', 'max_multiply_adds')
      assert limits.high < 2**31 or field.name in names, field.name
    if float in kinds:
      assert limits != settings.Bounds(), field.name
    if kinds & {int, float}:
      assert issubclass(config_cls, settings.Bounded)


def test_trials_are_whole_rounds():
  config = types.SimpleNamespace(
    trials_per_update=4, num_trials=8, num_target_trials=6
  )
  settings.check_rounds(config)
  with pytest.raises(
    ValueError,
    match=r'num_target_trials must be a multiple of trials_per_update \(4\), '
    r'got 6\.',
  ):
    settings.check_rounds(config, 'num_trials', 'num_target_trials')

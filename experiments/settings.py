# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Settings: the default, help text, range and group of every flag.

A config is a frozen dataclass that inherits from `Bounded`. Its fields are made
by the function of their group:

    @dataclasses.dataclass(frozen=True)
    class Config(settings.Bounded):
      num_layers: int = settings.children(
        2, 'Number of layers.', low=1, high=settings.MAX_LAYERS
      )

Settings that several experiments share are mixins in separate modules, such as
`data_settings`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import functools
import math
import types
from typing import Any, TypeVar

import numpy as np

from jaxnas.spaces import conv_net

GROUPS: Mapping[str, str] = types.MappingProxyType(
  {
    'data': 'Data',
    'space': 'Search space',
    'children': 'Children: how a network is built and trained',
    'search': 'Search',
    'strategy': 'Strategies: how architectures are proposed',
    'retraining': 'Retraining: how the best are compared',
    'measurement': 'Measurement',
    'machine': 'Machine and run',
  }
)
"""The titles of the groups of flags, in the order of `--help`."""

# Sources of defaults; any other source is spelled out where it occurs.
CHOICE = 'a plain choice'
MEASURED = 'measured here'
PAPER_IMAGES = 'the paper, section 4.1'
PAPER_TEXT = 'the paper, section 4.2'
DENSENET = 'DenseNet (Huang et al., 2017)'
ZAREMBA = 'the medium LSTM of Zaremba et al., 2014'

# JAX counts in 32 bits, which can hold twice as many.
MAX_COUNT = 10**9
MAX_SEED = 2**32 - 1
# For lists with one item per unit, such as the jobs of all seeds.
MAX_ITEMS = 100_000
# Children are assembled one by one, so a block takes a while to begin with.
MAX_BLOCK = 4096
MAX_FEATURES = 16_384
MAX_LAYERS = conv_net.MAX_LAYERS
# A recurrent network is traced layer by layer, again and again.
MAX_RECURRENT_LAYERS = 16
MAX_DEVICES = 64
MAX_MARGIN = 1024

_Filled = TypeVar('_Filled')

_LEAST, _GREATEST = (
  float(end) for end in (np.finfo(np.float32).tiny, np.finfo(np.float32).max)
)


def setting(
  default: Any,
  help: str,
  *,
  group: str = 'machine',
  source: str = CHOICE,
  is_common: bool = False,
  choices: Sequence[str] | None = None,
  required: bool = False,
  low: float | None = None,
  high: float | None = None,
  above: float | None = None,
  below: float | None = None,
) -> Any:
  """Returns a field of a config, which becomes a flag.

  Args:
    default: the default, defined only here.
    help: the text that `--help` shows for the flag.
    group: a name in `GROUPS`.
    source: the source of the default, such as `'the paper, section 4.1'`.
    is_common: whether the flag is among the most used, which come first in
      `--help`.
    choices: the allowed strings; `None` for any.
    required: whether the flag must be given; `default` must then be `None`.
    low: the lowest number allowed, also for each item of a tuple. A config that
      inherits from `Bounded` checks it, like the other three limits.
    high: the highest number allowed.
    above: a number that every value must exceed.
    below: a number that every value must stay below.
  """
  if group not in GROUPS:
    raise ValueError(
      f'Unknown group {group!r}; expected one of {", ".join(GROUPS)}.'
    )
  return dataclasses.field(
    default=default,
    metadata={
      'help': help,
      'group': group,
      'source': source,
      'is_common': is_common,
      'choices': choices,
      'required': required,
      'bounds': Bounds(low, high, above, below),
    },
  )


data = functools.partial(setting, group='data')
space = functools.partial(setting, group='space')
children = functools.partial(setting, group='children')
search = functools.partial(setting, group='search')
strategy = functools.partial(setting, group='strategy')
retraining = functools.partial(setting, group='retraining')
measurement = functools.partial(setting, group='measurement')
machine = functools.partial(setting, group='machine')


def changed(config_cls: type, name: str, default: Any, **metadata: Any) -> Any:
  """Returns an inherited field with another default.

  Args:
    config_cls: the mixin with the field.
    name: the field's name.
    default: the new default. Its source is a plain choice unless given.
    **metadata: further changes, such as `help`, `source` or `is_common`.
  """
  fields = {field.name: field for field in dataclasses.fields(config_cls)}
  return dataclasses.field(
    default=default,
    metadata={**fields[name].metadata, 'source': CHOICE, **metadata},
  )


def fill(
  filled_cls: type[_Filled], config: Any, unset: Sequence[str] = ()
) -> _Filled:
  """Makes an object whose fields are settings of the same names.

  Args:
    filled_cls: the dataclass to make one of, such as a recipe.
    config: a config with a setting for every field.
    unset: the fields that have no setting and keep their defaults.
  """
  fields: Any = filled_cls
  return filled_cls(
    **{
      field.name: getattr(config, field.name)
      for field in dataclasses.fields(fields)
      if field.name not in unset
    }
  )


@dataclasses.dataclass(frozen=True)
class Bounds:
  """The range of a number.

  Attributes:
    low: the lowest number, if there is one.
    high: the highest number, if there is one.
    above: a number that must be exceeded, if any.
    below: a number to stay below, if any.
  """

  low: float | None = None
  high: float | None = None
  above: float | None = None
  below: float | None = None

  def contains(self, value: float) -> bool:
    """Returns whether a number is in the range; NaN is in none."""
    return (
      (self.low is None or value >= self.low)
      and (self.above is None or value > self.above)
      and (self.high is None or value <= self.high)
      and (self.below is None or value < self.below)
      and not math.isnan(value)
    )

  def __str__(self) -> str:
    """Returns the range in words; empty if it has no limit."""
    if self.low is not None and self.high is not None:
      return f'from {_spell(self.low)} to {_spell(self.high)}'
    return ' and '.join(
      f'{word} {_spell(end)}'
      for word, end in (
        ('at least', self.low),
        ('above', self.above),
        ('at most', self.high),
        ('below', self.below),
      )
      if end is not None
    )


class Bounded:
  """A config whose numbers are checked against their bounds when it is made.

  In addition, every float must be finite in single precision, in which JAX
  computes: any other number would silently become 0 or infinite.
  """

  def __post_init__(self):
    config: Any = self
    for field in dataclasses.fields(config):
      bounds = field.metadata.get('bounds') or Bounds()
      value = getattr(self, field.name)
      for item in value if isinstance(value, tuple) else (value,):
        _check(field.name, item, bounds)


def check_rounds(config: Any, *names: str) -> None:
  """Checks that numbers of trials are whole rounds.

  Args:
    config: the settings, with `trials_per_update`.
    names: the names of the numbers; `num_trials` by default.

  Raises:
    ValueError: a number is not a multiple of `trials_per_update`.
  """
  for name in names or ('num_trials',):
    number = getattr(config, name)
    if number % config.trials_per_update:
      raise ValueError(
        f'{name} must be a multiple of trials_per_update '
        f'({config.trials_per_update}), got {number}.'
      )


def _check(name: str, value: Any, bounds: Bounds) -> None:
  if isinstance(value, bool) or not isinstance(value, (int, float)):
    return
  if not bounds.contains(value):
    raise ValueError(f'--{name} must be {bounds}, got {value}.')
  if isinstance(value, float) and not _is_single(value):
    raise ValueError(
      f'--{name} must be 0, or from {_LEAST:.2g} to {_GREATEST:.2g} in '
      f'absolute value, to fit single precision; got {value}.'
    )


def _is_single(value: float) -> bool:
  # Most devices flush smaller numbers to 0.
  return value == 0 or _LEAST <= abs(value) <= _GREATEST


def _spell(number: float) -> str:
  return f'{number:,}' if isinstance(number, int) else f'{number:g}'

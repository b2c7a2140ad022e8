# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What range a setting has, checked whenever a config is made."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from jaxnas.spaces import conv_net

# Twice as many still fit into the 32 bits in which jax counts.
MAX_COUNT = 10**9
MAX_SEED = 2**32 - 1
# Of lists that a run makes for every unit, such as the jobs of its seeds.
MAX_ITEMS = 100_000
MAX_FEATURES = 16_384
MAX_LAYERS = conv_net.MAX_LAYERS
MAX_DEVICES = 256
MAX_MARGIN = 1024

_LEAST, _GREATEST = (
  float(end) for end in (np.finfo(np.float32).tiny, np.finfo(np.float32).max)
)


@dataclasses.dataclass(frozen=True)
class Bounds:
  """The range of a number.

  Attributes:
    low: the lowest, if there is one.
    high: the highest, if there is one.
    above: what it must be greater than, if anything.
    below: what it must be less than, if anything.
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
    """Returns the range in words, empty where everything is in it."""
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

  A config inherits from it. The bounds are those that `launch.setting` was
  given. Besides, every float must be a finite number of single precision, in
  which jax computes: others would silently become 0 or infinite there.
  """

  def __post_init__(self):
    config: Any = self
    for field in dataclasses.fields(config):
      bounds = field.metadata.get('bounds') or Bounds()
      value = getattr(self, field.name)
      for item in value if isinstance(value, tuple) else (value,):
        _check(field.name, item, bounds)


def _check(name: str, value: Any, bounds: Bounds) -> None:
  if isinstance(value, bool) or not isinstance(value, (int, float)):
    return
  if not bounds.contains(value):
    raise ValueError(f'--{name} must be {bounds}, got {value}.')
  if isinstance(value, float) and not _is_single(value):
    raise ValueError(
      f'--{name} must be a number of single precision, 0 or from '
      f'{_LEAST:.2g} to {_GREATEST:.2g} in size; got {value}.'
    )


def _is_single(value: float) -> bool:
  # What is smaller, most devices take as 0.
  return value == 0 or _LEAST <= abs(value) <= _GREATEST


def _spell(number: float) -> str:
  return f'{number:,}' if isinstance(number, int) else f'{number:g}'

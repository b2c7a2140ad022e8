# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Settings of all benchmarks, and checks of names."""

from __future__ import annotations

from collections.abc import Collection
import dataclasses
from typing import Any

from experiments import machine_settings, settings


@dataclasses.dataclass(frozen=True)
class BenchmarkSettings(machine_settings.Devices):
  """How often each side is measured, on which devices."""

  num_repeats: int = settings.measurement(
    3,
    'Number of bursts of each side of a ratio, of which the shortest counts.',
    is_common=True,
    low=1,
    high=settings.MAX_ITEMS,
  )

  def __post_init__(self):
    super().__post_init__()
    config: Any = self
    for field in dataclasses.fields(config):
      if getattr(self, field.name) == ():
        raise ValueError(f'{field.name} needs at least one value, got none.')


def check_names(
  noun: str, asked: Collection[str], known: Collection[str], place: str
) -> None:
  """Checks that names are known.

  Args:
    noun: the noun for a name in the error, such as `'row'`.
    asked: the names given.
    known: the names allowed.
    place: the setting that the names were given in.

  Raises:
    ValueError: a name is not known.
  """
  for name in asked:
    if name not in known:
      raise ValueError(
        f'Unknown {noun} {name!r} in {place}; expected some of '
        f'{", ".join(known)}.'
      )

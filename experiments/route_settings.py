# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The settings of how children are trained, which `auto` measures."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import pathlib
from typing import TypeVar

from experiments import settings
from jaxnas.children import recurrent_interpreter
from jaxnas.records import workdir as workdir_lib
from jaxnas.trainers import conv_routes

_Config = TypeVar('_Config', bound=settings.Bounded)


@dataclasses.dataclass(frozen=True)
class Route(settings.Bounded):
  """The setting of the route."""

  route: str = settings.machine(
    'auto',
    'How children are trained; auto measures which way is fastest.',
    choices=('auto', *conv_routes.ROUTES),
  )


@dataclasses.dataclass(frozen=True)
class Recurrence(settings.Bounded):
  """The setting of the recurrence."""

  recurrence: str = settings.machine(
    'auto',
    'How cells read a sequence: by a scan of its steps, or by one kernel, for '
    'accelerators, where auto measures which is faster.',
    choices=('auto', *recurrent_interpreter.RECURRENCES),
  )


def as_started(
  config: _Config,
  folder: pathlib.Path,
  name: str = 'route',
  choices: Sequence[str] = conv_routes.ROUTES,
  before: str | None = None,
) -> tuple[_Config, str | None]:
  """Returns the config and the route of the run in a folder.

  The route that `auto` chose there is kept, and accepted under its own name.

  Args:
    config: the settings.
    folder: the folder, which may not contain a run yet.
    name: the name of the setting.
    choices: the routes that there are.
    before: the route of all runs of versions that lacked the setting, if there
      was only one.

  Raises:
    ValueError: a file of the run is damaged.
  """
  if not (folder / 'config.json').exists():
    return config, None
  asked = workdir_lib.read_config(folder).get(name, 'auto')
  chosen = None
  if (folder / 'manifest.json').exists():
    chosen = workdir_lib.read_manifest(folder).get(name, before)
    if chosen not in (None, *choices):
      raise ValueError(
        f'{folder / "manifest.json"} is damaged: its {name} is {chosen!r}; '
        'restore it from a copy.'
      )
  given = getattr(config, name)
  if asked in choices and given == 'auto':
    config = dataclasses.replace(config, **{name: asked})  # type: ignore[type-var]  # Every Bounded is one.
  elif asked == 'auto' and given == chosen:
    config = dataclasses.replace(config, **{name: 'auto'})  # type: ignore[type-var]  # As above.
  return config, chosen

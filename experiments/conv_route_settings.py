# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The route by which the children of a search for networks are trained."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import TypeVar

from experiments import settings
from jaxnas.records import workdir as workdir_lib
from jaxnas.trainers import conv_routes

_Config = TypeVar('_Config', bound='Route')


@dataclasses.dataclass(frozen=True)
class Route(settings.Bounded):
  """The setting of the route."""

  route: str = settings.machine(
    'auto',
    'How children are trained; auto measures what is fastest.',
    choices=('auto', *conv_routes.ROUTES),
  )


def as_started(
  config: _Config, folder: pathlib.Path
) -> tuple[_Config, str | None]:
  """Returns the config and the route of the run in a folder.

  The route that `auto` chose there is kept, and accepted under its own name.

  Args:
    config: the settings.
    folder: the folder, which may not contain a run yet.

  Raises:
    ValueError: a file of the run is damaged.
  """
  if not (folder / 'config.json').exists():
    return config, None
  asked = workdir_lib.read_config(folder).get('route')
  chosen = None
  if (folder / 'manifest.json').exists():
    chosen = workdir_lib.read_manifest(folder).get('route')
    if chosen not in (None, *conv_routes.ROUTES):
      raise ValueError(
        f'{folder / "manifest.json"} is damaged: its route is {chosen!r}; '
        'restore it from a copy.'
      )
  if asked != 'auto' and asked in conv_routes.ROUTES and config.route == 'auto':
    config = dataclasses.replace(config, route=asked)
  elif asked == 'auto' and config.route == chosen:
    config = dataclasses.replace(config, route='auto')
  return config, chosen

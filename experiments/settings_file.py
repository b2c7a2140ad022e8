# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Settings in a file, which the flag `--settings` reads."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import difflib
import os
from typing import Any

from absl import flags

from jaxnas.records import workdir

_FORMAT = 'jaxnas settings 1'


def write(
  path: str | os.PathLike[str], settings: Mapping[str, Any], **facts: Any
) -> None:
  """Writes settings that `read` understands.

  Args:
    path: the file; an existing one is replaced atomically.
    settings: the settings by name.
    **facts: further entries of the file, such as the result of the settings.
  """
  workdir.write_json(path, {'format': _FORMAT, 'settings': settings, **facts})


def read(
  path: str | os.PathLike[str], base: Any, flag_values: flags.FlagValues
) -> Any:
  """Returns a config with the settings of a file.

  Args:
    path: the file, as `write` makes it.
    base: the config that gives the settings that the file does not have.
    flag_values: the config's flags, which parse the values.

  Raises:
    ValueError: the file is damaged or of another kind, or a setting is unknown
      or has a value that its flag would not accept.
    OSError: the file cannot be read.
  """
  content = workdir.read_json(path, is_edited=True)
  settings = content.get('settings')
  if content.get('format') != _FORMAT or not isinstance(settings, dict):
    raise ValueError(
      f'{path} is not a file of settings, such as the best_settings.json that '
      'tune_found writes.'
    )
  names = [field.name for field in dataclasses.fields(base)]
  parsed = {}
  for name, value in settings.items():
    if name not in names:
      close = difflib.get_close_matches(name, names, 1)
      hint = f'; did you mean {close[0]}?' if close else '.'
      raise ValueError(f'{path}: unknown setting {name!r}{hint}')
    try:
      parsed[name] = _parse(flag_values[name], value)
    except (TypeError, ValueError) as error:
      raise ValueError(f'{path}: setting {name!r}: {error}') from None
  return dataclasses.replace(base, **parsed)


def _parse(flag: flags.Flag, value: Any) -> Any:
  """Returns a value as the flag would read it from the command line."""
  if isinstance(value, dict):
    raise ValueError(f'expected a value for a flag, got {value}.')
  if isinstance(value, list):
    value = ','.join(map(str, value))
  text = 'none' if value is None else str(value)
  return flag.parser.parse(text)

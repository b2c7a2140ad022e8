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
    path: the file; an older one is replaced as a whole.
    settings: the settings by name.
    **facts: what else the file says, such as what the settings achieved.
  """
  workdir.write_json(path, {'format': _FORMAT, 'settings': settings, **facts})


def read(
  path: str | os.PathLike[str], base: Any, flag_values: flags.FlagValues
) -> Any:
  """Returns a config with the settings of a file.

  Args:
    path: the file, as `write` makes it.
    base: the config that settings which are not in the file are taken from.
    flag_values: the flags of the config, by which values are parsed.

  Raises:
    ValueError: the file is damaged or another kind of file, or a setting is
      unknown or has a value that its flag would not take.
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
  """Returns a value as the flag reads it from a command line."""
  if isinstance(value, dict):
    raise ValueError(f'expected a value of a flag, got {value}.')
  if isinstance(value, list):
    value = ','.join(map(str, value))
  text = 'none' if value is None else str(value)
  return flag.parser.parse(text)

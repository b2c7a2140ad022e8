# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The output of `--help`: an experiment's flags by group, common ones first."""

from __future__ import annotations

from collections.abc import Mapping
import contextlib
import dataclasses
import itertools
import shutil
import sys
import textwrap
from typing import Any

from absl import flags

from experiments import settings
from jaxnas.runs import streams

_LAUNCHED: Mapping[str, str] = {
  'workdir': 'machine',
  'preset': 'machine',
  'settings': 'machine',
  'debug': 'machine',
}
"""The groups of the flags that `launch` defines itself."""
_FIRST = tuple(name for name in _LAUNCHED if name != 'debug')


class HelpFlag(flags.BooleanFlag):
  """The flag `--help`, which prints the flags of an experiment and exits."""

  def __init__(self, config_cls: type, flag_values: flags.FlagValues):
    """Makes the flag.

    Args:
      config_cls: the experiment's config.
      flag_values: the flags of the experiment.
    """
    super().__init__(
      'help', False, 'Show this help.', short_name='?', allow_override=True
    )
    self._config_cls, self._flag_values = config_cls, flag_values

  def parse(self, arg: Any) -> None:
    """Prints the help and exits if the flag is given."""
    if not super()._parse(arg):
      return
    about = (sys.modules['__main__'].__doc__ or '').strip()
    # A pager or `head` may stop reading before the end.
    with contextlib.suppress(BrokenPipeError):
      print(f'{about}\n')
      print(describe(self._config_cls, self._flag_values))
    streams.flush()
    sys.exit(0)


def describe(config_cls: type, flag_values: flags.FlagValues) -> str:
  """Returns the flags of an experiment, by group.

  Args:
    config_cls: the experiment's config.
    flag_values: the flags of the experiment and of `launch`.
  """
  fields = {field.name: field for field in dataclasses.fields(config_cls)}
  width = min(100, max(40, shutil.get_terminal_size().columns))
  names = {
    group: _names(fields, flag_values, group) for group in settings.GROUPS
  }
  # The launcher's own flags, which every experiment has, come first.
  own = [name for name in _FIRST if name in names['machine']]
  common = [
    f'--{name}'
    for name in dict.fromkeys((*own, *itertools.chain(*names.values())))
    if _is_common(fields, name)
  ]
  lines = [
    *textwrap.wrap(
      f'Most used: {", ".join(common)}.',
      width,
      break_on_hyphens=False,
    ),
    'A run keeps its settings: to change others, choose another --workdir.'
    if 'workdir' in flag_values and 'workdir' not in fields
    else '',
  ]
  for group, title in settings.GROUPS.items():
    if names[group]:
      lines += ['', f'{title}:']
    for name in names[group]:
      lines += _entry(name, fields.get(name), flag_values, width)
  lines += ['', '--helpfull shows the flags of the libraries too.']
  return '\n'.join(lines)


def _is_common(fields: Mapping[str, Any], name: str) -> bool:
  if name in fields:
    return fields[name].metadata.get('is_common', False)
  return name in _FIRST


def _names(
  fields: Mapping[str, Any], flag_values: flags.FlagValues, group: str
) -> list[str]:
  """Returns the flags of a group, the most used first."""
  found = [
    name
    for name, own in _LAUNCHED.items()
    if own == group and name in flag_values and name not in fields
  ]
  found += [
    name
    for name, field in fields.items()
    if field.metadata.get('group', 'machine') == group
  ]
  return sorted(found, key=lambda name: not _is_common(fields, name))


def _entry(
  name: str, field: Any, flag_values: flags.FlagValues, width: int
) -> list[str]:
  """Returns the help lines of a flag."""
  flag = flag_values[name]
  prefix = '[no]' if flag.boolean else ''
  kind = '' if flag.boolean else getattr(flag.parser, 'syntactic_help', '')
  facts = [kind] if kind not in ('', 'none') else []
  metadata = {} if field is None else field.metadata
  if metadata.get('required') or (name == 'workdir' and field is None):
    facts.append('must be given')
  else:
    default = 'none' if flag.default is None else _spell(flag.default)
    source = metadata.get('source')
    facts.append(f'default: {default}{f", {source}" if source else ""}')
  return [
    *textwrap.wrap(
      f'--{prefix}{name}: {flag.help}',
      width,
      initial_indent='  ',
      subsequent_indent='    ',
      break_on_hyphens=False,
    ),
    *textwrap.wrap(
      f'({"; ".join(facts)})',
      width,
      initial_indent='    ',
      subsequent_indent='    ',
      break_on_hyphens=False,
    ),
  ]


def _spell(value: Any) -> str:
  if isinstance(value, bool):
    return 'yes' if value else 'no'
  if isinstance(value, tuple):
    return ','.join(map(str, value)) or 'empty'
  return str(value) or 'empty'

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Draws command lines that nobody should type, from the configs themselves."""

from __future__ import annotations

import dataclasses
import importlib
import pathlib
import typing
from typing import Any

import numpy as np

from tests.fuzz import toys

_INTEGERS = (
  *(-1, 0, 1, 2, 3, 7, 64, 1_000, 10**6, -(2**31), 2**31 - 1, 2**31, 2**32),
  *(2**32 - 1, 2**53 + 1, 2**63 - 1, 2**63, 10**30),
)
_NUMBERS = (
  *('0', '-0.0', '1', '0.5', '-1', '0.999999999', '1.0000001', '1e-7', '1e7'),
  *('1e-30', '1e30', '1e-45', '3e38', '4e38', '1e308', '1e-320', '1e999'),
  *('inf', '-inf', 'nan', '1e', '0x1', '1_0', '١٢', '', '1,2', 'none'),
)
_WORDS = (
  *('', ' ', 'none', 'None', 'ü', '名前', '🙂', 'a b', '%s', '{x}', '{', '[a]'),
  *('\\', "'", '"', '*', '?', '~', '.', '..', '/', '/dev/null', '/nowhere/a'),
  *('a/b.json', 'x.npz', 'x' * 300, 'a\nb', '-1', '--', '#', '\x7f', '\u202e'),
  *('lstm', 'nascell', 'figure_7', 'resnet', 'random', 'ppo', 'evolution'),
)


def draw(
  module: str, rng: np.random.Generator, data: pathlib.Path, workdir: str
) -> list[str]:
  """Returns a command line: that of the toy with a few settings spoilt.

  Args:
    module: of the experiment.
    rng: decides.
    data: what `toys.write_data` wrote.
    workdir: of the run; now and then it is spoilt as well.
  """
  config_cls = importlib.import_module(f'experiments.{module}').Config
  hints = typing.get_type_hints(config_cls)
  settings = toys.arguments(module, data) | {'workdir': workdir}
  fields = dataclasses.fields(config_cls)
  spoilt = []
  # What cannot even be read hides all that is wrong elsewhere.
  is_wild = rng.random() < 0.25
  for index in rng.choice(len(fields), rng.integers(1, 4), replace=False):
    field = fields[index]
    settings.pop(field.name, None)
    spoilt.append(_spoil(field, hints[field.name], is_wild, rng))
  if rng.random() < 0.05:
    settings['workdir'] = _workdir(workdir, rng)
  if rng.random() < 0.02:
    spoilt.append(str(rng.choice(['what', '--no_such_flag=1', '--', '--seed'])))
  return [*(f'--{name}={value}' for name, value in settings.items()), *spoilt]


def _spoil(
  field: Any, hint: Any, is_wild: bool, rng: np.random.Generator
) -> str:
  """Returns a flag with a value that its field may not like."""
  if hint is bool:
    value = rng.choice(['=maybe', '=2', '=', '=none'] if is_wild else ['', ''])
    return f'--{rng.choice(["", "no"])}{field.name}{value}'
  kinds = {hint, *typing.get_args(hint)}
  if typing.get_origin(hint) is not tuple:
    return f'--{field.name}={_value(field, kinds, is_wild, rng)}'
  count = rng.choice([0, 1, 1, 2, 2, 3, 3, 40])
  items = [_value(field, kinds, is_wild, rng) for _ in range(count)]
  if items and rng.random() < 0.1:
    items.append(items[0])
  return f'--{field.name}={",".join(items)}'


def _value(
  field: Any, kinds: set[Any], is_wild: bool, rng: np.random.Generator
) -> str:
  is_wild = is_wild and rng.random() < 0.6
  if int in kinds:
    if is_wild:
      return str(rng.choice([*map(str, _INTEGERS), *_NUMBERS]))
    return str(_integer(field, rng))
  if float in kinds:
    return str(rng.choice(_NUMBERS)) if is_wild else _number(field, rng)
  choices = field.metadata.get('choices') or _default_items(field)
  if choices and not is_wild and rng.random() < 0.7:
    return str(rng.choice([str(each) for each in choices]))
  return str(rng.choice(_WORDS))


def _default_items(field: Any) -> tuple[Any, ...]:
  default = field.default
  return default if isinstance(default, tuple) else (default,)


def _integer(field: Any, rng: np.random.Generator) -> int:
  """Returns an integer of the range, of any magnitude, or just outside."""
  limits = field.metadata['bounds']
  low, high = limits.low, limits.high
  if rng.random() < 0.3:
    ends = [low - 1, low, low + 1, high - 1, high, high + 1]
    return int(ends[rng.integers(len(ends))])
  if rng.random() < 0.4:
    near = [
      item + more
      for item in _default_items(field)
      if isinstance(item, int)
      for more in (-1, 1, item)
    ] or [1, 2, 3]
    return int(near[rng.integers(len(near))])
  return int(low + 2 ** (rng.random() * np.log2(high - low + 1)) - 1)


def _number(field: Any, rng: np.random.Generator) -> str:
  """Returns a number that may be in the range, of any magnitude."""
  limits = field.metadata['bounds']
  top = limits.high or limits.below
  if top is not None:
    ends = [limits.low or 0.0, top, top * (1 - 1e-9), top / 2, 1e-30, 1e-7]
    return str(ends[rng.integers(len(ends))])
  return f'{10 ** rng.uniform(-38, 38):.3g}'


def _workdir(workdir: str, rng: np.random.Generator) -> str:
  values = (
    *('', '/dev/null', '/dev/null/a', '/proc/1', f'{workdir}/a/b/c'),
    *(f'{workdir}[x]', f'{workdir}\\d', f'{workdir}ü 🙂', f'{workdir}\n'),
    *(f'{workdir}{"x" * 300}', f'{workdir}*', f'{workdir}{{}}', '~nobody/x'),
  )
  return values[rng.integers(len(values))]

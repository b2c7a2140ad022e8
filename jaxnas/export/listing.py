# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Assembles the source of a stand-alone file.

A file has a docstring, imports, the definitions of a model and a check. The
check runs the model on recorded inputs, and compares its outputs with those of
the library's own model, recorded when the file was written.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
import functools
import importlib.resources
import reprlib
import textwrap
from typing import Any, NamedTuple

import numpy as np

from jaxnas.export import recording

FRAMEWORKS = ('flax', 'torch')
OTHER_WEIGHTS = (
  '{} holds the weights of another architecture; name the one that was '
  'trained, or none to export the one that the weights belong to.'
)
"""The error for weights that do not belong to the given architecture."""
WEIGHTS = "WEIGHTS = pathlib.Path(__file__).with_suffix('.npz')"
"""The definition of the path to a file's weights."""
TOLERANCES: Mapping[str, float] = {'flax': 1e-6, 'torch': 1e-5}
"""The largest allowed difference from the recorded outputs, as a fraction of
the largest of these."""

_STANDARD = ('json', 'pathlib', 'sys')
_IMPORTS: Mapping[str, Mapping[str, str]] = {
  'flax': {
    'nn': 'from flax import linen as nn',
    'traverse_util': 'from flax import traverse_util',
    'jax': 'import jax',
    'jnp': 'import jax.numpy as jnp',
    'np': 'import numpy as np',
  },
  'torch': {
    'np': 'import numpy as np',
    'torch': 'import torch',
    'nn': 'from torch import nn',
    'functional': 'from torch.nn import functional',
  },
}
_MAIN = """
if __name__ == '__main__':
  sys.exit(check())
"""


class Recorded(NamedTuple):
  """A check of a trained model, with everything it needs in a file of arrays.

  The listing's definitions include a function `checked_outputs`, which maps
  inputs to a list of arrays in double precision.

  Attributes:
    arrays: the arrays of the file, by group and name; the group `'check'` holds
      `inputs` and `outputs`.
    about: the file's description of the arrays, JSON-compatible values.
  """

  arrays: Mapping[str, Mapping[str, Any]]
  about: Mapping[str, Any]


class Listing(NamedTuple):
  """The parts of a file.

  Attributes:
    framework: one of `FRAMEWORKS`.
    docstring: the file's docstring, in lines of at most 80 characters.
    code: the file's definitions, in order.
    check: the check that the file makes of itself; `None` for a file without.
    imports: the import lines that the definitions need beyond the framework,
      NumPy, `json`, `pathlib` and `sys`.
  """

  framework: str
  docstring: str
  code: Sequence[str]
  check: recording.Drawn | Recorded | None = None
  imports: Sequence[str] = ()


def check_framework(framework: str) -> None:
  """Raises `ValueError` if `framework` is not one of `FRAMEWORKS`."""
  if framework not in FRAMEWORKS:
    raise ValueError(
      f'Unknown framework {framework!r}; expected one of '
      f'{", ".join(FRAMEWORKS)}.'
    )


def to_source(listing: Listing) -> str:
  """Returns the text of a file."""
  framework, check = listing.framework, listing.check
  parts = list(listing.code)
  if isinstance(check, recording.Drawn):
    parts += _drawn_check(framework, check)
  elif check is not None:
    parts += _recorded_check(framework)
  body = '\n\n\n'.join(part.strip('\n') for part in parts)
  header = _imports(framework, body, listing.imports)
  docstring = listing.docstring.strip()
  gap = '\n\n\n' if body.startswith(('class ', 'def ', '@')) else '\n\n'
  return f'"""{docstring}\n"""\n\n{header}{gap}{body}\n'


@functools.cache
def pieces(module: str) -> Mapping[str, str]:
  """Returns the source of each definition of a module of `export.pieces`.

  Args:
    module: the module's name.
  """
  path = importlib.resources.files('jaxnas.export.pieces') / f'{module}.py'
  text = path.read_text(encoding='utf-8')
  rows = text.splitlines()
  return {
    node.name: '\n'.join(rows[node.lineno - 1 : node.end_lineno])
    for node in ast.parse(text).body
    if isinstance(node, ast.FunctionDef | ast.ClassDef)
  }


def definition(template: str, **values: Any) -> str:
  """Returns a template with every `<name>` replaced by its value.

  Args:
    template: the source, of which common indentation is removed.
    **values: the values by name. A value that is empty or has several lines
      replaces the whole line, and brings its own indentation.
  """
  text = textwrap.dedent(template).strip('\n')
  for name, value in values.items():
    value = str(value)
    if not value or '\n' in value:
      lines = text.split('\n')
      is_place = [line.strip() == f'<{name}>' for line in lines]
      text = '\n'.join(
        value if here else line
        for line, here in zip(lines, is_place, strict=True)
        if value or not here
      )
    text = text.replace(f'<{name}>', value)
  return text


def recorded_pieces(framework: str) -> Iterator[str]:
  """Yields the definitions with which a file reads its weights.

  Args:
    framework: one of `FRAMEWORKS`.
  """
  yield pieces('recorded')['read_arrays']
  yield from pieces(f'{framework}_recorded').values()


def check_counts(**counts: Any) -> None:
  """Raises `ValueError` unless all counts are positive integers.

  Counts from a file must be checked before they are written into source.

  Args:
    **counts: the counts by name, from a file that cannot be trusted.
  """
  for name, count in counts.items():
    if type(count) is not int or count < 1:
      raise ValueError(
        f'{name} must be a positive integer, got {reprlib.repr(count)}.'
      )


def numbers(values: np.ndarray) -> str:
  """Returns the source of a list of rows, in numbers of nine digits.

  Args:
    values: the numbers, `[rows, columns]`.
  """
  rows = [
    f'  [{", ".join(repr(float(f"{value:.9g}")) for value in row)}],\n'
    for row in values
  ]
  return f'[\n{"".join(rows)}]'


def _drawn_check(framework: str, check: recording.Drawn) -> Iterator[str]:
  seed, outputs = recording.record(check)
  first, last = check.fan_in.start, check.fan_in.stop
  yield definition(
    """
    # The check: this seed draws parameters and inputs, for which these outputs
    # were recorded from the model that jaxnas wrote this file for.
    SEED = <seed>
    INPUTS = <inputs>
    FAN_IN = slice(<first>, <last>)
    TOLERANCE = <tolerance>
    EXPECTED = <expected>
    """,
    seed=seed,
    inputs=check.inputs,
    first=first,
    last=last,
    tolerance=TOLERANCES[framework],
    expected=numbers(outputs),
  )
  drawn = dict(pieces(f'{framework}_drawn'))
  head, _, _ = drawn.pop('checked_model').rpartition('return ')
  yield f'{head}return {check.model}'
  yield pieces('drawing')['draw']
  yield from drawn.values()
  yield pieces('comparison')['compare']
  yield _MAIN


def _recorded_check(framework: str) -> Iterator[str]:
  yield definition(
    """
    # The check: the arrays beside this file hold inputs, and the outputs
    # recorded from the model that jaxnas wrote this file for.
    TOLERANCE = <tolerance>
    """,
    tolerance=TOLERANCES[framework],
  )
  yield pieces('recorded')['check']
  yield pieces('comparison')['compare']
  yield _MAIN


def _imports(framework: str, body: str, more: Sequence[str]) -> str:
  """Returns the sorted import lines of everything that a body uses."""
  used = {
    node.id for node in ast.walk(ast.parse(body)) if isinstance(node, ast.Name)
  }
  standard = [f'import {name}' for name in _STANDARD if name in used]
  known = _IMPORTS[framework]
  others = sorted(
    {line for name, line in known.items() if name in used} | set(more),
    key=lambda line: (line.split()[1], line.startswith('from'), line),
  )
  return '\n\n'.join('\n'.join(group) for group in (standard, others) if group)

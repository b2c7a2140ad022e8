# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The source of a file that stands alone, put together.

A file has a docstring, imports, the definitions of a model, and a check: it
runs the model on recorded inputs and compares what comes out with what the
library's own model gave when the file was written.
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
  'trained, or none to export what the weights are of.'
)
"""What is said of weights that do not belong to an architecture."""
WEIGHTS = "WEIGHTS = pathlib.Path(__file__).with_suffix('.npz')"
"""The definition of the path of a file's weights."""
TOLERANCES: Mapping[str, float] = {'flax': 1e-6, 'torch': 1e-5}
"""How far outputs may be from the recorded ones, of the largest of these."""

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
  """A check of a trained model: all that it needs is in a file of arrays.

  The definitions have a function `checked_outputs`, from inputs to a list of
  arrays, in double precision.

  Attributes:
    arrays: what goes to the file, by groups; the group `'check'` holds
      `inputs` and `outputs`.
    about: what the file says of them; values that JSON can hold.
  """

  arrays: Mapping[str, Mapping[str, Any]]
  about: Mapping[str, Any]


class Listing(NamedTuple):
  """What a file is made of.

  Attributes:
    framework: one of `FRAMEWORKS`.
    docstring: the file's, in lines of at most 80 characters.
    code: its definitions, in order.
    check: how it checks itself; `None` if it does not.
    imports: lines for what the definitions need beyond the framework, numpy and
      a little of the standard library.
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
  """Returns a template with what stands in `<name>` replaced.

  Args:
    template: source, indented as its quotation is.
    **values: what to put in. Text of several lines, or none at all, takes the
      place of a whole line, and has its own indentation.
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
  """Yields the definitions by which a file reads its weights.

  Args:
    framework: one of `FRAMEWORKS`.
  """
  yield pieces('recorded')['read_arrays']
  yield from pieces(f'{framework}_recorded').values()


def check_counts(**counts: Any) -> None:
  """Raises `ValueError` unless numbers that come into source are such.

  Args:
    **counts: what a file of a stranger says, by name.
  """
  for name, count in counts.items():
    if type(count) is not int or count < 1:
      raise ValueError(
        f'{name} must be a positive integer, got {reprlib.repr(count)}.'
      )


def numbers(values: np.ndarray) -> str:
  """Returns rows of numbers as lists, of nine digits each.

  Args:
    values: of any size, `[rows, columns]`.
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
    # The check: parameters and inputs are drawn by this seed, and these outputs
    # are those of the model from which jaxnas wrote this file.
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
    # The arrays beside this file hold inputs, and the outputs of the model from
    # which jaxnas wrote it.
    TOLERANCE = <tolerance>
    """,
    tolerance=TOLERANCES[framework],
  )
  yield pieces('recorded')['check']
  yield pieces('comparison')['compare']
  yield _MAIN


def _imports(framework: str, body: str, more: Sequence[str]) -> str:
  """Returns the lines of all that a body uses, sorted."""
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

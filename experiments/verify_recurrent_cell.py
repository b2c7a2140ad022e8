# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

r"""Checks recurrent cells against a file of test vectors, in float64.

    python -m experiments.verify_recurrent_cell \
        --vectors=tests/data/cell_vectors.json

Both routes to a cell, compiled and interpreted, run every case step by step and
by `unroll`. All 16 cases of that file pass; the largest difference is 4e-16.

The file is a JSON object with the fields `tolerance` (the largest absolute
difference allowed) and `cases`. `B` is the batch and `D` the features; a case
has

    name, space   what errors call it; 'paper', or 'extended' with max and sin
    base, tokens  the base number L and the cell in the paper's order, spelled
    x             inputs, [T, B, inputs]
    h0, c0        hidden state and memory before the first step, [B, D]
    Wx, Wh        weights of the leaves, [L, inputs, D] and [L, D, D]
    h, c          what is expected after every step, [T, B, D]
    tol           the case's own tolerance; optional
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import itertools
import json
import pathlib
from typing import Any, NamedTuple

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from experiments import launch, settings
from jaxnas.children import recurrent_cell as cells
from jaxnas.children import recurrent_interpreter
from jaxnas.spaces import recurrent_cell as spaces

ROUTES = ('compiled', 'interpreted')
_OPERATIONS = {
  'paper': (spaces.COMBINERS, spaces.ACTIVATIONS),
  'extended': (spaces.EXTENDED_COMBINERS, spaces.EXTENDED_ACTIVATIONS),
}
# A letter denotes the same size wherever it occurs in a case.
_AXES = {
  'x': ('T', 'B', 'inputs'),
  'h0': ('B', 'D'),
  'c0': ('B', 'D'),
  'Wx': ('L', 'inputs', 'D'),
  'Wh': ('L', 'D', 'D'),
  'h': ('T', 'B', 'D'),
  'c': ('T', 'B', 'D'),
}


@dataclasses.dataclass(frozen=True)
class Config:
  """Settings of the check."""

  vectors: str = settings.data(
    None, 'Path of a JSON file of test vectors.', required=True, is_common=True
  )


class Case(NamedTuple):
  """One test vector.

  Attributes:
    name: the name of the case in errors.
    tolerance: the largest absolute difference allowed.
    space: the set of operations that may occur, `'paper'` or `'extended'`.
    architecture: the cell.
    arguments: the parameters as a `GrammarCell` stores them, `(c, h)` before
      the first step, and the inputs.
    expected: the expected `(c, h)` after every step, each `[T, B, D]`.
  """

  name: str
  tolerance: float
  space: str
  architecture: spaces.RecurrentCell
  arguments: tuple[Any, tuple[jax.Array, jax.Array], jax.Array]
  expected: tuple[jax.Array, jax.Array]

  @property
  def program(self) -> tuple[Any, ...]:
    """The properties that cases in one interpreted program must share."""
    _, carry, inputs = self.arguments
    return self.architecture.base, self.space, inputs.shape, carry[0].shape


def run(config: Config) -> None:
  """Prints one line per interpreted program, and per case that fails.

  Raises:
    OSError: the file cannot be read.
    ValueError: the file does not have the form that the module describes, or a
      case fails.
  """
  num_failed = 0
  with jax.enable_x64(True):
    cases = load_cases(config.vectors)
    cases.sort(key=lambda case: case.program)
    for program, group in itertools.groupby(cases, lambda case: case.program):
      batch = list(group)
      found = differences(batch)
      base, space, inputs, carry = program
      print(
        f'base {base:2d}  {space:8s}  x {list(inputs)}  h {list(carry)}  '
        f'{len(batch):3d} cases  '
        + '  '.join(f'{route} {max(found[route]):.1e}' for route in ROUTES),
        flush=True,
      )
      for index, case in enumerate(batch):
        failed = [
          f'{route} differs by {found[route][index]:.1e}'
          for route in ROUTES
          if not found[route][index] <= case.tolerance
        ]
        if failed:
          num_failed += 1
          allowed = f'{case.tolerance:.1e} is allowed'
          print(f'  FAIL {case.name}: {", ".join(failed)}; {allowed}')
  if num_failed:
    raise ValueError(
      f'{num_failed} of {len(cases)} cases of {config.vectors} fail; they are '
      'named above.'
    )
  print(f'All {len(cases)} cases pass on both routes.')


def differences(batch: Sequence[Case]) -> dict[str, list[float]]:
  """Returns the difference of each route from the expected values.

  Args:
    batch: the cases, with equal `program`.

  Returns:
    The largest absolute difference of each case, by route, step by step or by
    `unroll`; infinity if a result is not finite.
  """
  found = {'compiled': _run_compiled(batch), 'interpreted': _interpret(batch)}
  return {
    route: [
      max(map(_difference, results, case.expected * 2))
      for case, results in zip(batch, found[route], strict=True)
    ]
    for route in ROUTES
  }


def load_cases(path: str) -> list[Case]:
  """Reads a file of test vectors; raises the errors of `run`."""
  try:
    content = json.loads(pathlib.Path(path).read_text(encoding='utf-8'))
  except (ValueError, RecursionError) as error:
    raise ValueError(f'{path} is not a JSON file ({error}).') from None
  if not isinstance(content, dict) or not isinstance(
    content.get('cases'), list
  ):
    raise ValueError(
      f'{path} must hold a JSON object with the fields tolerance and cases.'
    )
  if not content['cases']:
    raise ValueError(f'{path} holds no cases, so there is nothing to check.')
  cases = []
  for number, fields in enumerate(content['cases']):
    name = fields.get('name') if isinstance(fields, dict) else None
    try:
      cases.append(_read_case(fields, content.get('tolerance')))
    except ValueError as error:
      raise ValueError(f'{path}: case {name or number}: {error}') from None
  return cases


def _read_case(fields: Mapping[str, Any], tolerance: Any) -> Case:
  needed = ('name', 'base', 'space', 'tokens', *_AXES)
  if not isinstance(fields, dict):
    raise ValueError(f'expected a JSON object, got {fields!r}.')
  missing = [name for name in needed if name not in fields]
  if missing:
    raise ValueError(f'fields are missing: {", ".join(missing)}.')
  tolerance = fields.get('tol', tolerance)
  if type(tolerance) not in (int, float) or not tolerance >= 0:
    raise ValueError(f'the tolerance must be a number >= 0, got {tolerance!r}.')
  if fields['space'] not in list(_OPERATIONS):
    raise ValueError(
      f'space must be {" or ".join(_OPERATIONS)}, got {fields["space"]!r}.'
    )
  if not isinstance(fields['tokens'], list):
    raise ValueError(f'tokens must be a list, got {fields["tokens"]!r}.')
  architecture = spaces.parse(fields['tokens'])
  base = architecture.base
  if fields['base'] != base:
    raise ValueError(f'base is {fields["base"]!r}, but tokens are of {base}.')
  # Raises if an operation is not in the space.
  spaces.make_space(base, *_OPERATIONS[fields['space']]).encode(architecture)
  arrays = _read_arrays(fields, base)
  params = {
    'input_projection': {
      'kernel': cells.arrange_leaves(arrays['Wx'], architecture)
    },
    'recurrent_kernel': cells.arrange_leaves(arrays['Wh'], architecture),
  }
  return Case(
    str(fields['name']),
    tolerance,
    fields['space'],
    architecture,
    ({'params': params}, (arrays['c0'], arrays['h0']), arrays['x']),
    (arrays['c'], arrays['h']),
  )


def _read_arrays(fields: Mapping[str, Any], base: int) -> dict[str, jax.Array]:
  arrays = {}
  sizes = {'L': base}
  for name, axes in _AXES.items():
    try:
      array = np.asarray(fields[name], np.float64)
    except (TypeError, ValueError):
      raise ValueError(
        f'{name} must be nested lists of numbers, of equal lengths.'
      ) from None
    if array.ndim == len(axes):
      for axis, size in zip(axes, array.shape, strict=True):
        sizes.setdefault(axis, size)
    expected = [sizes.get(axis, axis) for axis in axes]
    if list(array.shape) != expected or 0 in expected:
      raise ValueError(
        f'{name} must have the shape [{", ".join(axes)}] = '
        f'[{", ".join(map(str, expected))}], got {list(array.shape)}.'
      )
    if not np.isfinite(array).all():
      raise ValueError(f'{name} holds a number that is not finite.')
    arrays[name] = jnp.asarray(array)
  return arrays


def _run_cell(cell, params, carry, inputs):
  """Returns c and h after every step, computed by steps and by `unroll`."""

  def step(carry, step_inputs):
    carry, _ = cell.apply(params, carry, step_inputs)
    return carry, carry

  _, (memory, hidden) = lax.scan(step, carry, inputs)
  (last, _), unrolled = cell.apply(params, carry, inputs, method='unroll')
  # `unroll` returns the memory only after the last step.
  return memory, hidden, memory.at[-1].set(last), unrolled


def _run_compiled(batch):
  models = [
    cells.GrammarCell(
      architecture=case.architecture, features=case.program[-1][-1]
    )
    for case in batch
  ]
  return jax.jit(
    lambda batch: [
      _run_cell(cell, *case) for cell, case in zip(models, batch, strict=True)
    ]
  )([case.arguments for case in batch])


def _interpret(batch):
  *_, (_, features) = batch[0].program
  combiners, activations = _OPERATIONS[batch[0].space]

  def run_program(program, arguments):
    cell = recurrent_interpreter.InterpretedCell(
      program=program,
      features=features,
      combiners=combiners,
      activations=activations,
    )
    return _run_cell(cell, *arguments)

  programs = recurrent_interpreter.assemble(
    [case.architecture for case in batch], combiners, activations
  )
  results = jax.jit(
    jax.vmap(run_program, in_axes=(recurrent_interpreter.BATCH_AXES, 0))
  )(
    programs,
    jax.tree.map(
      lambda *leaves: jnp.stack(leaves), *(case.arguments for case in batch)
    ),
  )
  return zip(*results, strict=True)


def _difference(result: jax.Array, expected: jax.Array) -> float:
  largest = float(np.max(np.abs(np.asarray(result) - np.asarray(expected))))
  return largest if np.isfinite(largest) else float('inf')


if __name__ == '__main__':
  launch.launch(Config, run, has_workdir=False)

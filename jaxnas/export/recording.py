# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Records the outputs of a model without weights, for drawn parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import math
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnas import npz
from jaxnas.export.pieces import drawing

_MAX_SEEDS = 32
_LEAST_OUTPUT = 1e-3
# A parameter, what it is drawn from and a copy, in double precision.
_PARAM_BYTES = 24
# Outputs are written in rows, each of which must fit on a line.
_MAX_COLUMNS = 4


class Drawn(NamedTuple):
  """A check of a model without weights, whose parameters are drawn.

  Attributes:
    model: the expression that makes the model to check.
    inputs: the shape of its inputs.
    shapes: the shape of each of its variables, by name in the file.
    fan_in: the axes of an array that make up its fan-in.
    evaluate: `(variables, inputs) -> outputs`, the outputs of the library's own
      model in double precision: arrays in the order in which the file's model
      returns them.
  """

  model: str
  inputs: tuple[int, ...]
  shapes: Mapping[str, tuple[int, ...]]
  fan_in: slice
  evaluate: Callable[[Mapping[str, np.ndarray], np.ndarray], Sequence[Any]]


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
  """Computes in double precision, on the CPU if JAX has one.

  Not every accelerator supports double precision. Arrays from outside the
  context must be NumPy's.
  """
  try:
    device = jax.local_devices(backend='cpu')[0]
  except RuntimeError:
    device = None
  with jax.enable_x64(True), jax.default_device(device):
    yield


def record(check: Drawn) -> tuple[int, np.ndarray]:
  """Draws parameters and inputs, and records the outputs.

  Args:
    check: the check.

  Returns:
    The seed, and the outputs in rows. The seed is the first one for which every
    output is finite and none is all but zero, since zeros would show little.

  Raises:
    ValueError: the outputs are not finite for any seed.
  """
  _check_memory(check)
  found = None
  for seed in range(_MAX_SEEDS):
    random = np.random.RandomState(seed)
    inputs = drawing.draw(random, check.inputs, check.fan_in)
    variables = {
      name: drawing.draw(random, check.shapes[name], check.fan_in)
      for name in sorted(check.shapes)
    }
    with double_precision():
      outputs = [
        np.ravel(output) for output in check.evaluate(variables, inputs)
      ]
    if not all(np.isfinite(output).all() for output in outputs):
      continue
    found = seed, np.concatenate(outputs)
    if all(np.abs(output).max() > _LEAST_OUTPUT for output in outputs):
      break
  if found is None:
    raise ValueError(
      'The outputs of this architecture are not finite for any drawn '
      'parameters, so its file cannot check itself; export it with trained '
      'weights.'
    )
  seed, values = found
  columns = max(
    count for count in range(1, _MAX_COLUMNS + 1) if not values.size % count
  )
  return seed, values.reshape(-1, columns)


def _check_memory(check: Drawn) -> None:
  """Raises `ValueError` if the parameters would not fit into memory."""
  num_params = sum(map(math.prod, check.shapes.values()))
  num_bytes, num_free = _PARAM_BYTES * num_params, npz.free_memory()
  if num_free is not None and num_bytes > num_free:
    raise ValueError(
      'The model is too large for its file to check itself: its '
      f'{num_params:,} parameters take {num_bytes:,} bytes of memory, and '
      f'{num_free:,} are free; export it with trained weights.'
    )

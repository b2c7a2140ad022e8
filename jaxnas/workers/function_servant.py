# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A servant that calls a Python function `(value, seed) -> reward`.

This module does not import JAX.
"""

from __future__ import annotations

from collections.abc import Mapping
import math
import pickle
import platform
from typing import Any

from jaxnas import errors
from jaxnas.workers import process


class FunctionServant:
  """Calls a function; see `engine.Servant`.

  A request is a tuple of a value, a seed and named arguments. The answer has
  the numbers that the function returned, by name; a single number is the
  `'reward'`. Nothing else leaves the process.
  """

  def __init__(self, function: bytes):
    """Loads the function.

    Args:
      function: the pickled function.
    """
    self._function = pickle.loads(function)

  def card(self) -> Mapping[str, str]:
    """Returns the version of Python, which what is pickled depends on."""
    return {'version of Python': platform.python_version()}

  def __call__(
    self, request: tuple[Any, int, Mapping[str, Any]]
  ) -> dict[str, float]:
    """Returns the numbers of a call."""
    value, seed, settings = request
    result = self._function(value, seed, **settings)
    named = dict(result) if isinstance(result, Mapping) else {'reward': result}
    if 'reward' not in named:
      names = ', '.join(map(str, named)) or 'nothing'
      raise process.RefusalError(
        errors.shorten(f"the mapping needs a 'reward', got {names}")
      )
    return {str(name): _number(name, each) for name, each in named.items()}


def _number(name: object, value: object) -> float:
  """Returns a function's result, or a part of it, as a number."""
  try:
    if isinstance(value, str | bytes | bytearray):
      raise TypeError
    return float(value)  # type: ignore[arg-type]  # Any failure is caught.
  except OverflowError:
    return math.inf
  except BaseException:
    what = 'a number' if name == 'reward' else f'a number as {name!r}'
    raise process.RefusalError(
      errors.shorten(f'expected {what}, got a {type(value).__name__}')
    ) from None

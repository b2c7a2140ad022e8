# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""An evaluator that calls a Python function, by its earlier name.

New programs call `evaluators.of_function`, which does the same.
"""

from __future__ import annotations

from collections.abc import Callable
import contextlib
from typing import Any

from jaxnas.evaluators import trained
from jaxnas.types import Evaluator, SearchSpace


def make_evaluator(
  space: SearchSpace,
  function: Callable[..., Any],
  floor_reward: float,
  num_workers: int = 1,
  timeout_seconds: float | None = None,
  num_retries: int = 1,
  block_size: int | None = None,
) -> contextlib.AbstractContextManager[Evaluator]:
  """Returns a context with an evaluator, see `evaluators.of_function`.

  Args:
    space: the search space that decodes tokens.
    function: the function to call, `(value, seed) -> reward`.
    floor_reward: the reward of a trial that failed.
    num_workers: the number of calls that run at a time.
    timeout_seconds: the time limit of a call, in seconds; none by default.
    num_retries: the number of times a failed call is retried.
    block_size: the number of trials recorded at a time; each as soon as it is
      finished by default.

  Raises:
    ValueError: an argument is out of range, or the function cannot be called
      in another process; when the context is entered.
  """
  return trained.of_function(
    space,
    function,
    floor_reward,
    num_workers=num_workers,
    timeout_seconds=timeout_seconds,
    num_retries=num_retries,
    block_size=block_size,
  )

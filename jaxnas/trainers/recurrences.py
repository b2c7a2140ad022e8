# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Chooses how recurrent children read a sequence, by measuring it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxnas.children import platforms, recurrent_interpreter
from jaxnas.trainers import memory, routes


def choose(
  measure: Callable[[str], routes.Timing],
  asked: str,
  kept: str | None,
  num_trials: int,
  num_steps: int,
) -> str:
  """Returns one of `recurrent_interpreter.RECURRENCES`.

  A CPU has only an interpreted kernel, so it scans. Elsewhere both recurrences
  are measured, unless one was requested or chosen before, and the reason is
  printed. If the compiler refuses the kernel, or neither fits into memory, the
  scan is chosen.

  Args:
    measure: the function that measures the cost of training children by a
      recurrence, `recurrence -> routes.Timing`.
    asked: the requested recurrence, or `'auto'`.
    kept: the recurrence that `'auto'` chose when the run was started, if any.
    num_trials: the number of trainings in the search.
    num_steps: the number of steps of each training.
  """
  if asked != 'auto':
    return asked
  if kept is not None:
    return kept
  if platforms.default() == 'cpu':
    return 'scan'
  measured: dict[str, Any] = {}
  # The kernel first: if it is refused, there is nothing to compare.
  for name in reversed(recurrent_interpreter.RECURRENCES):
    try:
      measured[name] = measure(name)
    except memory.NotEnoughMemoryError as error:
      measured[name] = error
    # A compiler that refuses a kernel may raise any type of error.
    except Exception as error:
      if name == 'scan':
        raise
      line = (str(error).splitlines() or [type(error).__name__])[0]
      print(f'Recurrence scan: the kernel was refused: {line}', flush=True)
      return 'scan'
  if not any(isinstance(each, routes.Timing) for each in measured.values()):
    print(
      'Recurrence scan: neither was measured, as the children do not fit into '
      f'memory: {measured["scan"]}',
      flush=True,
    )
    return 'scan'
  name, reason = routes.choose(
    {name: measured[name] for name in recurrent_interpreter.RECURRENCES},
    num_trials,
    num_steps,
  )
  print(
    f'Recurrence {name}: {reason} A resumed run keeps it; to repeat the run, '
    f'pass --recurrence={name}.',
    flush=True,
  )
  return name

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Functions that worker processes run in the tests; they import no jax."""

import math
import os
import pathlib
import sys
import time


def act(value, seed, **settings):
  """Does what the value says, for the function of that name."""
  return ACTIONS[value[0]](*value[1:], seed, settings)


def meet(folder, other, seed, settings):
  """Waits for a call with another seed, and returns its own."""
  pathlib.Path(folder, str(seed)).touch()
  deadline = time.monotonic() + 20
  while not pathlib.Path(folder, str(other)).exists():
    if time.monotonic() > deadline:
      raise TimeoutError('nobody came')
    time.sleep(0.01)
  return seed


def count(folder, result, seed, settings):
  """Notes the call, and fails if there is no result."""
  with pathlib.Path(folder, str(seed)).open('a') as file:
    file.write('x')
  if result is None:
    raise RuntimeError('no result')
  return result


ACTIONS = {
  'count': count,
  'exit': lambda seed, settings: os._exit(seed),
  'hang': lambda seed, settings: time.sleep(60),
  'leave': lambda seed, settings: sys.exit(seed),
  'meet': meet,
  'nan': lambda seed, settings: math.nan,
  'pid': lambda seed, settings: os.getpid(),
  'return': lambda result, seed, settings: result,
  'seed': lambda seed, settings: seed,
  'settings': lambda seed, settings: settings,
}

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Functions that worker processes run in the tests; they import no jax."""

import math
import os
import pathlib
import signal
import subprocess
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


class Actor:
  """A servant that does what a request says."""

  def card(self):
    return {'kind': 'actor'}

  def __call__(self, request):
    return DEEDS[request[0]](*request[1:])


class WithoutCard:
  """A servant that is none."""

  def __call__(self, request):
    return request


def refuse_to_make():
  raise RuntimeError('no')


def exit_at_once():
  os._exit(4)


class RefusesOnce(Actor):
  """A servant that cannot be made at first."""

  def __init__(self):
    mark = pathlib.Path(os.environ['REFUSES_ONCE'])
    if not mark.exists():
      mark.touch()
      raise RuntimeError('not yet')


def leave(code=3):
  sys.exit(code)


def refuse(reason):
  from jaxnas.workers import process

  raise process.RefusalError(reason)


def start(folder):
  """Starts a process in a session of its own and tells its number."""
  other = subprocess.Popen(['sleep', '60'], start_new_session=True)
  pathlib.Path(folder, 'pid').write_text(f'{other.pid} {os.getpid()}')


def start_and_hang(folder):
  start(folder)
  time.sleep(60)


def end(name):
  os.kill(os.getpid(), getattr(signal, name))
  time.sleep(60)


DEEDS = {
  'end': end,
  'environment': os.environ.get,
  'exit': os._exit,
  'leave': leave,
  'modules': lambda name: name in sys.modules,
  'pid': os.getpid,
  'raise': lambda line: [][line],
  'refuse': refuse,
  'return': lambda value: value,
  'sleep': time.sleep,
  'start': start,
  'start_and_hang': start_and_hang,
  'unpicklable': lambda: lambda: None,
}

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Functions that worker processes run in the tests; they import no jax."""

import gc
from multiprocessing import connection
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import time


def behave(value, seed):
  """Does what the value asks for."""
  assert type(value) is dict
  assert type(seed) is int
  return BEHAVIOURS[value['case']](value, seed)


def fail(value, seed):
  raise RuntimeError('two\nlines ' + 'x' * 10_000)


def count(value, seed):
  """Returns how often it was called, by a file that it adds to."""
  path = pathlib.Path(value['case'], str(seed))
  with path.open('a') as file:
    file.write('x')
  return path.stat().st_size


def crash_at_first(value, seed):
  """Kills its process when it is first called."""
  if count(value, seed) == 1:
    os._exit(0)
  return 7


def leave_children(value, seed):
  """Starts a process that holds all that is open, tells of it, and hangs."""
  child = subprocess.Popen(['sleep', '60'], close_fds=False)
  pathlib.Path(value['case'], 'pid').write_text(f'{child.pid} {os.getpid()}')
  time.sleep(60)


def leave_sessions(value, seed):
  """Starts processes in sessions of their own, one without a parent; hangs."""
  own = subprocess.Popen(['sleep', '60'], start_new_session=True)
  path = pathlib.Path(value['case'], 'pid')
  orphan = f'sleep 60 & echo {own.pid} $! > {path}'
  subprocess.run(['sh', '-c', orphan], start_new_session=True, check=True)
  time.sleep(60 if seed else 0)


def leave_sessions_and_die(value, seed):
  leave_sessions(value, 0)
  time.sleep(2.5)
  os._exit(1)


def fork(leave):
  """Returns a function that forks; what a child does is `leave`."""

  def run(value, seed):
    pid = os.fork()
    if pid == 0:
      return leave()
    os.waitpid(pid, 0)
    return seed / 2**31

  return run


def answer_for_another(value, seed):
  """Says on all pipes that another call is worth 1."""
  # In a worker it is there under this name.
  worker = sys.modules['jaxnas.workers.process']
  for each in gc.get_objects():
    if isinstance(each, connection.Connection) and each.writable:
      worker.send_in_pieces(
        each, worker.Answer(10_000, pickle.dumps({'reward': 1.0}))
      )
      each.send('nonsense')
  return seed / 2**31


class Number:
  """A number of a library, as PyTorch has them."""

  def __float__(self):
    return 0.5


def train_long(value, seed, num_steps):
  return num_steps


def wait_for_a_file(value, seed):
  """Waits until there is the file that the value names, if it is a path."""
  path = pathlib.Path(value['case'])
  while path.is_absolute() and not path.exists():
    time.sleep(0.02)
  return seed / 2**31


BEHAVIOURS = {
  'mapping': lambda value, seed: {'reward': -2, 'report': -3, 'size': 7},
  'more': lambda value, seed: {'report': 1},
  'seed': lambda value, seed: seed / 2**31,
  'slow': lambda value, seed: time.sleep(0.3) or seed / 2**31,
  'modules': lambda value, seed: 'jax' in sys.modules,
  'process': lambda value, seed: os.getpid(),
  'number': lambda value, seed: Number(),
  'raises': fail,
  'leaves': lambda value, seed: sys.exit(3),
  'exits': lambda value, seed: os._exit(0),
  'killed': lambda value, seed: os.kill(os.getpid(), signal.SIGKILL),
  'hangs': lambda value, seed: time.sleep(60),
  'nan': lambda value, seed: float('nan'),
  'inf': lambda value, seed: 1e300,
  'none': lambda value, seed: None,
  'text': lambda value, seed: '0.5',
  'complex': lambda value, seed: 1j,
  'large': lambda value, seed: [b'x' * 2**26, lambda: 0],
  'digits': lambda value, seed: 10**400,
  'fork_returns': fork(lambda: -0.5),
  'fork_leaves': fork(lambda: sys.exit(0)),
  'fork_raises': fork(lambda: [][0]),
  'another': answer_for_another,
  'low': lambda value, seed: -3,
}

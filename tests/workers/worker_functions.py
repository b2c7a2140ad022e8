# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Functions that worker processes run in the tests; they import no jax."""

import dataclasses
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import threading
import time


def meet(folder, own, other):
  """Waits until a request for another name is worked on too."""
  pathlib.Path(folder, own).touch()
  deadline = time.monotonic() + 30
  while not pathlib.Path(folder, other).exists():
    if time.monotonic() > deadline:
      raise TimeoutError('nobody came')
    time.sleep(0.01)
  return own


class Actor:
  """A servant that does what a request says."""

  def card(self):
    return {'kind': 'actor'}

  def __call__(self, request):
    return DEEDS[request[0]](*request[1:])


@dataclasses.dataclass(frozen=True)
class Block:
  """A block of children with names; what a worker does depends on them."""

  names: str
  kind: str = ''

  @property
  def num_children(self):
    return len(self.names)

  def describe(self):
    return self.names

  def split(self):
    if len(self.names) < 2:
      return ()
    half = len(self.names) // 2
    return [
      dataclasses.replace(self, names=self.names[:half]),
      dataclasses.replace(self, names=self.names[half:]),
    ]


class Speller:
  """A servant that takes blocks."""

  def card(self):
    return {'kind': 'speller'}

  def __call__(self, block):
    return block.names.upper()


def serve_short_of_memory(pipe, settings):
  """Is the gateway of a Ray that has memory for one child at a time.

  It ends an actor that gets more; only the error that tells of it is made here.
  """
  from jaxnas.workers import ray_gateway

  class Gateway(ray_gateway.Gateway):
    full = ()

    def send(self, worker, number, request):
      super().send(worker, number, request)
      if pickle.loads(request).num_children > 1:
        slot = self._slots[worker]
        self.full = (*self.full, slot)
        self._end(slot)

    def _lose(self, slot, error):
      if slot in self.full:
        error = self._ray.exceptions.OutOfMemoryError('Advice on Ray.')
      super()._lose(slot, error)

  ray_gateway.Gateway = Gateway
  ray_gateway.serve(pipe, settings)


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


class EndsSoon(Actor):
  """A servant whose process ends by itself."""

  def __init__(self):
    threading.Timer(0.1, os._exit, [6]).start()


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
  'meet': meet,
  'modules': lambda name: name in sys.modules,
  'parent': os.getppid,
  'pid': os.getpid,
  'raise': lambda line: [][line],
  'refuse': refuse,
  'return': lambda value: value,
  'sleep': time.sleep,
  'start': start,
  'start_and_hang': start_and_hang,
  'unpicklable': lambda: lambda: None,
}


def call(value, seed):
  """Returns a reward, as a user's function does."""
  return DEEDS[value[0]](*value[1:]) if value else seed

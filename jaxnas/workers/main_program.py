# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The program that this process runs, as the processes that it spawns see it.

A spawned process imports the main script of the one that spawns it, so that
what the script defines can be unpickled there. A worker of Ray runs a script of
Ray's; it takes on the program that started the workers before it spawns.

This module does not import JAX.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
from importlib import machinery, util
from multiprocessing import spawn
import multiprocessing.process
import os
import sys
from typing import Any, NamedTuple


class Program(NamedTuple):
  """A program, described such that another process can take it on.

  Attributes:
    name: the name of the main module, if it was started by `python -m`.
    path: the path of the main script, if it was started by a path.
    folder: the working folder.
    paths: the paths that modules are searched in.
  """

  name: str
  path: str
  folder: str
  paths: tuple[str, ...]


def read() -> Program:
  """Returns the program of this process."""
  data = spawn.get_preparation_data('')
  return Program(
    data.get('init_main_from_name') or '',
    data.get('init_main_from_path') or '',
    os.getcwd(),
    tuple(data['sys_path']),
  )


def take_on(program: Program) -> None:
  """Makes the processes that this one spawns see another program.

  What does not exist on this machine is left out.

  Args:
    program: the program, perhaps of another machine.
  """
  if os.path.isdir(program.folder):
    os.chdir(program.folder)
    # Where spawned processes begin.
    multiprocessing.process.ORIGINAL_DIR = program.folder  # type: ignore[attr-defined]
  sys.path.extend(each for each in program.paths if each not in sys.path)
  _set_main(
    program.name if program.name and _is_module(program.name) else '',
    program.path if os.path.isfile(program.path) else '',
  )


@contextlib.contextmanager
def hidden() -> Iterator[None]:
  """Keeps processes that are spawned here from importing the main script."""
  main = vars(sys.modules['__main__'])
  before: dict[str, Any] = {
    name: main[name] for name in ('__spec__', '__file__') if name in main
  }
  _set_main('', '')
  try:
    yield
  finally:
    main.update(before)


def _set_main(name: str, path: str) -> None:
  main = vars(sys.modules['__main__'])
  main['__spec__'] = machinery.ModuleSpec(name, None) if name else None
  main.pop('__file__', None)
  if path:
    main['__file__'] = path


def _is_module(name: str) -> bool:
  try:
    return util.find_spec(name) is not None
  except (ImportError, ValueError):
    return False

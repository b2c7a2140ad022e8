# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Starts experiments as a shell would, but from a process that has all modules.

A program of its own: reads a request, a line of JSON, forks, becomes the
experiment there, and writes a line of JSON about how it ended. Jax is imported
here and started only in the child, so that each start has its own devices.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import resource
import runpy
import signal
import sys
import time
import traceback

MODULES = (
  'search_recurrent_cell',
  'search_conv_net',
  'search_hyperparameters',
  'search_controller_cell',
  'compare_architectures',
  'train_recurrent_cell',
  'train_conv_net',
  'compare_strategies',
  'build_base2_table',
)
# What a run says that has checked everything and is at work.
_BEGUN = re.compile(
  rb'^(Estimated cost|round \d|.*, parameters [\d,]+, )', re.MULTILINE
)


def become(request, folder: pathlib.Path) -> None:
  """Turns this process into an experiment; does not return."""
  os.setsid()
  for stream, name in ((1, 'stdout'), (2, 'stderr')):
    os.dup2(os.open(folder / name, os.O_CREAT | os.O_WRONLY), stream)
  os.chdir(folder)
  limit = request['memory']
  resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
  resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
  signal.signal(signal.SIGINT, signal.default_int_handler)
  code = 0
  try:
    sys.modules.pop(f'experiments.{request["module"]}')
    sys.argv = [request['module'], *request['arguments']]
    runpy.run_module(
      f'experiments.{request["module"]}', run_name='__main__', alter_sys=True
    )
  except SystemExit as error:
    if error.code is not None and not isinstance(error.code, int):
      print(error.code, file=sys.stderr)
    code = error.code if isinstance(error.code, int) else int(bool(error.code))
  except BaseException:
    traceback.print_exc()
    code = 1
  sys.stdout.flush()
  sys.stderr.flush()
  os._exit(code)


def follow(pid: int, request, folder: pathlib.Path):
  """Waits for a child; ends it when its time is over."""
  started = time.monotonic()
  began, num_bytes, heard = None, 0, 0.0
  is_hanging = False
  while True:
    done, status, usage = os.wait4(pid, os.WNOHANG)
    if done:
      break
    time.sleep(0.02)
    now, computed = time.monotonic(), _cpu_seconds(pid)
    output = (folder / 'stdout').read_bytes()
    if len(output) > num_bytes:
      num_bytes, heard = len(output), computed
    if began is None and _BEGUN.search(output):
      began = now
    is_over = began is not None and now - began > request['patience']
    is_hanging = began is None and (
      computed - heard > request['limit'] or now - started > request['wall']
    )
    if is_over or is_hanging:
      os.killpg(pid, signal.SIGKILL)
      _, status, usage = os.wait4(pid, 0)
      break
  return {
    'code': os.waitstatus_to_exitcode(status),
    'is_hanging': is_hanging,
    'was_stopped': not done,
    'seconds': time.monotonic() - started,
    'cpu_seconds': usage.ru_utime + usage.ru_stime,
    'megabytes': usage.ru_maxrss // 1024,
  }


def _cpu_seconds(pid: int) -> float:
  """Returns how long a process has computed; a loaded machine adds nothing."""
  try:
    fields = pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2]
    user, system = fields.split()[11:13]
    return (int(user) + int(system)) / os.sysconf('SC_CLK_TCK')
  except (OSError, ValueError):
    return 0.0


def main() -> None:
  for name in MODULES:
    __import__(f'experiments.{name}')
  from orbax import checkpoint  # noqa: F401  # Imported late where it is used.

  for line in sys.stdin:
    request = json.loads(line)
    folder = pathlib.Path(request['folder'])
    (folder / 'stdout').touch()
    pid = os.fork()
    if not pid:
      become(request, folder)
    print(json.dumps(follow(pid, request, folder)), flush=True)


if __name__ == '__main__':
  main()

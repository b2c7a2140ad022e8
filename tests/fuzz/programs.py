# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Runs experiments by the hundred, and judges how they ended."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
# An experiment's address space, most of it never touched.
MEMORY = 4 * 2**30
# How long a start may compute without a word about what it will cost.
LIMIT = 30.0
_WALL = 300.0


@dataclasses.dataclass(frozen=True)
class Ending:
  """How a program ended.

  Attributes:
    code: its exit code; negative if a signal ended it.
    out: its standard output.
    err: its standard error.
    is_hanging: whether it computed too long without a word.
    was_stopped: whether it was at work, and was stopped.
    seconds: how long it took.
    megabytes: the most memory that it had.
  """

  code: int
  out: str
  err: str
  is_hanging: bool
  was_stopped: bool
  seconds: float
  cpu_seconds: float
  megabytes: int

  @property
  def errors(self) -> list[str]:
    """The lines that say why it ended."""
    return re.findall(r'^(?:error: |FATAL ).*', self.err, re.MULTILINE)

  def fault(self) -> str | None:
    """Returns what is wrong with this way to end, `None` if nothing is."""
    if self.is_hanging:
      return f'no word in {self.cpu_seconds:.0f} s of computing'
    if 'Traceback (most recent call last)' in self.err + self.out:
      return f'a traceback: {self.err.strip().splitlines()[-1]}'
    if self.was_stopped or self.code == 0:
      return None
    if self.code != 1:
      return f'exit code {self.code}: {self.err[-300:]}'
    if len(self.errors) != 1:
      return f'{len(self.errors)} lines say why: {self.err[-300:]}'
    return None


class Programs:
  """Starts experiments, one at a time."""

  def __init__(self, cache: str | os.PathLike | None = None):
    """Starts the server.

    Args:
      cache: the folder of compiled programs; by default the environment's.
    """
    environment = {
      name: value
      for name, value in os.environ.items()
      if not name.startswith(('JAX_', 'XLA_'))
    } | {
      'JAX_PLATFORMS': 'cpu',
      'XLA_FLAGS': '--xla_backend_optimization_level=0',
      'JAX_COMPILATION_CACHE_DIR': str(
        cache or os.environ.get('JAX_COMPILATION_CACHE_DIR', '')
      ),
      'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0.1',
      'JAXNAS_DATA_DIR': '',
      'PYTHONPATH': str(ROOT),
    }
    self._server = subprocess.Popen(
      [sys.executable, str(pathlib.Path(__file__).with_name('server.py'))],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
      env=environment,
    )

  def run(
    self,
    module: str,
    arguments: Sequence[str],
    *,
    patience: float = 10.0,
    limit: float = LIMIT,
    memory: int = MEMORY,
  ) -> Ending:
    """Runs an experiment.

    Args:
      module: its name.
      arguments: its command line.
      patience: seconds before it is stopped that has said what it costs.
      limit: seconds of computing without a word before it has begun.
      memory: its address space, bytes.
    """
    with tempfile.TemporaryDirectory() as folder:
      request = {
        'module': module,
        'arguments': list(arguments),
        'patience': patience,
        'limit': limit,
        'wall': _WALL,
        'memory': memory,
        'folder': folder,
      }
      stdin, stdout = self._server.stdin, self._server.stdout
      assert stdin is not None
      assert stdout is not None
      stdin.write(json.dumps(request) + '\n')
      stdin.flush()
      answer = json.loads(stdout.readline())
      out, err = (
        pathlib.Path(folder, name).read_text(errors='replace')
        for name in ('stdout', 'stderr')
      )
    return Ending(out=out, err=err, **answer)

  def close(self) -> None:
    """Ends the server."""
    assert self._server.stdin is not None
    self._server.stdin.close()
    self._server.wait(timeout=300)
    assert self._server.stdout is not None
    self._server.stdout.close()

  def __enter__(self) -> Programs:
    return self

  def __exit__(self, *exc_info) -> None:
    self.close()

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Searches for recurrent cells in processes of their own, which are killed."""

from collections.abc import Mapping, Sequence
import contextlib
import multiprocessing
import os
import pathlib
import random
import signal
import time
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments import search_recurrent_cell

# The default is small, since every start of the process takes a while.
NUM_KILLS = int(os.environ.get('KILLS', '1'))
# What children of it need not import anew.
FORKS = multiprocessing.get_context('forkserver')
FORKS.set_forkserver_preload(['experiments.search_recurrent_cell'])
# Those of every small search.
SETTINGS = {
  'dataset': 'text',
  'base': 2,
  'trials_per_update': 8,
  'features': 4,
  'batch_size': 4,
  'num_unrolled': 5,
  'num_winners': 1,
  'num_selection_seeds': 1,
  'num_seeds': 2,
  'retrain_learning_rates': (0.05,),
  'retrain_steps': 8,
  'block_size': 4,
  'num_host_devices': 2,
  'checkpoint_every': 1,
}


class Searches(NamedTuple):
  """Searches with the same settings, by the names of their folders.

  Attributes:
    place: the folder of all of them.
    settings: what differs from `SETTINGS`.
    outputs: the files that have to be the same.
  """

  place: pathlib.Path
  settings: Mapping[str, Any]
  outputs: Sequence[str]

  def write_text(self) -> None:
    """Writes a text whose words follow one another in a fixed order, mostly."""
    folder = self.place / 'text'
    folder.mkdir()
    generator = np.random.default_rng(0)
    for split, length in (('train', 1500), ('valid', 300)):
      steps = np.where(generator.random(length) < 0.8, 1, 5)
      words = [f'w{n % 12}' for n in np.cumsum(steps)]
      (folder / f'{split}.txt').write_text(' '.join(words) + '\n')

  def run(self, name: str) -> None:
    """Runs or resumes a search; what it prints goes to a file."""
    os.environ['JAXNAS_DATA_DIR'] = str(self.place / 'data')
    # Processes find the programs of others.
    cache = str(self.place / 'cache')
    jax.config.update('jax_compilation_cache_dir', cache)
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)
    jax.config.update('jax_disable_most_optimizations', True)
    config = search_recurrent_cell.Config(
      data_dir=str(self.place / 'text'), **SETTINGS, **self.settings
    )
    with (
      open(self.place / f'{name}.txt', 'w') as told,
      contextlib.redirect_stdout(told),
    ):
      search_recurrent_cell.run(config, str(self.place / name))

  def start(self, name: str) -> Any:
    """Starts a process that runs or resumes a search."""
    process = FORKS.Process(target=self.run, args=(name,))
    process.start()
    return process

  def finish(self, name: str) -> float:
    """Lets a process run or resume a search; returns the seconds."""
    started = time.monotonic()
    process = self.start(name)
    process.join()
    assert process.exitcode == 0
    return time.monotonic() - started

  def check_whole(self, name: str) -> float:
    """Runs a search twice, to the same outputs; returns the seconds of one."""
    # The first run fills the cache of programs, the second tells the duration.
    self.finish(name)
    seconds = self.finish(f'{name}-again')
    assert self.contents(f'{name}-again') == self.contents(name)
    return seconds

  def contents(self, name: str) -> list[bytes]:
    """Returns what has to be the same of a search."""
    return [(self.place / name / each).read_bytes() for each in self.outputs]

  def told(self, name: str) -> str:
    """Returns what a search has printed."""
    return (self.place / f'{name}.txt').read_text()

  def check_kills(self, whole: str, seconds: float) -> None:
    """Kills a search at random instants until it has ended as a whole one.

    Args:
      whole: the name of a search that was not killed.
      seconds: how long a search takes.
    """
    moments = random.Random(os.environ.get('JAXNAS_KILL_SEED', '0'))
    name = 'killed-0'
    for number in range(NUM_KILLS):
      process = self.start(name)
      process.join(moments.random() * seconds)
      process.kill()
      process.join()
      assert process.exitcode in (0, -signal.SIGKILL)
      if process.exitcode == 0:
        assert self.contents(name) == self.contents(whole)
        name = f'killed-{number + 1}'
    self.finish(name)
    assert self.contents(name) == self.contents(whole)

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Runs the searches of a comparison, or only those that are missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
import pathlib
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnas.records import trial_log
from jaxnas.runs import many_searches, stopwatch
from jaxnas.visualize import progress


class Job(NamedTuple):
  """A search, for many seeds.

  Attributes:
    search: the function that runs the search of a row, `row -> entries
      int32[num_trials]`.
    rows: one row for each seed, a pytree of arrays `[S, ...]`.
    num_trials: the number of trials of a search.
    label: the search's name while it runs.
    origin: a description of the table and the search, to be stored in its file.
  """

  search: Callable[[Any], jax.Array]
  rows: Any
  num_trials: int
  label: str
  origin: str

  @property
  def num_seeds(self) -> int:
    """The number of seeds, `S`."""
    return len(jax.tree.leaves(self.rows)[0])


class Jobs:
  """The searches of a comparison, by the names of their files.

  Attributes:
    found: the searches that are done.
    left: the searches that are missing.
  """

  def __init__(self, folder: pathlib.Path, jobs: Mapping[str, Job]):
    """Reads the searches that are done.

    Args:
      folder: the folder of the run.
      jobs: the searches, by name.

    Raises:
      ValueError: a file is damaged, or holds other searches.
    """
    self._folder, self._jobs = folder, jobs
    self.found = {
      name: many_searches.Searches.load(
        self._file(name), (job.num_seeds, job.num_trials), job.origin
      )
      for name, job in jobs.items()
      if self._file(name).exists()
    }

  @property
  def left(self) -> dict[str, Job]:
    """The searches that are missing."""
    return {
      name: job for name, job in self._jobs.items() if name not in self.found
    }

  def run(self, block_size: int, description: str) -> None:
    """Runs and saves the searches that are missing, one after another.

    Args:
      block_size: the number of searches in one call.
      description: the description of all searches in the estimate of their
        cost.
    """
    running: dict[str, tuple[many_searches.ManySearches, np.ndarray]] = {}

    def spent():
      runners = [runner for runner, _ in running.values()]
      return stopwatch.Spent(
        sum(runner.compile_seconds for runner in runners),
        sum(runner.run_seconds for runner in runners),
      )

    with trial_log.JsonLines(self._folder / 'timings.jsonl') as timings:
      clock = stopwatch.Stopwatch(timings, spent)
      running |= start(self.left, block_size, description)
      clock.lap('first searches')
      for name, (runner, first) in running.items():
        job = self._jobs[name]
        print(f'{job.label}:')
        blocks = runner.blocks(job.rows, first=1)
        rest = _follow(blocks, job.num_seeds, len(first))
        entries = np.concatenate([first, *rest])
        searches = many_searches.Searches(entries, runner.run_seconds)
        searches.save(self._file(name), job.origin)
        self.found[name] = searches
        clock.lap(job.label)
    print(
      f'Real cost: {progress.duration(clock.total)}, of which compiling '
      f'{progress.duration(spent().compile)}.'
    )

  def _file(self, name: str) -> pathlib.Path:
    return self._folder / 'searches' / f'{name}.npz'


def start(
  jobs: Mapping[str, Job], block_size: int, description: str
) -> dict[str, tuple[many_searches.ManySearches, np.ndarray]]:
  """Compiles every search, runs its first block and prints an estimate.

  Args:
    jobs: the searches.
    block_size: the number of searches in one call.
    description: the description of the searches in the estimate, which follows
      the number of their trials.

  Returns:
    The runner of each search, and the entries of its first block.
  """
  running = {}
  seconds = 0.0
  names = ', '.join(job.label for job in jobs.values())
  print(f'Compiling {names} ...', flush=True)
  for name, job in jobs.items():
    runner = many_searches.ManySearches(job.search, block_size)
    first = next(runner.blocks(job.rows))
    running[name] = runner, first
    seconds += runner.run_seconds * -(-job.num_seeds // block_size)
  num_trials = sum(job.num_seeds * job.num_trials for job in jobs.values())
  print(
    f'Estimated cost: {progress.duration(seconds)} for {num_trials:,} trials: '
    f'{description}; {block_size} searches at a time on '
    f'{jax.local_device_count()} devices.',
    flush=True,
  )
  return running


def _follow(
  blocks: Iterator[np.ndarray], total: int, done: int
) -> list[np.ndarray]:
  """Collects blocks and shows the progress."""
  collected = []
  with progress.Progress(total, unit='seed') as bar:
    bar.update(done)
    for block in blocks:
      collected.append(block)
      done += len(block)
      bar.update(done)
  return collected

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The searches of a comparison with halving: the jobs, and what they found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
import zlib

import jax
import numpy as np

from jaxnas import halving
from jaxnas.datasets import named_tables
from jaxnas.runs import (
  halved_searches,
  halving_report,
  many_searches,
  search_jobs,
)
from jaxnas.types import Strategy

Variant = halving_report.Variant


class HalvingComparison:
  """Searches of a table with and without halving, at the same cost.

  Attributes:
    calibrations: the calibration of each seed; `None` if the schedule is given.
    parts: the schedules, each with its seeds.
  """

  def __init__(
    self,
    named: named_tables.NamedTable,
    keys: jax.Array,
    num_trials: int,
    schedule: halving.Schedule | None,
    eta: int,
    baseline: str,
  ):
    """Measures the first rungs, unless the schedule is given.

    Args:
      named: the table.
      keys: the keys of the searches, `[S]`.
      num_trials: the cost of a search, as a number of full trainings.
      schedule: the schedule; `None` to measure one for each seed.
      eta: the number of children at a rung of which one goes on to the next.
      baseline: the strategy whose first trials are those of the calibration.

    Raises:
      ValueError: the table lacks the rewards at the rungs.
    """
    self._named, self._keys, self._baseline = named, keys, baseline
    self._curves = curves_of(named)
    self.num_steps = num_trials * self._curves.points[-1]
    self.calibrations = None
    if schedule is None:
      self.calibrations = halved_searches.calibrate(self._curves, keys)
      self.parts = self.calibrations.parts(self._curves.points, eta)
    else:
      self._curves.at(schedule.rungs)
      self.parts = [halved_searches.Part(schedule, np.arange(len(keys)))]

  def jobs(
    self,
    variants: Sequence[Variant],
    make_strategy: Callable[[str], Strategy],
    replicas_per_update: int,
    labels: Mapping[str, str],
    origin: str,
  ) -> dict[str, search_jobs.Job]:
    """Returns the jobs for variants with halving, by the names of their files.

    Seeds whose calibration finds no rung need only the search without halving.

    Args:
      variants: the variants.
      make_strategy: the function that makes a strategy, given its name.
      replicas_per_update: the number of groups told together.
      labels: the labels of the strategies, by name.
      origin: a description of the seeds and the table.
    """
    jobs = {}
    for variant in variants:
      for part in self.parts:
        if part.schedule.num_rungs == 1:
          continue
        shape = self._shape(variant, part, replicas_per_update)
        num_trials = shape.num_trials(self.num_steps)
        name = self._name(variant, part)
        jobs[name] = search_jobs.Job(
          halved_searches.make_search(
            self._curves.at(part.schedule.rungs),
            self._floor,
            make_strategy(variant.strategy),
            shape,
            num_trials,
          ),
          self._rows(part),
          num_trials,
          f'{labels[variant.strategy]} with halving from '
          f'{part.schedule.rungs[0]} steps ({variant.halving})',
          f'{name} of seeds {zlib.crc32(part.seeds.tobytes()):08x} {origin}',
        )
    return jobs

  def found(
    self,
    variant: Variant,
    searches: Mapping[str, many_searches.Searches],
    replicas_per_update: int,
  ) -> halving_report.Found:
    """Returns what the searches of a variant found.

    Args:
      variant: the variant.
      searches: the searches by the names of their files; a search without
        halving by its strategy's name.
      replicas_per_update: the number of groups told together.
    """
    full = self._curves.points[-1]
    costs = full * np.arange(1, 1 + self.num_steps // full)
    best = np.zeros((len(self._keys), len(costs)))
    num_trials = np.zeros(len(self._keys), int)
    whole = self._without(searches[variant.strategy].entries)
    for part in self.parts:
      if not variant.is_halved or part.schedule.num_rungs == 1:
        outcome = halved_searches.Outcome(*(each[part.seeds] for each in whole))
      else:
        outcome = halved_searches.play_back(
          self._curves.at(part.schedule.rungs),
          self._named.table.rewards,
          self._shape(variant, part, replicas_per_update),
          searches[self._name(variant, part)].entries,
        )
      if (
        variant.is_halved
        and self.calibrations is not None
        and variant.strategy == self._baseline
      ):
        first = self.calibrations.entries[part.seeds]
        outcome = outcome.after(
          self._named.table.rewards.astype(np.float64)[first], full
        )
      best[part.seeds] = outcome.best(costs, self._floor)
      num_trials[part.seeds] = outcome.num_trials(self.num_steps)
    return halving_report.Found(best, num_trials)

  @property
  def _floor(self) -> float:
    return float(self._named.table.rewards.min())

  def _without(self, entries: np.ndarray) -> halved_searches.Outcome:
    """Returns the outcome of searches without halving."""
    ends = self._curves.points[-1] * np.arange(1, 1 + entries.shape[1])
    return halved_searches.Outcome(
      self._named.table.rewards.astype(np.float64)[entries],
      np.broadcast_to(ends, entries.shape),
    )

  def _shape(
    self,
    variant: Variant,
    part: halved_searches.Part,
    replicas_per_update: int,
  ) -> halved_searches.Shape:
    return halved_searches.Shape(
      part.schedule, variant.batch_size, variant.replicas, replicas_per_update
    )

  def _rows(self, part: halved_searches.Part) -> dict[str, Any]:
    rows: dict[str, Any] = {'key': self._keys[part.seeds]}
    if self.calibrations is not None:
      rows['scale'] = self.calibrations.scale(part)
    return rows

  def _name(self, variant: Variant, part: halved_searches.Part) -> str:
    kind = [] if self.calibrations is None else ['auto']
    parts = [*variant, 'halving', part.schedule.eta, *kind]
    return '-'.join(map(str, [*parts, *part.schedule.rungs]))


def curves_of(named: named_tables.NamedTable):
  """Returns the rewards of a table at several points of the training.

  Args:
    named: the table.

  Raises:
    ValueError: the table has no such rewards.
  """
  if named.curves is None:
    raise ValueError(
      f'--halving needs rewards at several points of the training, and the '
      f'table {named.name} has none: give its file the arrays points and '
      'curves, or use --table=base2.'
    )
  return named.curves

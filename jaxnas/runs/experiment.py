# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The definition of a run of a search."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
import contextlib
import dataclasses
import pathlib
from typing import Any

from jaxnas import retraining as retraining_lib
from jaxnas import rungs, statistics
from jaxnas import search as search_lib
from jaxnas.records import trial_log
from jaxnas.runs import shared_phases
from jaxnas.types import Trainer


@dataclasses.dataclass(frozen=True)
class Experiment:
  """The definition of an experiment for `search_run.run`.

  Attributes:
    config: the complete settings, with no choice left to the machine. If
      `redo_failed` is true, failed trials are run again.
    search: the search.
    make_retraining: a function `log -> retraining`, called with the log after
      the search.
    num_retrainings: the number of trainings in the retraining.
    trainers: all trainers of children, for the accounting of time; may grow
      while contestants are made.
    estimate: a function `(num_trials, num_retrainings) -> seconds` that
      measures a few steps to predict the cost; `None` for no estimate.
    facts: further entries of the manifest, including `data_hash` and, if there
      is one, `seen_hash`; see `workdir.check_data`.
    measure: the measure that children are compared by.
    search_metric: the metric of a search trial that its reward is based on.
    draw: a function that draws an architecture; none by default.
    picture: the file name of the picture.
    known: the names of the architectures that the arm of role `KNOWN` proposes,
      in the order of its proposals.
    checkpoint_every: the number of rounds between checkpoints.
    unit: the unit of the length of a training; empty if a training has no
      length.
    describe: a function that returns an architecture as one line of text; none
      by default.
    has_report: whether the report split differs from the validation split.
    has_learning_rates: whether the search chooses the learning rates of
      children.
    free: the settings that may change when the run is resumed.
    defaults: the default values of the settings that an older version lacked.
    same_task: whether the user asserts that a changed task gives the same
      results, as in `search.run`.
    own_reward: whether the reward is the user's own, which may disagree with
      the measure; tables then show both.
    log_to: the names of the sinks that scalars go to, see `records.sinks`.
    replay: the path of another log of this run, in whose order trials are
      recorded; none by default.
    objectives: the names of several objectives, the reward first and then
      metrics that are costs; none if the reward alone counts.
    opened: a function that opens the further files that the search keeps in the
      run's folder, and makes the checks that need them.
    plan: the rungs at which children stop; `None` if all are trained fully. The
      budgets of `search` are those of full trainings; with rungs, arms propose
      as many children as the same number of steps allows.
    phases: the phases with shared weights before the search, whose finds are
      what some of its arms propose.
    found: what each phase found, by the identity of its arm; empty until all
      are finished.
    counted: how the cost of the phases is counted, in words.
  """

  config: Mapping[str, Any]
  search: search_lib.Search
  make_retraining: Callable[[trial_log.TrialLog], retraining_lib.Retraining]
  num_retrainings: int
  trainers: Sequence[Trainer]
  estimate: Callable[[int, int], float] | None
  facts: Mapping[str, Any]
  measure: statistics.Measure
  search_metric: str
  draw: Callable[[pathlib.Path, Any, str], None] | None = None
  picture: str = ''
  known: Sequence[str] = ()
  checkpoint_every: int = 4
  unit: str = 'steps'
  describe: Callable[[Any], str] | None = None
  has_report: bool = True
  has_learning_rates: bool = True
  free: Collection[str] = ('num_trials', 'redo_failed')
  defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  same_task: bool = False
  own_reward: bool = False
  log_to: Sequence[str] = ()
  replay: str = ''
  objectives: Sequence[str] = ()
  opened: Callable[[pathlib.Path], contextlib.AbstractContextManager[None]] = (
    lambda path: contextlib.nullcontext()
  )
  plan: rungs.Plan | None = None
  phases: Sequence[shared_phases.Phase] = ()
  found: Mapping[shared_phases.Identity, shared_phases.Found] = (
    dataclasses.field(default_factory=dict)
  )
  counted: str = ''

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Reads a whole run from its folder without changing anything in it."""

from __future__ import annotations

from collections.abc import Mapping
import os
import pathlib
from typing import Any, NamedTuple

from jaxnas.records import heads, round_log, rows, trial_log, workdir
from jaxnas.records import summary as summary_lib


class Run(NamedTuple):
  """The contents of a run's folder, whose run may still be in progress.

  Attributes:
    folder: the folder.
    trials: the trials in the log.
    rounds: the metrics of the strategies; empty for a run of an older version.
    timings: the lines of `timings.jsonl`; empty if the file is missing.
    config: the settings; empty if the file is missing.
    manifest: the environment of the run; empty if the file is missing.
    summary: the summary of the run; `None` for a run of an older version.
  """

  folder: str
  trials: list[trial_log.Trial]
  rounds: list[round_log.Round]
  timings: list[dict[str, Any]]
  config: Mapping[str, Any]
  manifest: Mapping[str, Any]
  summary: summary_lib.Summary | None

  @property
  def searched(self) -> list[trial_log.Trial]:
    """The trials that a strategy proposed."""
    return [each for each in self.trials if each.arm != trial_log.RETRAIN]

  @property
  def retrained(self) -> list[trial_log.Trial]:
    """The trainings of winners and known architectures."""
    return [each for each in self.trials if each.arm == trial_log.RETRAIN]


def read(folder: str | os.PathLike) -> Run:
  """Reads a run.

  Args:
    folder: the `--workdir` of the run.

  Raises:
    ValueError: there is no run, or a file is damaged.
  """
  path = pathlib.Path(folder).expanduser()
  trials = rows.read(path)
  rounds = round_log.read_rounds(path / 'rounds.jsonl')
  heads.check(path, lambda: heads.of_search(trials, rounds))
  timings = path / 'timings.jsonl'
  manifest = path / 'manifest.json'
  return Run(
    os.fspath(folder),
    trials,
    rounds,
    read_timings(timings) if timings.exists() else [],
    workdir.read_config(path) if (path / 'config.json').exists() else {},
    workdir.read_json(manifest) if manifest.exists() else {},
    summary_lib.read(path),
  )


def read_timings(path: str | os.PathLike) -> list[dict[str, Any]]:
  """Returns the lines of a `timings.jsonl`.

  Args:
    path: the file.

  Raises:
    ValueError: a line is damaged.
    OSError: the file cannot be read.
  """
  lines = trial_log.read_json_lines(path)
  seconds = {f'{name}_seconds': float for name in ('wall', 'compile', 'train')}
  trial_log.check_fields(path, lines, **seconds)
  return lines

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A run read back: its trials as rows, for notebooks and other programs.

from jaxnas import records

trials = records.read('runs/recurrent_cell')
rows = records.flatten(trials)  # pandas.DataFrame(rows), csv.DictWriter, ...
"""

from __future__ import annotations

from collections.abc import Sequence
import csv
import json
import os
import pathlib
from typing import Any

from jaxnas import errors
from jaxnas.records import trial_log, workdir


def read(folder: str | os.PathLike) -> list[trial_log.Trial]:
  """Returns the trials of a run, which may still be in progress.

  Args:
    folder: the folder of the run, or a trial log.

  Raises:
    ValueError: there is no run, or its log is damaged.
  """
  path = pathlib.Path(folder)
  if path.is_dir():
    path = path / 'trials.jsonl'
  if not path.is_file():
    raise ValueError(
      f'There is no run in {folder}: {path} is missing; name the '
      f'{errors.choose("--workdir", "folder")} of a search.'
    )
  return trial_log.read_trials(path)


def flatten(trials: Sequence[trial_log.Trial]) -> list[dict[str, Any]]:
  """Returns one dict per trial, all with the same keys in the same order.

  Each metric and setting has its own key, such as
  `'metrics.validation_perplexity'` and `'settings.seed'`; `None` where a trial
  lacks it. Tokens and the architecture are JSON.

  Args:
    trials: the trials of one run.
  """
  groups = {
    group: list(
      dict.fromkeys(name for each in trials for name in getattr(each, group))
    )
    for group in ('metrics', 'settings')
  }
  return [
    {
      'number': trial.number,
      'arm': trial.arm,
      'repeat': trial.repeat,
      'proposal': trial.proposal,
      'version': trial.version,
      'status': trial.status,
      'reward': trial.reward,
      'duplicate_of': trial.duplicate_of,
      **{
        f'{group}.{name}': getattr(trial, group).get(name)
        for group, names in groups.items()
        for name in names
      },
      'tokens': _to_json(trial.tokens),
      'architecture': _to_json(trial.architecture),
      'reason': trial.reason,
    }
    for trial in trials
  ]


def write_csv(
  path: str | os.PathLike, trials: Sequence[trial_log.Trial]
) -> None:
  """Writes trials as a table of comma-separated values.

  Args:
    path: the file to write; an existing one is replaced.
    trials: the trials of one run; the columns are those of `flatten`.

  Raises:
    OSError: the file cannot be written.
  """
  rows = flatten(trials)
  with open(path, 'w', encoding='utf-8', newline='') as file:
    writer = csv.DictWriter(file, list(rows[0]) if rows else ['number'])
    writer.writeheader()
    writer.writerows(rows)


def _to_json(value: Any) -> str | None:
  if value is None:
    return None
  return json.dumps(workdir.plain_json(value), separators=(',', ':'))

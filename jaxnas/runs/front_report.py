# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The fronts of a search with several objectives: file, table, picture."""

from __future__ import annotations

import csv
import io
import pathlib

import numpy as np

from jaxnas import files, fronts, statistics
from jaxnas import search as search_lib
from jaxnas.records import search_fronts, trial_log
from jaxnas.runs.experiment import Experiment
from jaxnas.visualize import front as pictures_of_fronts
from jaxnas.visualize import pictures, progress

FILE = 'front.csv'
PICTURE = 'front.png'


def write(
  experiment: Experiment,
  path: pathlib.Path,
  log: trial_log.TrialLog,
) -> list[str]:
  """Writes the front of the run and those of its searches, and prints them.

  Args:
    experiment: the experiment; without objectives nothing is done.
    path: the run's folder.
    log: the log of all trials.

  Returns:
    The names of the files that were written.
  """
  objectives = experiment.objectives
  if not objectives:
    return []
  found = {
    arm: search_fronts.front(log.trials, objectives, arm.identity)
    for arm in experiment.search.arms
    if arm.role is not search_lib.Role.KNOWN
  }
  whole = search_fronts.front(log.trials, objectives)
  _write_rows(path / FILE, objectives, whole, found)
  _show(objectives, log.trials, whole, found)
  drawn: dict[str, list[np.ndarray]] = {}
  for arm, best in found.items():
    values = search_fronts.points(best, objectives)
    drawn.setdefault(arm.label, []).append(
      np.column_stack([-values[:, 1], values[:, 0]])
    )
  pictures.draw(
    pictures_of_fronts.plot_fronts, path / PICTURE, drawn, objectives[1]
  )
  return [FILE, PICTURE]


def _write_rows(path, objectives, whole, found):
  """Writes a line for each member of the front of a search."""
  text = io.StringIO()
  lines = csv.writer(text, lineterminator='\n')
  lines.writerow(
    ['trial', 'proposed_by', 'repeat', *objectives, 'part', 'is_on_front']
  )
  best_of_all = {trial.number for trial in whole}
  for arm, best in found.items():
    named = {
      trial.number: part or 'highest reward'
      for part, trial in search_fronts.parts(best, objectives).items()
    }
    values = np.abs(search_fronts.points(best, objectives))
    for trial, row in zip(best, values.tolist(), strict=True):
      lines.writerow(
        [
          trial.number,
          trial.arm,
          arm.repeat,
          trial.reward,
          *row[1:],
          named.get(trial.number, ''),
          int(trial.number in best_of_all),
        ]
      )
  with files.replacing(path) as file:
    file.write(text.getvalue().encode())


def _show(objectives, trials, whole, found):
  worst = search_fronts.reference(trials, objectives)
  volumes: dict[str, list[float]] = {}
  sizes: dict[str, list[int]] = {}
  numbers = {trial.number for trial in whole}
  shares: dict[str, int] = {}
  for arm, best in found.items():
    values = search_fronts.points(best, objectives)
    volume = fronts.hypervolume(values, worst) if best else 0.0
    volumes.setdefault(arm.label, []).append(volume)
    sizes.setdefault(arm.label, []).append(len(best))
    on_front = sum(trial.number in numbers for trial in best)
    shares[arm.label] = shares.get(arm.label, 0) + on_front
  rows = []
  for label, each in volumes.items():
    mean = statistics.mean_interval(np.array(each))
    several = len(each) > 1
    rows.append(
      [
        label,
        str(len(each)),
        f'{np.mean(sizes[label]):.3g}',
        f'{shares[label]} of {len(whole)}',
        f'{mean.value:.5g}',
        f'{mean.low:.5g} to {mean.high:.5g}' if several else '-',
      ]
    )
  spelled = ', '.join(
    f'{name} {abs(value):.5g}'
    for name, value in zip(objectives, worst, strict=True)
  )
  progress.table(
    f'Fronts of {" and ".join(objectives)}: their size, their part of the '
    'front of the run, and the hypervolume over the worst that was trained '
    f'({spelled}), a mean over searches',
    ['proposed by', 'searches', 'size', 'on the front', 'hypervolume', '95 %'],
    rows,
  )

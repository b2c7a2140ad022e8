# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The best architecture that a search found, in its file `best.json`."""

from __future__ import annotations

from collections.abc import Sequence
import pathlib

from absl import logging

from jaxnas import retraining as retraining_lib
from jaxnas import statistics
from jaxnas.export import architecture as architecture_file
from jaxnas.records import workdir
from jaxnas.runs.experiment import Experiment

FILE = 'best.json'


def found(
  criterion: statistics.Measure, rows: Sequence[retraining_lib.Result]
) -> retraining_lib.Result | None:
  """Returns the best result that the search itself proposed, if there is one.

  The result is chosen by separate trainings, so that the final ones stay
  unbiased. With several objectives, only those ends of the searches' fronts
  compete that have the highest rewards.

  Args:
    criterion: the quantity to choose by.
    rows: the results of the retraining.
  """
  proposed = [
    row
    for row in rows
    if row.contestant.tokens is not None and not row.contestant.part
  ]
  return criterion.best(proposed, lambda row: row.selection.mean())


def write(
  experiment: Experiment,
  path: pathlib.Path,
  retraining: retraining_lib.Retraining,
  best: retraining_lib.Result | None,
  was_finished: bool,
) -> None:
  """Writes the best architecture; writes nothing if none was found.

  Args:
    experiment: the experiment.
    path: the run's folder.
    retraining: the retraining.
    best: the best result; `None` if none was found.
    was_finished: whether the run was finished before, so that the same file
      should exist already; a warning says if it does not.
  """
  file = path / FILE
  if was_finished:
    _check(file, best)
  if best is None:
    return
  contestant = best.contestant
  assert contestant.architecture is not None
  assert contestant.tokens is not None
  architecture_file.write_architecture(
    file,
    contestant.architecture,
    label=contestant.label,
    tokens=list(contestant.tokens),
    **_sizes(contestant),
    **_terms(experiment, retraining, best),
    **{
      name: values.tolist()
      for name, values in (
        (f'validation_{experiment.measure.name}', best.validation),
        (f'report_{experiment.measure.name}', best.report),
        *([('reward', best.rewards)] if experiment.own_reward else []),
      )
    },
  )


def _check(file, best):
  """Warns if `best.json` of a finished run disagrees with the log."""
  try:
    written = workdir.read_json(file).get('architecture')
  except (OSError, ValueError):  # It is rewritten in any case.
    return
  if best is None:
    logging.warning('%s does not belong to this run: it found nothing.', file)
  elif written != workdir.plain_json(best.contestant.architecture.to_json()):
    logging.warning(
      '%s held another architecture than the best of the log; it is '
      'overwritten.',
      file,
    )


def _terms(experiment, retraining, result):
  """Returns the terms of training that the run chose for a result."""
  terms = {}
  if experiment.has_learning_rates:
    terms['learning_rate'] = result.learning_rate
  if experiment.unit:
    terms[f'num_{experiment.unit}'] = retraining.num_steps
  return terms


def _sizes(contestant):
  """Returns the known sizes of a contestant."""
  sizes = {
    name: getattr(contestant, name)
    for name in ('features', 'num_params', 'num_multiply_adds')
  }
  return {name: size for name, size in sizes.items() if size is not None}

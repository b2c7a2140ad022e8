# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The logs of a succession: its generations, and its retrained cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import math
import pathlib
from typing import Any, NamedTuple

from jaxnas import generations as generations_lib
from jaxnas.records import folder as folder_lib
from jaxnas.records import heads, trial_log, workdir
from jaxnas.trainers import cell_trainer

GENERATIONS = 'generations.jsonl'
"""The name of the log of generations."""

RETRAININGS = 'retrainings.jsonl'
"""The name of the log of retrainings."""

TIMINGS = 'timings.jsonl'
"""The name of the log of the time spent in each phase."""

_BRANCHES = generations_lib.CONTROL, generations_lib.SUCCESSION


class Records(NamedTuple):
  """The contents of a succession's folder, which may still be in progress.

  Attributes:
    generations: the finished generations.
    retrainings: the lines of `retrainings.jsonl`.
    timings: the lines of `timings.jsonl`; none in a folder of an older version.
    config: the settings.
    manifest: the environment of the run.
  """

  generations: list[generations_lib.Generation]
  retrainings: list[dict[str, Any]]
  timings: list[dict[str, Any]]
  config: Mapping[str, Any]
  manifest: Mapping[str, Any]


def read(folder: pathlib.Path) -> Records:
  """Reads a succession from its folder without changing anything in it.

  Args:
    folder: the folder of the run.

  Raises:
    ValueError: a file is damaged, or belongs to another run.
    OSError: a file is missing.
  """
  logs = {
    name: trial_log.read_json_lines(folder / name)
    for name in (GENERATIONS, RETRAININGS, TIMINGS)
    if (folder / name).exists()
  }
  heads.check(
    folder, lambda: {name: lines[0] for name, lines in logs.items() if lines}
  )
  retrainings = logs.get(RETRAININGS, [])
  check_retrainings(folder / RETRAININGS, retrainings)
  return Records(
    to_generations(folder / GENERATIONS, logs[GENERATIONS]),
    retrainings,
    folder_lib.read_timings(folder / TIMINGS) if TIMINGS in logs else [],
    workdir.read_config(folder),
    workdir.read_manifest(folder),
  )


def to_generations(
  path: pathlib.Path, lines: Sequence[Mapping[str, Any]]
) -> list[generations_lib.Generation]:
  """Returns the generations of a log.

  Args:
    path: the path of the log, which errors name.
    lines: the lines of the log.

  Raises:
    ValueError: a line is damaged.
  """
  generations = []
  for number, line in enumerate(lines, start=1):
    try:
      generation = generations_lib.Generation.from_json(line)
      _check(generation)
    except ValueError as error:
      raise ValueError(
        f'{path}: line {number} is damaged ({error}); restore the file '
        f'from a copy or cut it before line {number} and resume.'
      ) from None
    generations.append(generation)
  return generations


def _check(generation: generations_lib.Generation) -> None:
  """Raises `ValueError` for a generation that no succession can have."""
  if generation.branch not in _BRANCHES or type(generation.number) is not int:
    raise ValueError(
      f'its generation is {generation.number!r} of {generation.branch!r}'
    )
  columns = {
    name: getattr(generation, name)
    for name in generation.to_json()
    if name not in ('branch', 'number')
  }
  if not all(isinstance(each, tuple) and each for each in columns.values()):
    raise ValueError('a field has no entry for any lineage')
  if len(set(map(len, columns.values()))) > 1:
    raise ValueError('its fields are of different numbers of lineages')
  for name in ('rewards', 'areas', 'late_means'):
    for value in columns[name]:
      if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f'its {name} have {value!r}')
  for cells in columns['candidates']:
    if (
      not isinstance(cells, tuple) or not cells or not all(map(_is_cell, cells))
    ):
      raise ValueError('a lineage has found no cell')


def _is_cell(cell: Any) -> bool:
  return isinstance(cell, tuple) and all(type(each) is int for each in cell)


def check_retrainings(
  path: pathlib.Path, lines: Sequence[Mapping[str, Any]]
) -> None:
  """Raises `ValueError` if a line of a log of retrainings is damaged.

  Args:
    path: the path of the log, which errors name.
    lines: the lines of the log.
  """
  trial_log.check_fields(
    path,
    lines,
    tokens=list,
    seed=int,
    **{name: (float, type(None)) for name in cell_trainer.SPLITS},
  )

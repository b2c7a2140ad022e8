# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Checks of the result and the test that a long training has written."""

from __future__ import annotations

from collections.abc import Mapping
import hashlib
import math
import os
import pathlib
from typing import Any

from jaxnas.records import trial_log, workdir
from jaxnas.runs import training_terms

WEIGHTS_HASH = 'weights_sha256'
"""The field of the hash of the weights that a result belongs to."""

_SHOWN = ('validation', 'report')


def check(
  folder: pathlib.Path,
  result: Mapping[str, Any],
  terms: training_terms.Terms,
  epochs: trial_log.JsonLines,
) -> None:
  """Checks a result that is shown against the epochs and the weights.

  Args:
    folder: the folder of the training.
    result: the contents of its `result.json`.
    terms: the terms of the training.
    epochs: the lines of its epochs.

  Raises:
    ValueError: the result does not belong to the epochs, or to the weights.
  """
  path, weights = folder / 'result.json', folder / 'weights.npz'
  fields = {terms.field(split): float for split in _SHOWN}
  trial_log.check_fields(path, [result], epoch=int, **fields)
  name = terms.field('validation')
  best = [
    line
    for line in epochs.lines
    if line['epoch'] == result['epoch'] and is_close(line[name], result[name])
  ]
  if not best:
    raise ValueError(
      f'{path} does not agree with {epochs.path}; remove it, and it will be '
      'made again.'
    )
  # Older versions noted no hash.
  if result.get(WEIGHTS_HASH, '') not in ('', hash_of(weights)):
    raise ValueError(
      f'{weights} is not what this training wrote; remove it, and it will be '
      'made again.'
    )


def read_test(
  folder: pathlib.Path, result: Mapping[str, Any], terms: training_terms.Terms
) -> list[Mapping[str, Any]]:
  """Returns the contents of `test.json`; empty if there is no such file.

  Args:
    folder: the folder of the training.
    result: the contents of its `result.json`.
    terms: the terms of the training.

  Raises:
    ValueError: the file is damaged, or belongs to another result.
  """
  path = folder / 'test.json'
  if not path.exists():
    return []
  test = workdir.read_json(path)
  counts = {terms.field('test'): float, f'num_{terms.counted}': int}
  trial_log.check_fields(path, [test], num_epochs=int, **counts)
  # Two trainings may be equally good after as many epochs.
  hashes = {each.get(WEIGHTS_HASH, '') for each in (test, result)} - {''}
  name = terms.field('validation')
  if (
    test.get('epoch') != result['epoch']
    or test.get(name) != result[name]
    or len(hashes) > 1
  ):
    raise ValueError(
      f'{path} belongs to another model than {folder}; restore it from a copy, '
      'or remove it and pass --evaluate_test.'
    )
  return [test]


def is_close(one: float, other: float) -> bool:
  """Returns whether two values of a measure agree in single precision."""
  return math.isclose(one, other, rel_tol=1e-6)


def hash_of(path: str | os.PathLike[str]) -> str:
  """Returns the SHA-256 of a file, in hexadecimal digits."""
  with open(path, 'rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()

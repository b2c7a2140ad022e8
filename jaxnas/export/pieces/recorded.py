# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The reading of a file's weights, and its check with them."""

import json
import pathlib

import numpy as np

from jaxnas.export.pieces.comparison import compare

WEIGHTS = pathlib.Path(__file__).with_suffix('.npz')


def checked_outputs(inputs):
  """Stands in for the file's own function."""
  return [inputs]


def read_arrays(path):
  """Returns the arrays of a file by name, and the description of them."""
  with np.load(path, allow_pickle=False) as archive:
    arrays = dict(archive)
  return arrays, json.loads(arrays.pop('about').tobytes())


def read_group(arrays, group):
  """Returns the arrays of a group, by their names within it."""
  head = f'{group}/'
  return {
    name.removeprefix(head): array
    for name, array in arrays.items()
    if name.startswith(head)
  }


def check():
  """Compares the outputs with the recorded ones; returns an exit code."""
  try:
    arrays, _ = read_arrays(WEIGHTS)
    outputs = checked_outputs(arrays['check/inputs'])
    return compare(outputs, arrays['check/outputs'])
  # The errors that damaged files cause have no common type.
  except Exception as error:
    reason = ' '.join(f'{type(error).__name__}: {error}'.split())
    print(
      f'{WEIGHTS} is missing, damaged or belongs to another model ({reason}).'
    )
    return 1

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""How a file with weights reads them, and checks itself."""

import json
import pathlib

import numpy as np

from jaxnas.export.pieces.comparison import compare

WEIGHTS = pathlib.Path(__file__).with_suffix('.npz')


def checked_outputs(inputs):
  """Stands for that of the file."""
  return [inputs]


def read_arrays(path):
  """Returns the arrays of a file by name, and what it says of them."""
  with np.load(path, allow_pickle=False) as archive:
    arrays = dict(archive)
  return arrays, json.loads(arrays.pop('about').tobytes())


def read_group(arrays, group):
  """Returns the arrays of a group by their names in it."""
  head = f'{group}/'
  return {
    name.removeprefix(head): array
    for name, array in arrays.items()
    if name.startswith(head)
  }


def check():
  """Prints whether the recorded outputs come out; returns the exit code."""
  try:
    arrays, _ = read_arrays(WEIGHTS)
    outputs = checked_outputs(arrays['check/inputs'])
    return compare(outputs, arrays['check/outputs'])
  # The errors of damaged files have no type in common.
  except Exception as error:
    reason = ' '.join(f'{type(error).__name__}: {error}'.split())
    print(f'{WEIGHTS} is missing, damaged or of another model ({reason}).')
    return 1

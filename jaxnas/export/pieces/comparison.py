# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Compares outputs with recorded ones."""

import numpy as np

TOLERANCE = 1e-6


def compare(outputs, expected):
  """Prints how far outputs are from recorded ones; returns an exit code."""
  outputs = np.concatenate([np.ravel(output) for output in outputs])
  expected = np.ravel(expected)
  scale = np.abs(expected).max() or 1.0
  difference = np.abs(outputs - expected).max() / scale
  agrees = bool(difference <= TOLERANCE)
  print(
    f'{len(expected)} outputs {"agree" if agrees else "DO NOT AGREE"} with '
    f'those recorded: the largest difference is {difference:.1e} times the '
    f'largest output; {TOLERANCE:.0e} is allowed.'
  )
  return 0 if agrees else 1

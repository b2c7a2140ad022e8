# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

from experiments.parts import shared_weights


def test_numbers_are_spread():
  assert shared_weights.spread(0, 4).tolist() == [0, 1, 2, 3]
  assert shared_weights.spread(9, 4).tolist() == [0, 1, 2, 3]
  assert shared_weights.spread(3, 10).tolist() == [0, 3, 6]

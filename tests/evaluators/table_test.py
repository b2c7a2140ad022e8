# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np

from jaxnas.evaluators import table


def test_the_earlier_name_does_the_same():
  rewards = table.Table((2, 3), np.arange(6, dtype=np.float32))
  space = table.make_space(rewards)
  assert space.size == 6
  assert table.make_evaluator(rewards).floor_reward == 0

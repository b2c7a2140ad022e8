# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import math
import operator

import jax
import numpy as np
import pytest

from jaxnas.evaluators import python
from jaxnas.spaces import hyperparameters

SPACE = hyperparameters.make_space({'x': hyperparameters.Choice((1, 2))})


def test_the_earlier_name_does_the_same():
  # Any function that a worker can import: it gets a dict and a seed.
  with python.make_evaluator(
    SPACE, operator.ne, floor_reward=-1.0
  ) as evaluator:
    keys = jax.random.split(jax.random.key(0), 2)
    evaluation = evaluator.evaluate(keys, np.array([[0], [1]], np.int32))
  assert evaluation.rewards.tolist() == [1.0, 1.0]
  assert evaluator.floor_reward == -1.0


def test_what_is_out_of_range_is_told():
  with (
    pytest.raises(ValueError, match='num_workers must be at least 1, got 0'),
    python.make_evaluator(SPACE, math.hypot, 0.0, num_workers=0),
  ):
    pass

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Who judges: a trainer and a reward become an evaluator.

    with evaluators.of_function(space, train, floor=0.0) as evaluator:
      ...

is the shortest way to one, by a Python function `(value, seed) -> reward`.
"""

from jaxnas.evaluators.trained import (
  NEEDS_RATE,
  add_costs,
  call_reward,
  check_cost_names,
  check_rate,
  cost_of,
  judge,
  make_evaluator,
  of_function,
  rate_of,
)

__all__ = (
  'NEEDS_RATE',
  'add_costs',
  'call_reward',
  'check_cost_names',
  'check_rate',
  'cost_of',
  'judge',
  'make_evaluator',
  'of_function',
  'rate_of',
)

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tables of rewards, by their earlier name: see `datasets.reward_table`."""

from jaxnas.datasets.reward_table import (
  Table,
  load,
  make_decisions,
  make_evaluator,
  make_space,
)

__all__ = ('Table', 'load', 'make_decisions', 'make_evaluator', 'make_space')

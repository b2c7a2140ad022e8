# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Functions that workers call in a benchmark; they import no JAX."""

from __future__ import annotations

from collections.abc import Mapping
import time
from typing import Any


def sleep(value: Mapping[str, Any], seed: int) -> float:
  """Sleeps for `value['seconds']`, as a child on another machine would."""
  del seed
  time.sleep(value['seconds'])
  return 0.0


def nothing(value: Any, seed: int) -> float:
  """Returns at once."""
  del value
  return float(seed)

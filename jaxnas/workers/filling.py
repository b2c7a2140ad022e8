# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""How many trials must be in flight to keep workers busy."""

from __future__ import annotations

import math

from jaxnas import errors

FACTOR = 1.5
"""The trials in flight for each that trains, by `simulate_workers`."""


def advice(
  num_in_flight: int, num_at_once: int, trials_per_replica: int
) -> str:
  """Returns one line if too few trials are in flight, else `''`.

  Children take different times, and a group of trials is replaced only when its
  last one is finished.

  Args:
    num_in_flight: the number of trials that are proposed at a time.
    num_at_once: the number of children that workers train at a time.
    trials_per_replica: the number of trials that each replica proposes.
  """
  if num_in_flight >= FACTOR * num_at_once:
    return ''
  wanted = math.ceil(FACTOR * num_at_once / trials_per_replica)
  more = errors.choose(f'--replicas={wanted}', f'replicas={wanted}')
  return (
    f'{num_in_flight} trials are in flight, and workers train {num_at_once} '
    f'at a time: some will idle. {more} ({wanted * trials_per_replica} trials) '
    'would keep them busy.'
  )

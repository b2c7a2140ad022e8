# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Which platform a program is for.

The same values are fastest computed in one form on a CPU and in another on an
accelerator. A network or a cell is told its platform when it is made, so that a
program for one platform can be traced and lowered on a machine of another.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax

CONDITION: Mapping[str, bool] = {'is_condition': True}
"""Metadata of a dataclass's field that says on what a run is, not what it is.

A run may go on with another value, so `records.fingerprint` leaves it out.
"""


def default() -> str:
  """Returns the platform of programs that are made for no other by name.

  Returns:
    `'cpu'`, `'gpu'` or `'tpu'`; a platform that is named may be more exact, as
    `'cuda'`.
  """
  return jax.default_backend()

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The platform that a program is compiled for.

The fastest way to compute the same values differs between a CPU and an
accelerator. A network or cell gets its platform when it is made, so that a
program for one platform can be traced and lowered on a machine with another.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax

CONDITION: Mapping[str, bool] = {'is_condition': True}
"""The metadata of dataclass fields that describe the environment of a run.

A run may be resumed with another value, so `records.fingerprint` ignores them.
"""


def default() -> str:
  """Returns the default platform of programs.

  Returns:
    `'cpu'`, `'gpu'` or `'tpu'`; a platform given by name may be more specific,
    such as `'cuda'`.
  """
  return jax.default_backend()

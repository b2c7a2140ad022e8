# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The JAX side of the benchmark of a device.

A worker of `experiments.benchmark_device`, with all that it measures, so that
each part needs one process.
"""

from __future__ import annotations

from experiments.benchmarks import (
  conv_jax,
  equality_jax,
  recurrent_jax,
  strategies_jax,
)
from experiments.benchmarks import device as device_lib
from experiments.benchmarks import worker as worker_lib

MAKERS: dict[str, worker_lib.Maker] = {
  'same_recurrence': equality_jax.make_recurrence,
  'same_text': equality_jax.make_text,
  'same_images': equality_jax.make_images,
  'cells': recurrent_jax.make_interpreted,
  'nets': conv_jax.make_train,
  'searches': strategies_jax.make_searches,
  'controller': recurrent_jax.make_controller,
  'peak': recurrent_jax.make_peak,
}


if __name__ == '__main__':
  worker_lib.serve(MAKERS, device_lib.describe)

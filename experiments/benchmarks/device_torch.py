# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The PyTorch side of the benchmark of a device.

A worker of `experiments.benchmark_device`; needs PyTorch.
"""

from __future__ import annotations

from experiments.benchmarks import conv_torch, recurrent_torch
from experiments.benchmarks import worker as worker_lib

MAKERS: dict[str, worker_lib.Maker] = {
  'cells': recurrent_torch.make_train,
  'nets': conv_torch.make_train,
}


if __name__ == '__main__':
  worker_lib.serve(MAKERS, recurrent_torch.describe)

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Measures the rows about what a recurrent training step is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.benchmarks import frameworks as frameworks_lib
from experiments.benchmarks.table import Row


def measure(
  frameworks: frameworks_lib.Frameworks,
  cells: Sequence[Mapping[str, Any]],
  shapes: Mapping[str, int],
  *,
  num_steps: int,
  num_repeats: int,
) -> list[Row]:
  """Returns a row for each part of a training step, in percent of it.

  Args:
    frameworks: the workers.
    cells: the cells to train, as JSON.
    shapes: the sizes of the cells and of the text.
    num_steps: the number of training steps of a burst.
    num_repeats: the number of bursts, of which the shortest counts.
  """
  with frameworks.search_jax() as worker:
    measurement = worker.make(
      'shares', architectures=cells, num_segments=num_steps, **shapes
    )
    bursts = [
      measurement.burst(num_steps=num_steps) for _ in range(num_repeats)
    ]
  seconds = min(bursts, key=lambda burst: sum(burst.values()))
  total = sum(seconds.values())
  return [
    Row(
      'shares',
      f'share of a training step, {part}, {shapes["vocab_size"]:,} words',
      '%',
      100 * each / total,
      note='of the time of one block of '
      f'{measurement.facts["block_size"]} children on all devices, by the '
      "operations in JAX's profiler; matmuls are those of the forward and "
      'reverse pass together.',
    )
    for part, each in seconds.items()
  ]

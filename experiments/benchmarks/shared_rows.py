# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Measures how fast many cells are judged by one set of weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.benchmarks import frameworks as frameworks_lib
from experiments.benchmarks import worker as worker_lib
from experiments.benchmarks.table import Row


def measure(
  frameworks: frameworks_lib.Frameworks,
  cells: Sequence[Mapping[str, Any]],
  shapes: Mapping[str, int],
  *,
  block_size: int,
  num_repeats: int,
  num_torch: int,
  bounds: Mapping[str, Any],
) -> list[Row]:
  """Returns the rows about a forward pass of many cells.

  Args:
    frameworks: the workers.
    cells: the cells, as JSON.
    shapes: the sizes of the cells and of the text.
    block_size: the number of cells at once on each device.
    num_repeats: the number of bursts, of which the shortest counts.
    num_torch: the number of cells that PyTorch runs; 0 to leave it out.
    bounds: floor and goal of the seconds.
  """
  with frameworks.search_jax() as worker:
    sides = {
      'ours': worker.make(
        'shared', architectures=cells, block_size=block_size, **shapes
      )
    }
    if num_torch:
      sides['theirs'] = frameworks.torch().make(
        'forward',
        architectures=cells[:num_torch],
        device=frameworks.torch_device,
        **shapes,
      )
    bursts = worker_lib.alternate(
      {side: one.burst for side, one in sides.items()}, num_repeats
    )
  seconds = {
    side: min(burst['seconds'] for burst in of_side)
    for side, of_side in bursts.items()
  }
  name = (
    f'{len(cells):,} cells through one shared forward pass, '
    f'{shapes["vocab_size"]:,} words'
  )
  rows = [
    Row(
      'shared',
      name,
      's',
      seconds['ours'],
      is_limit=True,
      note='one segment and one set of weights, without compiling; programs '
      'are assembled in it.',
      **bounds,
    )
  ]
  if num_torch:
    num_run = min(num_torch, len(cells))
    theirs = seconds['theirs'] * len(cells) / num_run
    rows.append(
      Row(
        'shared',
        f'{name}, against PyTorch eager',
        's',
        seconds['ours'],
        theirs,
        theirs / seconds['ours'],
        extrapolated=('theirs',),
        note=f'PyTorch runs {num_run} of the cells one after another, without '
        'gradients, x W outside the loop over time.',
      )
    )
  return rows

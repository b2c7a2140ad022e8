# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The rows that the parts of `experiments.benchmark_device` yield."""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
from typing import Any, NamedTuple

from experiments.benchmarks import conv_costs
from experiments.benchmarks.table import Row


class Measured(NamedTuple):
  """What was measured of children trained together.

  Attributes:
    cost: the cost of training them.
    peak_bytes: the peak memory of the device so far, in bytes.
  """

  cost: conv_costs.Cost
  peak_bytes: int


def counted(count: int, noun: str = 'child', nouns: str = 'children') -> str:
  """Returns a number of things in words, as in `'1 child'` or `'64 children'`.

  Args:
    count: the number.
    noun: what there may be one of.
    nouns: what there may be several of.
  """
  return f'{count:,} {noun if count == 1 else nouns}'


def speed_rows(
  config: Any,
  part: str,
  what: str,
  measured: Measured,
  theirs: tuple[float, float] | None,
) -> Iterator[Row]:
  """Yields the rows about time and memory.

  Args:
    config: the settings of the benchmark.
    part: the part of the benchmark.
    what: the children, in words.
    measured: what was measured of them.
    theirs: PyTorch's seconds a step of a child, and of all first steps.
  """
  cost = measured.cost
  rows = conv_costs.rows_against(
    what,
    {'ours': cost},
    theirs
    and conv_costs.Cost(
      0.0, is_each=False, overlaps=True, child=0.0, step=theirs[0]
    ),
    1,
    (config.num_total_steps,),
  )
  for row in rows:
    if row.row != 'total':
      name = row.name.removesuffix(', ours')
      yield dataclasses.replace(row, row=part, name=name, note='')
  yield Row(
    part,
    f'peak memory so far, {what}',
    'GB',
    measured.peak_bytes / 1e9,
    is_limit=True,
    note=f'a step is a burst of {config.num_burst_steps + 1} steps less one of '
    f'1, of all children; PyTorch eager trains {config.num_sampled} one after '
    'another. The share of the peak counts the operations that the children '
    'need, against square jnp.dot of float32 with the default precision; '
    'memory is that of the device, on a CPU of the process.',
  )


def peak_rows(
  part: str, what: str, flops: float, measured: Measured, peak: float | None
) -> Iterator[Row]:
  """Yields the share of the device's peak, if that is known.

  Args:
    part: the part of the benchmark.
    what: the children, in words.
    flops: the operations that a step of a child needs.
    measured: what was measured of the children.
    peak: the operations a second of the best matmul.
  """
  if peak is not None:
    rate = flops / measured.cost.step
    yield Row(
      part,
      f'training step against the best matmul, {what}',
      'TFLOP/s',
      rate / 1e12,
      peak / 1e12,
      rate / peak,
    )


def compiled_rows(
  config: Any, what: str, cost: conv_costs.Cost, theirs: tuple[float, float]
) -> Iterator[Row]:
  """Yields the rows that compare with `torch.compile`.

  Args:
    config: the settings of the benchmark.
    what: the children, in words.
    cost: our cost of training them.
    theirs: its seconds a step of a child, and of all first steps, with
      compiling.
  """
  seconds, cold_seconds = theirs
  note = (
    f'torch.compile with {config.torch_compiler}: one step of a cell, or the '
    'forward pass of a network; a program for each child.'
  )
  yield Row(
    'torch_compile',
    f'training step against torch.compile, {what}',
    'ms a child',
    1e3 * cost.step,
    1e3 * seconds,
    seconds / cost.step,
    note=note,
  )
  each = cold_seconds / config.num_sampled
  ours = cost.per_hour(config.num_total_steps)
  rate = 3600 / (each + config.num_total_steps * seconds)
  yield Row(
    'torch_compile',
    f'children of {config.num_total_steps} steps with compiling, {what}',
    'an hour',
    ours,
    rate,
    ours / rate,
    extrapolated=('ours', 'theirs'),
    note=note,
  )

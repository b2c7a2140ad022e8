# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What the time of a recurrent training step on a CPU goes into.

JAX's profiler notes when each operation of the compiled program begins and
ends, and the program tells which code an operation was compiled from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import itertools
import pathlib
import re
import tempfile
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.benchmarks import kernels, recurrent_tasks
from experiments.benchmarks import worker as worker_lib
from jaxnas.children import recurrent_interpreter
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.trainers import blocks, mapping, outcomes
from jaxnas.types import Span

_BETWEEN = 'between operations'
PARTS = (
  'matmuls of the cells',
  'the trees of the cells',
  'matmuls of the softmax',
  'the rest of the softmax',
  'optimizer and clipping',
  'embedding and all else',
  _BETWEEN,
)
"""What a step is split into."""

_CELL = re.compile(r'/layers_\d')
_ENCODER = 'LanguageModel.encode'
_MODEL = re.compile(r'\(LanguageModel\)+/')
_STEP = '/while/body/'


def make_shares(
  architectures: Sequence[Mapping[str, Any]], **shapes: int
) -> tuple[worker_lib.Facts, Callable[..., worker_lib.Facts]]:
  """Trains one block of children by the program of a search, under a profiler.

  A burst returns the seconds of all devices together that each part of the
  steps takes, by its name in `PARTS`.

  Args:
    architectures: the children; as many as a block holds are trained.
    **shapes: the sizes of the children and of the text.
  """
  num_devices = len(jax.local_devices())
  block_size = blocks.default_block_size(num_devices)
  children = [
    spaces.RecurrentCell.from_json(architectures[index % len(architectures)])
    for index in range(block_size)
  ]
  axes = recurrent_interpreter.BATCH_AXES
  task = recurrent_tasks.make_task(
    recurrent_interpreter.InterpretedCell,
    recurrent_interpreter.assemble,
    axes,
    **shapes,
  )
  devices = mapping.BlockMapping(block_size, num_devices)
  train = devices.shard(
    jax.vmap(outcomes.train_from(task), (None, axes, 0, 0, 0, None)),
    (None, axes, 0, 0, 0, None),
    donated=(2,),
  )
  programs = recurrent_interpreter.assemble(children)
  keys = jax.random.split(jax.random.key(0), block_size)
  rates = np.full(block_size, recurrent_tasks.LEARNING_RATE, np.float32)
  states = jax.eval_shape(
    jax.vmap(task.init, (axes, 0, 0)), programs, keys, rates
  )

  def arguments(num_steps):
    span = Span(*map(np.int32, (0, num_steps, num_steps)))
    blank = outcomes.blank(states)
    return task.train_data, programs, blank, keys, rates, span

  text = devices.compile(train, *arguments(1)).as_text() or ''
  launches = {launch.name: launch for launch in kernels.of_steps(text)}
  module = text.split(maxsplit=2)[1].rstrip(',')

  def burst(num_steps: int) -> worker_lib.Facts:
    given = arguments(num_steps)
    with tempfile.TemporaryDirectory() as folder:
      options = jax.profiler.ProfileOptions()
      options.python_tracer_level = 0
      with jax.profiler.trace(folder, profiler_options=options):
        devices.call(train, *given)
      spent, total = _spent(_events(pathlib.Path(folder), module), launches)
    seconds = dict.fromkeys(PARTS, 0.0)
    for name, each in spent.items():
      seconds[part_of(launches[name])] += each
    seconds[_BETWEEN] = total - sum(spent.values())
    return seconds

  devices.call(train, *arguments(1))
  return {'block_size': block_size}, burst


def part_of(launch: kernels.Launch) -> str:
  """Returns the part of a step, one of `PARTS`, that an operation belongs to.

  Args:
    launch: the operation.
  """
  origin = launch.origin
  if _CELL.search(origin):
    return PARTS[0] if launch.is_matmul else PARTS[1]
  if _MODEL.search(origin) and _ENCODER not in origin:
    return PARTS[2] if launch.is_matmul else PARTS[3]
  is_optimizer = _STEP in origin and _ENCODER not in origin
  return PARTS[4] if is_optimizer else PARTS[5]


class _Event(NamedTuple):
  """An operation that ran; times are in seconds."""

  begin: float
  end: float
  name: str
  device: Any


def _events(folder: pathlib.Path, module: str) -> list[_Event]:
  """Returns the events of one program, in order."""
  events = []
  for path in folder.rglob('*.xplane.pb'):
    for plane in jax.profiler.ProfileData.from_file(str(path)).planes:
      for line in plane.lines:
        for event in line.events:
          stats = dict(event.stats)
          if stats.get('hlo_module') == module:
            begin = event.start_ns / 1e9
            end = begin + event.duration_ns / 1e9
            name, device = str(stats['hlo_op']), stats.get('device_ordinal')
            events.append(_Event(begin, end, name, device))
  return sorted(events)


def _spent(
  events: Sequence[_Event], launches: Mapping[str, kernels.Launch]
) -> tuple[dict[str, float], float]:
  """Returns the seconds of each operation, and those of the loop over steps.

  XLA begins some matmuls, does what does not need them, and goes on with them
  while the profiler sees no operation: what follows such a time takes the
  result.

  Args:
    events: the events of all devices, in order.
    launches: the operations of the loop over steps, by name.
  """
  spent = dict.fromkeys(launches, 0.0)
  total = 0.0
  for device in {event.device for event in events}:
    ran = [
      event
      for event in events
      if event.device == device and event.name in launches
    ]
    for previous, event in itertools.pairwise(ran):
      for operand in launches[event.name].operands:
        if operand in launches and launches[operand].is_matmul:
          spent[operand] += max(0.0, event.begin - previous.end)
          break
    for event in ran:
      spent[event.name] += event.end - event.begin
    if ran:
      total += max(event.end for event in ran) - ran[0].begin
  return spent, total

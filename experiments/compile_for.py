# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Compiles the programs of the package for an accelerator that is not here.

    python -m experiments.compile_for --target=h100
    python -m experiments.compile_for --target=tpu-v5e --programs=recurrent-8

Prints for each program how long it took to compile, the memory that it needs,
and how many kernels it launches: on an accelerator each costs microseconds,
however little it computes. That is a check and a count, not a speed. `make
compile-for` installs the compilers, which take gigabytes of disk.
"""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import sys
import time
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
import numpy as np

from experiments import benchmark_settings, launch, settings
from experiments.benchmarks import kernels, programs, targets
from experiments.benchmarks import table as table_lib
from jaxnas.records import workdir
from jaxnas.trainers import memory

PROGRAMS = tuple(programs.MAKERS)
_WIDE = ' and '.join(programs.WIDE)


@dataclasses.dataclass(frozen=True)
class Config(settings.Bounded):
  """Settings of the check."""

  target: str = settings.measurement(
    'h100',
    'Kind of device to compile for.',
    is_common=True,
    choices=tuple(targets.TARGETS),
  )
  programs: tuple[str, ...] = settings.measurement(
    PROGRAMS,
    f'Programs to compile, out of {",".join(PROGRAMS)}.',
    is_common=True,
  )
  output: str = settings.measurement(
    'runs/compile_for.json', 'Path of the file that the table goes to.'
  )
  num_children: int = settings.children(
    128,
    'Number of recurrent children at once.',
    low=1,
    high=settings.MAX_BLOCK,
  )
  num_nets: int = settings.children(
    32,
    'Number of convolutional networks at once, on routes that train several.',
    low=1,
    high=settings.MAX_BLOCK,
  )
  other_children: tuple[int, ...] = settings.children(
    (),
    f'Further numbers of children at once, to show the memory of {_WIDE}.',
    low=1,
    high=settings.MAX_BLOCK,
  )
  vocab_size: int = settings.data(
    1_000, 'Number of different words.', low=1, high=settings.MAX_COUNT
  )
  features: int = settings.children(
    64, 'Number of hidden units.', low=1, high=settings.MAX_FEATURES
  )

  def __post_init__(self):
    super().__post_init__()
    benchmark_settings.check_names(
      'program', self.programs, PROGRAMS, 'programs'
    )


@dataclasses.dataclass(frozen=True)
class Compiled:
  """What is known about a program without running it.

  Attributes:
    name: the name of the program.
    num_children: the number of children, proposals or searches at once.
    seconds: how long tracing, lowering and compiling took, in seconds.
    num_bytes: the memory that it needs on the device.
    once: the kernels of a call; see `kernels.Count`.
    turn: the kernels of a step, if the program has a loop over steps.
    num_open: the number of loops whose number of turns depends on data.
  """

  name: str
  num_children: int
  seconds: float
  num_bytes: int
  once: int
  turn: int
  num_open: int

  def __str__(self) -> str:
    """Returns a row of the table."""
    cells = (
      self.name,
      f'{self.num_children:,}',
      f'{self.turn or self.once:,}',
      f'{self.num_bytes / 1e9:.3g}',
      f'{self.seconds:.0f}',
    )
    return f'| {" | ".join(cells)} |'


HEADER = (
  '| program | at once | kernels | memory, GB | compiling, s |',
  '| --- | --- | --- | --- | --- |',
)


def run(config: Config) -> list[Compiled]:
  """Compiles the programs, prints the table and writes it.

  Raises:
    ValueError: nothing here compiles for the target.
    OSError: the output cannot be written.
  """
  output = table_lib.prepare(config.output)
  # A GPU of this machine is not needed, and its drivers may be missing.
  jax.config.update('jax_platforms', 'cpu')
  jax.config.update('jax_enable_compilation_cache', False)
  device = targets.device(config.target)
  print(f'Compiling for {device.device_kind} with jax {jax.__version__}.')
  print('\n'.join(HEADER), flush=True)
  found: list[Compiled] = []
  left_out: dict[str, str] = {}
  for name, sizes in _sizes(config):
    try:
      compiled = compile_program(config.target, device, name, sizes)
    except Exception as error:  # One compiler's refusal is a result too.
      left_out[name] = (str(error).splitlines() or [''])[0][:300]
      print(f'{name}: refused, {left_out[name]}', file=sys.stderr, flush=True)
      continue
    found.append(compiled)
    print(compiled, flush=True)
    workdir.write_json(
      output,
      {
        'config': dataclasses.asdict(config),
        'device': device.device_kind,
        'jax': jax.__version__,
        'programs': [dataclasses.asdict(each) for each in found],
        'left_out': left_out,
      },
    )
  return found


def compile_program(
  target: str, device: Any, name: str, sizes: programs.Sizes
) -> Compiled:
  """Compiles one program for a device.

  Args:
    target: the name of the target.
    device: the device, from `targets.device`.
    name: the name of the program, one of `PROGRAMS`.
    sizes: the sizes of the program.
  """
  platform = targets.TARGETS[target].platform
  program = programs.MAKERS[name](platform, sizes)
  sharding = NamedSharding(Mesh(np.array([device]), ('one',)), PartitionSpec())
  arguments = jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(
      np.shape(leaf), leaf.dtype, sharding=sharding
    ),
    program.arguments,
  )
  started = time.perf_counter()
  function = jax.jit(program.function, in_shardings=sharding)
  with targets.lowering_for(platform):
    lowered = function.lower(*arguments)
  compiled = lowered.compile()
  seconds = time.perf_counter() - started
  count = kernels.count(compiled.as_text() or '')
  return Compiled(
    name, program.num_children, seconds, memory.needed(compiled) or 0, *count
  )


def _sizes(config: Config) -> Iterator[tuple[str, programs.Sizes]]:
  """Yields the programs to compile, with their sizes."""
  sizes = programs.Sizes(
    num_children=config.num_children,
    num_nets=config.num_nets,
    vocab_size=config.vocab_size,
    features=config.features,
  )
  for name in config.programs:
    yield name, sizes
    for count in config.other_children if name in programs.WIDE else ():
      yield name, programs.resized(sizes, count)


if __name__ == '__main__':
  launch.launch(Config, run, has_workdir=False)

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The JAX side of the benchmark of recurrent cells.

A worker of `experiments.benchmark_recurrent`; each `make_` function prepares
one measurement. Architectures are given as JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import functools
import time
from typing import Any

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
import numpy as np

from experiments.benchmarks import device as device_lib
from experiments.benchmarks import recurrent_tasks, step_shares
from experiments.benchmarks import worker as worker_lib
from jaxnas.children import recurrent_cell as cells
from jaxnas.children import recurrent_interpreter
from jaxnas.controllers import recurrent as controllers
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.strategies import reinforce
from jaxnas.trainers import blocks, shared
from jaxnas.types import Span, Status

Facts = worker_lib.Facts
Burst = Callable[..., Facts]

_BATCHES_A_SCAN = 32


def make_interpreted(
  architectures: Sequence[Mapping[str, Any]],
  block_size: int = 0,
  recurrence: str = 'scan',
  **shapes: int,
) -> tuple[Facts, Burst]:
  """Trains children by the interpreted route, as a search does.

  A burst uses the library's own code path: programs are assembled, and block
  after block is initialized, trained for `num_steps` and measured on one
  segment. The facts include the duration of the one compilation.

  Args:
    architectures: the children.
    block_size: the largest number of children at once; 0 for the default of a
      search.
    recurrence: how a sequence is run; see `InterpretedCell`.
    **shapes: the sizes of the children and of the text.
  """
  children = [spaces.RecurrentCell.from_json(cell) for cell in architectures]
  num_devices = len(jax.local_devices())
  trainer = blocks.BlockTrainer(
    recurrent_tasks.make_task(
      functools.partial(
        recurrent_interpreter.InterpretedCell, recurrence=recurrence
      ),
      recurrent_interpreter.assemble,
      recurrent_interpreter.BATCH_AXES,
      **shapes,
    ),
    min(
      block_size or blocks.default_block_size(num_devices),
      -(-len(children) // num_devices) * num_devices,
    ),
    num_devices,
  )
  keys = jax.random.split(jax.random.key(0), len(children))

  def burst(num_steps: int, first: int = 0, count: int | None = None) -> Facts:
    rows = slice(first, len(children) if count is None else first + count)
    started = time.perf_counter()
    rates = np.full(len(children[rows]), recurrent_tasks.LEARNING_RATE)
    trained = trainer.run(children[rows], keys[rows], rates, num_steps)
    return {
      'seconds': time.perf_counter() - started,
      'num_alive': np.sum(trained.status == Status.OK),
      'peak_bytes': device_lib.peak_bytes(),
    }

  burst(1, 0, trainer.block_size)
  return {
    'compile_seconds': trainer.compile_seconds,
    'block_size': trainer.block_size,
  }, burst


def make_shared(
  architectures: Sequence[Mapping[str, Any]], block_size: int, **shapes: int
) -> tuple[Facts, Burst]:
  """Judges cells by one set of weights; a burst judges all on one segment.

  A burst uses the library's own code path and knows no cell from before:
  programs are assembled, and block after block runs forward.

  Args:
    architectures: the cells.
    block_size: the number of cells at once on each device.
    **shapes: the sizes of the cells and of the text.
  """
  children = [spaces.RecurrentCell.from_json(cell) for cell in architectures]
  num_devices = len(jax.local_devices())
  trainer = shared.SharedTrainer(
    recurrent_tasks.make_shared_task(children[0], num_segments=1, **shapes),
    num_devices,
    block_size * num_devices,
    num_devices,
  )
  params = trainer.init(jax.random.key(0)).params

  def burst() -> Facts:
    recurrent_interpreter.codes_of.cache_clear()
    started = time.perf_counter()
    losses = trainer.losses(params, children)
    return {
      'seconds': time.perf_counter() - started,
      'num_finite': np.sum(np.isfinite(losses)),
    }

  burst()
  return {'compile_seconds': trainer.compile_seconds}, burst


def make_compiled(
  architectures: Sequence[Mapping[str, Any]], **shapes: int
) -> tuple[Facts, Burst]:
  """Trains children by the compiled route; a burst compiles and runs one."""
  children = [spaces.RecurrentCell.from_json(cell) for cell in architectures]

  def burst(index: int, num_steps: int) -> Facts:
    make_cell = functools.partial(
      cells.GrammarCell, architecture=children[index]
    )
    task = recurrent_tasks.make_task(make_cell, None, None, **shapes)
    seconds = {'compile_seconds': 0.0, 'run_seconds': 0.0}

    def call(function, *arguments):
      started = time.perf_counter()
      program = jax.jit(function).lower(*arguments).compile()
      compiled = time.perf_counter()
      result = jax.block_until_ready(program(*arguments))
      seconds['compile_seconds'] += compiled - started
      seconds['run_seconds'] += time.perf_counter() - compiled
      return result

    def train(data, key, rate, num_steps):
      state = task.init(None, key, rate)
      span = Span(0, num_steps, num_steps)
      return task.train(data, None, state, key, rate, span)

    child = call(
      train,
      task.train_data,
      jax.random.key(index),
      np.float32(recurrent_tasks.LEARNING_RATE),
      np.int32(num_steps),
    )
    call(task.measure, task.splits['validation'], None, child)
    return seconds

  return {}, burst


def make_recurrence(
  kind: str,
  architectures: Sequence[Mapping[str, Any]],
  features: int,
  num_unrolled: int,
  batch_size: int,
  num_calls: int = 1,
) -> tuple[Facts, Burst]:
  """Runs the recurrence of all cells forward and backward, in one vmap.

  On one device. `kind` is `'jaxnas'`, or `'switch'`: `switch_recurrence`.
  """
  children = [spaces.RecurrentCell.from_json(cell) for cell in architectures]
  run = {'jaxnas': jaxnas_recurrence, 'switch': switch_recurrence}[kind]
  inputs = recurrence_inputs(
    children, features, num_unrolled, batch_size, jax.random.key(0)
  )
  program = jax.jit(recurrence_gradients(run))
  return {}, _repeated(program, inputs, num_calls)


def recurrence_inputs(
  architectures: Sequence[spaces.RecurrentCell],
  features: int,
  num_unrolled: int,
  batch_size: int,
  key: jax.Array,
) -> tuple[Any, ...]:
  """Returns the arguments of `recurrence_gradients`.

  These are programs, inputs `[N, T, B, D]`, `W` and `U` `[N, D, K]`, and
  weights `[N, T, B, D]`, which turn the outputs into a loss.
  """
  num, base = len(architectures), architectures[0].base
  kernel = (num, features, base * features)
  sequence = (num, num_unrolled, batch_size, features)
  return (
    jax.device_put(recurrent_interpreter.assemble(architectures)),
    *(
      jax.random.uniform(key, shape, minval=-0.1, maxval=0.1)
      for key, shape in zip(
        jax.random.split(key, 4),
        (sequence, kernel, kernel, sequence),
        strict=True,
      )
    ),
  )


def recurrence_gradients(run: Callable[..., jax.Array]) -> Callable[..., Any]:
  """Returns the function for the loss and gradients of `N` recurrences."""

  def loss(program, inputs, kernel, recurrent_kernel, weights):
    outputs = run(program, inputs, kernel, recurrent_kernel)
    return jnp.sum(outputs * weights)

  return jax.vmap(
    jax.value_and_grad(loss, argnums=(1, 2, 3)),
    in_axes=(recurrent_interpreter.BATCH_AXES, 0, 0, 0, 0),
  )


def jaxnas_recurrence(
  program, inputs, kernel, recurrent_kernel, recurrence='scan'
):
  """Runs an interpreted cell over a sequence, `[T, B, D] -> [T, B, D]`."""
  features = inputs.shape[-1]
  cell = recurrent_interpreter.InterpretedCell(
    features, program=program, recurrence=recurrence
  )
  params = {
    'input_projection': {'kernel': kernel},
    'recurrent_kernel': recurrent_kernel,
  }
  carry = (jnp.zeros(inputs.shape[1:]),) * 2
  return cell.apply({'params': params}, carry, inputs, method='unroll')[1]


def switch_recurrence(program, inputs, kernel, recurrent_kernel):
  """Does the same naively: `lax.switch` at each node, under `lax.scan`.

  JAX differentiates it; the product of inputs and `W` is before the loop.
  """

  def step(carry, projected):
    memory, hidden = carry
    hidden, memory = _switch_cell(
      program, projected, hidden @ recurrent_kernel, memory
    )
    return (memory, hidden), hidden

  carry = (jnp.zeros(inputs.shape[1:]),) * 2
  return lax.scan(step, carry, inputs @ kernel)[1]


def _switch_cell(program, zx, zh, memory):
  base = zx.shape[-1] // memory.shape[-1]

  def combine(code, first, second):
    return lax.switch(code, [jnp.add, jnp.multiply], first, second)

  def activate(code, value):
    return lax.switch(
      code, [lambda x: x, jnp.tanh, jax.nn.sigmoid, jax.nn.relu], value
    )

  def inject(output):
    combined = combine(program.inject_combiner, output, memory)
    return activate(program.inject_activation, combined)

  firsts, seconds = jnp.split(zx, base, -1), jnp.split(zh, base, -1)
  values = []
  for start, width in spaces.levels(base):
    outputs = []
    for node in range(start, start + width):
      value = combine(
        program.combiners[node], firsts[node - start], seconds[node - start]
      )
      values.append(value)
      output = activate(program.activations[node], value)
      outputs.append(
        lax.cond(program.inject_index == node, inject, lambda x: x, output)
      )
    # In half order, the operands of a level are the halves of the level below.
    firsts, seconds = outputs[: width // 2], outputs[width // 2 :]
  return outputs[0], jnp.stack(values)[program.read_index]


def make_lstm(
  kind: str,
  features: int,
  num_unrolled: int,
  batch_size: int,
  num_calls: int = 1,
) -> tuple[Facts, Burst]:
  """Runs an LSTM forward and backward; `kind` is `'jaxnas'` or `'flax'`."""
  keys = jax.random.split(jax.random.key(0), 3)
  shape = (num_unrolled, batch_size, features)
  inputs, weights = (jax.random.normal(key, shape) for key in keys[:2])
  carry = (jnp.zeros((batch_size, features)),) * 2
  cell: nn.RNNCellBase
  if kind == 'jaxnas':
    cell = cells.LSTMCell(features)
    params = cell.init(keys[2], carry, inputs[0])

    def run(params, inputs):
      return cell.apply(params, carry, inputs, method='unroll')[1]
  else:
    cell = nn.OptimizedLSTMCell(features)
    network = nn.RNN(cell, time_major=True)
    params = network.init(keys[2], inputs)

    def run(params, inputs):
      return network.apply(params, inputs, initial_carry=carry)

  def loss(params, inputs):
    return jnp.sum(run(params, inputs) * weights)

  program = jax.jit(jax.grad(loss, argnums=(0, 1)))
  return {}, _repeated(program, (params, inputs), num_calls)


def make_controller(
  base: int, num_trials: int, num_batches: int
) -> tuple[Facts, Burst]:
  """Samples batches and updates the controller, with a reward without cost.

  A burst runs as many by `ask` and `tell` as in a scan by `ask_and_teller`.
  """
  space = spaces.make_space(base)
  strategy = reinforce.make_reinforce(
    controllers.make_controller(space.decisions)
  )
  num_scans = max(1, num_batches // _BATCHES_A_SCAN)
  num_updates = num_scans * min(num_batches, _BATCHES_A_SCAN)
  keys = jax.random.split(jax.random.key(0), num_updates)

  @jax.jit
  def reward(tokens):
    return jnp.mean(tokens == 1, axis=-1, dtype=jnp.float32)

  def step(state, key):
    proposals = strategy.ask(state, key, num_trials)
    return strategy.tell(state, proposals, reward(proposals.tokens))

  at_once: Any = strategy.ask_and_teller

  def scanned(state, key):
    proposals, tell = at_once(state, key, num_trials)
    return tell(reward(proposals.tokens))

  scan = jax.jit(functools.partial(lax.scan, scanned))
  ways = (step, list(keys)), (scan, jnp.split(keys, num_scans))

  def burst() -> Facts:
    state = jax.block_until_ready(strategy.init(jax.random.key(1)))
    seconds = []
    for run, parts in ways:
      last, started = state, time.perf_counter()
      for part in parts:
        last = run(last, part)[0]
      jax.block_until_ready(last)
      seconds.append(time.perf_counter() - started)
    return {
      'calls': seconds[0],
      'scan': seconds[1],
      'num_architectures': len(keys) * num_trials,
    }

  burst()
  return {}, burst


def make_peak(sizes: Sequence[int]) -> tuple[Facts, Burst]:
  """Multiplies large square float32 matrices, on all devices at once."""
  num_devices = len(jax.local_devices())
  mesh = jax.make_mesh((num_devices,), ('devices',))
  program = jax.jit(
    jax.shard_map(
      lambda first, second: jnp.dot(first[0], second[0])[None],
      mesh=mesh,
      in_specs=PartitionSpec('devices'),
      out_specs=PartitionSpec('devices'),
    )
  )
  sharding = jax.NamedSharding(mesh, PartitionSpec('devices'))
  matrices = {
    size: jax.device_put(
      np.full((num_devices, size, size), 0.5, np.float32), sharding
    )
    for size in sizes
  }

  def burst() -> Facts:
    flops = 0.0
    for size, matrix in matrices.items():
      # Small matrices are repeated more often, for about equal time.
      for _ in range(max(1, min(8, max(sizes) ** 3 // size**3))):
        started = time.perf_counter()
        jax.block_until_ready(program(matrix, matrix))
        seconds = time.perf_counter() - started
        flops = max(flops, num_devices * 2 * size**3 / seconds)
    return {'flops': flops}

  burst()
  return {}, burst


MAKERS: dict[str, worker_lib.Maker] = {
  'interpreted': make_interpreted,
  'shares': step_shares.make_shares,
  'shared': make_shared,
  'compiled': make_compiled,
  'recurrence': make_recurrence,
  'lstm': make_lstm,
  'controller': make_controller,
  'peak': make_peak,
}


def _repeated(
  program: Callable[..., Any], arguments: tuple[Any, ...], num_calls: int
) -> Burst:
  """Returns a burst of several calls, which reports the mean seconds of one."""

  def burst() -> Facts:
    started = time.perf_counter()
    for _ in range(num_calls):
      jax.block_until_ready(program(*arguments))
    return {'seconds': (time.perf_counter() - started) / num_calls}

  jax.block_until_ready(program(*arguments))
  return burst


if __name__ == '__main__':
  worker_lib.serve(MAKERS, device_lib.describe)

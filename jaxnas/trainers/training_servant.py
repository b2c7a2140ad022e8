# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The trainers that a worker holds, and the blocks that travel to and from it.

Arrays travel as NumPy arrays, and random keys as their data, so the process at
the other end may use another device.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
import dataclasses
import functools
import hashlib
import os
import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxnas
from jaxnas.types import Kept, Trained, Trainer


class Keys(NamedTuple):
  """Random keys without a device.

  Attributes:
    data: the data of the keys.
    kind: the name of their implementation.
  """

  data: np.ndarray
  kind: str


def pack(tree: Any) -> Any:
  """Returns a pytree whose arrays can be sent to another process."""

  def pack_leaf(leaf):
    if not isinstance(leaf, jax.Array):
      return leaf
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
      data = np.asarray(jax.random.key_data(leaf))
      return Keys(data, str(jax.random.key_impl(leaf)))
    return np.asarray(leaf)

  return jax.tree.map(pack_leaf, tree)


def unpack(tree: Any) -> Any:
  """Returns a pytree as before `pack`, except that its arrays are NumPy's."""

  def unpack_leaf(leaf):
    if isinstance(leaf, Keys):
      return jax.random.wrap_key_data(jnp.asarray(leaf.data), impl=leaf.kind)
    return leaf

  return jax.tree.map(
    unpack_leaf, tree, is_leaf=lambda leaf: isinstance(leaf, Keys)
  )


@dataclasses.dataclass(frozen=True)
class TrainingBlock:
  """Children that a worker trains by one call; see `policies.Block`.

  Attributes:
    trainer: the name of the trainer.
    architectures: the children's architectures, `N` of them.
    keys: the children's random keys, packed.
    learning_rates: the children's learning rates, `[N]`.
    num_steps: the length of the whole training.
    splits: the splits that the children are measured on.
    durations: the expected durations, `[N]`, if known.
    stop: the number of steps after which to pause; `None` to train to the end.
    keep: whether the children are kept.
    num_trained: the number of steps taken before this block.
    states: the children's states, packed, if any steps were taken before.
  """

  trainer: Hashable
  architectures: Sequence[Any]
  keys: Keys
  learning_rates: np.ndarray
  num_steps: int
  splits: Sequence[str]
  durations: Sequence[float] | None
  stop: int | None
  keep: bool
  num_trained: int = 0
  states: Sequence[Any] = ()

  @property
  def num_children(self) -> int:
    """The number of children."""
    return len(self.architectures)

  @property
  def kind(self) -> Hashable:
    """The key of blocks that take about as long."""
    stop = self.num_steps if self.stop is None else self.stop
    return self.trainer, stop - self.num_trained, tuple(self.splits)

  def describe(self) -> str:
    """Returns the block in a few words."""
    count = self.num_children
    return f'{count} children' if count > 1 else '1 child'

  def select(self, rows: Sequence[int]) -> TrainingBlock:
    """Returns some of the children.

    Args:
      rows: the indices of these children.
    """

    def some(values):
      return [values[row] for row in rows] if values is not None else None

    return dataclasses.replace(
      self,
      architectures=some(self.architectures),
      keys=self.keys._replace(data=self.keys.data[list(rows)]),
      learning_rates=self.learning_rates[list(rows)],
      durations=some(self.durations),
      states=some(self.states) if self.states else (),
    )

  def split(self) -> Sequence[TrainingBlock]:
    """Returns two halves, or nothing if there is just one child."""
    if self.num_children < 2:
      return ()
    half = self.num_children // 2
    return [
      self.select(range(half)),
      self.select(range(half, self.num_children)),
    ]


class TrainedBlock(NamedTuple):
  """A worker's answer to a block.

  Attributes:
    trained: the outcome, without the children that are kept.
    states: the states of the children that are kept, packed; else `None`.
    num_trained: the number of steps taken by those that are kept.
    compile_seconds: the time that this block took to compile, in seconds.
    run_seconds: the time that this block took to run, in seconds.
  """

  trained: Trained
  states: Sequence[Any] | None
  num_trained: int
  compile_seconds: float
  run_seconds: float


class Trainers(NamedTuple):
  """The trainers that a worker holds.

  Attributes:
    get: the function that returns a trainer, `name -> trainer`.
    facts: the facts that must be the same for all workers, such as a hash of
      the data.
  """

  get: Callable[[Any], Trainer]
  facts: Mapping[str, str] = {}


class TrainingServant:
  """Trains blocks of children; see `engine.Servant`."""

  def __init__(self, make_trainers: Callable[[], Trainers]):
    """Makes the trainers, without compiling anything yet.

    Args:
      make_trainers: the function that makes the trainers.
    """
    self._trainers = make_trainers()

  def card(self) -> Mapping[str, str]:
    """Returns the facts that decide the bits of results."""
    return {
      **code_facts(),
      **self._trainers.facts,
      'device': jax.devices()[0].device_kind,
      'number of devices': str(jax.local_device_count()),
      'XLA_FLAGS': os.environ.get('XLA_FLAGS', ''),
    }

  def __call__(self, block: TrainingBlock) -> TrainedBlock:
    """Trains a block."""
    trainer = self._trainers.get(block.trainer)
    compiled, run = trainer.compile_seconds, trainer.run_seconds
    settings: Any = {
      'splits': block.splits,
      'stop': block.stop,
      'keep': block.keep,
    }
    keys = unpack(block.keys)
    if block.num_trained:
      trained = trainer.resume(
        Kept(
          block.architectures,
          keys,
          block.learning_rates,
          block.num_steps,
          block.num_trained,
          unpack(block.states),
        ),
        **settings,
      )
    else:
      trained = trainer.run(
        block.architectures,
        keys,
        block.learning_rates,
        block.num_steps,
        durations=block.durations,
        **settings,
      )
    kept = trained.kept
    return TrainedBlock(
      Trained(
        {name: np.asarray(each) for name, each in trained.metrics.items()},
        np.asarray(trained.status),
        tuple(trained.reasons),
      ),
      None if kept is None else pack(list(kept.states)),
      0 if kept is None else kept.num_trained,
      trainer.compile_seconds - compiled,
      trainer.run_seconds - run,
    )


def code_facts() -> dict[str, str]:
  """Returns the versions of JAX and of this package's code."""
  return {'version of jax': jax.__version__, 'code of jaxnas': _code()}


@functools.cache
def _code() -> str:
  """Returns a hash of this package's sources."""
  digest = hashlib.sha256()
  folder = pathlib.Path(jaxnas.__file__).parent
  for path in sorted(folder.rglob('*.py')):
    digest.update(str(path.relative_to(folder)).encode())
    digest.update(path.read_bytes())
  return digest.hexdigest()[:12]

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Trains every recurrent cell of base 2 and writes the table of Base2Bench.

    python -m experiments.build_base2_table --workdir=runs/base2_table

The 36,864 cells of the space are 18,688 up to swaps of a node's operands. Each
of these is trained as a small language model, a fixed tenth of them with
further seeds, in random order, so that any part of the table is a fair sample
of it. Results are saved shard by shard: the same command continues where the
last one ended. `--num_shards` limits the number of shards that one call makes.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import functools
import math
import pathlib
import time
from typing import NamedTuple

import jax
import numpy as np

from experiments import (
  data_settings,
  launch,
  machine_settings,
  settings,
  worker_settings,
)
from jaxnas import npz
from jaxnas.datasets import base2_bench, text
from jaxnas.records import workdir as workdirs
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.trainers import cell_trainer, remote, training_servant
from jaxnas.training import dataset_tasks, text_task
from jaxnas.visualize import progress


@dataclasses.dataclass(frozen=True)
class Config(
  data_settings.TableChildren, machine_settings.Machine, worker_settings.Workers
):
  """The settings of the table; the shipped one was made with the defaults."""

  fractions: tuple[float, ...] = settings.children(
    (0.125, 0.25, 0.5, 1.0),
    'Parts of the steps after which a child is measured.',
    above=0.0,
    high=1.0,
  )
  num_seeds: int = settings.search(
    3,
    'Number of trainings of a cell that is repeated.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  repeated: float = settings.search(
    0.1, 'Part of the cells that is repeated.', low=0.0, high=1.0
  )
  shard_size: int = settings.search(
    512, 'Number of trainings in a shard.', low=1, high=settings.MAX_ITEMS
  )
  num_shards: int = settings.search(
    0,
    'Number of shards to make before the command ends; 0: all.',
    is_common=True,
    low=0,
    high=settings.MAX_COUNT,
  )


def worker_trainers(config: Config) -> training_servant.Trainers:
  """Makes the trainer of a table in a worker.

  Args:
    config: the settings.
  """
  builder = Builder(config)
  return training_servant.Trainers(
    lambda _: builder.trainer.trainer, builder.data_facts
  )


class Jobs(NamedTuple):
  """The trainings of a table, in order.

  Attributes:
    cells: the index of each training's cell, `int32[E]`.
    seeds: the seed of each training, `int32[E]`.
  """

  cells: np.ndarray
  seeds: np.ndarray


def run(config: Config, workdir: str) -> None:
  """Makes shards, and the table from all shards so far.

  Args:
    config: the settings.
    workdir: the folder for the shards and the table.

  Raises:
    ValueError: a setting is out of range, or a shard belongs to another table.
  """
  builder = Builder(config)
  with (
    worker_settings.Team(config, workdir) as team,
    workdirs.lock(workdir) as path,
  ):
    children = builder.trainer
    wrap = worker_settings.wrap(
      team, 'build_base2_table', config, builder.data_facts
    )
    children.trainer = wrap('cells', children.trainer)
    workdirs.check_config(
      path,
      dataclasses.asdict(config),
      free=('num_shards', 'num_host_devices', *worker_settings.FREE),
      defaults=dataclasses.asdict(Config()),
    )
    missing = [
      index
      for index in range(builder.num_shards)
      if not _shard_path(path, index).exists()
    ]
    data_hash = builder.dataset.content_hash
    workdirs.check_data(path, data_hash)
    if missing:
      workdirs.write_manifest(path, data_hash=data_hash)
      _make_shards(builder, path, missing, config.num_shards)
    shards = [
      read_shard(_shard_path(path, index), builder.jobs_of(index))
      for index in range(builder.num_shards)
      if _shard_path(path, index).exists()
    ]
    table = builder.table(shards)
    base2_bench.save(table, path / 'base2_bench.npz')
    _show(table, path, len(shards), builder.num_shards)


class Builder:
  """Trains the cells of a table.

  Attributes:
    ranks: the cell that is trained for each class of equal cells, `int32[C]`; a
      rank is the mixed-radix number whose digits are the cell's tokens.
    jobs: the trainings.
    num_shards: the number of shards.
    dataset: the text.
    trainer: the trainer of the children.
  """

  def __init__(self, config: Config):
    """Reads the text and enumerates the cells.

    Raises:
      ValueError: a setting is out of range.
    """
    self._config = config
    space = spaces.make_space(2)
    tasks = dataset_tasks.TextTasks(
      text.load('pydoc', vocab_size=config.vocab_size),
      config.batch_size,
      config.num_unrolled,
    )
    self.trainer = cell_trainer.CellTrainer(
      space,
      tasks,
      text_task.Recipe(features=config.features),
      learning_rate=config.learning_rate,
      fractions=config.fractions,
      block_size=config.block_size,
      num_devices=config.num_host_devices,
      seed=config.seed,
    )
    self.dataset = tasks.dataset
    self._num_devices = self.trainer.trainer.num_devices
    self._cell_of, self.ranks = _enumerate()
    self.jobs = _order(config, len(self.ranks))
    self.num_shards = -(-len(self.jobs.cells) // config.shard_size)

  def jobs_of(self, index: int) -> Jobs:
    """Returns the trainings of a shard."""
    size = self._config.shard_size
    return Jobs(*(x[index * size : (index + 1) * size] for x in self.jobs))

  def shard(self, index: int) -> dict[str, np.ndarray]:
    """Trains a shard; returns its jobs, their results and its duration."""
    started = self._core_seconds()
    cells, seeds = self.jobs_of(index)
    tokens = base2_bench.tokens_of(self.ranks[cells])
    measured = self.trainer.train(tokens, seeds, self._config.num_steps)
    seconds = np.array(self._core_seconds() - started, np.float32)
    return {'cells': cells, 'seeds': seeds, 'core_seconds': seconds, **measured}

  def _core_seconds(self) -> float:
    """Returns the time of a core so far, in this process or in workers."""
    trainer = self.trainer.trainer
    if not isinstance(trainer, remote.RemoteTrainer):
      return time.process_time()
    return trainer.num_workers * (trainer.compile_seconds + trainer.run_seconds)

  @property
  def data_facts(self) -> dict[str, str]:
    """What tells whether a worker reads the same text."""
    return {'data': self.dataset.content_hash}

  def table(
    self, shards: Sequence[dict[str, np.ndarray]]
  ) -> base2_bench.Base2Bench:
    """Joins shards; missing results are NaN in the table."""
    config = self._config
    shape = (len(self.ranks), config.num_seeds, len(config.fractions))
    curves = {
      name: np.full(shape, np.nan, np.float32) for name in cell_trainer.SPLITS
    }
    num_trained = np.full(shape[:2], -1, np.int32)
    for shard in shards:
      places = shard['cells'], shard['seeds']
      num_trained[places] = shard['num_trained']
      for name in cell_trainer.SPLITS:
        curves[name][places] = shard[name]
    return base2_bench.Base2Bench(
      cell_of=self._cell_of,
      num_trained=num_trained,
      # In single precision, like the children's points.
      points=tuple(
        math.ceil(np.float32(fraction) * config.num_steps)
        for fraction in config.fractions
      ),
      facts={
        'content_hash': self.dataset.content_hash,
        'vocab_size': self.dataset.vocab_size,
        'num_params': self.trainer.num_params,
        'core_hours': float(sum(shard['core_seconds'] for shard in shards))
        / 3600,
        'device': jax.devices()[0].device_kind,
        'num_devices': self._num_devices,
        'jax': jax.__version__,
        'config': worker_settings.without_workers(config),
      },
      **curves,
    )


@functools.cache
def _enumerate() -> tuple[np.ndarray, np.ndarray]:
  """Returns the class of every cell `[A]`, and each class's rank `[C]`."""
  space = spaces.make_space(2)
  tokens = base2_bench.tokens_of(np.arange(space.size))
  canonical = np.array([space.canonical(row) for row in tokens])
  ranks, cell_of = np.unique(
    base2_bench.ranks_of(canonical), return_inverse=True
  )
  return cell_of.astype(np.int32), ranks.astype(np.int32)


def _order(config: Config, num_cells: int) -> Jobs:
  """Orders the trainings: those of repeated cells first, then the rest."""
  order = np.random.default_rng(config.seed).permutation(num_cells)
  num_repeated = round(config.repeated * num_cells)
  repeated, others = order[:num_repeated], order[num_repeated:]
  cells = [np.repeat(repeated, config.num_seeds), others]
  seeds = [
    np.tile(np.arange(config.num_seeds), num_repeated),
    np.zeros(len(others), np.int64),
  ]
  return Jobs(*(np.concatenate(x).astype(np.int32) for x in (cells, seeds)))


def _shard_path(folder: pathlib.Path, index: int) -> pathlib.Path:
  return folder / 'shards' / f'{index:04d}.npz'


def read_shard(path: pathlib.Path, jobs: Jobs) -> dict[str, np.ndarray]:
  """Returns a shard that `Builder.shard` made.

  Args:
    path: the file.
    jobs: the trainings that the file must hold.

  Raises:
    ValueError: the file is damaged, or holds another shard.
  """
  names = ('cells', 'seeds', 'core_seconds', 'num_trained')
  try:
    shard = npz.read(path, (*names, *cell_trainer.SPLITS))
  except npz.NpzError as error:
    raise ValueError(
      f'{path} is damaged ({error.reason}); remove it, and it will be made '
      'again.'
    ) from None
  if not all(
    np.array_equal(shard[name], values)
    for name, values in jobs._asdict().items()
  ):
    raise ValueError(
      f'{path} does not hold the trainings of this shard of this table; remove '
      'it, and it will be made again.'
    )
  return shard


def _make_shards(builder, path, missing, num_shards):
  (path / 'shards').mkdir(exist_ok=True)
  num_done = builder.num_shards - len(missing)
  with progress.Progress(builder.num_shards, unit='shard') as shown:
    shown.update(num_done)
    for index in missing[: num_shards or None]:
      npz.write(_shard_path(path, index), builder.shard(index), compressed=True)
      num_done += 1
      shown.update(num_done)


def _show(table, path, num_shards, num_needed):
  noise = table.noise()
  print(
    f'{num_shards} of {num_needed} shards: {table.num_trainings:,} trainings '
    f'of {table.num_cells:,} cells, {table.facts["core_hours"]:.2f} hours of a '
    f'core ({table.facts["device"]}).'
  )
  progress.table(
    f'Noise, over {noise.num_cells} cells with {table.num_seeds} seeds',
    [
      'steps',
      'seed deviation',
      'cell deviation',
      'rank correlation',
      'in the best tenth',
      'reward deviation there',
      'failed',
    ],
    [
      [
        str(steps),
        f'{noise.seed_deviation[point]:.4f}',
        f'{noise.cell_deviation[point]:.4f}',
        f'{noise.rank_correlation[point]:.4f}',
        f'{noise.best_rank_correlation[point]:.4f}',
        f'{noise.reward_deviation[point]:.4f}',
        f'{table.failed_part(point):.1%}',
      ]
      for point, steps in enumerate(table.points)
    ],
  )
  print(f'Wrote {path / "base2_bench.npz"}.')


if __name__ == '__main__':
  launch.launch(Config, run)

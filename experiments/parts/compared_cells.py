# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Recurrent cells that are compared: their names, sizes and trainers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import math
import os
from typing import Any

import jax
import jax.numpy as jnp

from experiments import machine_settings, settings, train_recurrent_cell
from jaxnas import contestants as contestants_lib
from jaxnas.datasets import prepared
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.trainers import blocks
from jaxnas.training import dataset_tasks, long_text
from jaxnas.types import Trainer

Cell = spaces.RecurrentCell | str
"""A cell of the grammar, or a name in `long_text.USUAL_CELLS`."""

_LABELS = {'lstm': 'LSTM', 'gru': 'GRU', 'nascell': 'NASCell'}


def read_cells(names: Sequence[str]) -> dict[str, Cell]:
  """Returns cells by their names in tables.

  Args:
    names: names of known cells, and paths of architecture files.

  Raises:
    ValueError: a name is not known, a file holds no cell, or there are fewer
      than two names, or equal ones.
    OSError: a file is missing.
  """
  if len(names) < 2:
    raise ValueError(
      '--architectures must be two or more, the first of which is compared '
      f'with the others; got {", ".join(names) or "none"}.'
    )
  for name in names:
    if names.count(name) > 1:
      raise ValueError(f'--architectures has {name} more than once.')
  cells = [_read(name) for name in names]
  stems = [_stem(name) for name in names]
  labels = [
    _LABELS.get(name, stem if stems.count(stem) == 1 else name)
    for name, stem in zip(names, stems, strict=True)
  ]
  if len(set(labels)) < len(labels):
    labels = list(names)
  return dict(zip(labels, cells, strict=True))


def _read(name: str) -> Cell:
  # Those of the grammar compute the same, with more parameters.
  if name in long_text.USUAL_CELLS:
    return name
  return train_recurrent_cell.read_architecture(name)


def _stem(name: str) -> str:
  return os.path.basename(os.fspath(prepared.expand(name))).removesuffix(
    '.json'
  )


def make_contestants(
  cells: Mapping[str, Cell],
  recipe: long_text.Recipe,
  vocab_size: int,
  num_params: int,
) -> tuple[contestants_lib.Contestant, ...]:
  """Gives every cell the width with about equally many parameters.

  Args:
    cells: the cells, by label.
    recipe: the recipe of every model; its width is that of the first cell.
    vocab_size: the size of the vocabulary.
    num_params: the number of parameters; 0 for that of the first cell.

  Raises:
    ValueError: no width comes near that number.
  """
  found = []
  for label, cell in cells.items():
    count = _counter(recipe, vocab_size, cell)
    features = recipe.features
    if num_params:
      features = contestants_lib.equal_features(
        count, num_params, settings.MAX_FEATURES
      )
    own = count(features)
    num_params = num_params or own
    if not num_params / 2 < own < num_params * 2:
      raise ValueError(
        f'{label} cannot have about {num_params:,} parameters on this text: '
        f'with {features:,} hidden units it has {own:,}. Give other --features '
        'or --num_params.'
      )
    found.append(
      contestants_lib.Contestant(
        label,
        group=label,
        trainer=label,
        num_params=own,
        features=features,
        architecture=None if isinstance(cell, str) else cell,
      )
    )
  return tuple(found)


def _counter(
  recipe: long_text.Recipe, vocab_size: int, cell: Cell
) -> Callable[[int], int]:
  """Returns the function `features -> number of parameters` of a cell."""
  # Embedding, biases and kernels make it a polynomial of degree 2 in the width.
  # Three traces, of a tenth of a second each, thus take the place of one for
  # each width that is tried.
  first, second, third = (
    _count(dataclasses.replace(recipe, features=width), vocab_size, cell)
    for width in (1, 2, 3)
  )
  square = (third - 2 * second + first) // 2
  linear = second - first - 3 * square
  return lambda features: (
    square * (features**2 - 1) + linear * (features - 1) + first
  )


def _count(recipe: long_text.Recipe, vocab_size: int, cell: Cell) -> int:
  """Returns the number of parameters of a model of a cell."""
  model = long_text.make_model(recipe, vocab_size, cell)

  def init(key):
    tokens = jnp.zeros((1, 1), jnp.int32)
    carry = model.initialize_carry(1)
    return model.init(key, carry, tokens, method='logits')

  params = jax.eval_shape(init, jax.random.key(0))
  return sum(leaf.size for leaf in jax.tree.leaves(params))


def make_trainers(
  cells: Mapping[str, Cell],
  contestants: Sequence[contestants_lib.Contestant],
  recipe: long_text.Recipe,
  tasks: dataset_tasks.TextTasks,
  block_size: int,
  num_devices: int,
) -> dict[str, Trainer]:
  """Makes a trainer for each cell, by label.

  Args:
    cells: the cells, by label.
    contestants: the cells' contestants, which have their widths.
    recipe: the recipe of every model.
    tasks: the tasks on the text.
    block_size: the number of trainings in one call.
    num_devices: the number of devices that they are spread over.

  Raises:
    ValueError: the block size is not a multiple of the number of devices.
  """
  trainers: dict[str, Trainer] = {}
  for each in contestants:
    assert each.features is not None
    own = dataclasses.replace(recipe, features=each.features)
    task = tasks.make_long(own, cells[each.label])
    trainers[each.label] = blocks.BlockTrainer(task, block_size, num_devices)
  return trainers


def choose_block_size(config: Any) -> int:
  """Returns the number of trainings in one call, chosen for the device.

  Args:
    config: the settings of a comparison.
  """
  num_devices = machine_settings.choose_num_devices(config)
  # Workers with GPUs, which this process does not see.
  num_gpus = config.gpus_per_worker
  most = blocks.default_block_size(
    num_gpus or num_devices, 'gpu' if num_gpus else ''
  )
  each = math.lcm(num_gpus or 1, num_devices)
  # A larger block would be padded with repeats.
  num_jobs = max(
    len(config.learning_rates) * config.num_selection_seeds, config.num_seeds
  )
  return -(-min(most, num_jobs) // each) * each


def estimate(
  trainers: Mapping[str, Trainer],
  learning_rate: float,
  num_steps: int,
  num_stages: Sequence[int],
) -> float:
  """Returns the seconds of all trainings, from a block of a few steps of each.

  Args:
    trainers: the trainers of the architectures.
    learning_rate: any learning rate.
    num_steps: the length of a training.
    num_stages: the number of trainings of an architecture in each stage.
  """
  return sum(
    _seconds(trainer, learning_rate, num_steps)
    * sum(-(-count // trainer.block_size) for count in num_stages)
    for trainer in trainers.values()
  )


def _seconds(trainer: Trainer, learning_rate: float, num_steps: int) -> float:
  """Returns the estimated seconds of a block."""
  keys = jax.random.split(jax.random.key(0), trainer.block_size)

  def measure(count):
    started = trainer.run_seconds
    trainer.run(
      [None] * len(keys),
      keys,
      [learning_rate] * len(keys),
      count,
      splits=('validation', 'report'),
    )
    return trainer.run_seconds - started

  few, more = 1, 5
  measure(few)
  first = measure(few)
  step = max(0.0, measure(more) - first) / (more - few)
  return first + (num_steps - few) * step

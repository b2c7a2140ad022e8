# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""How a search for recurrent cells trains its children."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from experiments import settings
from jaxnas.children import platforms, recurrent_interpreter
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.trainers import block_widths, blocks, memory, recurrences, routes
from jaxnas.training import dataset_tasks, text_task
from jaxnas.types import Task


def choose_recurrence(
  config: Any,
  tasks: dataset_tasks.TextTasks,
  num_devices: int,
  kept: str | None,
) -> str:
  """Returns how cells read a sequence; on an accelerator, prints why.

  Args:
    config: the settings of a search for cells.
    tasks: the tasks on the text.
    num_devices: the number of devices that children are spread over.
    kept: what `auto` chose earlier in this run, if anything.

  Raises:
    ValueError: the requested recurrence cannot train these children.
  """
  if config.recurrence == 'kernel':
    # Pallas takes a third of a second to import.
    from jaxnas.children import recurrence_kernel

    recurrence_kernel.check_features(config.features)
  space = spaces.make_space(config.base, config.combiners, config.activations)

  def measure(recurrence):
    width = config.block_size or blocks.default_block_size(num_devices)
    asked = dataclasses.replace(config, recurrence=recurrence)
    task = make_task(asked, tasks, make_recipe(config))
    rng = np.random.default_rng(config.seed)
    cells = [
      space.decode(
        np.array([rng.integers(each.num_choices) for each in space.decisions])
      )
      for _ in range(width)
    ]
    return routes.measure(
      blocks.BlockTrainer(task, width, num_devices), cells, config.learning_rate
    )

  return recurrences.choose(
    measure,
    config.recurrence,
    kept,
    config.num_trials,
    config.num_steps or config.num_epochs * tasks.num_segments,
  )


def choose_block_size(
  config: Any, tasks: dataset_tasks.TextTasks, num_devices: int
) -> int:
  """Returns the number of children at once, chosen for the device.

  On an accelerator, prints why.

  Args:
    config: the settings of a search for cells, with its recurrence chosen;
      `block_size` and what follows from the data alone may be open.
    tasks: the tasks on the text.
    num_devices: the number of devices that children are spread over.
  """
  # A block larger than a round would be padded with repeats.
  most = max(1, -(-config.round_size // num_devices))
  first = blocks.default_block_size(num_devices) // num_devices
  if platforms.default() == 'cpu':
    return min(first, most) * num_devices
  space = spaces.make_space(config.base, config.combiners, config.activations)
  any_cell = space.decode(np.zeros(space.num_tokens, np.int32))
  task = make_task(config, tasks, make_recipe(config))

  def needed_bytes(width):
    trainer = blocks.BlockTrainer(task, width * num_devices, num_devices)
    return trainer.needed_bytes(any_cell)

  choice = block_widths.choose(
    needed_bytes, memory.available(jax.local_devices()[0]), first, most
  )
  each = ' on each device' if num_devices > 1 else ''
  print(choice.reason.removesuffix('.') + f'{each}.', flush=True)
  return choice.block_size * num_devices


def make_recipe(config: Any) -> text_task.Recipe:
  """Returns the recipe of every child."""
  return settings.fill(
    text_task.Recipe, config, unset=('embedding_scale', 'cell_scale')
  )


def make_task(
  config: Any, tasks: dataset_tasks.TextTasks, recipe: text_task.Recipe
) -> Task:
  """Makes the task of training any cells of the space.

  Args:
    config: the settings of a search for cells, of which `recurrence` is chosen.
    tasks: the tasks on the text.
    recipe: the recipe of every child.
  """
  operations: Any = {
    'combiners': config.combiners,
    'activations': config.activations,
  }
  return tasks.make(
    recipe,
    functools.partial(
      recurrent_interpreter.InterpretedCell,
      recurrence=config.recurrence,
      **operations,
    ),
    functools.partial(recurrent_interpreter.assemble, **operations),
    recurrent_interpreter.BATCH_AXES,
  )

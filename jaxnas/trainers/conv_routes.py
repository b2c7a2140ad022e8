# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The routes for training convolutional networks, and the choice of one.

- `compiled`: one program per network, compiled while others train.
- `interpreted`: one program that takes networks as data and really branches, so
  a device trains one child after another.
- `vmapped`: one program with which a device trains many children at once, each
  as a masked version of the largest network.

`auto` measures the routes and chooses the cheapest. On a CPU the vmapped route
is not considered: it wastes most of its arithmetic, which a CPU cannot afford.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import functools
from typing import Any

import numpy as np

from jaxnas.children import (
  conv_interpreter,
  conv_masked,
  conv_net,
  conv_program,
  platforms,
)
from jaxnas.datasets import images
from jaxnas.spaces import known_conv_nets
from jaxnas.trainers import (
  blocks,
  compiled,
  compiler_options,
  mapping,
  memory,
  routes,
)
from jaxnas.training import dataset_tasks, image_task
from jaxnas.types import SearchSpace, Task, Trainer

ROUTES = ('compiled', 'interpreted', 'vmapped')

_NUM_VMAPPED = 32


def default_block_size(name: str, num_devices: int, platform: str = '') -> int:
  """Returns the number of children per call of a route.

  Args:
    name: the name of the route, one of `ROUTES`.
    num_devices: the number of devices that children are spread over.
    platform: the platform of the devices; `platforms.default()` by default.
  """
  platform = platform or platforms.default()
  is_wide = name == 'vmapped' and platform != 'cpu'
  return num_devices * (_NUM_VMAPPED if is_wide else 4)


class ConvRoutes:
  """Makes the routes for the networks of a search space, on demand.

  Attributes:
    dataset: the images.
    recipe: the recipe by which a child is trained.
    merge: how a layer joins several inputs.
    num_devices: the number of devices that children are spread over.
    trainers: the trainers of the routes and baselines made so far.
    wrap: a function `(name, trainer) -> trainer`, whose results the search and
      its retraining use; they may train elsewhere.
  """

  def __init__(
    self,
    dataset: images.ImageDataset,
    recipe: image_task.Recipe,
    layout: dict[str, Any],
    num_devices: int,
    block_size: int,
  ):
    """Prepares the data; no route is made yet.

    Args:
      dataset: the images.
      recipe: the recipe by which a child is trained.
      layout: the dimensions of the search space: `num_layers`, `heights`,
        `widths`, `filters` and `merge`.
      num_devices: the number of devices that children are spread over.
      block_size: the number of children per call; 0 for the route's default.

    Raises:
      ValueError: there are fewer devices, or fewer images than one batch.
    """
    self.dataset, self.recipe = dataset, recipe
    self.num_devices = num_devices
    self.trainers: list[Trainer] = []
    self.wrap: Callable[[Any, Trainer], Trainer] = lambda name, trainer: trainer
    self._block_size = block_size
    # All tasks share the data, so it is copied to the devices once. The network
    # of this task does not matter: it is never initialized.
    task = dataset_tasks.make_image_task(
      dataset,
      recipe,
      lambda _: conv_net.make_network(
        known_conv_nets.make_chain(1), dataset.image_shape, dataset.num_classes
      ),
    )
    self._data = mapping.place(
      (task.train_data, dict(task.splits)), num_devices
    )
    self.merge: str = layout['merge']
    self._layout = layout | {
      'image_shape': dataset.image_shape,
      'num_classes': dataset.num_classes,
    }

  @functools.cache  # noqa: B019  # A run has one instance.
  def make(self, name: str) -> Trainer:
    """Makes the trainer of a route.

    Args:
      name: the name of the route, one of `ROUTES`.

    Raises:
      ValueError: there is no such route.
    """
    if name == 'compiled':
      trainer: Any = compiled.CompiledTrainer(
        self.compiled_task, self._choose_block_size(name), self.num_devices
      )
    elif name == 'interpreted':
      interpreter = conv_interpreter.ConvInterpreter(**self._layout)
      trainer = self._block_trainer(
        name,
        self._task(
          interpreter.make_network,
          interpreter.assemble,
          conv_program.BATCH_AXES,
        ),
        'loop',
      )
    elif name == 'vmapped':
      masked = conv_masked.ConvMasked(**self._layout)
      trainer = self._block_trainer(
        name,
        self._task(
          masked.make_network, masked.assemble, conv_masked.BATCH_AXES
        ),
        'vmap',
      )
    else:
      raise ValueError(
        f'Unknown route {name!r}; expected one of auto, {", ".join(ROUTES)}.'
      )
    self.trainers.append(trainer)
    return trainer

  def place(self, name: str) -> Trainer:
    """Returns the trainer of a route, passed through `wrap`."""
    trainer = self.make(name)
    wrapped = self.wrap(name, trainer)
    if wrapped is not trainer:
      self.trainers.append(wrapped)
    return wrapped

  def make_baseline(self, architecture: Any) -> Trainer:
    """Makes a compiled trainer for several trainings of one network.

    A block has one child per device, so a kill loses at most one training per
    device. The name that `wrap` gets is the architecture.
    """
    trainer: Trainer = blocks.BlockTrainer(
      self.compiled_task(architecture),
      self.num_devices,
      self.num_devices,
      mapping='loop',
      compiler_options=compiler_options.of_one_architecture(
        platforms.default()
      ),
    )
    trainer = self.wrap(architecture, trainer)
    self.trainers.append(trainer)
    return trainer

  def compiled_task(self, architecture) -> Task:
    """Makes the task of training one network with its own program."""
    return self._task(
      lambda _: conv_net.make_network(
        architecture, self.dataset.image_shape, self.dataset.num_classes
      )
    )

  def measure(
    self, space: SearchSpace, name: str, learning_rate: float
  ) -> routes.Timing:
    """Measures the cost of a route on random networks of full depth.

    Args:
      space: the search space of the networks.
      name: the name of the route, one of `ROUTES`.
      learning_rate: the learning rate of the trial trainings.

    Raises:
      NotEnoughMemoryError: the route does not fit.
    """
    trainer = self.make(name)
    generator = np.random.default_rng(0)
    sizes = [
      d.num_choices for d in space.decisions for _ in range(d.num_tokens)
    ]
    # A compiled child has its own program; other routes run full blocks.
    count = self.num_devices if name == 'compiled' else trainer.block_size
    architectures: Sequence[Any] = [
      space.decode(generator.integers(0, sizes).astype(np.int32))
      for _ in range(count)
    ]
    return routes.measure(trainer, architectures, learning_rate)

  def _task(self, make_network, assemble=None, program_axes=None):
    task = dataset_tasks.make_image_task(
      self.dataset, self.recipe, make_network, assemble, program_axes
    )
    train_data, splits = self._data
    return task._replace(train_data=train_data, splits=splits)

  def _choose_block_size(self, name):
    return self._block_size or default_block_size(name, self.num_devices)

  def _block_trainer(self, name, task, mapping):
    return blocks.BlockTrainer(
      task, self._choose_block_size(name), self.num_devices, mapping=mapping
    )


def candidates(space_is_plain: bool) -> tuple[str, ...]:
  """Returns the routes that `auto` measures.

  Args:
    space_is_plain: whether all strides are 1 and there is no pooling; other
      networks can only be compiled.
  """
  if not space_is_plain:
    return ('compiled',)
  if platforms.default() == 'cpu':
    return ('compiled', 'interpreted')
  return ROUTES


def choose(
  makers: ConvRoutes,
  space: SearchSpace,
  asked: str,
  kept: str | None,
  *,
  is_plain: bool,
  learning_rate: float,
  num_trials: int,
  num_steps: int,
) -> tuple[str, routes.Timing | None]:
  """Chooses the route of a search, by measuring if asked to.

  Args:
    makers: the maker of the routes.
    space: the search space of the networks.
    asked: the requested route, one of `ROUTES` or `'auto'`.
    kept: the route that `'auto'` chose when the run was started, if any.
    is_plain: whether all strides are 1 and nothing is pooled.
    learning_rate: the learning rate of the short trainings.
    num_trials: the number of trainings in the search.
    num_steps: the number of steps of each training.

  Returns:
    The route's name, and its cost if that was measured.

  Raises:
    ValueError: the requested route cannot train these networks.
  """
  names = candidates(is_plain)
  if asked != 'auto':
    if not is_plain and asked != 'compiled':
      raise ValueError(
        f'The {asked} route supports neither strides nor pooling; use '
        '--route=compiled or leave them out.'
      )
    return asked, None
  if kept is not None:
    return kept, None
  if len(names) == 1:
    print(f'Route {names[0]}: the only one that supports strides or pooling.')
    return names[0], None
  measured: dict[str, Any] = {}
  for name in names:
    try:
      measured[name] = makers.measure(space, name, learning_rate)
    except memory.NotEnoughMemoryError as error:
      measured[name] = error
  name, reason = routes.choose(measured, num_trials, num_steps)
  print(
    f'Route {name}: {reason} A resumed run keeps it; to repeat the run, pass '
    f'--route={name}.',
    flush=True,
  )
  return name, measured[name]

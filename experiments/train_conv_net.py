# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

r"""Trains one convolutional network from scratch, to the end.

    python -m experiments.train_conv_net --workdir=runs/train_conv \
        --architecture=runs/conv_net/best.json

The defaults are the training recipe of "Densely Connected Convolutional
Networks", Huang et al., 2017 (https://arxiv.org/abs/1608.06993, section 4.2),
on scikit-learn's digits; `--num_epochs=30` is enough for these.
`--preset=paper` is the recipe with the images of "Neural Architecture Search
with Reinforcement Learning", Zoph and Le, 2017, section 4.1: the network of its
figure 7 on CIFAR-10. The model of the epoch with the highest validation
accuracy is kept and written to `weights.npz`. With `--evaluate_test`, and only
then, it is measured on the test split: once, at the end.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from typing import Any

from experiments import (
  conv_settings,
  data_settings,
  launch,
  machine_settings,
  settings,
)
from jaxnas import statistics
from jaxnas.children import conv_net
from jaxnas.datasets import held_out, images, prepared
from jaxnas.export import architecture as architecture_file
from jaxnas.export import image_weights
from jaxnas.runs import (
  long_training,
  trained_models,
  training_run,
  training_terms,
)
from jaxnas.spaces import conv_net as spaces
from jaxnas.spaces import known_conv_nets
from jaxnas.training import dataset_tasks, image_task, long_images
from jaxnas.training.image_evaluation import Examples
from jaxnas.training.long_images import Recipe


@dataclasses.dataclass(frozen=True)
class Config(conv_settings.ConvTraining, machine_settings.LongTraining):
  """Settings of one long training."""

  architecture: str = settings.children(
    'resnet',
    'Network: chain, dense, resnet, figure_7 (the one that the paper found) or '
    'the path of a best.json.',
    is_common=True,
  )
  num_layers: int = settings.children(
    6,
    'Number of layers of a chain, dense or resnet.',
    low=1,
    high=settings.MAX_LAYERS,
  )
  filters: int = settings.children(
    24,
    'Number of filters of every layer of a chain, dense or resnet.',
    low=1,
    high=spaces.MAX_FILTERS,
  )
  merge: str | None = settings.children(
    None,
    'How layers of a chain, dense or resnet join inputs; none: add in a '
    'resnet, concat elsewhere.',
    choices=spaces.MERGES,
  )
  batch_norm_epsilon: float = settings.children(
    Recipe.batch_norm_epsilon,
    'Number that batch norm adds to variances.',
    above=0.0,
  )
  num_epochs: int = settings.children(
    300,
    'Number of epochs; it may be raised later where the schedule is constant.',
    source=settings.DENSENET,
    is_common=True,
    low=1,
    high=settings.MAX_COUNT,
  )


PRESETS = {
  'densenet': Config(),
  'paper': Config(
    architecture='figure_7',
    dataset='cifar10',
    # The other 45,000 are trained on; the paper has no report split.
    num_validation=5000,
    num_report=0,
    preprocessing='whiten',
    # "Upsample each image then choose a random 32x32 crop": to 40x40, says
    # NASNet (Zoph et al., 2018), by the same authors.
    augmentation='upsample_crop',
    margin=4,
    flip=True,
  ),
}

_TERMS = training_terms.Terms(
  measure=statistics.ACCURACY,
  train_metric='loss',
  counted='images',
  remedy='--learning_rate',
)


def run(config: Config, workdir: str) -> None:
  """Trains, resumes or shows a training.

  Args:
    config: the settings.
    workdir: the run's folder.
  """
  training_run.run(make_training(config), workdir)


def make_training(
  config: Config, dataset: images.ImageDataset | None = None
) -> long_training.Training:
  """Makes everything of a training that its settings decide.

  Args:
    config: the settings.
    dataset: the data that the settings name; loaded by default.

  Raises:
    ValueError: a setting is out of range, or the data is unsuitable.
    OSError: a file is missing.
  """
  recipe = settings.fill(
    Recipe,
    config,
    unset=('evaluate_every', 'num_evaluations', 'evaluation_batch_size'),
  )
  architecture = read_architecture(
    config.architecture, config.num_layers, config.filters, config.merge
  )
  if dataset is None:
    dataset = data_settings.load_images(config)
  if config.evaluate_test:
    held_out.check_images(dataset, config.data_dir)
  epoch_steps = _count_steps(len(dataset.train_labels), recipe.batch_size)
  height, width, channels = dataset.image_shape
  num_params = architecture.num_params(channels, dataset.num_classes)
  num_multiply_adds = architecture.num_multiply_adds(
    height, width, channels, dataset.num_classes
  )
  network = conv_net.make_network(
    architecture,
    dataset.image_shape,
    dataset.num_classes,
    epsilon=recipe.batch_norm_epsilon,
  )
  task = dataset_tasks.make_long_image_task(dataset, recipe, network)
  return long_training.Training(
    # With the other schedules, the rates depend on the length.
    **machine_settings.of_training(
      config, may_grow=config.schedule == 'constant'
    ),
    label=(
      f'{config.architecture}: layers {len(architecture.layers)}, parameters '
      f'{num_params:,}, multiply-adds per image {num_multiply_adds:,}, steps '
      f'per epoch {epoch_steps:,}.'
    ),
    terms=dataclasses.replace(_TERMS, has_report=dataset.has_report),
    settings=dataclasses.asdict(config)
    | {
      'image_shape': list(dataset.image_shape),
      'num_classes': dataset.num_classes,
      'data_hash': dataset.content_hash,
      'net': architecture.to_json(),
    },
    num_epochs=config.num_epochs,
    epoch_steps=epoch_steps,
    architecture=architecture,
    task=task,
    initial_learning_rate=config.learning_rate,
    learning_rate=long_images.make_schedule(
      recipe, config.learning_rate, config.num_epochs * epoch_steps
    ),
    model=lambda state: state.child,
    with_model=lambda state, child: state._replace(child=child),
    train_value=lambda metrics: float(metrics['epoch_loss']) / epoch_steps,
    load_test=functools.partial(_load_test, config, recipe, dataset),
    write_weights=functools.partial(
      _write_weights, recipe, architecture, dataset
    ),
    load=trained_models.load_classifier,
    facts={
      'seed': config.seed,
      **data_settings.facts_of_images(dataset),
      'num_params': num_params,
      'num_multiply_adds': num_multiply_adds,
    },
  )


def read_architecture(
  name: str, num_layers: int, filters: int, merge: str | None
) -> spaces.ConvNet:
  """Returns the network of a known name or of a file.

  Args:
    name: the name of a network, or the path of a file.
    num_layers: the number of layers of a known network; a file has its own, as
      for the rest.
    filters: the number of filters of every layer.
    merge: how a layer joins several inputs; `None` is `'add'` for a residual
      network, else `'concat'`.

  Raises:
    ValueError: nothing has that name, or the file holds none.
    OSError: there is no such file.
  """
  if name.endswith('.json') or os.path.basename(name) != name:
    net: Any = architecture_file.load_architecture(
      prepared.expand(name), 'conv_net'
    )
    return net
  if merge is None:
    merge = 'add' if name == 'resnet' else 'concat'
  try:
    return known_conv_nets.known_net(name, num_layers, filters, merge)
  except ValueError as error:
    if name in known_conv_nets.KNOWN_NETS:
      raise
    raise ValueError(f'{error} The name of a file must end in .json.') from None


def _count_steps(num_images: int, batch_size: int) -> int:
  """Returns the number of steps of an epoch."""
  if num_images < batch_size:
    raise ValueError(
      f'batch_size is {batch_size}, but there are only {num_images} images to '
      'train on; make it smaller.'
    )
  return num_images // batch_size


def _load_test(config, recipe, dataset) -> tuple[Examples, int]:
  examples = Examples(*held_out.load_images(dataset, config.data_dir))
  return image_task.view(recipe, examples), len(examples.labels)


def _write_weights(recipe, architecture, dataset, path, child, **facts) -> None:
  facts = {
    'dataset': dataset.name,
    'data_hash': dataset.content_hash,
    **facts,
  }
  weights = image_weights.ImageWeights(
    params=child.params,
    batch_stats=child.batch_stats,
    architecture=architecture,
    image_shape=dataset.image_shape,
    num_classes=dataset.num_classes,
    statistics=dataset.statistics,
    recipe=recipe,
    facts=facts,
  )
  image_weights.write_weights(path, weights)


if __name__ == '__main__':
  launch.launch(Config, run, presets=PRESETS, takes_settings=True)

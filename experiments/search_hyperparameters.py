# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Searches for hyperparameters, against random search at equal cost.

    python -m experiments.search_hyperparameters --workdir=runs/hyperparameters

A controller chooses the learning rate, the momentum, the weight decay, the
activation, the width and the batch size of a perceptron with two hidden layers,
which is trained for a few epochs; its reward is based on its validation
accuracy. The best of each search are retrained, each at its own learning rate,
and compared with what one would choose without a search: usual settings and the
largest width, with the learning rate chosen from a small grid.

Perceptrons of equal width and batch size train in one call, whatever their
other hyperparameters. You can also search with your own function; see
`jaxnas.trainers.functions`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import functools
import pathlib
import time
import typing
from typing import Any

import jax
import numpy as np

from experiments import (
  cost_settings,
  data_settings,
  launch,
  machine_settings,
  search_settings,
  settings,
  worker_settings,
)
from jaxnas import contestants as contestants_lib
from jaxnas import evaluators, rewards, statistics
from jaxnas import search as search_lib
from jaxnas.children import perceptron
from jaxnas.controllers import recurrent
from jaxnas.costs import perceptron as perceptron_costs
from jaxnas.datasets import images
from jaxnas.runs import search_report, search_run
from jaxnas.spaces import hyperparameters as spaces
from jaxnas.trainers import blocks, perceptron_trainer, training_servant
from jaxnas.training import image_task
from jaxnas.types import SearchSpace, Trainer
from jaxnas.visualize import hyperparameters as pictures

_METRIC = 'validation_accuracy'


@dataclasses.dataclass(frozen=True)
class Config(
  data_settings.ImageData, cost_settings.Costs, search_settings.Settings
):
  """Settings of a search for hyperparameters."""

  learning_rates: tuple[float, ...] = settings.space(
    (1e-4, 1.0), 'Lowest and highest learning rate.', above=0.0
  )
  momenta: tuple[float, ...] = settings.space(
    (0.0, 0.99), 'Lowest and highest momentum.', low=0.0, below=1.0
  )
  weight_decays: tuple[float, ...] = settings.space(
    (1e-6, 1e-1), 'Lowest and highest weight decay.', above=0.0
  )
  activations: tuple[str, ...] = settings.space(
    tuple(perceptron.ACTIVATIONS),
    'Activations of the hidden layers to choose from.',
    choices=tuple(perceptron.ACTIVATIONS),
  )
  widths: tuple[int, ...] = settings.space(
    (32, 64, 128),
    'Numbers of units of a hidden layer to choose from.',
    low=1,
    high=settings.MAX_FEATURES,
  )
  batch_sizes: tuple[int, ...] = settings.space(
    (16, 32, 64),
    'Numbers of images in a step to choose from.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  num_layers: int = settings.children(
    2, 'Number of hidden layers.', low=1, high=settings.MAX_LAYERS
  )
  schedule: str = settings.children(
    'cosine',
    'Schedule of the learning rate.',
    choices=image_task.SCHEDULES,
  )
  num_epochs: int = settings.children(
    5,
    'Number of epochs of a child in the search.',
    is_common=True,
    low=1,
    high=settings.MAX_COUNT,
  )
  reward_power: float = settings.search(
    3.0,
    'Power of the accuracy that is the reward.',
    source=settings.PAPER_IMAGES,
    above=0.0,
  )
  retrain_steps: int = settings.changed(
    search_settings.Settings,
    'retrain_steps',
    0,
    help='Number of epochs of a retraining; 0: num_epochs.',
  )
  retrain_learning_rates: tuple[float, ...] = settings.changed(
    search_settings.Settings,
    'retrain_learning_rates',
    (0.01, 0.03, 0.1),
    help='Learning rates that the usual settings are retrained at; what was '
    'found has its own.',
  )
  num_selection_seeds: int = settings.changed(
    search_settings.Settings, 'num_selection_seeds', 4
  )
  num_seeds: int = settings.changed(search_settings.Settings, 'num_seeds', 8)


# From "Densely Connected Convolutional Networks", Huang et al., 2017
# (https://arxiv.org/abs/1608.06993, section 4.2), except the learning rate.
_USUAL: Mapping[str, Any] = {
  'momentum': 0.9,
  'weight_decay': 1e-4,
  'activation': 'relu',
  'batch_size': 64,
}


def run(config: Config, workdir: str) -> None:
  """Runs, resumes or shows a search.

  Args:
    config: the settings.
    workdir: the run's folder.
  """
  with worker_settings.Team(config, workdir) as team:
    search_run.run(make_experiment(config, team), workdir)


def worker_trainers(config: Config) -> training_servant.Trainers:
  """Makes the trainer of a run in a worker.

  Args:
    config: the complete settings.
  """
  children = _make_children(_complete(config), None)
  return training_servant.Trainers(
    lambda _: children.trainer, _data_facts(children.dataset)
  )


def make_experiment(
  config: Config, team: worker_settings.Team | None = None
) -> search_run.Experiment:
  """Makes everything about a run that depends only on its settings.

  Args:
    config: the settings.
    team: the workers that train children; this process by default.

  Raises:
    ValueError: a setting is out of range, or the data is unsuitable.
  """
  space = _make_space(config)
  config = _complete(config)
  children = _make_children(config, team)
  dataset = children.dataset
  prices = _make_prices(config, space, dataset)
  reward = prices.reward(
    rewards.make_accuracy_reward(config.reward_power, _METRIC)
  )
  arms = search_settings.make_arms(
    config,
    space,
    [],
    lambda: recurrent.make_controller(
      space.decisions,
      num_layers=config.controller_layers,
      features=config.controller_features,
    ),
    adapt=prices.adapt,
  )
  field = _Field(config, space, children, prices.objectives)
  return search_run.Experiment(
    **search_settings.of_run(config, config.num_epochs, prices.objectives),
    search=search_lib.Search(
      space=space,
      arms=arms,
      evaluator=evaluators.make_evaluator(
        space,
        children.trainer,
        reward,
        lambda architecture: architecture['learning_rate'],
        config.num_epochs,
        costs=prices.costs or None,
        limits=prices.limits,
      ),
      key=jax.random.key(config.seed),
      reevaluate_duplicates=config.reevaluate_duplicates,
    ),
    make_retraining=lambda log: dataclasses.replace(
      search_settings.make_retraining(
        config,
        field.contestants(log.trials),
        {'perceptron': children.trainer},
        reward,
        statistics.ACCURACY,
      ),
      costs=prices.costs,
      choose_by_reward=prices.is_weighed,
    ),
    num_retrainings=field.num_retrainings,
    trainers=[children.trainer],
    estimate=functools.partial(_estimate, config, children.trainer),
    facts={
      'seed': config.seed,
      **data_settings.facts_of_images(dataset),
      **prices.facts,
    },
    measure=statistics.ACCURACY,
    search_metric=_METRIC,
    draw=field.draw,
    picture='hyperparameters.png',
    has_report=dataset.has_report,
    unit='epochs',
    describe=search_report.describe_values,
    own_reward=prices.is_weighed,
    opened=prices.opened,
  )


def _make_prices(
  config: Config, space: SearchSpace, dataset: images.ImageDataset
) -> cost_settings.Prices:
  """Returns what the perceptrons of the space cost."""
  images_of = perceptron_costs.Images(
    dataset.image_shape, dataset.num_classes, config.num_layers
  )
  return cost_settings.Prices(
    config,
    space,
    images_of.costs(),
    lambda each: images_of.program(each, 1),
    images_of.fewest(config.widths),
    part_of=perceptron_costs.in_use,
  )


def _make_children(
  config: Config, team: worker_settings.Team | None
) -> perceptron_trainer.PerceptronTrainer:
  """Reads the images and makes the trainer."""
  children = perceptron_trainer.PerceptronTrainer(
    data_settings.load_images(config),
    config.widths,
    config.batch_sizes,
    num_layers=config.num_layers,
    schedule=config.schedule,
    block_size=config.block_size,
    # A worker trains a block at a time; without workers, blocks that a round
    # fills are fastest.
    group_block_size=config.round_size
    if config.workers == 'local'
    else config.block_size,
    num_devices=config.num_host_devices,
  )
  wrap = worker_settings.wrap(
    team, 'search_hyperparameters', config, _data_facts(children.dataset)
  )
  children.trainer = wrap('perceptron', children.trainer)
  return children


def _data_facts(dataset: images.ImageDataset) -> dict[str, Any]:
  """Returns what tells whether a worker reads the same images."""
  return {'data': data_settings.facts_of_images(dataset)['data_hash']}


def _make_space(config: Config) -> SearchSpace:
  for name in ('learning_rates', 'momenta', 'weight_decays'):
    ends = getattr(config, name)
    if len(ends) != 2:
      raise ValueError(
        f'{name} must be two numbers, the lowest and the highest; got '
        f'{list(ends)}.'
      )
  if not 0 <= config.momenta[0] < config.momenta[1] < 1:
    raise ValueError(
      'momenta must be a lower and a higher number, from 0 to below 1; got '
      f'{list(config.momenta)}.'
    )
  decisions: dict[str, spaces.Range | spaces.Choice] = {
    'learning_rate': _range('learning_rate', config.learning_rates, log=True),
    'momentum': _range('momentum', config.momenta, log=False),
    'weight_decay': _range('weight_decay', config.weight_decays, log=True),
    'activation': spaces.Choice(config.activations, 'activation'),
    'width': spaces.Choice(config.widths, 'width'),
    'batch_size': spaces.Choice(config.batch_sizes, 'batch_size'),
  }
  return spaces.make_space(decisions)


def _range(name: str, ends: tuple[float, ...], log: bool) -> spaces.Range:
  # The name appears in the error for bounds that are not a range.
  return spaces.Range(ends[0], ends[1], log=log, name=name)


def _complete(config: Config) -> Config:
  """Returns the config with every setting resolved, after checking it."""
  search_settings.check(config, config.num_epochs)
  num_devices = machine_settings.choose_num_devices(config)
  return dataclasses.replace(
    config,
    retrain_steps=config.retrain_steps or config.num_epochs,
    num_host_devices=num_devices,
    block_size=config.block_size
    or worker_settings.gpu_block_size(config, blocks.default_block_size)
    or blocks.default_block_size(num_devices),
  )


def _estimate(
  config: Config, trainer: Trainer, num_searched: int, num_retrained: int
) -> float:
  """Returns the estimated seconds of the trainings, based on one block."""
  some = _usual(config)

  def seconds():
    started = time.perf_counter()
    trainer.run(
      [some] * config.block_size,
      jax.random.split(jax.random.key(0), config.block_size),
      [config.learning_rates[0]] * config.block_size,
      config.num_epochs,
      splits=('validation', 'report'),
    )
    return time.perf_counter() - started

  cold, warm = seconds(), min(seconds(), seconds())
  num_shapes = len(config.widths) * len(config.batch_sizes)
  # The blocks of a shape are not always full in a round.
  num_blocks = num_searched / config.round_size * num_shapes
  num_blocks = max(num_blocks, num_searched / config.block_size)
  num_blocks += num_retrained / config.block_size
  return num_shapes * max(0.0, cold - warm) + num_blocks * warm


class _Field:
  """The contestants of the retraining.

  Attributes:
    num_retrainings: the maximum number of trainings.
  """

  def __init__(
    self,
    config: Config,
    space: SearchSpace,
    children: perceptron_trainer.PerceptronTrainer,
    objectives: Sequence[str],
  ):
    self._config, self._space, self._children = config, space, children
    self._objectives = objectives
    self._trials: list[Any] = []
    self.num_retrainings = config.num_retrainings(1, num_rates_of_found=1)

  def contestants(self, trials):
    """Returns the usual settings, and the best of each search.

    Args:
      trials: the trials of the log, all of which appear in the picture.
    """
    config = self._config
    self._trials = [each for each in trials if each.arm != search_lib.RETRAIN]
    usual = self._contestant(
      _usual(config), label='usual settings', group='usual settings'
    )
    found = [
      self._contestant(
        self._space.decode(np.array(trial.tokens)),
        learning_rates=(trial.architecture['learning_rate'],),
        **fields,
      )
      for fields, trial in search_settings.winners(
        config, trials, self._space.canonical, self._objectives
      )
    ]
    return (usual, *found)

  def draw(
    self, path: pathlib.Path, architecture: Mapping[str, Any], label: str
  ) -> None:
    """Plots the rewards of all trials."""
    arms = []
    for name in self._config.strategies:
      mine = [
        each
        for each in self._trials
        if each.arm == name and each.duplicate_of is None
      ]
      values = [
        typing.cast(Mapping, self._space.decode(np.array(each.tokens)))
        for each in mine
      ]
      arms.append(pictures.Trials(name, values, [each.reward for each in mine]))
    pictures.plot_trials(
      path, self._space.decisions, arms, architecture, f'best: {label}'
    )

  def _contestant(self, values, **fields):
    return contestants_lib.Contestant(
      trainer='perceptron',
      num_params=self._children.num_params(values),
      architecture=spaces.Hyperparameters.from_json(values),
      **fields,
    )


def _usual(config: Config) -> dict[str, Any]:
  """Returns a common choice: usual settings, and the largest network.

  The learning rate is not included; it is chosen from a grid.
  """
  batch_size = _USUAL['batch_size']
  return {
    **_USUAL,
    'width': max(config.widths),
    'batch_size': min(
      config.batch_sizes, key=lambda size: abs(size - batch_size)
    ),
  }


if __name__ == '__main__':
  launch.launch(Config, run)

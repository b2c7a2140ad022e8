# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Searches for a convolutional network, against random search at equal cost.

    python -m experiments.search_conv_net --workdir=runs/conv_net

A controller chooses for every layer its inputs among earlier layers, and the
size and number of its filters. The networks are trained briefly; the reward of
each is based on its validation accuracy. The best of each search are retrained
and compared with a plain chain and a densely connected network, both with about
as many parameters as the best network found.

`--preset=paper` is the search on CIFAR-10 of the paper's section 4.1.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import functools
import pathlib
from typing import Any

import jax
import numpy as np

from experiments import (
  conv_settings,
  cost_settings,
  data_settings,
  halving_settings,
  launch,
  machine_settings,
  reward_settings,
  route_settings,
  search_settings,
  settings,
  sharing_settings,
  worker_settings,
)
from experiments.parts import conv_nets, shared_costs, shared_nets
from jaxnas import rewards, statistics
from jaxnas import search as search_lib
from jaxnas.controllers import anchors
from jaxnas.datasets import images
from jaxnas.runs import conv_contestants, search_run
from jaxnas.spaces import conv_net as spaces
from jaxnas.spaces import known_conv_nets
from jaxnas.trainers import conv_routes, training_servant
from jaxnas.types import SearchSpace
from jaxnas.visualize import conv_net as pictures


@dataclasses.dataclass(frozen=True)
class Config(
  conv_settings.ConvTraining,
  conv_settings.ConvSpace,
  route_settings.Route,
  reward_settings.OwnReward,
  cost_settings.Costs,
  sharing_settings.NetSharing,
  search_settings.Settings,
):
  """Settings of a search for a convolutional network."""

  known_nets: tuple[str, ...] = settings.search(
    ('chain', 'dense', 'resnet'),
    'Known networks that are tried too, where the space has them, out of '
    f'{",".join(known_conv_nets.KNOWN_NETS)}. If empty, no conventional '
    'network is retrained either.',
  )
  anchors: str = settings.strategy(
    'attention',
    'How the controller chooses the inputs of a layer.',
    source='the paper, section 3.3',
    choices=tuple(anchors.MECHANISMS),
  )
  reward_power: float = settings.search(
    3.0,
    'Power of the accuracy that is the reward.',
    source=settings.PAPER_IMAGES,
    above=0.0,
  )
  num_epochs: int = settings.children(
    1,
    'Number of epochs of a child in the search.',
    is_common=True,
    low=1,
    high=settings.MAX_COUNT,
  )
  num_steps: int = settings.children(
    0,
    'Number of steps of a child in place of num_epochs; 0: num_epochs counts.',
    low=0,
    high=settings.MAX_COUNT,
  )
  batch_size: int = settings.changed(
    conv_settings.ConvTraining, 'batch_size', 32
  )
  learning_rate: float = settings.changed(
    conv_settings.ConvTraining,
    'learning_rate',
    0.1,
    help='Learning rate of a child in the search, before the schedule lowers '
    'it.',
    source=settings.DENSENET,
  )
  schedule: str = settings.changed(
    conv_settings.ConvTraining, 'schedule', 'cosine'
  )
  evaluate_every: int = settings.children(
    8,
    'Number of steps between two evaluations; 0: an epoch.',
    low=0,
    high=settings.MAX_COUNT,
  )
  num_evaluations: int = settings.children(
    5,
    'Number of last evaluations of a child, of which the best counts.',
    source=settings.PAPER_IMAGES,
    low=1,
    high=settings.MAX_COUNT,
  )
  num_trials: int = settings.changed(
    search_settings.Settings, 'num_trials', 208
  )
  trials_per_update: int = settings.changed(
    search_settings.Settings,
    'trials_per_update',
    8,
    source=settings.PAPER_IMAGES,
  )
  num_winners: int = settings.changed(
    search_settings.Settings, 'num_winners', 2
  )
  retrain_learning_rates: tuple[float, ...] = settings.changed(
    search_settings.Settings, 'retrain_learning_rates', (0.05, 0.1)
  )


METRICS = (
  *('best_accuracy', 'num_trained', 'train_loss'),
  *('validation_accuracy', 'validation_loss'),
)
"""The metrics that a reward sees of a child."""

PRESETS = {
  'quick': Config(),
  # Sections 3.3 and 4.1 of the paper and its appendix, unless noted otherwise.
  'paper': Config(
    dataset='cifar10',
    # 45,000 training and 5,000 validation images: the paper holds out none for
    # comparisons, which therefore use the images that rewards are based on.
    num_validation=5000,
    num_report=0,
    preprocessing='whiten',
    # Starts at 6 layers and grows by 2 every 1,600 of 12,800 trials.
    num_layers=20,
    first_depth=6,
    depth_growth=2,
    depth_every=1600,
    filters=spaces.FILTERS,
    # 12,800 trials of each arm. The paper has no random search on images; here
    # it is added.
    strategies=('reinforce', 'random'),
    num_trials=25_600,
    # The paper has 100 asynchronous controller replicas of 8 children each;
    # here one controller is updated after every 8.
    trials_per_update=8,
    known_nets=('figure_7',),
    controller_learning_rate=0.0006,
    # Not in the paper; taken from its successor NASNet (Zoph et al., 2018).
    baseline_decay=0.95,
    num_epochs=50,
    evaluate_every=0,
    # Batch size and schedule "as in DenseNet" (Huang et al., 2017).
    batch_size=64,
    schedule='step',
    learning_rate=0.1,
    momentum=0.9,
    weight_decay=1e-4,
    # "Upsample each image then choose a random 32x32 crop"; the size 40x40 is
    # given in NASNet, by the same authors.
    augmentation='upsample_crop',
    margin=4,
    flip=True,
    num_winners=1,
    # The paper's "small grid search" also covers weight decay, batch norm's
    # epsilon and the epoch of the decay, and trains until convergence; use
    # `train_conv_net` for that.
    retrain_learning_rates=(0.05, 0.1, 0.2),
  ),
}


def run(config: Config, workdir: str) -> None:
  """Runs, resumes or shows a search.

  Args:
    config: the settings.
    workdir: the run's folder. A route chosen by measurement is kept.
  """
  config, route = route_settings.as_started(config, pathlib.Path(workdir))
  if config.known_nets:
    kept = conv_contestants.baselines(config.num_layers)
    for label in conv_contestants.BASELINES:
      if label not in kept:
        print(
          f'The network {label!r} of {config.num_layers} layers is the plain '
          'chain, so it is left out of the retraining.'
        )
  with worker_settings.Team(config, workdir) as team:
    search_run.run(make_experiment(config, route, team), workdir)


def worker_trainers(config: Config) -> training_servant.Trainers:
  """Makes the trainers of a run in a worker.

  Args:
    config: the complete settings.
  """
  dataset = data_settings.load_images(config)
  makers = conv_nets.make_routes(config, dataset, conv_nets.make_recipe(config))

  @functools.cache
  def get(name):
    is_route = isinstance(name, str)
    return makers.make(name) if is_route else makers.make_baseline(name)

  return training_servant.Trainers(get, _data_facts(dataset))


def make_experiment(
  config: Config,
  route: str | None = None,
  team: worker_settings.Team | None = None,
) -> search_run.Experiment:
  """Makes everything about a run that depends only on its settings.

  Args:
    config: the settings.
    route: the route that `auto` chose earlier in this run, if any.
    team: the workers that train children; this process by default.

  Raises:
    ValueError: a setting is out of range, or the data is unsuitable.
  """
  space = conv_nets.make_space(config)
  dataset = data_settings.load_images(config)
  recipe = conv_nets.make_recipe(config)
  config = _complete(config, dataset)
  known_conv_nets.make_smallest(
    config.num_layers, max(config.strides), config.merge, config.pool_after
  ).sizes(*dataset.image_shape[:2])
  prices = conv_nets.make_prices(config, space, dataset)
  reward = prices.reward(
    reward_settings.choose(
      config, rewards.make_accuracy_reward(config.reward_power)
    )
  )
  costs = prices.costs
  any_net = space.decode(np.zeros(space.num_tokens, np.int32))
  metrics = shared_nets.METRICS if config.has_sharing else METRICS
  reward_settings.check(config, reward, [any_net], metrics, costs)
  known = conv_nets.known_nets(config, space)
  # What is wrong with them is said before routes are measured.
  arms = conv_nets.make_arms(
    *(config, space, list(known.values()), prices),
    sharing_settings.make_arms(config, space),
  )
  shared: Any = shared_nets.make(config, dataset, recipe)
  makers = conv_nets.make_routes(config, dataset, recipe)
  config, route, timing = conv_nets.choose_route(config, space, makers, route)
  makers.wrap = worker_settings.wrap(
    team, 'search_conv_net', config, _data_facts(dataset)
  )
  field = _Field(config, space, makers, prices.objectives)
  makers.trainers += [] if shared is None else [shared]
  return search_run.Experiment(
    **sharing_settings.of_run(
      *(config, space, shared, reward, costs),
      functools.partial(conv_nets.make_controller, config, space),
    ),
    **search_settings.of_run(config, config.num_steps, prices.objectives),
    search=search_lib.Search(
      space=space,
      arms=arms,
      evaluator=conv_nets.make_evaluator(
        config, space, makers, route, reward, prices
      ),
      key=jax.random.key(config.seed),
      reevaluate_duplicates=config.reevaluate_duplicates,
    ),
    make_retraining=lambda log: reward_settings.choosing(
      config,
      search_settings.make_retraining(
        config,
        field.contestants(log.trials),
        field.made.trainers,
        reward,
        statistics.ACCURACY,
      ),
      costs,
      prices.is_weighed,
    ),
    num_retrainings=field.num_retrainings,
    trainers=makers.trainers,
    estimate=functools.partial(
      conv_nets.estimate, field, space, makers, route, timing
    ),
    facts={
      'seed': config.seed,
      **data_settings.facts_of_images(dataset),
      'route': route,
      'block_size': config.block_size,
      'num_devices': makers.num_devices,
      **prices.facts,
    },
    known=list(known),
    measure=statistics.ACCURACY,
    search_metric='best_accuracy',
    draw=pictures.write_net,
    picture='best_net.svg',
    has_report=dataset.has_report,
    own_reward=bool(config.reward) or prices.is_weighed,
    opened=prices.opened,
  )


def _data_facts(dataset: images.ImageDataset) -> dict[str, str]:
  """Returns what tells whether a worker reads the same images."""
  return {'data': data_settings.facts_of_images(dataset)['data_hash']}


def _complete(config: Config, dataset: images.ImageDataset) -> Config:
  """Returns the config with every setting resolved, after checking it."""
  epoch_steps, num_minibatches = (
    len(labels) // config.batch_size
    for labels in (dataset.train_labels, dataset.validation_labels)
  )
  num_steps = config.num_steps or config.num_epochs * max(1, epoch_steps)
  search_settings.check(config, num_steps)
  sharing_settings.check(config)
  config = shared_costs.complete(
    dataclasses.replace(config, num_steps=num_steps), num_minibatches
  )
  schedule = halving_settings.make_schedule(config, num_steps)
  every = config.evaluate_every or max(1, epoch_steps)
  if schedule is not None and schedule.rungs[0] < every:
    raise ValueError(
      f'The first rung, {schedule.rungs[0]}, comes before the first evaluation '
      f'of a child, after {every} steps; begin later, or make '
      '--evaluate_every smaller.'
    )
  return dataclasses.replace(
    config,
    retrain_steps=config.retrain_steps or 2 * num_steps,
    block_size=config.block_size
    or worker_settings.gpu_block_size(
      config, functools.partial(conv_routes.default_block_size, config.route)
    ),
    num_host_devices=machine_settings.choose_num_devices(config),
  )


class _Field:
  """The contestants of the retraining.

  Attributes:
    config: the settings.
    made: the maker of the contestants, each with its own trainer.
    num_retrainings: the maximum number of trainings.
  """

  def __init__(
    self,
    config: Config,
    space: SearchSpace,
    makers: conv_routes.ConvRoutes,
    objectives: Sequence[str],
  ):
    self.config, self._objectives = config, objectives
    self.made = conv_contestants.ConvContestants(
      makers,
      space,
      config.num_layers,
      config.filters,
      config.pool_after,
      has_baselines=bool(config.known_nets),
    )
    self.num_retrainings = config.num_retrainings(self.made.num_baselines)

  def contestants(self, trials):
    """Returns the baselines, and the best of each search."""
    return self.made.make(
      list(
        search_settings.winners(
          self.config, trials, objectives=self._objectives
        )
      )
    )


if __name__ == '__main__':
  launch.launch(Config, run, presets=PRESETS)

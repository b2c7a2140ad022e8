# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Searches for a convolutional network, against random search at equal cost.

    python -m experiments.search_conv_net --workdir=runs/conv_net

A controller chooses for every layer which earlier layers feed it, the size of
its filters and their number. The networks are trained for a short while; the
validation accuracy of each is its reward. The best of each search are retrained
and compared with a plain chain and with the densely connected network, both
with about as many parameters as the best of all.

`--preset=paper` is the search on CIFAR-10 of the paper's section 4.1.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from typing import Any

import jax
import numpy as np

from experiments import data_settings, launch, search_settings, settings
from jaxnas import contestants as contestants_lib
from jaxnas import evaluators, rewards, statistics
from jaxnas import retraining as retraining_lib
from jaxnas import search as search_lib
from jaxnas.controllers import anchors, recurrent
from jaxnas.datasets import images
from jaxnas.records import workdir as workdir_lib
from jaxnas.runs import search_run
from jaxnas.spaces import conv_net as spaces
from jaxnas.spaces import known_conv_nets
from jaxnas.trainers import conv_routes, memory, routes
from jaxnas.training import image_task
from jaxnas.types import SearchSpace, Trainer
from jaxnas.visualize import conv_net as pictures


@dataclasses.dataclass(frozen=True)
class Config(data_settings.AugmentedImages, search_settings.Settings):
  """Settings of a search for a convolutional network."""

  num_layers: int = settings.space(
    6,
    'Number of layers of the deepest network.',
    is_common=True,
    low=1,
    high=settings.MAX_LAYERS,
  )
  first_depth: int = settings.space(
    0,
    'Number of layers at the beginning of the search; 0: num_layers.',
    low=0,
    high=settings.MAX_LAYERS,
  )
  depth_growth: int = settings.space(
    2,
    'Number of layers that networks grow by at a time, up to num_layers.',
    source=settings.PAPER_IMAGES,
    low=0,
    high=settings.MAX_COUNT,
  )
  depth_every: int = settings.space(
    0,
    'Number of trials of a search before its networks grow; 0: they never do.',
    low=0,
    high=settings.MAX_COUNT,
  )
  heights: tuple[int, ...] = settings.space(
    spaces.SIZES,
    'Heights of filters to choose from, all odd.',
    source=settings.PAPER_IMAGES,
    low=1,
    high=spaces.MAX_SIZE,
  )
  widths: tuple[int, ...] = settings.space(
    spaces.SIZES,
    'Widths of filters to choose from, all odd.',
    source=settings.PAPER_IMAGES,
    low=1,
    high=spaces.MAX_SIZE,
  )
  filters: tuple[int, ...] = settings.space(
    (8, 12, 16, 24),
    'Numbers of filters to choose from; the paper has 24,36,48,64.',
    low=1,
    high=spaces.MAX_FILTERS,
  )
  strides: tuple[int, ...] = settings.space(
    (1,),
    'Strides; if there is more than one, as 1,2,3, they are chosen from.',
    source=settings.PAPER_IMAGES,
    low=1,
    high=spaces.MAX_SIZE,
  )
  pool_after: tuple[int, ...] = settings.space(
    (),
    'Numbers of the layers, from 0, whose outputs are max pooled.',
    low=0,
    high=settings.MAX_LAYERS,
  )
  merge: str = settings.space(
    'concat',
    'How a layer joins several inputs.',
    source='the paper, section 3.3',
    choices=spaces.MERGES,
  )
  known_nets: tuple[str, ...] = settings.search(
    ('chain', 'dense', 'resnet'),
    'Known networks that are tried too, where the space has them: of '
    f'{",".join(known_conv_nets.KNOWN_NETS)}.',
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
  route: str = settings.machine(
    'auto',
    'How children are trained; auto measures what is fastest.',
    choices=('auto', *conv_routes.ROUTES),
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
  batch_size: int = settings.children(
    32, 'Number of images in a step.', low=1, high=settings.MAX_ITEMS
  )
  learning_rate: float = settings.children(
    0.1,
    'Learning rate of a child in the search, before the schedule lowers it.',
    source=settings.PAPER_IMAGES,
    above=0.0,
  )
  momentum: float = settings.children(
    0.9,
    "Nesterov's momentum.",
    source=settings.PAPER_IMAGES,
    low=0.0,
    below=1.0,
  )
  weight_decay: float = settings.children(
    1e-4,
    'Multiple of the weights that is added to the gradient.',
    source=settings.PAPER_IMAGES,
    low=0.0,
  )
  schedule: str = settings.children(
    'cosine',
    'Schedule of the learning rate.',
    choices=tuple(image_task.SCHEDULES),
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


PRESETS = {
  'quick': Config(),
  # Sections 3.3 and 4.1 of the paper, and its appendix, where nothing else is
  # said.
  'paper': Config(
    dataset='cifar10',
    # 45,000 images to train on and 5,000 to validate on: the paper holds back
    # none for comparisons, which so are on those that rewards came from.
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
    # it rides along.
    strategies=('reinforce', 'random'),
    num_trials=25_600,
    # 100 controller replicas of 8 children each, which did not wait for each
    # other; here one controller is updated after every 8.
    trials_per_update=8,
    known_nets=('figure_7',),
    controller_learning_rate=0.0006,
    # Not in the paper; that of its successor NASNet (Zoph et al., 2018).
    baseline_decay=0.95,
    num_epochs=50,
    evaluate_every=0,
    # Batch size and schedule "as in DenseNet" (Huang et al., 2017).
    batch_size=64,
    schedule='step',
    learning_rate=0.1,
    momentum=0.9,
    weight_decay=1e-4,
    # "Upsample each image then choose a random 32x32 crop": NASNet, by the same
    # authors, says to 40x40.
    augmentation='upsample_crop',
    margin=4,
    flip=True,
    num_winners=1,
    # The paper's "small grid search" has weight decay, batch norm's epsilon and
    # the epoch of the decay besides, and trains until convergence, for which
    # `train_conv_net` is.
    retrain_learning_rates=(0.05, 0.1, 0.2),
  ),
}


def run(config: Config, workdir: str) -> None:
  """Runs, resumes or shows a search.

  Args:
    config: the settings.
    workdir: the run's folder. A route that was chosen by time stays chosen.
  """
  config, route = _as_started(config, pathlib.Path(workdir))
  search_run.run(make_experiment(config, route), workdir)


def make_experiment(
  config: Config, route: str | None = None
) -> search_run.Experiment:
  """Makes everything of a run that its settings decide.

  Args:
    config: the settings.
    route: what `auto` chose in this run before.

  Raises:
    ValueError: a setting is out of range, or the data is.
  """
  space = _make_space(config)
  schedule = search_lib.DepthSchedule(
    config.first_depth or config.num_layers,
    config.depth_growth,
    config.depth_every,
    config.num_layers,
    spaces.layer_decisions(config.strides),
  )
  dataset = images.load(
    config.dataset,
    config.data_dir,
    num_validation=config.num_validation,
    num_report=config.num_report,
    preprocessing=config.preprocessing,
  )
  recipe = _make_recipe(config)
  config = _complete(config, len(dataset.train_labels) // recipe.batch_size)
  _smallest(config).sizes(*dataset.image_shape[:2])
  reward = rewards.make_accuracy_reward(config.reward_power)
  known = _known_nets(config, space)
  arms = search_settings.make_arms(
    config,
    space,
    list(known.values()),
    lambda: recurrent.make_controller(
      space.decisions,
      num_layers=config.controller_layers,
      features=config.controller_features,
      anchors=anchors.MECHANISMS[config.anchors](),
    ),
    schedule if schedule.first_depth < config.num_layers else None,
  )
  makers = conv_routes.ConvRoutes(
    dataset,
    recipe,
    {
      name: getattr(config, name)
      for name in ('num_layers', 'heights', 'widths', 'filters', 'merge')
    },
    search_settings.choose_num_devices(config),
    config.block_size,
  )
  route, timing = _choose_route(config, space, makers, route)
  config = dataclasses.replace(
    config,
    block_size=config.block_size
    or conv_routes.default_block_size(route, makers.num_devices),
  )
  key = jax.random.key(config.seed)
  field = _Field(config, space, makers)
  return search_run.Experiment(
    config=dataclasses.asdict(config),
    free=search_settings.FREE,
    same_task=config.same_task,
    defaults=dataclasses.asdict(Config()),
    search=search_lib.Search(
      space=space,
      arms=arms,
      evaluator=evaluators.make_evaluator(
        space,
        makers.make(route),
        reward,
        config.learning_rate,
        config.num_steps,
        duration=functools.partial(_multiply_adds, dataset),
      ),
      key=key,
      reevaluate_duplicates=config.reevaluate_duplicates,
    ),
    make_retraining=lambda log: retraining_lib.Retraining(
      contestants=field.contestants(log.trials),
      trainers=field.trainers,
      learning_rates=config.retrain_learning_rates,
      num_selection_seeds=config.num_selection_seeds,
      num_seeds=config.num_seeds,
      num_steps=config.retrain_steps,
      key=key,
      reward=rewards.make_accuracy_reward(config.reward_power),
      measure=statistics.ACCURACY,
    ),
    num_retrainings=field.num_retrainings,
    trainers=makers.trainers,
    estimate=functools.partial(_estimate, config, space, makers, route, timing),
    facts={
      'seed': config.seed,
      'data_hash': dataset.content_hash,
      'seen_hash': dataset.seen_hash,
      'image_shape': list(dataset.image_shape),
      'num_classes': dataset.num_classes,
      'route': route,
      'block_size': config.block_size,
      'num_devices': makers.num_devices,
    },
    known=list(known),
    measure=statistics.ACCURACY,
    search_metric='best_accuracy',
    draw=pictures.write_net,
    picture='best_net.svg',
    checkpoint_every=config.checkpoint_every,
    has_report=dataset.has_report,
  )


def _make_space(config: Config) -> SearchSpace:
  return spaces.make_space(
    config.num_layers,
    config.heights,
    config.widths,
    config.filters,
    config.strides,
    config.merge,
    config.pool_after,
  )


def _make_recipe(config: Config) -> image_task.Recipe:
  return image_task.Recipe(
    batch_size=config.batch_size,
    momentum=config.momentum,
    weight_decay=config.weight_decay,
    schedule=config.schedule,
    augmentation=config.augmentation,
    margin=config.margin,
    flip=config.flip,
    evaluate_every=config.evaluate_every,
    num_evaluations=config.num_evaluations,
  )


def _complete(config: Config, epoch_steps: int) -> Config:
  """Returns the config with every setting decided; checks it."""
  num_steps = config.num_steps or config.num_epochs * max(1, epoch_steps)
  search_settings.check(config, num_steps)
  return dataclasses.replace(
    config,
    num_steps=num_steps,
    retrain_steps=config.retrain_steps or 2 * num_steps,
    num_host_devices=search_settings.choose_num_devices(config),
  )


def _smallest(config: Config) -> spaces.ConvNet:
  """Returns the network of the space that first has an output without a pixel.

  Joined outputs are as large as the largest of them, and every layer that is
  passed makes them smaller: so it is the chain with the largest strides.
  """
  stride = max(config.strides)
  chain = known_conv_nets.make_chain(config.num_layers, 1, merge=config.merge)
  layers = tuple(
    dataclasses.replace(layer, stride_height=stride, stride_width=stride)
    for layer in chain.layers
  )
  return dataclasses.replace(chain, layers=layers, pool_after=config.pool_after)


def _known_nets(config, space) -> dict[str, spaces.ConvNet]:
  """Returns the known networks that the space has."""
  found = {}
  for name in config.known_nets:
    known_conv_nets.known_net(name, 4, 1, config.merge)
    filters = sorted(config.filters)[len(config.filters) // 2]
    try:
      net = known_conv_nets.known_net(
        name, config.num_layers, filters, config.merge
      )
      pools = tuple(n for n in config.pool_after if n < len(net.layers))
      net = dataclasses.replace(net, pool_after=pools)
      space.encode(net)
    except ValueError:
      continue
    found[name] = net
  return found


def _as_started(
  config: Config, folder: pathlib.Path
) -> tuple[Config, str | None]:
  """Returns the config and the route of the run that is in a folder.

  What `auto` chose there stays chosen, and is accepted under its own name.
  """
  if not (folder / 'config.json').exists():
    return config, None
  asked = workdir_lib.read_json(folder / 'config.json').get('route')
  chosen = None
  if (folder / 'manifest.json').exists():
    chosen = workdir_lib.read_manifest(folder).get('route')
    if chosen not in (None, *conv_routes.ROUTES):
      raise ValueError(
        f'{folder / "manifest.json"} is damaged: its route is {chosen!r}; '
        'restore it from a copy.'
      )
  if asked != 'auto' and asked in conv_routes.ROUTES and config.route == 'auto':
    config = dataclasses.replace(config, route=asked)
  elif asked == 'auto' and config.route == chosen:
    config = dataclasses.replace(config, route='auto')
  return config, chosen


def _choose_route(config, space, makers, route):
  """Returns the route's name, and what it costs if that was measured."""
  is_plain = config.strides == (1,) and not config.pool_after
  names = conv_routes.candidates(is_plain)
  if config.route != 'auto':
    if not is_plain and config.route != 'compiled':
      raise ValueError(
        f'The {config.route} route has neither strides nor pooling; take '
        '--route=compiled or leave them out.'
      )
    return config.route, None
  if route is not None:
    return route, None
  if len(names) == 1:
    print(f'Route {names[0]}: the only one with strides or pooling.')
    return names[0], None
  measured: dict[str, Any] = {}
  for name in names:
    try:
      measured[name] = makers.measure(space, name, config.learning_rate)
    except memory.NotEnoughMemoryError as error:
      measured[name] = error
  name, reason = routes.choose(measured, config.num_trials, config.num_steps)
  print(
    f'Route {name}: {reason} It is kept when the run is resumed; to repeat the '
    f'run give --route={name}.',
    flush=True,
  )
  return name, measured[name]


def _multiply_adds(dataset: images.ImageDataset, net: spaces.ConvNet) -> int:
  height, width, channels = dataset.image_shape
  return net.num_multiply_adds(height, width, channels, dataset.num_classes)


def _estimate(
  config, space, makers, route, timing, num_searched, num_retrained
):
  """Returns the seconds of the whole run, by what a few children take."""
  if timing is None:
    timing = makers.measure(space, route, config.learning_rate)
  # Its own programs for retraining take about as long to compile as a route's.
  once = timing.child if route == 'compiled' else timing.once / 2
  num_contestants = len(_BASELINES) + config.num_searches * config.num_winners
  # Each has about as many of the trainings that are left.
  num_contestants *= num_retrained / config.num_retrainings(len(_BASELINES))
  return (
    num_searched * (timing.child + config.num_steps * timing.step)
    + num_retrained * config.retrain_steps * timing.step
    + num_contestants * once
  )


_BASELINES = {
  'plain chain': known_conv_nets.make_chain,
  'densely connected': known_conv_nets.make_dense,
}


class _Field:
  """Who takes part in the retraining; each has a compiled program of its own.

  Attributes:
    trainers: who trains them, by name; grows with the contestants.
    num_retrainings: how many trainings there are at most.
  """

  def __init__(
    self, config: Config, space: SearchSpace, makers: conv_routes.ConvRoutes
  ):
    self._config, self._space, self._makers = config, space, makers
    self.trainers: dict[str, Trainer] = {}
    self.num_retrainings = config.num_retrainings(len(_BASELINES))

  def contestants(self, trials):
    """Returns the baselines, and the best of each search.

    The baselines have about as many parameters as that network of all found
    whose reward in the search was the highest.
    """
    config = self._config
    best = list(search_settings.winners(config, trials))
    found = [
      self._contestant(self._space.decode(np.array(trial.tokens)), **fields)
      for fields, trial in best
    ]
    num_params = None
    if found:
      winner = max(range(len(best)), key=lambda row: best[row][1].reward)
      num_params = found[winner].num_params
    baselines = [
      self._baseline(label, make_net, num_params)
      for label, make_net in _BASELINES.items()
    ]
    return (*baselines, *found)

  def _baseline(self, label, make_net, num_params):
    config = self._config
    dataset = self._makers.dataset

    def make(total):
      # The filters are spread over the layers, as evenly as they go.
      each, rest = divmod(total, config.num_layers)
      filters = [each + (n < rest) for n in range(config.num_layers)]
      net = make_net(config.num_layers, filters, merge=config.merge)
      return dataclasses.replace(net, pool_after=config.pool_after)

    def count(extra):
      net = make(config.num_layers + extra)
      return net.num_params(dataset.image_shape[2], dataset.num_classes)

    total = config.num_layers * max(config.filters)
    if num_params is not None:
      # A filter has more than one parameter, so there are not more of them.
      total = config.num_layers + contestants_lib.equal_features(
        count, num_params, max_features=num_params
      )
    return self._contestant(make(total), label=label, group=label)

  def _contestant(self, net, label, **fields):
    dataset = self._makers.dataset
    if label not in self.trainers:
      self.trainers[label] = self._makers.make_baseline(net)
    return contestants_lib.Contestant(
      label=label,
      trainer=label,
      num_params=net.num_params(dataset.image_shape[2], dataset.num_classes),
      num_multiply_adds=_multiply_adds(dataset, net),
      architecture=net,
      **fields,
    )


if __name__ == '__main__':
  launch.launch(Config, run, presets=PRESETS)

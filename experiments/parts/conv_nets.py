# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What a search for convolutional networks is made of, by its settings."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import functools
from typing import Any

from experiments import (
  cost_settings,
  machine_settings,
  search_settings,
  settings,
)
from jaxnas import evaluators
from jaxnas import search as search_lib
from jaxnas.controllers import anchors, recurrent
from jaxnas.costs import conv_net as conv_costs
from jaxnas.datasets import images
from jaxnas.runs import conv_contestants
from jaxnas.spaces import conv_net as spaces
from jaxnas.trainers import conv_routes, routes
from jaxnas.training import image_task
from jaxnas.types import Controller, Evaluator, Reward, SearchSpace


def make_space(config: Any) -> SearchSpace:
  """Returns the space that is searched."""
  return spaces.make_space(
    config.num_layers,
    config.heights,
    config.widths,
    config.filters,
    config.strides,
    config.merge,
    config.pool_after,
  )


def make_recipe(config: Any) -> image_task.Recipe:
  """Returns the recipe of every child."""
  return settings.fill(
    image_task.Recipe, config, unset=('evaluation_batch_size',)
  )


def make_schedule(config: Any) -> search_lib.DepthSchedule:
  """Returns how the depth of proposals grows."""
  return search_lib.DepthSchedule(
    config.first_depth or config.num_layers,
    config.depth_growth,
    config.depth_every,
    config.num_layers,
    spaces.layer_decisions(config.strides),
  )


def make_prices(
  config: Any, space: SearchSpace, dataset: images.ImageDataset
) -> cost_settings.Prices:
  """Returns what networks cost, and what follows for a search.

  Args:
    config: the settings of a search for networks.
    space: the search space.
    dataset: the images.
  """
  images_of = conv_costs.Images(dataset.image_shape, dataset.num_classes)
  schedule = make_schedule(config)
  choices = conv_costs.Choices(
    schedule.first_depth,
    *(config.heights, config.widths, config.filters, config.strides),
    *(config.merge, config.pool_after),
  )
  return cost_settings.Prices(
    config,
    space,
    images_of.costs(),
    lambda net: images_of.program(net, 1),
    {
      'num_params': lambda: conv_costs.fewest_params(images_of, choices),
      'num_multiply_adds': lambda: conv_costs.fewest_multiply_adds(
        images_of, choices
      ),
    },
    schedule(0),
    wanted=bool(config.reward),
  )


def make_routes(
  config: Any, dataset: images.ImageDataset, recipe: image_task.Recipe
) -> conv_routes.ConvRoutes:
  """Returns the makers of trainers, by any route.

  Args:
    config: the settings of a search for networks.
    dataset: the images.
    recipe: the recipe of every child.
  """
  return conv_routes.ConvRoutes(
    dataset,
    recipe,
    {
      name: getattr(config, name)
      for name in ('num_layers', 'heights', 'widths', 'filters', 'merge')
    },
    machine_settings.choose_num_devices(config),
    config.block_size,
  )


def known_nets(config: Any, space: SearchSpace) -> dict[str, spaces.ConvNet]:
  """Returns those of the named networks that are in the space, by name."""
  return conv_contestants.fitting_nets(
    space,
    config.known_nets,
    config.num_layers,
    config.filters,
    config.merge,
    config.pool_after,
  )


def make_controller(config: Any, space: SearchSpace) -> Controller:
  """Returns the policy of REINFORCE and of PPO."""
  return recurrent.make_controller(
    space.decisions,
    num_layers=config.controller_layers,
    features=config.controller_features,
    anchors=anchors.MECHANISMS[config.anchors](),
  )


def make_arms(
  config: Any,
  space: SearchSpace,
  known: list[spaces.ConvNet],
  prices: cost_settings.Prices,
  beside: Sequence[search_lib.Arm] = (),
) -> tuple[search_lib.Arm, ...]:
  """Returns the strategies that search, each with its share of the trials.

  Args:
    config: the settings of a search for networks.
    space: the search space.
    known: the known networks, which are tried too.
    prices: what networks cost.
    beside: further arms, which have trials of their own.
  """
  schedule = make_schedule(config)
  return search_settings.make_arms(
    config,
    space,
    known,
    lambda: make_controller(config, space),
    schedule if schedule.first_depth < config.num_layers else None,
    prices.adapt,
    beside,
  )


def make_evaluator(
  config: Any,
  space: SearchSpace,
  makers: conv_routes.ConvRoutes,
  route: str,
  reward: Reward,
  prices: cost_settings.Prices,
) -> Evaluator:
  """Returns what judges networks by training them.

  Args:
    config: the complete settings of a search for networks.
    space: the search space.
    makers: the makers of trainers.
    route: the route of the search.
    reward: the reward of a network.
    prices: what networks cost.
  """
  return evaluators.make_evaluator(
    space,
    makers.place(route),
    reward,
    config.learning_rate,
    config.num_steps,
    costs=prices.costs or None,
    limits=prices.limits,
    duration=functools.partial(conv_contestants.multiply_adds, makers.dataset),
  )


def choose_route(
  config: Any,
  space: SearchSpace,
  makers: conv_routes.ConvRoutes,
  kept: str | None,
) -> tuple[Any, str, routes.Timing | None]:
  """Chooses the route of a search, by measuring if asked to.

  Args:
    config: the settings of a search for networks.
    space: the search space.
    makers: the maker of the routes.
    kept: the route that `auto` chose earlier in this run, if any.

  Returns:
    The settings with a block size, the route, and its timing if it was
    measured.
  """
  route, timing = conv_routes.choose(
    makers,
    space,
    config.route,
    kept,
    is_plain=config.strides == (1,) and not config.pool_after,
    learning_rate=config.learning_rate,
    num_trials=config.num_trials,
    num_steps=config.num_steps,
  )
  block_size = config.block_size or conv_routes.default_block_size(
    route, makers.num_devices
  )
  return dataclasses.replace(config, block_size=block_size), route, timing


def estimate(
  field: Any,
  space: SearchSpace,
  makers: conv_routes.ConvRoutes,
  route: str,
  timing: routes.Timing | None,
  num_searched: int,
  num_retrained: int,
) -> float:
  """Returns the estimated seconds of the run, based on a few children.

  Args:
    field: the contestants of the retraining.
    space: the search space.
    makers: the makers of trainers.
    route: the route of the search.
    timing: what children take by it, if it was measured.
    num_searched: the number of children of the search.
    num_retrained: the number of retrainings.
  """
  config, num_known = field.config, field.made.num_baselines
  if timing is None:
    timing = makers.measure(space, route, config.learning_rate)
  # The programs for retraining take about as long to compile as a route's.
  once = timing.child if route == 'compiled' else timing.once / 2
  num_contestants = num_known + config.num_searches * config.num_winners
  # The remaining trainings are spread about evenly over contestants.
  num_contestants *= num_retrained / config.num_retrainings(num_known)
  return (
    num_searched * (timing.child + config.num_steps * timing.step)
    + num_retrained * config.retrain_steps * timing.step
    + num_contestants * once
  )

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The convolutional networks that compete in a search and its retraining."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import dataclasses
from typing import Any

import numpy as np

from jaxnas import contestants
from jaxnas.datasets import images
from jaxnas.records import trial_log
from jaxnas.spaces import conv_net, known_conv_nets
from jaxnas.trainers import conv_routes
from jaxnas.types import SearchSpace, Trainer

BASELINES: Mapping[str, Callable[..., conv_net.ConvNet]] = {
  'plain chain': known_conv_nets.make_chain,
  'densely connected': known_conv_nets.make_dense,
}
"""Conventional networks to compare with, by label."""


def baselines(num_layers: int) -> dict[str, Callable[..., conv_net.ConvNet]]:
  """Returns the conventional networks of a depth that differ, by label.

  Args:
    num_layers: the depth. Up to 2 layers, the densely connected network equals
      the plain chain, and is left out.
  """
  found: dict[str, Callable[..., conv_net.ConvNet]] = {}
  for label, make_net in BASELINES.items():
    nets = [make_other(num_layers) for make_other in found.values()]
    if make_net(num_layers) not in nets:
      found[label] = make_net
  return found


def multiply_adds(dataset: images.ImageDataset, net: conv_net.ConvNet) -> int:
  """Returns the number of multiply-adds of a network for one image."""
  height, width, channels = dataset.image_shape
  return net.num_multiply_adds(height, width, channels, dataset.num_classes)


def fitting_nets(
  space: SearchSpace,
  names: Sequence[str],
  num_layers: int,
  filters: Sequence[int],
  merge: str,
  pool_after: Sequence[int],
) -> dict[str, conv_net.ConvNet]:
  """Returns the known networks that are in a search space, by name.

  Args:
    space: the search space.
    names: the names, from `known_conv_nets.KNOWN_NETS`.
    num_layers: the depth of the networks.
    filters: the numbers of filters of the space; the networks have the median.
    merge: how a layer joins several inputs.
    pool_after: the indices, from 0, of the layers whose outputs are pooled.

  Raises:
    ValueError: a name is unknown.
  """
  found = {}
  for name in names:
    # An unknown name is an error; a network that does not fit is left out.
    known_conv_nets.known_net(name, 4, 1, merge)
    median = sorted(filters)[len(filters) // 2]
    try:
      net = known_conv_nets.known_net(name, num_layers, median, merge)
      pools = tuple(n for n in pool_after if n < len(net.layers))
      net = dataclasses.replace(net, pool_after=pools)
      space.encode(net)
    except ValueError:
      continue
    found[name] = net
  return found


class ConvContestants:
  """Makes the contestants of a retraining, each compiled separately.

  Attributes:
    trainers: the contestants' trainers, by label; grows as contestants are
      made.
  """

  def __init__(
    self,
    makers: conv_routes.ConvRoutes,
    space: SearchSpace,
    num_layers: int,
    filters: Sequence[int],
    pool_after: Sequence[int],
    has_baselines: bool = True,
  ):
    """Stores the arguments; no contestant is made yet.

    Args:
      makers: the maker of the trainers, which holds the images.
      space: the search space that was searched.
      num_layers: the depth of the baselines.
      filters: the numbers of filters of the space. Baselines have the largest
        number if the search found no network to match in size.
      pool_after: the indices, from 0, of the layers whose outputs are pooled in
        baselines.
      has_baselines: whether conventional networks take part.
    """
    self._makers, self._space = makers, space
    self._num_layers, self._filters = num_layers, filters
    self._pool_after = tuple(pool_after)
    self._baselines = baselines(num_layers) if has_baselines else {}
    self.trainers: dict[str, Trainer] = {}

  @property
  def num_baselines(self) -> int:
    """The number of conventional networks that take part."""
    return len(self._baselines)

  def make(
    self, best: Sequence[tuple[Mapping[str, Any], trial_log.Trial]]
  ) -> tuple[contestants.Contestant, ...]:
    """Returns the baselines and the networks found.

    The baselines have about as many parameters as the network found with the
    highest reward in the search.

    Args:
      best: the best trials of the searches, each with those fields of its
        `Contestant` that the trial determines.
    """
    found = [
      self._contestant(self._space.decode(np.array(trial.tokens)), **fields)
      for fields, trial in best
    ]
    num_params = None
    if found:
      winner = max(range(len(best)), key=lambda row: best[row][1].reward)
      num_params = found[winner].num_params
    conventional = [
      self._baseline(label, make_net, num_params)
      for label, make_net in self._baselines.items()
    ]
    return (*conventional, *found)

  def _baseline(self, label, make_net, num_params):
    dataset = self._makers.dataset
    depth = self._num_layers

    def make(total):
      # The filters are spread over the layers as evenly as possible.
      each, rest = divmod(total, depth)
      filters = [each + (n < rest) for n in range(depth)]
      net = make_net(depth, filters, merge=self._makers.merge)
      return dataclasses.replace(net, pool_after=self._pool_after)

    def count(extra):
      net = make(depth + extra)
      return net.num_params(dataset.image_shape[2], dataset.num_classes)

    total = depth * max(self._filters)
    if num_params is not None:
      # A filter has at least one parameter, which bounds their number.
      total = depth + contestants.equal_features(
        count, num_params, max_features=num_params
      )
    return self._contestant(make(total), label=label, group=label)

  def _contestant(self, net, label, **fields):
    dataset = self._makers.dataset
    if label not in self.trainers:
      self.trainers[label] = self._makers.make_baseline(net)
    return contestants.Contestant(
      label=label,
      trainer=label,
      num_params=net.num_params(dataset.image_shape[2], dataset.num_classes),
      num_multiply_adds=multiply_adds(dataset, net),
      architecture=net,
      **fields,
    )

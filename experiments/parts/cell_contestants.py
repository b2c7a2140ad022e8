# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The contestants of a search for recurrent cells."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

from experiments import cost_settings, search_settings
from experiments.parts import cell_tasks
from jaxnas import contestants as contestants_lib
from jaxnas.children import recurrent_cell as cells
from jaxnas.costs import recurrent_cell as cell_costs
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.trainers import blocks, waiting
from jaxnas.training import dataset_tasks, text_task
from jaxnas.types import SearchSpace, Trainer


class CellContestants:
  """The contestants of the retraining, with about equally many parameters.

  Attributes:
    config: the complete settings.
    space: the search space.
    tasks: the tasks on the text.
    recipe: the recipe of every child.
    prices: what the cells of the space cost.
    trainers: the trainers of the contestants, by name.
    num_retrainings: the maximum number of trainings.
  """

  def __init__(
    self,
    config: Any,
    space: SearchSpace,
    tasks: dataset_tasks.TextTasks,
    recipe: text_task.Recipe,
  ):
    self.config, self.space = config, space
    self.tasks, self.recipe = tasks, recipe
    model = cell_costs.Model(
      tasks.dataset.vocab_size,
      recipe.features,
      recipe.num_layers,
      recipe.tie_embeddings,
    )
    self.prices = cost_settings.Prices(
      config,
      space,
      model.costs(),
      lambda cell: model.program(cell, config.num_unrolled, 1),
      model.fewest(space),
    )
    any_cell: Any = space.decode(np.zeros(space.num_tokens, np.int32))
    self._num_params = self._count(
      functools.partial(cells.GrammarCell, architecture=any_cell),
      recipe.features,
    )
    self.trainers: dict[str, Trainer] = {
      'space': blocks.BlockTrainer(
        cell_tasks.make_task(config, tasks, recipe),
        config.block_size,
        config.num_host_devices,
      )
    }
    # The maximum number of trainings of one known cell at a time.
    num_jobs = max(
      len(config.retrain_learning_rates) * config.num_selection_seeds,
      config.num_seeds,
    )
    self._baselines = []
    if config.known_cells:
      self._baselines = [
        self._add_baseline('LSTM', cells.LSTMCell, num_jobs),
        self._add_nascell(num_jobs),
      ]
    self.num_retrainings = config.num_retrainings(len(self._baselines))

  def _count(self, make_cell, features):
    recipe = dataclasses.replace(self.recipe, features=features)
    return text_task.num_params(
      recipe, self.tasks.dataset.vocab_size, make_cell
    )

  def _add_baseline(self, name, make_cell, num_jobs):
    """Adds a separate trainer for a cell outside the search space."""
    with waiting.told('counting parameters'):
      features = contestants_lib.equal_features(
        functools.partial(self._count, make_cell), self._num_params
      )
    num_devices = self.trainers['space'].num_devices
    recipe = dataclasses.replace(self.recipe, features=features)
    self.trainers[name] = blocks.BlockTrainer(
      self.tasks.make(recipe, make_cell),
      min(self.config.block_size, -(-num_jobs // num_devices) * num_devices),
      num_devices,
    )
    num_params = self._count(make_cell, features)
    return contestants_lib.Contestant(name, name, name, num_params, features)

  def _add_nascell(self, num_jobs):
    nascell = spaces.KNOWN_CELLS['nascell']
    try:
      self.space.encode(nascell)
    except ValueError:
      make_cell = functools.partial(cells.GrammarCell, architecture=nascell)
      return self._add_baseline('NASCell', make_cell, num_jobs)
    return contestants_lib.Contestant(
      label='NASCell',
      group='NASCell',
      trainer='space',
      features=self.recipe.features,
      num_params=self._num_params,
      architecture=nascell,
    )

  @property
  def known(self) -> list[spaces.RecurrentCell | None]:
    """The known cells; `None` is one that is not a tree, such as the LSTM."""
    return [each.architecture for each in self._baselines]

  def contestants(self, trials):
    """Returns the known cells, and the best of each search."""
    found = [
      contestants_lib.Contestant(
        trainer='space',
        features=self.recipe.features,
        num_params=self._num_params,
        architecture=self.space.decode(np.array(trial.tokens)),
        **fields,
      )
      for fields, trial in search_settings.winners(
        self.config,
        trials,
        self.space.canonical,
        self.prices.objectives,
      )
    ]
    return (*self._baselines, *found)

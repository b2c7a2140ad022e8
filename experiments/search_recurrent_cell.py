# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Searches for a recurrent cell on text, against random search at equal cost.

    python -m experiments.search_recurrent_cell --workdir=runs/recurrent_cell

Hundreds of different cells are trained as small language models in one compiled
program; the reward of each is based on its perplexity. The best of each search
are retrained and compared with an LSTM and with NASCell at equal size.

`--preset=paper --data_dir=...` is the search on the Penn Treebank of the
paper's section 4.2.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import pathlib
from typing import Any

import jax
import numpy as np

from experiments import (
  cost_settings,
  data_settings,
  launch,
  machine_settings,
  reward_settings,
  route_settings,
  search_settings,
  settings,
  sharing_settings,
  worker_settings,
)
from experiments.parts import (
  cell_contestants,
  cell_tasks,
  shared_cells,
  shared_costs,
)
from jaxnas import evaluators, rewards, statistics
from jaxnas import search as search_lib
from jaxnas.children import recurrent_interpreter
from jaxnas.controllers import recurrent as controllers
from jaxnas.runs import search_run
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.trainers import blocks, training_servant
from jaxnas.training import dataset_tasks
from jaxnas.types import SearchSpace
from jaxnas.visualize import recurrent_cell as pictures


@dataclasses.dataclass(frozen=True)
class Config(
  data_settings.TextData,
  data_settings.TextBatches,
  reward_settings.OwnReward,
  cost_settings.Costs,
  route_settings.Recurrence,
  sharing_settings.CellSharing,
  search_settings.Settings,
):
  """Settings of a search for a recurrent cell."""

  base: int = settings.space(
    8,
    'Number of leaves of the tree, a power of two.',
    source=settings.PAPER_TEXT,
    is_common=True,
    low=2,
    high=spaces.MAX_BASE,
  )
  combiners: tuple[str, ...] = settings.space(
    spaces.COMBINERS,
    f'Combiners to choose from, out of {",".join(spaces.EXTENDED_COMBINERS)}.',
    source=settings.PAPER_TEXT,
  )
  activations: tuple[str, ...] = settings.space(
    spaces.ACTIVATIONS,
    'Activations to choose from, out of '
    f'{",".join(spaces.EXTENDED_ACTIVATIONS)}.',
    source=settings.PAPER_TEXT,
  )
  known_cells: tuple[str, ...] = settings.search(
    ('nascell', 'lstm'),
    'Known cells that are tried too, where the base fits. If empty, no known '
    'cell is retrained either.',
  )
  reward_scale: float = settings.search(
    80.0,
    'Numerator c of the reward, c / perplexity^2.',
    source=settings.PAPER_TEXT,
    above=0.0,
  )
  features: int = settings.children(
    32,
    'Number of hidden units of a child.',
    is_common=True,
    low=1,
    high=settings.MAX_FEATURES,
  )
  num_layers: int = settings.children(
    1,
    'Number of recurrent layers of a child.',
    low=1,
    high=settings.MAX_RECURRENT_LAYERS,
  )
  tie_embeddings: bool = settings.children(
    False, 'Whether embedding and softmax share their weights.'
  )
  optimizer: str = settings.children(
    'adam', 'Optimizer of a child.', choices=('adam', 'sgd')
  )
  learning_rate: float = settings.children(
    0.01, 'Learning rate of a child in the search.', above=0.0
  )
  max_grad_norm: float = settings.children(
    1.0,
    "Largest norm of a child's gradient, which is clipped to it.",
    above=0.0,
  )
  num_steps: int = settings.children(
    80,
    'Number of steps of a child in the search; 0: num_epochs counts.',
    is_common=True,
    low=0,
    high=settings.MAX_COUNT,
  )
  num_epochs: int = settings.children(
    1,
    'Number of epochs of a child, where num_steps is 0.',
    low=1,
    high=settings.MAX_COUNT,
  )


METRICS = ('num_trained', 'validation_perplexity')
"""The metrics that a reward sees of a child."""

PRESETS = {
  'quick': Config(),
  # Section 4.2 of the paper, unless noted otherwise.
  'paper': Config(
    dataset='ptb',
    base=8,
    # The paper's control experiment 2 has equally many trials of random search:
    # 15,000 of each arm.
    strategies=('reinforce', 'random'),
    num_trials=30_000,
    # The paper has 400 asynchronous controller replicas of one child each, and
    # a server that updates once it has 10 gradients. Here one controller is
    # updated after every 10 trials.
    trials_per_update=10,
    controller_learning_rate=0.0005,
    # Not in the paper; taken from NASNet (Zoph et al., 2018), by the same
    # authors.
    baseline_decay=0.95,
    reward_scale=80.0,
    # 20 million parameters, like the medium models of Zaremba et al., 2014, and
    # Gal, 2016; with two layers of base 8 that is 538 units.
    num_layers=2,
    features=538,
    num_epochs=35,
    num_steps=0,
    # Not in the paper: the settings of Zaremba et al. for their medium model,
    # but without its learning-rate decay and without dropout, which the paper
    # applies to embeddings and hidden states.
    optimizer='sgd',
    learning_rate=1.0,
    max_grad_norm=5.0,
    batch_size=20,
    num_unrolled=35,
    num_winners=1,
    # The paper's grid also covers initial weights, dropout and the epoch of the
    # decay; use `train_recurrent_cell` for these.
    retrain_learning_rates=(0.5, 1.0, 2.0),
  ),
}


def run(config: Config, workdir: str) -> None:
  """Runs, resumes or shows a search.

  Args:
    config: the settings.
    workdir: the run's folder.
  """
  config, recurrence = route_settings.as_started(
    config,
    pathlib.Path(workdir),
    'recurrence',
    recurrent_interpreter.RECURRENCES,
    before='scan',
  )
  with worker_settings.Team(config, workdir) as team:
    search_run.run(make_experiment(config, team, recurrence), workdir)


def worker_trainers(config: Config) -> training_servant.Trainers:
  """Makes the trainers of a run in a worker.

  Args:
    config: the complete settings.
  """
  field = _make_field(config, None)
  return training_servant.Trainers(
    field.trainers.__getitem__, _data_facts(field)
  )


def make_experiment(
  config: Config,
  team: worker_settings.Team | None = None,
  recurrence: str | None = None,
) -> search_run.Experiment:
  """Makes everything about a run that depends only on its settings.

  Args:
    config: the settings.
    team: the workers that train children; this process by default.
    recurrence: the recurrence that `auto` chose earlier in this run, if any.

  Raises:
    ValueError: a setting is out of range, or the data is unsuitable.
  """
  asked = config.recurrence
  field = _make_field(config, team, recurrence)
  space, tasks = field.space, field.tasks
  recurrence = field.config.recurrence
  # What was asked for is the setting of the run; what was chosen is a fact.
  config = dataclasses.replace(field.config, recurrence=asked)
  prices = field.prices
  reward = prices.reward(
    reward_settings.choose(
      config, rewards.make_perplexity_reward(config.reward_scale)
    )
  )
  tried = [space.decode(np.zeros(space.num_tokens, np.int32)), *field.known]
  reward_settings.check(config, reward, tried, METRICS, prices.costs)
  trainer = field.trainers['space']

  def make_controller():
    return controllers.make_controller(
      space.decisions,
      num_layers=config.controller_layers,
      features=config.controller_features,
    )

  search = search_lib.Search(
    space=space,
    arms=search_settings.make_arms(
      config,
      space,
      [spaces.KNOWN_CELLS[name] for name in _fitting(config, space)],
      make_controller,
      adapt=prices.adapt,
      beside=sharing_settings.make_arms(config, space),
    ),
    evaluator=evaluators.make_evaluator(
      space,
      trainer,
      reward,
      config.learning_rate,
      config.num_steps,
      costs=prices.costs or None,
      limits=prices.limits,
    ),
    key=jax.random.key(config.seed),
    reevaluate_duplicates=config.reevaluate_duplicates,
  )
  trainers: list[Any] = list(field.trainers.values())
  shared = None
  if config.has_sharing:
    shared = shared_cells.SharedCells(config, space, tasks, field.recipe)
    trainers.append(shared)

  return search_run.Experiment(
    **sharing_settings.of_run(
      config, space, shared, reward, prices.costs, make_controller
    ),
    **search_settings.of_run(config, config.num_steps, prices.objectives),
    search=search,
    make_retraining=lambda log: reward_settings.choosing(
      config,
      search_settings.make_retraining(
        config,
        field.contestants(log.trials),
        field.trainers,
        reward,
        statistics.PERPLEXITY,
      ),
      prices.costs,
      prices.is_weighed,
    ),
    num_retrainings=field.num_retrainings,
    trainers=trainers,
    estimate=functools.partial(_estimate, config, space, trainer),
    facts={
      'seed': config.seed,
      **data_settings.facts_of_text(tasks.dataset),
      'recurrence': recurrence,
      **prices.facts,
    },
    known=_fitting(config, space),
    measure=statistics.PERPLEXITY,
    search_metric='validation_perplexity',
    draw=pictures.write_cell,
    picture='best_cell.svg',
    own_reward=bool(config.reward) or prices.is_weighed,
    opened=prices.opened,
  )


def _make_field(
  config: Config,
  team: worker_settings.Team | None,
  recurrence: str | None = None,
) -> cell_contestants.CellContestants:
  """Checks the settings, reads the text and makes all trainers."""
  space = spaces.make_space(config.base, config.combiners, config.activations)
  for name in config.known_cells:
    spaces.known_cell(name)
  tasks = dataset_tasks.TextTasks(
    data_settings.load_text(config),
    config.batch_size,
    config.num_unrolled,
  )
  config = _complete(config, tasks, recurrence)
  field = cell_contestants.CellContestants(
    config, space, tasks, cell_tasks.make_recipe(config)
  )
  wrap = worker_settings.wrap(
    team, 'search_recurrent_cell', config, _data_facts(field)
  )
  for name, trainer in field.trainers.items():
    field.trainers[name] = wrap(name, trainer)
  return field


def _data_facts(field: cell_contestants.CellContestants) -> dict[str, Any]:
  """Returns what tells whether a worker reads the same text."""
  return {'data': data_settings.facts_of_text(field.tasks.dataset)['data_hash']}


def _complete(
  config: Config, tasks: dataset_tasks.TextTasks, recurrence: str | None
) -> Config:
  """Returns the config with every setting resolved, after checking it."""
  num_devices = machine_settings.choose_num_devices(config)
  num_steps = config.num_steps or config.num_epochs * tasks.num_segments
  search_settings.check(config, num_steps)
  sharing_settings.check(config)
  config = shared_costs.complete(
    dataclasses.replace(config, num_steps=num_steps),
    tasks.num_minibatches['validation'],
  )
  config = dataclasses.replace(
    config,
    recurrence=cell_tasks.choose_recurrence(
      config, tasks, num_devices, recurrence
    ),
  )
  return dataclasses.replace(
    config,
    vocab_size=tasks.dataset.vocab_size,
    retrain_steps=config.retrain_steps or 2 * num_steps,
    num_host_devices=num_devices,
    block_size=config.block_size
    or worker_settings.gpu_block_size(config, blocks.default_block_size)
    or cell_tasks.choose_block_size(config, tasks, num_devices),
  )


def _fitting(config: Config, space: SearchSpace) -> list[str]:
  """Returns the known cells that are in the search space."""
  found = []
  for name in config.known_cells:
    with contextlib.suppress(ValueError):
      space.encode(spaces.KNOWN_CELLS[name])
      found.append(name)
  return found


def _estimate(config, space, trainer, num_searched, num_retrained):
  """Returns the estimated seconds of the run, from a block of a few steps."""
  # The tokens 0 are the first choice of each decision.
  some = space.decode(np.zeros(space.num_tokens, np.int32))
  keys = jax.random.split(jax.random.key(0), trainer.block_size)

  def seconds(num_steps):
    started = trainer.run_seconds
    trainer.run(
      [some] * len(keys),
      keys,
      [config.learning_rate] * len(keys),
      num_steps,
    )
    return trainer.run_seconds - started

  few, more = 1, 9
  seconds(few)
  first = seconds(few)
  step = max(0.0, seconds(more) - first) / (more - few)
  blocks = [
    (-(-num_searched // trainer.block_size), config.num_steps),
    (-(-num_retrained // trainer.block_size), config.retrain_steps),
  ]
  training = sum(
    count * (first + num_steps * step) for count, num_steps in blocks
  )
  # Retraining also compiles the programs of the baselines.
  return training + (trainer.compile_seconds if num_retrained else 0)


if __name__ == '__main__':
  launch.launch(Config, run, presets=PRESETS)

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

r"""Compares recurrent cells as language models of a text, at equal size.

    python -m experiments.compare_architectures --workdir=runs/compare \
        --architectures=runs/recurrent_cell/best.json,lstm,gru,nascell

This is how section 4.2 of "Neural Architecture Search with Reinforcement
Learning", Zoph and Le, 2017 (https://arxiv.org/abs/1611.01578), asks whether a
cell found on words is any good on characters: `--level=char`. All cells have
about as many parameters and the same recipe, that of `train_recurrent_cell`.
Each is trained at every learning rate of the grid and gets the rate that is
best by validation; trainings with fresh seeds at that rate are then compared on
the report split, the first cell with each of the others. The model after the
last step is measured, whatever the epochs before it were like.

Prints a table, with bits per character for characters, and a verdict for each
pair; writes `comparison.json`. The same command continues a run that was
killed, or shows the finished one.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, NamedTuple

import jax

from experiments import (
  data_settings,
  launch,
  machine_settings,
  recipe_settings,
  settings,
  worker_settings,
)
from experiments.parts import compared_cells
from jaxnas import contestants as contestants_lib
from jaxnas import retraining as retraining_lib
from jaxnas import rewards, statistics
from jaxnas.runs import architecture_comparison
from jaxnas.trainers import training_servant
from jaxnas.training import dataset_tasks
from jaxnas.training.long_text import Recipe
from jaxnas.types import Trainer

_LongText = recipe_settings.LongText


@dataclasses.dataclass(frozen=True)
class Config(
  data_settings.TextData,
  data_settings.TextBatches,
  _LongText,
  machine_settings.Machine,
  machine_settings.LogTo,
  worker_settings.Workers,
):
  """Settings of a comparison."""

  architectures: tuple[str, ...] = settings.children(
    ('nascell', 'lstm', 'gru'),
    'Cells, the first of which is compared with the others: paths of files '
    'such as best.json; lstm and gru, the usual ones with biases; or nascell '
    'and paper_example, which are cells of the grammar.',
    is_common=True,
  )
  num_params: int = settings.children(
    0,
    'Number of parameters that every model has, as nearly as its number of '
    'hidden units allows; 0: that of the first cell with --features.',
    is_common=True,
    low=0,
    high=settings.MAX_COUNT,
  )
  num_segments: int = settings.data(
    0,
    'Number of segments of the training text, of batch_size x num_unrolled '
    'tokens, that are an epoch, from the start of each column; 0: all.',
    low=0,
    high=settings.MAX_COUNT,
  )
  features: int = settings.changed(
    _LongText,
    'features',
    32,
    help='Number of hidden units of the first cell; the others have as many as '
    'give them as many parameters.',
  )
  num_layers: int = settings.changed(_LongText, 'num_layers', 1)
  init_scale: float = settings.changed(_LongText, 'init_scale', 0.1)
  dropout_rate: float = settings.changed(_LongText, 'dropout_rate', 0.0)
  optimizer: str = settings.changed(_LongText, 'optimizer', 'adam')
  schedule: str = settings.changed(_LongText, 'schedule', 'cosine')
  constant_epochs: int = settings.changed(_LongText, 'constant_epochs', 0)
  num_epochs: int = settings.changed(
    _LongText, 'num_epochs', 2, help='Number of epochs of a training.'
  )
  learning_rates: tuple[float, ...] = settings.retraining(
    (0.005, 0.01, 0.02),
    'Learning rates of the first epochs that every cell is trained at.',
    is_common=True,
    above=0.0,
  )
  num_selection_seeds: int = settings.retraining(
    2,
    'Number of trainings of each cell at each learning rate, by which its rate '
    'is chosen.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  num_seeds: int = settings.retraining(
    5,
    'Number of fresh trainings of each cell, which are compared.',
    is_common=True,
    low=2,
    high=settings.MAX_ITEMS,
  )
  redo_failed: bool = settings.machine(
    False,
    'Whether a run that is resumed first repeats its trainings that failed.',
  )
  block_size: int = settings.machine(
    0,
    'Number of trainings in one call; 0: chosen for the device.',
    low=0,
    high=settings.MAX_BLOCK,
  )
  same_task: bool = settings.machine(
    False,
    'Whether to resume although the code that trains has changed; give it '
    'where results are the same.',
  )


_ZAREMBA: dict[str, Any] = {
  field.name: field.default for field in dataclasses.fields(_LongText)
}
PRESETS = {
  'quick': Config(),
  # The medium model of Zaremba et al., 2014, for words: 20 million parameters,
  # if the first cell is an LSTM.
  'zaremba_medium': Config(
    architectures=('lstm', 'gru', 'nascell'),
    dataset='ptb',
    learning_rates=(0.5, 1.0, 2.0),
    **_ZAREMBA,
  ),
}

_FREE = (
  'num_seeds',
  'redo_failed',
  # The hash of the data is compared instead.
  'data_dir',
  'same_task',
  'log_to',
  *worker_settings.FREE,
)


def run(config: Config, workdir: str) -> None:
  """Runs, resumes or shows a comparison.

  Args:
    config: the settings.
    workdir: the run's folder.

  Raises:
    ValueError: a setting or the data is out of range, or the folder holds
      another run.
    OSError: a file is missing.
  """
  config = launch.as_started(config, workdir)
  with worker_settings.Team(config, workdir) as team:
    architecture_comparison.run(make_comparison(config, team), workdir)


def worker_trainers(config: Config) -> training_servant.Trainers:
  """Makes the trainers of a comparison in a worker.

  Args:
    config: the complete settings.
  """
  field = _make_field(config)
  return training_servant.Trainers(
    field.trainers.__getitem__, _data_facts(field)
  )


class _Field(NamedTuple):
  """What is compared.

  Attributes:
    config: the complete settings.
    cells: the cells, by label.
    contestants: the cells at equal size.
    tasks: the tasks on the text.
    trainers: the trainers, by label.
  """

  config: Config
  cells: dict[str, compared_cells.Cell]
  contestants: tuple[contestants_lib.Contestant, ...]
  tasks: dataset_tasks.TextTasks
  trainers: dict[str, Trainer]


def make_comparison(
  config: Config, team: worker_settings.Team | None = None
) -> architecture_comparison.Comparison:
  """Makes a comparison from its settings.

  Args:
    config: the settings.
    team: the workers that train; this process by default.

  Raises:
    ValueError: a setting or the data is out of range.
    OSError: a file is missing.
  """
  field = _make_field(config)
  config = field.config
  wrap = worker_settings.wrap(
    team, 'compare_architectures', config, _data_facts(field)
  )
  trainers = {name: wrap(name, each) for name, each in field.trainers.items()}
  num_steps = config.num_epochs * field.tasks.num_segments
  return architecture_comparison.Comparison(
    settings=dataclasses.asdict(config)
    | {
      'cells': {
        label: cell if isinstance(cell, str) else cell.to_json()
        for label, cell in field.cells.items()
      }
    },
    free=_FREE,
    defaults=dataclasses.asdict(Config()),
    facts={
      'seed': config.seed,
      **data_settings.facts_of_text(field.tasks.dataset),
    },
    retraining=retraining_lib.Retraining(
      contestants=field.contestants,
      trainers=trainers,
      learning_rates=config.learning_rates,
      num_selection_seeds=config.num_selection_seeds,
      num_seeds=config.num_seeds,
      num_steps=num_steps,
      key=jax.random.key(config.seed),
      reward=rewards.make_perplexity_reward(),
      measure=statistics.PERPLEXITY,
    ),
    estimate=functools.partial(
      compared_cells.estimate,
      trainers,
      min(config.learning_rates),
      num_steps,
      (
        len(config.learning_rates) * config.num_selection_seeds,
        config.num_seeds,
      ),
    ),
    is_by_character=config.level == 'char',
    same_task=config.same_task,
    redo_failed=config.redo_failed,
    log_to=config.log_to,
  )


def _make_field(config: Config) -> _Field:
  """Checks the settings, reads the text and makes all trainers."""
  rates = config.learning_rates
  if not rates or len(set(rates)) < len(rates):
    raise ValueError(
      '--learning_rates must be at least one rate, all different; got '
      f'{list(rates)}.'
    )
  # Each training has a learning rate of its own, in place of the recipe's.
  recipe = settings.fill(Recipe, config, unset=('learning_rate',))
  cells = compared_cells.read_cells(config.architectures)
  tasks = dataset_tasks.TextTasks(
    data_settings.load_text(config),
    config.batch_size,
    config.num_unrolled,
    config.num_segments,
  )
  num_steps = config.num_epochs * tasks.num_segments
  if num_steps > settings.MAX_COUNT:
    raise ValueError(
      f'A training would take {num_steps:,} steps; at most '
      f'{settings.MAX_COUNT:,} are possible.'
    )
  config = dataclasses.replace(
    config,
    vocab_size=tasks.dataset.vocab_size,
    num_host_devices=machine_settings.choose_num_devices(config),
    block_size=config.block_size or compared_cells.choose_block_size(config),
  )
  contestants = compared_cells.make_contestants(
    cells, recipe, tasks.dataset.vocab_size, config.num_params
  )
  trainers = compared_cells.make_trainers(
    cells,
    contestants,
    recipe,
    tasks,
    config.block_size,
    machine_settings.choose_num_devices(config),
  )
  return _Field(config, cells, contestants, tasks, trainers)


def _data_facts(field: _Field) -> dict[str, Any]:
  """Returns what tells whether a worker reads the same text."""
  return {'data': data_settings.facts_of_text(field.tasks.dataset)['data_hash']}


if __name__ == '__main__':
  launch.launch(Config, run, presets=PRESETS)

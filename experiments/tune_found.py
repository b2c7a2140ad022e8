# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

r"""Tunes the long training of a found architecture before its test.

    python -m experiments.tune_found --workdir=runs/tune \
        --architecture=runs/recurrent_cell/best.json

This is the grid search that follows a search in "Neural Architecture Search
with Reinforcement Learning", Zoph and Le, 2017
(https://arxiv.org/abs/1611.01578). For a cell, it is over the learning rate,
the scale of the initial weights, the dropout rate and the epoch at which the
learning rate starts to decay (section 4.2); for a convolutional network, over
the learning rate, the weight decay, the epsilon of batch norm and the time at
which the learning rate starts to decay (section 4.1). The points of the grid
are trained in random order, after the settings of `train_recurrent_cell` or
`train_conv_net`. The best point by the validation split is written to
`best_settings.json`, for the flag `--settings` of these two; the test split is
not looked at. With `--workers=processes`, several points are trained at a time.

The flags depend on the architecture: to see those for networks, name a network
along with --help.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools
import itertools
import sys
from typing import Any, NamedTuple

from experiments import (
  data_settings,
  launch,
  machine_settings,
  settings,
  settings_file,
  train_conv_net,
  train_recurrent_cell,
  worker_settings,
)
from jaxnas import rewards
from jaxnas.datasets import prepared
from jaxnas.export import architecture as architecture_file
from jaxnas.runs import long_training, point_trainer, tuning
from jaxnas.spaces import known_conv_nets
from jaxnas.trainers import training_servant
from jaxnas.types import Reward

_HELP = 'Values of {} to try.'


@dataclasses.dataclass(frozen=True)
class Grid(worker_settings.Places):
  """Settings of every tuning."""

  learning_rates: tuple[float, ...] = settings.search(
    (0.5, 1.0, 2.0),
    _HELP.format('learning_rate'),
    is_common=True,
    above=0.0,
  )
  num_trials: int = settings.search(
    16,
    'Number of points of the grid to train; may be raised later.',
    is_common=True,
    low=1,
    high=settings.MAX_ITEMS,
  )


@dataclasses.dataclass(frozen=True)
class Config(train_recurrent_cell.Config, Grid):
  """Settings of a tuning of a recurrent cell's training."""

  init_scales: tuple[float, ...] = settings.search(
    (0.04, 0.05, 0.1),
    _HELP.format('init_scale'),
    is_common=True,
    above=0.0,
  )
  dropout_rates: tuple[float, ...] = settings.search(
    (0.35, 0.5, 0.65),
    _HELP.format('dropout_rate'),
    is_common=True,
    low=0.0,
    below=1.0,
  )
  decay_epochs: tuple[int, ...] = settings.search(
    (4, 6, 10),
    _HELP.format('constant_epochs'),
    is_common=True,
    low=0,
    high=settings.MAX_COUNT,
  )


@dataclasses.dataclass(frozen=True)
class NetConfig(train_conv_net.Config, Grid):
  """Settings of a tuning of a convolutional network's training."""

  learning_rates: tuple[float, ...] = settings.changed(
    Grid, 'learning_rates', (0.05, 0.1, 0.2)
  )
  weight_decays: tuple[float, ...] = settings.search(
    (5e-5, 1e-4, 5e-4),
    _HELP.format('weight_decay'),
    is_common=True,
    low=0.0,
  )
  batch_norm_epsilons: tuple[float, ...] = settings.search(
    (1e-5, 1e-3),
    _HELP.format('batch_norm_epsilon'),
    is_common=True,
    above=0.0,
  )
  decay_starts: tuple[float, ...] = settings.search(
    (0.4, 0.5, 0.6),
    _HELP.format('decay_start'),
    is_common=True,
    above=0.0,
    below=1.0,
  )


class _Kind(NamedTuple):
  """What is tuned.

  Attributes:
    experiment: the long training.
    load: `config -> dataset`, which loads its data.
    lists: the setting with the values to try, by the setting that is tuned.
    make_reward: makes the reward for the validation measure.
  """

  experiment: Any
  load: Callable[[Any], Any]
  lists: Mapping[str, str]
  make_reward: Callable[..., Reward]


_KINDS = {
  Config: _Kind(
    train_recurrent_cell,
    data_settings.load_text,
    {
      'learning_rate': 'learning_rates',
      'init_scale': 'init_scales',
      'dropout_rate': 'dropout_rates',
      'constant_epochs': 'decay_epochs',
    },
    rewards.make_perplexity_reward,
  ),
  NetConfig: _Kind(
    train_conv_net,
    data_settings.load_images,
    {
      'learning_rate': 'learning_rates',
      'weight_decay': 'weight_decays',
      'batch_norm_epsilon': 'batch_norm_epsilons',
      'decay_start': 'decay_starts',
    },
    rewards.make_accuracy_reward,
  ),
}
PRESETS = {
  name: NetConfig(**dataclasses.asdict(preset))
  for name, preset in train_conv_net.PRESETS.items()
}


def run(config: Config | NetConfig, workdir: str) -> None:
  """Tunes, resumes or shows a tuning.

  Args:
    config: the settings.
    workdir: the run's folder.

  Raises:
    ValueError: a setting or the data is out of range, or the folder holds
      another run.
    OSError: a file is missing.
  """
  made = make_tuning(config)
  with worker_settings.Team(config, workdir) as team:
    wrap = team.wrap('tune_found', config, _data_facts(made))
    tuning.run(made, workdir, functools.partial(wrap, 'points'))


def worker_trainers(config: Config | NetConfig) -> training_servant.Trainers:
  """Makes the trainer of a tuning's points in a worker.

  Args:
    config: the settings.
  """
  made = make_tuning(config)
  trainer = point_trainer.PointTrainer(made.make_training, is_remote=True)
  return training_servant.Trainers(lambda _: trainer, _data_facts(made))


def _data_facts(made: tuning.Tuning) -> dict[str, Any]:
  """Returns what tells whether a worker reads the same data."""
  return {'data': made.settings['data_hash']}


def make_tuning(config: Config | NetConfig) -> tuning.Tuning:
  """Makes a tuning from its settings.

  Args:
    config: the settings.

  Raises:
    ValueError: a setting or the data is out of range.
    OSError: a file is missing.
  """
  experiment, load, lists, make_reward = _KINDS[type(config)]
  name_of_experiment = experiment.__name__.removeprefix('experiments.')
  if config.evaluate_test:
    raise ValueError(
      'evaluate_test is not for a tuning, which must not see the test split; '
      f'give it to {name_of_experiment}, with the settings found.'
    )
  names = [field.name for field in dataclasses.fields(experiment.Config)]
  base = experiment.Config(**{name: getattr(config, name) for name in names})
  # All trainings share the data, which no tuned setting changes.
  dataset = load(base)
  used = experiment.make_training(base, dataset)

  def make_training(point: Mapping[str, Any]) -> long_training.Training:
    return experiment.make_training(dataclasses.replace(base, **point), dataset)

  def write_settings(path, point, **facts):
    found = dataclasses.asdict(dataclasses.replace(base, **point))
    for name in machine_settings.FREE_OF_TRAINING:
      if name not in ('num_epochs', 'data_dir'):
        del found[name]
    settings_file.write(path, found, **facts)

  return tuning.Tuning(
    grid={name: getattr(config, values) for name, values in lists.items()},
    usual={name: getattr(config, name) for name in lists},
    num_trials=config.num_trials,
    seed=config.seed,
    settings={**used.settings, **dataclasses.asdict(config)},
    # The length of a training decides which settings are good.
    free=(
      *machine_settings.FREE_OF_TRAINING[1:],
      *worker_settings.FREE_OF_PLACES,
      'num_trials',
    ),
    make_training=make_training,
    reward=make_reward(metric=used.terms.field('validation')),
    write_settings=write_settings,
    experiment=name_of_experiment,
  )


def is_of_net(argv: Sequence[str]) -> bool:
  """Returns whether a command line names a convolutional network.

  Args:
    argv: the arguments after the program's name. Errors in them are left to the
      parsing of flags.
  """
  name = ''
  for flag, following in itertools.pairwise([*argv, '']):
    given, has_value, value = flag.lstrip('-').partition('=')
    if flag.startswith('-') and given == 'architecture':
      name = value if has_value else following
  if name in known_conv_nets.KNOWN_NETS:
    return True
  try:
    architecture_file.load_architecture(prepared.expand(name), 'conv_net')
  except (OSError, ValueError):
    return False
  return True


if __name__ == '__main__':
  if is_of_net(sys.argv[1:]):
    launch.launch(NetConfig, run, presets=PRESETS)
  else:
    launch.launch(Config, run)

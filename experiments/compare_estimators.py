# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

r"""Compares estimators of a policy's gradient with the exact one.

    python -m experiments.compare_estimators --workdir=runs/estimators

All 36,864 recurrent cells of base 2 share one set of weights, trained on cells
drawn at random. With the weights and a minibatch fixed, the reward of every
cell is computed, and with them the exact gradient of the expected reward of a
policy that decides everything independently: at uniform logits, and at random
ones. What estimates it is compared: REINFORCE, with and without a leave-one-out
baseline; and gradients through the grammar, by DARTS's relaxation,
Gumbel-softmax and straight-through Gumbel-softmax at several temperatures.

Prints one table and writes `estimators.json` and `estimators.png`. Weights,
rewards and estimates are saved as they are made; the same command continues a
run, or shows the finished one. `docs/results/estimators.md` has what it
printed.
"""

from __future__ import annotations

import dataclasses

from experiments import data_settings, launch, machine_settings, settings
from jaxnas.datasets import text
from jaxnas.records import workdir
from jaxnas.runs import estimator_comparison, estimator_report, shared_cells
from jaxnas.training import dataset_tasks, text_task
from jaxnas.visualize import progress


@dataclasses.dataclass(frozen=True)
class Config(data_settings.TableChildren, machine_settings.Machine):
  """Settings of the comparison."""

  num_steps: int = settings.changed(
    data_settings.TableChildren,
    'num_steps',
    1024,
    help='Number of steps that the shared weights are trained; an epoch has '
    '128.',
  )
  num_children: int = settings.children(
    8,
    'Number of cells, drawn uniformly, that a step trains the weights on.',
    low=1,
    high=settings.MAX_BLOCK,
  )
  logit_scales: tuple[float, ...] = settings.measurement(
    (0.0, 1.0, 2.0),
    'Standard deviations of the logits of each policy; 0: uniform.',
    is_common=True,
    low=0.0,
    high=30.0,
  )
  temperatures: tuple[float, ...] = settings.measurement(
    (0.1, 0.3, 1.0, 3.0, 10.0),
    'Temperatures of Gumbel-softmax and straight-through.',
    is_common=True,
    above=0.0,
  )
  num_draws: tuple[int, ...] = settings.measurement(
    (1, 64),
    'Numbers of cells, or mixtures, that an update is made of.',
    is_common=True,
    low=1,
    high=256,
  )
  num_estimates: int = settings.measurement(
    512,
    'Number of draws through each relaxation, and of updates of REINFORCE, '
    'that errors are measured from.',
    is_common=True,
    low=2,
    high=10_000,
  )


def run(config: Config, folder: str) -> None:
  """Trains the weights, makes all estimates, and reports their errors.

  Args:
    config: the settings.
    folder: the run's folder, its `--workdir`.

  Raises:
    ValueError: a setting is invalid, or the folder belongs to another run.
  """
  _check(config)
  dataset = text.load('pydoc', vocab_size=config.vocab_size)
  cells = make_cells(config, dataset)
  with workdir.lock(folder) as path:
    workdir.check_config(
      path,
      dataclasses.asdict(config),
      # Each setting's estimates are saved apart, and depend on how many are
      # computed at once in their last bits alone.
      free=(
        'logit_scales',
        'temperatures',
        'num_draws',
        'num_host_devices',
        'block_size',
      ),
      defaults=dataclasses.asdict(Config()),
    )
    workdir.check_data(path, dataset.content_hash)
    workdir.write_manifest(
      path, seed=config.seed, data_hash=dataset.content_hash
    )
    rows = estimator_comparison.Comparison(
      cells,
      path,
      num_steps=config.num_steps,
      num_estimates=config.num_estimates,
      seed=config.seed,
    ).rows(config.logit_scales, config.temperatures, config.num_draws)
    report = estimator_report.Report(
      f'Gradients of the expected reward of {cells.space.size:,} cells with '
      f'weights shared for {config.num_steps:,} steps',
      config.num_draws,
      rows,
    )
    report.show()
    report.write(path)
    report.draw(path)
    progress.files(path, ('estimators.png', 'estimators.json'))


def make_cells(
  config: Config, dataset: text.TextDataset
) -> shared_cells.SharedCells:
  """Makes the cells that share weights.

  Args:
    config: the settings.
    dataset: the text.
  """
  return shared_cells.SharedCells(
    dataset_tasks.TextTasks(dataset, config.batch_size, config.num_unrolled),
    text_task.Recipe(features=config.features),
    learning_rate=config.learning_rate,
    num_children=config.num_children,
    block_size=config.block_size,
    num_devices=config.num_host_devices,
  )


def _check(config: Config) -> None:
  """Raises `ValueError` for settings that do not go together."""
  for name in ('logit_scales', 'temperatures', 'num_draws'):
    values = getattr(config, name)
    if not values or list(values) != sorted(set(values)):
      raise ValueError(
        f'--{name} must be different numbers in growing order, got '
        f'{",".join(map(str, values)) or "none"}.'
      )
  if config.num_estimates < config.num_draws[-1]:
    raise ValueError(
      f'--num_estimates must be at least {config.num_draws[-1]}, the most of '
      f'--num_draws, got {config.num_estimates}.'
    )


if __name__ == '__main__':
  launch.launch(Config, run)

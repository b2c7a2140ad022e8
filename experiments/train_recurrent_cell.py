# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

r"""Trains one recurrent cell from scratch, to the end, as a language model.

    python -m experiments.train_recurrent_cell --workdir=runs/train \
        --architecture=runs/recurrent_cell/best.json

The defaults are those of the medium LSTM of Zaremba et al., 2014
(https://arxiv.org/abs/1409.2329). `--preset=zaremba_medium --data_dir=...` is
that LSTM on the Penn Treebank, which wants an accelerator, and
`--preset=zaremba_small` their smaller one without dropout, an hour or two on a
CPU; on a laptop, use `--features=64 --num_layers=1 --num_epochs=10`.
The parameters of the epoch with the lowest validation perplexity are kept and
written to `weights.npz`. With `--evaluate_test`, and only then, they are
measured on the test split: once, at the end.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
from typing import Any

import jax

from experiments import (
  data_settings,
  launch,
  machine_settings,
  recipe_settings,
  settings,
)
from jaxnas import statistics
from jaxnas.datasets import held_out, prepared, text
from jaxnas.export import architecture as architecture_file
from jaxnas.export import weights
from jaxnas.runs import (
  long_training,
  trained_models,
  training_run,
  training_terms,
)
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.training import dataset_tasks, long_text, text_task
from jaxnas.training.long_text import Recipe


@dataclasses.dataclass(frozen=True)
class Config(
  data_settings.TextData,
  data_settings.TextBatches,
  recipe_settings.LongText,
  machine_settings.LongTraining,
):
  """Settings of one long training."""

  architecture: str = settings.children(
    'nascell',
    'Cell: nascell, gru or paper_example, which are cells of the grammar; '
    'lstm, the usual baseline with biases and a forget bias of 1; or the path '
    'of a best.json.',
    is_common=True,
  )
  learning_rate: float = settings.children(
    Recipe.learning_rate,
    'Learning rate of the first epochs.',
    source=settings.ZAREMBA,
    above=0.0,
  )


_PENN_TREEBANK = Config(architecture='lstm', dataset='ptb')
PRESETS = {
  'nascell': Config(),
  # The non-regularized LSTM of section 4.1; the paper divides its learning rate
  # by 2 after each of the last 9 epochs.
  'zaremba_small': dataclasses.replace(
    _PENN_TREEBANK,
    features=200,
    num_unrolled=20,
    init_scale=0.1,
    dropout_rate=0.0,
    constant_epochs=4,
    decay=0.5,
    num_epochs=13,
  ),
  'zaremba_medium': _PENN_TREEBANK,
}

_TERMS = training_terms.Terms(
  measure=statistics.PERPLEXITY,
  train_metric='perplexity',
  counted='tokens',
  remedy='--learning_rate or --max_grad_norm',
)


def run(config: Config, workdir: str) -> None:
  """Trains, resumes or shows a training.

  Args:
    config: the settings.
    workdir: the run's folder.
  """
  training_run.run(make_training(config), workdir)


def make_training(
  config: Config, dataset: text.TextDataset | None = None
) -> long_training.Training:
  """Makes everything of a training that its settings decide.

  Args:
    config: the settings.
    dataset: the data that the settings name; loaded by default.

  Raises:
    ValueError: a setting is out of range, or the data is unsuitable.
    OSError: a file is missing.
  """
  recipe = settings.fill(Recipe, config)
  architecture = read_architecture(config.architecture)
  is_lstm = architecture == 'lstm'
  if dataset is None:
    dataset = data_settings.load_text(config)
  if config.evaluate_test:
    held_out.check_text(dataset, config.data_dir)
  tasks = dataset_tasks.TextTasks(
    dataset, config.batch_size, config.num_unrolled
  )
  task, num_segments = tasks.make_long(recipe, architecture), tasks.num_segments
  of_training = machine_settings.of_training(
    # With a cosine, every rate depends on the length.
    config,
    may_grow=config.schedule != 'cosine',
  )
  blank = jax.eval_shape(
    functools.partial(task.init, None), of_training['key'], 0.0
  )
  num_params = sum(leaf.size for leaf in jax.tree.leaves(blank.params))
  return long_training.Training(
    **of_training,
    label=(
      f'{config.architecture}: layers {config.num_layers}, units '
      f'{config.features}, parameters {num_params:,}, steps per epoch '
      f'{num_segments:,}.'
    ),
    terms=dataclasses.replace(_TERMS, is_by_character=config.level == 'char'),
    settings=dataclasses.asdict(config)
    | {
      'vocab_size': dataset.vocab_size,
      'data_hash': dataset.content_hash,
      'cell': architecture if is_lstm else architecture.to_json(),
    },
    num_epochs=config.num_epochs,
    epoch_steps=num_segments,
    architecture=architecture,
    task=task,
    initial_learning_rate=config.learning_rate,
    learning_rate=long_text.make_schedule(recipe, num_segments),
    model=lambda state: state.params,
    with_model=lambda state, params: state._replace(params=params),
    train_value=functools.partial(_train_perplexity, num_segments),
    load_test=functools.partial(_load_test, config, dataset),
    write_weights=functools.partial(
      _write_weights, config, recipe, architecture, dataset
    ),
    load=trained_models.load_language_model,
    facts={
      'seed': config.seed,
      **data_settings.facts_of_text(dataset),
      'num_params': num_params,
    },
  )


def _load_test(config, dataset) -> tuple[text_task.Segments, int]:
  tokens = held_out.load_text(dataset, config.data_dir)
  # It is read as one text, without a column's cold start.
  segments = dataset_tasks.to_segments(tokens, 1, config.num_unrolled)
  return segments, len(tokens) - 1


def _write_weights(
  config, recipe, architecture, dataset, path, params, **facts
) -> None:
  weights.write_weights(
    path,
    params,
    dataset.vocabulary,
    architecture,
    recipe=dataclasses.asdict(recipe),
    dataset=dataset.name,
    level=config.level,
    data_hash=dataset.content_hash,
    **facts,
  )


def _train_perplexity(num_segments: int, metrics: Any) -> float:
  """Returns the perplexity over an epoch, with dropout."""
  nats = float(metrics['epoch_nats']) / num_segments
  return math.exp(min(nats, 700.0))


def read_architecture(name: str) -> Any:
  """Returns the cell of a known name or of a file, or `'lstm'`.

  Raises:
    ValueError: nothing has that name, or the file holds none.
    OSError: there is no such file.
  """
  if name == 'lstm':
    return name
  if name.endswith('.json') or os.path.basename(name) != name:
    return architecture_file.load_architecture(
      prepared.expand(name), 'recurrent_cell'
    )
  try:
    return spaces.known_cell(name)
  except ValueError as error:
    raise ValueError(f'{error} The name of a file must end in .json.') from None


if __name__ == '__main__':
  launch.launch(Config, run, presets=PRESETS, takes_settings=True)

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

r"""Trains one recurrent cell from scratch, to the end, as a language model.

    python -m experiments.train_recurrent_cell --workdir=runs/train \
        --architecture=runs/recurrent_cell/best.json

The defaults are those of the medium LSTM of Zaremba et al., 2014
(https://arxiv.org/abs/1409.2329) on the Penn Treebank, `--dataset=ptb
--data_dir=...`; a laptop wants `--features=64 --num_layers=1 --num_epochs=10`.
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
import jax.numpy as jnp

from experiments import bounds, launch
from jaxnas import statistics
from jaxnas.datasets import held_out, prepared, text
from jaxnas.export import architecture as architecture_file
from jaxnas.export import weights
from jaxnas.runs import training_run, training_terms
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.training import dataset_tasks, long_text, text_task
from jaxnas.training.long_text import Recipe

setting = launch.setting


@dataclasses.dataclass(frozen=True)
class Config(bounds.Bounded):
  """Settings of one long training; `Recipe` says where the defaults are from.

  Those without another source are the medium LSTM of Zaremba et al., 2014.
  """

  architecture: str = setting(
    'nascell',
    'A best.json, nascell, gru or paper_example: cells of the grammar; or '
    'lstm: the LSTM with biases and a forget bias of 1, the usual baseline.',
  )
  dataset: str = setting('pydoc', 'pydoc, ptb or text (a folder of your own).')
  data_dir: str | None = setting(None, 'Folder with the text files.')
  level: str = setting('word', 'Tokens.', choices=('word', 'char'))
  vocab_size: int | None = setting(
    None, 'Tokens to tell apart; none: default.', low=1, high=bounds.MAX_COUNT
  )
  features: int = setting(
    Recipe.features,
    'Hidden units; a NASCell of 538 is as large.',
    low=1,
    high=bounds.MAX_FEATURES,
  )
  num_layers: int = setting(
    Recipe.num_layers, 'Recurrent layers.', low=1, high=bounds.MAX_LAYERS
  )
  tie_embeddings: bool = setting(False, 'Share embedding and softmax.')
  use_bias: bool = setting(False, 'Biases in a cell of the grammar.')
  init_scale: float = setting(
    Recipe.init_scale, 'Weights start in +- this.', above=0.0
  )
  dropout_rate: float = setting(
    Recipe.dropout_rate,
    'Of the inputs and outputs of every layer.',
    low=0.0,
    below=1.0,
  )
  variational: bool = setting(
    False, 'The same dropout mask for a whole segment (Gal, 2016).'
  )
  recurrent_dropout_rate: float = setting(
    0.0,
    'Of the hidden state, one mask a segment (Gal, 2016).',
    low=0.0,
    below=1.0,
  )
  embedding_dropout_rate: float = setting(
    0.0, 'Of whole words (Gal, 2016).', low=0.0, below=1.0
  )
  optimizer: str = setting(
    Recipe.optimizer,
    'For adam take a learning rate of about 0.001.',
    choices=long_text.OPTIMIZERS,
  )
  learning_rate: float = setting(
    Recipe.learning_rate, 'Of the first epochs.', above=0.0
  )
  schedule: str = setting(
    Recipe.schedule,
    'The rate falls once an epoch, as much in equal steps, or to zero.',
    choices=long_text.SCHEDULES,
  )
  constant_epochs: int = setting(
    Recipe.constant_epochs,
    'Epochs before the rate falls.',
    low=0,
    high=bounds.MAX_COUNT,
  )
  decay: float = setting(
    Recipe.decay,
    'Of the rate in an epoch (TensorFlow tutorial; paper: 1/1.2).',
    above=0.0,
    high=1.0,
  )
  max_grad_norm: float = setting(
    Recipe.max_grad_norm, 'Clips the gradient.', above=0.0
  )
  num_epochs: int = setting(
    Recipe.num_epochs,
    'May be raised later, unless the schedule is a cosine.',
    low=1,
    high=bounds.MAX_COUNT,
  )
  batch_size: int = setting(
    20, 'Columns of text that are read at once.', low=1, high=bounds.MAX_ITEMS
  )
  num_unrolled: int = setting(
    35, 'Steps of backpropagation through time.', low=1, high=bounds.MAX_ITEMS
  )
  evaluate_test: bool = setting(False, 'Measure the test split at the end.')
  checkpoint_minutes: float = setting(
    10.0,
    'Between two checkpoints; there is one after every epoch too.',
    above=0.0,
  )
  num_host_devices: int | None = setting(
    1,
    'Devices that a CPU is split in; the training uses one, all its threads.',
    low=1,
    high=bounds.MAX_DEVICES,
  )
  seed: int = setting(0, launch.SEED_HELP, low=0, high=2**31 - 1)


_FREE = (
  'num_epochs',
  'evaluate_test',
  'checkpoint_minutes',
  'num_host_devices',
  'data_dir',
)


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


def make_training(config: Config) -> training_run.Training:
  """Makes everything of a training that its settings decide.

  Raises:
    ValueError: a setting is out of range, or the data is.
    OSError: a file is missing.
  """
  recipe = Recipe(
    **{
      field.name: getattr(config, field.name)
      for field in dataclasses.fields(Recipe)
    }
  )
  architecture = read_architecture(config.architecture)
  is_lstm = architecture == 'lstm'
  dataset = text.load(
    config.dataset,
    config.data_dir,
    level=config.level,
    vocab_size=config.vocab_size,
  )
  if config.evaluate_test:
    held_out.check_text(dataset, config.data_dir)
  inputs, targets = text.train_segments(
    dataset.train, config.batch_size, config.num_unrolled
  )
  num_segments = inputs.shape[0]
  model = long_text.make_model(recipe, dataset.vocab_size, architecture)
  optimizer = long_text.make_optimizer(recipe, num_segments)
  init_key, dropout_key = jax.random.split(jax.random.key(config.seed))
  perplexity = jax.jit(functools.partial(text_task.perplexity, model))

  def init():
    return long_text.init(model, optimizer, init_key, config.batch_size)

  def train(state, segments, num_steps):
    return long_text.train(
      model, optimizer, state, segments, dropout_key, num_steps
    )

  def train_perplexity(state):
    return math.exp(min(float(state.nats) / num_segments, 700.0))

  def measure(params, split):
    # The test split is read as one text, without a column's cold start.
    batch_size = config.batch_size
    if split == 'test':
      batch_size = 1
      tokens = held_out.load_text(dataset, config.data_dir)
    else:
      tokens = getattr(dataset, split)
    segments = dataset_tasks.to_segments(
      tokens, batch_size, config.num_unrolled
    )
    return float(perplexity(params, segments)), len(tokens) - 1

  def write_weights(path, params, **facts):
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

  params = jax.eval_shape(init).params
  num_params = sum(leaf.size for leaf in jax.tree.leaves(params))
  return training_run.Training(
    label=(
      f'{config.architecture}: layers {config.num_layers}, units '
      f'{config.features}, parameters {num_params:,}, steps of an epoch '
      f'{num_segments:,}.'
    ),
    terms=dataclasses.replace(_TERMS, is_by_character=config.level == 'char'),
    settings=dataclasses.asdict(config)
    | {
      'vocab_size': dataset.vocab_size,
      'data_hash': dataset.content_hash,
      'cell': architecture if is_lstm else architecture.to_json(),
    },
    # With a cosine, the length decides about every rate.
    defaults=dataclasses.asdict(Config()),
    free=_FREE[1:] if config.schedule == 'cosine' else _FREE,
    num_epochs=config.num_epochs,
    epoch_steps=num_segments,
    init=init,
    train=jax.jit(train, donate_argnums=0),
    data=text_task.Segments(inputs, targets, jnp.ones(inputs.shape)),
    model=lambda state: state.params,
    train_value=train_perplexity,
    learning_rate=long_text.make_schedule(recipe, num_segments),
    measure=measure,
    write_weights=write_weights,
    load_lines=_LOAD_LINES,
    evaluate_test=config.evaluate_test,
    checkpoint_seconds=60 * config.checkpoint_minutes,
    facts={
      'seed': config.seed,
      'data_hash': dataset.content_hash,
      'seen_hash': dataset.seen_hash,
      'vocab_size': dataset.vocab_size,
      'num_params': num_params,
    },
  )


def read_architecture(name: str) -> Any:
  """Returns the cell of a known name or of a file, or `'lstm'`.

  Raises:
    ValueError: there is none of that name, or the file holds none.
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
    raise ValueError(f'{error} The name of a file ends in .json.') from None


_LOAD_LINES = """\
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.training import long_text
from jaxnas.export import weights

params, vocabulary, architecture, facts = weights.load_weights(
  {path!r}
)
recipe = long_text.Recipe(**facts['recipe'])
model = long_text.make_model(recipe, len(vocabulary), architecture)
carry = model.initialize_carry(batch_size=1)
"""


if __name__ == '__main__':
  launch.launch(Config, run)

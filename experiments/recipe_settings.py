# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Settings of the recipe by which long trainings on text make their models."""

from __future__ import annotations

import dataclasses

from experiments import settings
from jaxnas.training import long_text
from jaxnas.training.long_text import Recipe

_GAL = 'without it, as Zaremba et al., 2014'


@dataclasses.dataclass(frozen=True)
class LongText(settings.Bounded):
  """A `long_text.Recipe`, but for its learning rate."""

  features: int = settings.children(
    Recipe.features,
    'Number of hidden units; a NASCell of 538 has as many parameters as an '
    'LSTM of 650.',
    source=settings.ZAREMBA,
    is_common=True,
    low=1,
    high=settings.MAX_FEATURES,
  )
  num_layers: int = settings.children(
    Recipe.num_layers,
    'Number of recurrent layers.',
    source=settings.ZAREMBA,
    low=1,
    high=settings.MAX_RECURRENT_LAYERS,
  )
  tie_embeddings: bool = settings.children(
    False, 'Whether embedding and softmax share their weights.', source=_GAL
  )
  use_bias: bool = settings.children(
    False, 'Whether a cell of the grammar has biases.'
  )
  init_scale: float = settings.children(
    Recipe.init_scale,
    'Bound of the uniform distribution that weights start from.',
    source=settings.ZAREMBA,
    above=0.0,
  )
  dropout_rate: float = settings.children(
    Recipe.dropout_rate,
    'Dropout rate of the inputs and outputs of every layer.',
    source=settings.ZAREMBA,
    low=0.0,
    below=1.0,
  )
  variational: bool = settings.children(
    False,
    'Whether a dropout mask stays the same for a whole segment (Gal, 2016).',
    source=_GAL,
  )
  recurrent_dropout_rate: float = settings.children(
    0.0,
    'Dropout rate of the hidden state, one mask per segment (Gal, 2016).',
    source=_GAL,
    low=0.0,
    below=1.0,
  )
  embedding_dropout_rate: float = settings.children(
    0.0,
    'Dropout rate of whole words (Gal, 2016).',
    source=_GAL,
    low=0.0,
    below=1.0,
  )
  optimizer: str = settings.children(
    Recipe.optimizer,
    'Optimizer; for adam, take a learning rate of about 0.001.',
    source=settings.ZAREMBA,
    choices=long_text.OPTIMIZERS,
  )
  schedule: str = settings.children(
    Recipe.schedule,
    'How the learning rate falls: once an epoch, by as much in equal steps, or '
    'along half a cosine to zero.',
    source=settings.ZAREMBA,
    choices=long_text.SCHEDULES,
  )
  constant_epochs: int = settings.children(
    Recipe.constant_epochs,
    'Number of epochs before the learning rate falls.',
    source=settings.ZAREMBA,
    low=0,
    high=settings.MAX_COUNT,
  )
  decay: float = settings.children(
    Recipe.decay,
    'Factor of the learning rate per epoch; Zaremba et al. divide by 1.2.',
    source="TensorFlow's PTB tutorial",
    above=0.0,
    high=1.0,
  )
  max_grad_norm: float = settings.children(
    Recipe.max_grad_norm,
    'Largest norm of the gradient, which is clipped to it.',
    source=settings.ZAREMBA,
    above=0.0,
  )
  num_epochs: int = settings.children(
    Recipe.num_epochs,
    'Number of epochs; it may be raised later, unless the schedule is a '
    'cosine.',
    source=settings.ZAREMBA,
    is_common=True,
    low=1,
    high=settings.MAX_COUNT,
  )

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Loads and uses the model of a long training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import difflib
import functools
import math
import os
from typing import Any, NamedTuple

from absl import logging
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.children import language_model, sampling
from jaxnas.datasets import text
from jaxnas.export import image_weights, weights, weights_file
from jaxnas.spaces import recurrent_cell
from jaxnas.training import long_text

UNKNOWN = '<unk>'
"""The token that stands for all tokens outside a vocabulary."""

# An empty prompt is read as the token that comes before the start of a text.
_STARTS = {'word': ('<eos>', '.'), 'char': ('\n', ' ')}
_MAX_NAMED = 5


class TrainedText(NamedTuple):
  """A trained language model.

  Attributes:
    model: the module; `model.initialize_carry(batch_size)` is its initial
      carry.
    params: the module's variables, for `model.apply`.
    vocabulary: the token that each integer stands for.
    architecture: the cell, or the name of a cell outside the grammar.
    facts: the recipe and the measured perplexities.
  """

  model: language_model.LanguageModel
  params: Mapping[str, Any]
  vocabulary: tuple[str, ...]
  architecture: recurrent_cell.RecurrentCell | str
  facts: Mapping[str, Any]


def load_language_model(path: str | os.PathLike[str]) -> TrainedText:
  """Loads the `weights.npz` of `experiments.train_recurrent_cell`.

  Args:
    path: the path of the file.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: the file is damaged or of another kind.
  """
  params, vocabulary, architecture, facts = weights.load_weights(path)
  with weights_file.reading(path):
    recipe = weights_file.read_recipe(long_text.Recipe, facts['recipe'])
    if recipe.num_layers > len(jax.tree.leaves(params)):
      raise ValueError(f'{recipe.num_layers} layers have no parameters')
    model = long_text.make_model(recipe, len(vocabulary), architecture)
    weights_file.check_shapes(params, functools.partial(_init, model))
  return TrainedText(model, params, vocabulary, architecture, facts)


def _init(model: language_model.LanguageModel) -> Any:
  tokens = jnp.zeros((1, 1), jnp.int32)
  carry = model.initialize_carry(1)
  return model.init(jax.random.key(0), carry, tokens, method='logits')


def generate_text(
  trained: TrainedText,
  prompt: str = '',
  num_tokens: int = 100,
  *,
  temperature: float = 1.0,
  seed: int = 0,
  num_samples: int = 1,
  allow_unknown: bool = False,
) -> list[str]:
  """Returns texts that continue a prompt, including the prompt.

  The same arguments give the same texts. Tokens of the prompt that are not in
  the vocabulary are read as `<unk>`, and a warning names them.

  Args:
    trained: a model from `load_language_model`.
    prompt: the text to continue, which is split into tokens like the training
      text; an empty prompt is the start of a line.
    num_tokens: the number of tokens to draw, words or characters.
    temperature: the sampling temperature: 0 always takes the most probable
      token, and 1 draws tokens with the model's probabilities.
    seed: the random seed.
    num_samples: the number of texts.
    allow_unknown: whether `<unk>` may be drawn.

  Raises:
    ValueError: an argument is out of range, the prompt has unknown tokens but
      the vocabulary has no `<unk>`, or the model's logits are not finite.
  """
  for name, value in (('num_tokens', num_tokens), ('num_samples', num_samples)):
    if value < 1:
      raise ValueError(f'{name} must be at least 1, got {value}.')
  if not 0 <= temperature < math.inf:
    raise ValueError(
      f'temperature must be at least 0 and finite, got {temperature}.'
    )
  name = trained.facts.get('dataset', 'text')
  level = trained.facts.get('level', 'word')
  tokens = _encode(trained.vocabulary, text.tokenize(name, prompt, level))
  is_allowed = np.array(
    [allow_unknown or token != UNKNOWN for token in trained.vocabulary]
  )
  if not is_allowed.any():
    raise ValueError(
      f'The vocabulary has no token but {UNKNOWN}; set allow_unknown.'
    )
  key = jax.random.key(seed)
  drawn, is_finite = sampling.sample(
    trained.model,
    trained.params,
    jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(num_samples)),
    jnp.array(tokens or [_start(trained.vocabulary, level)], jnp.int32),
    num_tokens,
    temperature,
    is_allowed,
  )
  if not is_finite.all():
    raise ValueError(
      'The model returns logits that are not finite, so its training failed; '
      'train it again with a smaller learning rate.'
    )
  return [
    text.join(name, [trained.vocabulary[i] for i in (*tokens, *sample)], level)
    for sample in np.asarray(drawn).tolist()
  ]


def _encode(vocabulary: Sequence[str], tokens: Sequence[str]) -> list[int]:
  """Returns tokens as integers, and warns of unknown ones."""
  index = {token: number for number, token in enumerate(vocabulary)}
  unknown = [each for each in dict.fromkeys(tokens) if each not in index]
  if unknown:
    near = {
      close[0]: None
      for each in unknown
      if (close := difflib.get_close_matches(each, vocabulary, 1))
    }
    named = ', '.join(map(repr, unknown[:_MAX_NAMED]))
    if len(unknown) > _MAX_NAMED:
      named += f' and {len(unknown) - _MAX_NAMED} more'
    if UNKNOWN not in index:
      raise ValueError(
        f'The model does not know {named} in the prompt, and its vocabulary '
        f'has no {UNKNOWN}; use other words.'
      )
    logging.warning(
      'The model does not know %s in the prompt; it reads %s instead%s.',
      named,
      UNKNOWN,
      f' (it knows {", ".join(map(repr, near))})' if near else '',
    )
  return [index.get(each, index.get(UNKNOWN, 0)) for each in tokens]


def _start(vocabulary: Sequence[str], level: str) -> int:
  """Returns the token that an empty prompt is read as."""
  for token in _STARTS[level]:
    if token in vocabulary:
      return vocabulary.index(token)
  raise ValueError(
    'The prompt is empty, and the vocabulary has no end of line to start from; '
    'give a prompt.'
  )


def load_classifier(
  path: str | os.PathLike[str],
) -> Callable[[np.ndarray], np.ndarray]:
  """Loads the `weights.npz` of `experiments.train_conv_net`.

  Args:
    path: the path of the file.

  Returns:
    `images -> logits`, a function of unprocessed images; see
    `image_weights.make_classifier`.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: the file is damaged or of another kind.
  """
  return image_weights.make_classifier(image_weights.load_weights(path))

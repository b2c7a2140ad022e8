# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Trained language models as straight-line code, with their weights."""

from __future__ import annotations

from collections.abc import Mapping
import os
import textwrap
from typing import Any

from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np

import jaxnas
from jaxnas.children import language_model
from jaxnas.children import recurrent_cell as cells
from jaxnas.export import (
  cell_source,
  listing,
  recording,
  statements,
  weights,
  weights_file,
)
from jaxnas.export.cell_source import Cell
from jaxnas.spaces import recurrent_cell as space
from jaxnas.training import long_text

_CHECKED_BATCH, _CHECKED_STEPS = 2, 8


def make_listing(
  path: str | os.PathLike[str],
  architecture: space.RecurrentCell | None,
  framework: str,
) -> listing.Listing:
  """Returns the source of a language model, and its weights.

  Args:
    path: the `weights.npz` of a long training.
    architecture: the cell that the weights must belong to; any if `None`.
    framework: one of `listing.FRAMEWORKS`.

  Raises:
    ValueError: the file is damaged, belongs to another cell, or does not hold
      the arrays of its cell.
    OSError: the file cannot be read.
  """
  trained = weights.load_weights(path)
  if architecture is not None and trained.architecture != architecture:
    raise ValueError(listing.OTHER_WEIGHTS.format(path))
  recipe, model = _model(path, trained)
  cell = _cell(trained.architecture, recipe)
  flat = traverse_util.flatten_dict(trained.params, sep='/')
  arrays = _arrays(flat, trained.architecture, cell, recipe, framework)
  docstring = listing.definition(
    """
    A trained language model, as stand-alone code.

    <parts>

    <formulas>

    The weights are in the .npz file beside this one:

    <usage>

    Run as a program, this file checks itself. Written by jaxnas <version>.
    """,
    parts=_parts(recipe, len(trained.vocabulary)),
    formulas=cell_source.formulas(cell),
    usage=_USAGE[framework],
    version=jaxnas.__version__,
  )
  tokens = np.random.RandomState(0).randint(
    len(trained.vocabulary), size=(_CHECKED_BATCH, _CHECKED_STEPS)
  )
  return listing.Listing(
    framework,
    docstring,
    [
      listing.WEIGHTS,
      *cell_source.code(cell, framework),
      *_code(recipe, len(trained.vocabulary), framework),
    ],
    listing.Recorded(
      {
        **arrays,
        'check': {
          'inputs': tokens,
          'outputs': _logits(model, trained.params, tokens),
        },
      },
      {'vocabulary': trained.vocabulary, 'facts': trained.facts},
    ),
  )


def _parts(recipe: long_text.Recipe, vocab_size: int) -> str:
  layers = f'{recipe.num_layers} layer{"s" if recipe.num_layers > 1 else ""}'
  tied = ' with the weights of the embedding' if recipe.tie_embeddings else ''
  return textwrap.fill(
    f'It has an embedding of {vocab_size} tokens, {layers} of a recurrent cell '
    f'with {recipe.features} units, and an output layer{tied}. Dropout, which '
    'training may have used, is left out.',
    statements.WIDTH,
  )


def _model(
  path, trained: weights.Weights
) -> tuple[long_text.Recipe, language_model.LanguageModel]:
  """Returns a model's recipe and the model, once its arrays fit them."""
  with weights_file.reading(path):
    recipe = weights_file.read_recipe(long_text.Recipe, trained.facts['recipe'])
    # These are written into the source.
    listing.check_counts(features=recipe.features, num_layers=recipe.num_layers)
    if recipe.num_layers > len(jax.tree.leaves(trained.params)):
      raise ValueError(f'{recipe.num_layers} layers have no parameters')
    model = long_text.make_model(
      recipe, len(trained.vocabulary), trained.architecture
    )

    def init():
      tokens = jnp.zeros((1, 1), jnp.int32)
      carry = model.initialize_carry(1)
      return model.init(jax.random.key(0), carry, tokens, method='logits')

    weights_file.check_shapes(trained.params, init)
  return recipe, model


def _cell(
  architecture: space.RecurrentCell | str, recipe: long_text.Recipe
) -> Cell:
  if isinstance(architecture, str):
    return cell_source.lstm_cell()
  return cell_source.grammar_cell(architecture, recipe.use_bias)


def _arrays(
  flat: Mapping[str, Any],
  architecture: space.RecurrentCell | str,
  cell: Cell,
  recipe: long_text.Recipe,
  framework: str,
) -> dict[str, dict[str, np.ndarray]]:
  """Returns the weights by their names in the file's model."""
  params = {name: np.asarray(each) for name, each in flat.items()}
  is_flax = framework == 'flax'
  result: dict[str, np.ndarray] = {}
  for layer in range(recipe.num_layers):
    own = f'layers_{layer}/cell/' if is_flax else f'layers.{layer}.cell.'
    path = f'params/layers_{layer}'
    for name, place in (
      ('input_kernel', 'input_projection/kernel'),
      ('recurrent_kernel', 'recurrent_kernel'),
      ('bias', 'bias'),
    ):
      if name != 'bias' or cell.has_bias:
        result[own + name] = cell_source.reorder(
          params[f'{path}/{place}'], _order(architecture, cell)
        )
  embedding = 'embedding/embedding' if is_flax else 'embedding.weight'
  result[embedding] = params['params/embedding']
  separator = '/' if is_flax else '.'
  if recipe.tie_embeddings:
    result['output_bias'] = params['params/output_bias']
  else:
    kernel = params['params/output_kernel']
    result[f'output{separator}bias'] = params['params/output_bias']
    result['output/kernel' if is_flax else 'output.weight'] = (
      kernel if is_flax else kernel.T
    )
  return {'params' if is_flax else 'state': result}


def _order(architecture: space.RecurrentCell | str, cell: Cell) -> np.ndarray:
  """Returns the index of each leaf's block of weights."""
  if isinstance(architecture, str):
    return np.arange(cell.num_blocks)
  return np.argsort(cells.leaf_order(architecture))


def _logits(
  model: language_model.LanguageModel,
  params: Mapping[str, Any],
  tokens: np.ndarray,
) -> np.ndarray:
  """Returns the library's logits in double precision, `[batch, time, V]`."""
  with recording.double_precision():
    params, carry = jax.tree.map(
      lambda leaf: np.asarray(leaf, np.float64),
      (params, model.initialize_carry(len(tokens))),
    )
    logits, _ = model.apply(params, carry, tokens.T, method='logits')
    return np.asarray(logits).swapaxes(0, 1)


def _code(
  recipe: long_text.Recipe, vocab_size: int, framework: str
) -> list[str]:
  is_tied = recipe.tie_embeddings
  model = listing.definition(
    _MODEL[framework],
    vocab_size=vocab_size,
    features=recipe.features,
    num_layers=recipe.num_layers,
    head=statements.call(
      'def __init__',
      [
        'self',
        f'vocab_size={vocab_size}',
        f'features={recipe.features}',
        f'num_layers={recipe.num_layers}',
      ],
      2,
      ':',
    ),
    output=_OUTPUT[framework][is_tied],
    logits=_LOGITS[framework][is_tied],
  )
  return [
    model,
    *(part.strip('\n') for part in _LOAD[framework]),
    *listing.recorded_pieces(framework),
  ]


_USAGE = {
  'flax': """
    model, variables, vocabulary = load()
    logits, carry = model.apply(variables, tokens)  # int[batch, time]
"""[1:-1],
  'torch': """
    model, vocabulary = load()
    logits, state = model(tokens)  # int[batch, time]
"""[1:-1],
}
_OUTPUT = {
  'flax': (
    '    self.output = nn.Dense(self.vocab_size)',
    """
    self.output_bias = self.param(
      'output_bias', nn.initializers.zeros, (self.vocab_size,)
    )
"""[1:-1],
  ),
  'torch': (
    '    self.output = nn.Linear(features, vocab_size)',
    '    self.output_bias = nn.Parameter(torch.zeros(vocab_size))',
  ),
}
_LOGITS = {
  'flax': (
    '    return self.output(hidden), new_carry',
    """
    logits = self.embedding.attend(hidden) + self.output_bias
    return logits, new_carry
"""[1:-1],
  ),
  'torch': (
    '    return self.output(hidden), new_state',
    """
    logits = hidden @ self.embedding.weight.T + self.output_bias
    return logits, new_state
"""[1:-1],
  ),
}
_MODEL = {
  'flax': '''
class LanguageModel(nn.Module):
  """Predicts the next token: embedding, layers of `Cell`, logits.

  Attributes:
    vocab_size: the number of tokens in the vocabulary.
    features: the width of the embedding and of every layer.
    num_layers: the number of recurrent layers.
  """

  vocab_size: int = <vocab_size>
  features: int = <features>
  num_layers: int = <num_layers>

  def setup(self):
    """Declares the layers."""
    self.embedding = nn.Embed(self.vocab_size, self.features)
    self.layers = [
      nn.RNN(Cell(self.features), return_carry=True)
      for _ in range(self.num_layers)
    ]
<output>

  def __call__(self, tokens, carry=None):
    """Returns the logits of the next token at every position.

    Args:
      tokens: the tokens, `int[batch, time]`.
      carry: the carry that the call for the previous tokens returned; that of
        the start of a text by default.

    Returns:
      The logits of the token after each one, `[batch, time, vocab_size]`, and
      the new carry.
    """
    hidden = self.embedding(tokens)
    new_carry = []
    for layer, before in zip(
      self.layers, carry or [None] * self.num_layers, strict=True
    ):
      after, hidden = layer(hidden, initial_carry=before)
      new_carry.append(after)
<logits>
''',
  'torch': '''
class LanguageModel(nn.Module):
  """Predicts the next token: embedding, layers of `Cell`, logits.

  Args:
    vocab_size: the number of tokens in the vocabulary.
    features: the width of the embedding and of every layer.
    num_layers: the number of recurrent layers.
  """

<head>
    super().__init__()
    self.embedding = nn.Embedding(vocab_size, features)
    self.layers = nn.ModuleList(
      Recurrent(features, features) for _ in range(num_layers)
    )
<output>

  def forward(self, tokens, state=None):
    """Returns the logits of the next token at every position.

    Args:
      tokens: the tokens, `int[batch, time]`.
      state: the state that the call for the previous tokens returned; zeros by
        default.

    Returns:
      The logits of the token after each one, `[batch, time, vocab_size]`, and
      the new state.
    """
    hidden = self.embedding(tokens)
    new_state = []
    for layer, before in zip(
      self.layers, state or [None] * len(self.layers), strict=True
    ):
      hidden, after = layer(hidden, before)
      new_state.append(after)
<logits>
''',
}
_LOAD = {
  'flax': (
    '''
def load(path=WEIGHTS, dtype=None):
  """Returns the trained model, its variables and its vocabulary."""
  arrays, about = read_arrays(path)
  model = LanguageModel()
  tokens = np.zeros((1, 1), np.int32)
  variables = read_variables(model, arrays, tokens, dtype)
  return model, variables, about['vocabulary']
''',
    '''
def checked_outputs(tokens):
  """Returns the logits of tokens, in double precision, as a list of arrays."""
  # In double precision, rounding is far below any mistake, on any machine.
  jax.config.update('jax_enable_x64', True)
  model, variables, _ = load(dtype=np.float64)
  logits, _ = model.apply(variables, tokens)
  return [logits]
''',
  ),
  'torch': (
    '''
def load(path=WEIGHTS):
  """Returns the trained model and its vocabulary."""
  arrays, about = read_arrays(path)
  model = LanguageModel()
  read_state(model, arrays)
  return model.eval(), about['vocabulary']
''',
    '''
def checked_outputs(tokens):
  """Returns the logits of tokens, in double precision, as a list of arrays."""
  # In double precision, rounding is far below any mistake, on any machine.
  model, _ = load()
  logits, _ = model.double()(torch.from_numpy(tokens))
  return [logits.detach().numpy()]
''',
  ),
}

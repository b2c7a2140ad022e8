# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of loading what a training has written.

That the loaded models measure what was measured is tested beside the trainings:
`train_conv_net_test` and `train_recurrent_cell_test`.
"""

import dataclasses

import jax
import numpy as np
import pytest

from jaxnas.export import weights
from jaxnas.runs import trained_models
from jaxnas.spaces import recurrent_cell
from jaxnas.training import long_text

VOCABULARY = ('<unk>', 'the', 'cat', 'sat', '<eos>')
CELL = recurrent_cell.KNOWN_CELLS['gru']
RECIPE = long_text.Recipe(features=4, num_layers=1, init_scale=1.0)


def write(path, vocabulary=VOCABULARY, recipe=RECIPE, params=None, **facts):
  """Writes a language model, and returns it and its parameters."""
  model = long_text.make_model(RECIPE, len(vocabulary), CELL)
  tokens = np.zeros((1, 1), np.int32)
  if params is None:
    params = model.init(
      jax.random.key(0), model.initialize_carry(1), tokens, method='logits'
    )
  facts = {'recipe': dataclasses.asdict(recipe), **facts}
  weights.write_weights(path, params, vocabulary, CELL, **facts)
  return model, params


@pytest.fixture
def path(tmp_path):
  return tmp_path / 'weights.npz'


def test_a_language_model_is_made_of_its_file(path):
  model, params = write(path)
  trained = trained_models.load_language_model(path)
  assert (trained.vocabulary, trained.architecture) == (VOCABULARY, CELL)
  inputs, carry = np.zeros((3, 1), np.int32), model.initialize_carry(1)
  for one, other in zip(
    jax.tree.leaves(model.apply(params, carry, inputs, method='encode')),
    jax.tree.leaves(
      trained.model.apply(trained.params, carry, inputs, method='encode')
    ),
    strict=True,
  ):
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'recipe': dataclasses.replace(RECIPE, features=5)}, 'but the file has'),
    ({'recipe': dataclasses.replace(RECIPE, num_layers=9)}, '9 layers have no'),
    (
      {'recipe': dataclasses.replace(RECIPE, num_layers=10**9)},
      '1000000000 layers have no parameters',
    ),
    (
      {'recipe': dataclasses.replace(RECIPE, tie_embeddings=True)},
      'params/output_kernel must be none',
    ),
  ],
)
def test_parameters_of_another_model_are_refused(path, change, message):
  write(path, **change)
  with pytest.raises(ValueError, match=f'weights.npz is damaged .*{message}'):
    trained_models.load_language_model(path)


def test_the_same_seed_gives_the_same_text(path):
  write(path, dataset='text', level='word')
  trained = trained_models.load_language_model(path)
  (text,) = trained_models.generate_text(trained, 'the  cat', 50, seed=1)
  assert text.startswith('the cat')
  words = text.replace('\n', ' <eos> ').split()
  assert len(words) == 52
  assert set(words) == {*VOCABULARY} - {'<unk>'}
  again = trained_models.generate_text(
    trained, 'the cat', 50, seed=1, num_samples=3
  )
  assert again[0] == text
  assert len(set(again)) == 3
  assert trained_models.generate_text(trained, 'the cat', 50, seed=2) != [text]
  greedy = [
    trained_models.generate_text(trained, 'cat', 8, temperature=0, seed=seed)
    for seed in (0, 1)
  ]
  assert greedy[0] == greedy[1]
  (unknown,) = trained_models.generate_text(
    trained, 'the cat', 50, allow_unknown=True
  )
  assert '<unk>' in unknown


def test_an_unknown_word_is_said_and_read_as_one(path, monkeypatch):
  write(path)
  trained = trained_models.load_language_model(path)
  said = []
  monkeypatch.setattr(
    trained_models.logging,
    'warning',
    lambda text, *args: said.append(text % args),
  )
  texts = [
    trained_models.generate_text(trained, prompt, 20)
    for prompt in ('the caat dog dog', 'the <unk> <unk> <unk>')
  ]
  assert texts[0] == texts[1]
  assert said == [
    "The model does not know 'caat', 'dog' in the prompt; it reads <unk> "
    "instead (it knows 'cat')."
  ]


def test_a_vocabulary_without_unknown_takes_no_unknown_words(path):
  write(path, ('a', 'b', '\n'), level='char')
  trained = trained_models.load_language_model(path)
  (text,) = trained_models.generate_text(trained, '\r\nab', 30)
  assert text[:3] == '\nab'
  assert len(text) == 33
  with pytest.raises(
    ValueError, match=r"not know 'c' in the prompt, .*use oth"
  ):
    trained_models.generate_text(trained, 'abc')


def test_an_empty_prompt_is_the_start_of_a_line(path):
  write(path)
  trained = trained_models.load_language_model(path)
  (text,) = trained_models.generate_text(trained, '', 20)
  (line,) = trained_models.generate_text(trained, '\n', 20)
  assert line == '\n' + text
  write(path, ('a', 'b'))
  with pytest.raises(ValueError, match=r'prompt is empty, .*; give a prompt'):
    trained_models.generate_text(trained_models.load_language_model(path))


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'num_tokens': 0}, 'num_tokens must be at least 1, got 0'),
    ({'num_samples': -1}, 'num_samples must be at least 1, got -1'),
    ({'temperature': -0.5}, 'temperature must be at least 0 and finite'),
    ({'temperature': float('nan')}, 'temperature must be .* got nan'),
    ({'temperature': float('inf')}, 'temperature must be .* got inf'),
  ],
)
def test_arguments_out_of_range_are_named(path, arguments, message):
  write(path)
  trained = trained_models.load_language_model(path)
  with pytest.raises(ValueError, match=message):
    trained_models.generate_text(trained, 'the', **arguments)


def test_a_model_that_diverged_is_told(path):
  _, params = write(path)
  write(path, params=jax.tree.map(lambda leaf: leaf * np.nan, params))
  trained = trained_models.load_language_model(path)
  with pytest.raises(ValueError, match='logits that are not finite'):
    trained_models.generate_text(trained, 'the', 3)


def test_a_vocabulary_of_unknown_alone_says_nothing(path):
  write(path, ('<unk>',))
  trained = trained_models.load_language_model(path)
  with pytest.raises(ValueError, match='has no token but <unk>; set allow'):
    trained_models.generate_text(trained, '<unk>')


@pytest.mark.parametrize(
  'load', [trained_models.load_language_model, trained_models.load_classifier]
)
def test_a_file_that_is_missing_is_named(load, tmp_path):
  with pytest.raises(FileNotFoundError, match=r'weights\.npz'):
    load(tmp_path / 'weights.npz')

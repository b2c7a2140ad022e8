# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses

import jax
import numpy as np
import pytest

from experiments import generate_text
from jaxnas.export import weights
from jaxnas.spaces import recurrent_cell
from jaxnas.training import long_text

VOCABULARY = ('<unk>', 'a', 'b', 'c', '<eos>')


@pytest.fixture
def config(tmp_path):
  recipe = long_text.Recipe(features=3, num_layers=1, init_scale=1.0)
  cell = recurrent_cell.KNOWN_CELLS['gru']
  model = long_text.make_model(recipe, len(VOCABULARY), cell)
  params = model.init(
    jax.random.key(0),
    model.initialize_carry(1),
    np.zeros((1, 1), np.int32),
    method='logits',
  )
  path = tmp_path / 'weights.npz'
  facts = {'dataset': 'text', 'level': 'word'}
  weights.write_weights(
    path, params, VOCABULARY, cell, recipe=dataclasses.asdict(recipe), **facts
  )
  return generate_text.Config(weights=str(path), prompt='a b', num_tokens=5)


def test_a_text_is_printed(config, capsys):
  generate_text.run(config)
  printed = capsys.readouterr().out
  assert printed.startswith('a b')
  assert len(printed[:-1].replace('\n', ' <eos> ').split()) == 7
  generate_text.run(dataclasses.replace(config, num_samples=2))
  several = capsys.readouterr().out
  assert several.startswith(f'--- 1 of 2 ---\n{printed}--- 2 of 2 ---\na b')


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'num_tokens': 0}, '--num_tokens must be from 1'),
    ({'temperature': -1.0}, '--temperature must be at least 0'),
    ({'num_samples': 0}, '--num_samples must be from 1'),
    ({'seed': -1}, '--seed must be from 0'),
  ],
)
def test_settings_out_of_range_are_refused(config, change, message):
  with pytest.raises(ValueError, match=message):
    dataclasses.replace(config, **change)


def test_a_missing_file_is_named(config, tmp_path):
  with pytest.raises(FileNotFoundError, match=r'no weights file .*none.npz'):
    generate_text.run(
      dataclasses.replace(config, weights=str(tmp_path / 'none.npz'))
    )

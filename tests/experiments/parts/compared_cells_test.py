# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import types

import numpy as np
import pytest

from experiments.parts import compared_cells
from jaxnas.export import architecture as architecture_file
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.trainers import blocks
from jaxnas.training import long_text

V = 30
RECIPE = long_text.Recipe(features=12, num_layers=2)


@pytest.fixture
def files(tmp_path):
  """Returns three files of cells; two have the same name."""
  paths = [
    *(tmp_path / name / 'best.json' for name in ('one', 'other')),
    tmp_path / 'third.json',
  ]
  for path in paths:
    path.parent.mkdir(exist_ok=True)
    architecture_file.write_architecture(
      path, spaces.KNOWN_CELLS['paper_example']
    )
  return list(map(str, paths))


def test_files_are_known_by_their_names_and_by_their_paths_if_equal(files):
  first, second, third = files
  names = ['nascell', first, second, third, 'gru', 'lstm']
  found = compared_cells.read_cells(names)
  assert list(found) == ['NASCell', first, second, 'third', 'GRU', 'LSTM']
  assert found['GRU'] == 'gru'
  assert found['NASCell'] == spaces.KNOWN_CELLS['nascell']
  assert found['third'] == spaces.KNOWN_CELLS['paper_example']


def test_a_file_named_as_a_known_cell_is_no_known_cell(files, tmp_path):
  path = tmp_path / 'LSTM.json'
  path.write_bytes((tmp_path / 'third.json').read_bytes())
  assert list(compared_cells.read_cells(['lstm', str(path)])) == [
    'lstm',
    str(path),
  ]


@pytest.mark.parametrize(
  ('names', 'message'),
  [
    ((), 'must be two or more, .* got none'),
    (('lstm',), 'must be two or more, .* got lstm'),
    (('lstm', 'gru', 'lstm'), 'has lstm more than once'),
    (('lstm', 'nascel'), 'did you mean nascell'),
  ],
)
def test_bad_names(names, message):
  with pytest.raises(ValueError, match=message) as error:
    compared_cells.read_cells(names)
  assert '\n' not in str(error.value)


def params_by_hand(blocks, features, has_bias):
  layer = blocks * features * (2 * features + has_bias)
  return 2 * V * features + V + 2 * layer


@pytest.mark.parametrize('num_params', [0, 9_000])
def test_widths_give_equal_parameters(num_params):
  cells = compared_cells.read_cells(['nascell', 'lstm', 'gru'])
  found = compared_cells.make_contestants(cells, RECIPE, V, num_params)
  wanted = num_params or params_by_hand(8, 12, False)
  for contestant, kind in zip(found, ((8, 0), (4, 1), (3, 1)), strict=True):
    counts = [params_by_hand(kind[0], width, kind[1]) for width in range(64)]
    best = int(np.argmin(np.abs(np.array(counts) - wanted)))
    assert contestant.features == best
    assert contestant.num_params == counts[best]
  if not num_params:
    assert found[0].features == RECIPE.features
  assert [each.architecture is None for each in found] == [False, True, True]


def test_a_number_of_parameters_that_no_width_has_is_refused():
  cells = compared_cells.read_cells(['lstm', 'gru'])
  with pytest.raises(ValueError, match='LSTM cannot have about 10 parameters'):
    compared_cells.make_contestants(cells, RECIPE, V, 10)


@pytest.mark.parametrize(
  ('num_devices', 'num_gpus', 'num_seeds', 'expected'),
  # 6 trainings choose a rate, or there are as many fresh ones as seeds.
  [(2, 0, 5, 6), (4, 0, 5, 8), (1, 0, 5, 4), (2, 0, 40, 8), (2, 3, 5, 6)],
)
def test_a_block_is_no_larger_than_what_there_is_to_train(
  num_devices, num_gpus, num_seeds, expected
):
  config = types.SimpleNamespace(
    num_host_devices=num_devices,
    gpus_per_worker=num_gpus,
    learning_rates=(0.1, 0.2, 0.3),
    num_selection_seeds=2,
    num_seeds=num_seeds,
  )
  assert blocks.default_block_size(1, 'cpu') == 4
  assert compared_cells.choose_block_size(config) == expected

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import json

import numpy as np
import pytest

from jaxnas.export import architecture
from jaxnas.spaces import recurrent_cell

CELL = recurrent_cell.KNOWN_CELLS['nascell']


@dataclasses.dataclass(frozen=True)
class Unknown:
  size: int = 1


@pytest.mark.parametrize('name', sorted(recurrent_cell.KNOWN_CELLS))
def test_a_written_architecture_is_loaded_unchanged(tmp_path, name):
  cell = recurrent_cell.KNOWN_CELLS[name]
  path = tmp_path / 'best.json'
  architecture.write_architecture(path, cell)
  loaded = architecture.load_architecture(path)
  assert loaded == cell
  assert hash(loaded) == hash(cell)


def test_the_file_says_kind_architecture_and_facts(tmp_path):
  path = tmp_path / 'best.json'
  architecture.write_architecture(
    path, CELL, reward=np.float32(0.1), trial=7, perplexity=float('nan')
  )
  content = json.loads(path.read_text())
  assert content == {
    'kind': 'recurrent_cell',
    'architecture': CELL.to_json(),
    'reward': float(np.float32(0.1)),
    'trial': 7,
    'perplexity': None,
  }
  assert [entry.name for entry in tmp_path.iterdir()] == ['best.json']


def test_writing_refuses_what_it_cannot_load(tmp_path):
  path = tmp_path / 'best.json'
  with pytest.raises(ValueError, match='conv_net, hyperparameters, got'):
    architecture.write_architecture(path, Unknown())  # type: ignore[arg-type]
  with pytest.raises(ValueError, match="named 'kind', got 'x'"):
    architecture.write_architecture(path, CELL, kind='x')
  assert not path.exists()


def test_a_missing_file_is_named(tmp_path):
  with pytest.raises(FileNotFoundError, match=r'nothing\.json; give the best'):
    architecture.load_architecture(tmp_path / 'nothing.json')


@pytest.mark.parametrize(
  ('content', 'message'),
  [
    ('{"kind": "recurr', 'best.json is damaged: not JSON'),
    ('[1]', 'expected a JSON object, got a list'),
    ('{}', 'kind None; expected one of recurrent_cell'),
    ('{"kind": ["recurrent_cell"]}', r"kind \['recurrent_cell'\]; expected"),
    ('{"kind": "conv"}', "kind 'conv'; expected one of recurrent_cell"),
    ('{"kind": "recurrent_cell"}', 'no valid recurrent_cell: .*has the fields'),
    (
      '{"kind": "recurrent_cell", "architecture": [3]}',
      'no valid recurrent_cell',
    ),
  ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path, content, message):
  path = tmp_path / 'best.json'
  path.write_text(content)
  with pytest.raises(ValueError, match=message) as error:
    architecture.load_architecture(path)
  assert str(path) in str(error.value)
  assert '\n' not in str(error.value)


@pytest.mark.parametrize(
  ('name', 'value', 'message'),
  [
    ('inject_combiner', 'divide', "Unknown combiner 'divide'"),
    ('combiners', 5, 'no valid recurrent_cell'),
    ('read_index', 99, 'read_index must be an integer'),
    ('read_index', '1', 'no valid recurrent_cell'),
  ],
)
def test_bad_fields_are_refused_in_one_line(tmp_path, name, value, message):
  path = tmp_path / 'best.json'
  fields = {**CELL.to_json(), name: value}
  path.write_text(
    json.dumps({'kind': 'recurrent_cell', 'architecture': fields})
  )
  with pytest.raises(ValueError, match=message) as error:
    architecture.load_architecture(path)
  assert str(path) in str(error.value)
  assert '\n' not in str(error.value)

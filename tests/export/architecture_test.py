# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import contextlib
import dataclasses
import json
import random
import time
from typing import Any

import numpy as np
import pytest

from jaxnas import types
from jaxnas.export import architecture
from jaxnas.spaces import hyperparameters, known_conv_nets, recurrent_cell

CELL = recurrent_cell.KNOWN_CELLS['nascell']


@dataclasses.dataclass(frozen=True)
class Stack:
  """An architecture of a space of one's own."""

  kind = 'stack'
  depth: int

  def to_json(self):
    return {'depth': self.depth}

  @classmethod
  def from_json(cls, fields):
    return cls(**fields)


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
  assert len(content.pop('checksum')) == 8
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
  with pytest.raises(
    ValueError, match='have a method to_json to be written, got'
  ):
    architecture.write_architecture(path, Unknown())  # type: ignore[arg-type]
  with pytest.raises(ValueError, match="named 'kind', got 'x'"):
    architecture.write_architecture(path, CELL, kind='x')
  assert not path.exists()


def test_a_class_of_ones_own_joins_by_being_given(tmp_path):
  path = tmp_path / 'best.json'
  architecture.write_architecture(path, Stack(3))
  assert json.loads(path.read_text())['kind'] == 'stack'
  classes = (*architecture.CLASSES, Stack)
  assert architecture.load_architecture(path, classes=classes) == Stack(3)
  with pytest.raises(ValueError, match='read with its class') as raised:
    architecture.load_architecture(path)
  assert "kind 'stack'; expected one of recurrent_cell" in str(raised.value)
  path.write_text(json.dumps({'kind': 'stack', 'architecture': {'wide': 1}}))
  with pytest.raises(ValueError, match='holds no valid stack'):
    architecture.load_architecture(path, classes=classes)


def test_no_damage_passes_for_another_architecture(tmp_path):
  path = tmp_path / 'best.json'
  net = known_conv_nets.make_chain(2, 8)
  architecture.write_architecture(path, net, reward=0.5)
  content = path.read_bytes()
  draw = random.Random(0)
  told = 0
  for _ in range(200):
    damaged = bytearray(content)
    damaged[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(damaged)
    try:
      assert architecture.load_architecture(path) == net
    except ValueError:
      told += 1
  assert told > 100
  # By hand, and from a version before.
  fields = json.loads(content)
  del fields['checksum']
  fields['architecture']['layers'][0]['filters'] = 9
  path.write_text(json.dumps(fields))
  changed: Any = architecture.load_architecture(path)
  assert changed.layers[0].filters == 9


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
    ('{"kind": "other"}', 'whose class has no kind; give the class a'),
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


def grown_net(**changes):
  net = known_conv_nets.make_chain(2, 8).to_json()
  net['layers'][1] |= changes
  return net


def grown_cell(base):
  return {
    'combiners': ['add'] * (2 * base - 1),
    'activations': ['tanh'] * (2 * base - 1),
    'inject_combiner': 'add',
    'inject_activation': 'tanh',
    'read_index': 0,
    'inject_index': 0,
  }


@pytest.mark.parametrize(
  ('kind', 'fields', 'message'),
  [
    ('recurrent_cell', grown_cell(2**20), 'at most 256, got 1048576'),
    ('conv_net', grown_net(filters=10**12), 'at most 16384 in a file, got'),
    ('conv_net', grown_net(height=10**9 + 1), 'height of .* at most 255 in'),
    ('conv_net', grown_net(stride_width=10**9), 'stride_width of layer 1'),
    (
      'conv_net',
      grown_net() | {'layers': 1500 * grown_net(inputs=[])['layers'][:1]},
      'at most 128 layers, since more take minutes to compile; got 1500',
    ),
    (
      'conv_net',
      grown_net() | {'layers': 128 * [grown_net(
        inputs=[], height=255, width=255, filters=16384)['layers'][1]]},
      'at most 268,435,456 parameters, got 136',
    ),
    ('hyperparameters', {'x': 10**400, 'y': [[{}]]}, "'y' must be None, bool"),
  ],
)  # fmt: skip
def test_sizes_beyond_reason_are_refused_at_once(
  tmp_path, kind, fields, message
):
  path = tmp_path / 'best.json'
  path.write_text(json.dumps({'kind': kind, 'architecture': fields}))
  started = time.perf_counter()
  with pytest.raises(ValueError, match=message) as error:
    architecture.load_architecture(path)
  assert time.perf_counter() - started < 10
  assert len(str(error.value)) < 500
  assert '\n' not in str(error.value)


@pytest.mark.parametrize('depth', [900, 200_000])
@pytest.mark.parametrize('opening', ['[', '{"a":'])
def test_nested_brackets_are_refused(tmp_path, opening, depth):
  closing = {'[': ']', '{"a":': '}'}[opening]
  nested = opening * depth + '1' + closing * depth
  path = tmp_path / 'best.json'
  for content in (
    nested,
    f'{{"kind": "conv_net", "architecture": {{"layers": {nested}}}}}',
    f'{{"kind": "hyperparameters", "architecture": {{"a": {nested}}}}}',
  ):
    path.write_text(content)
    # How deep a list may be depends on Python, but for one that is too deep.
    if depth < 1000 and opening == '[' and 'hyper' in content:
      with contextlib.suppress(ValueError):
        assert hash(architecture.load_architecture(path))
      continue
    with pytest.raises(ValueError, match=r'best\.json') as error:
      architecture.load_architecture(path)
    assert '\n' not in str(error.value)


def test_a_name_that_the_space_has_not_is_refused(tmp_path):
  path = tmp_path / 'best.json'
  space = hyperparameters.make_space(
    {'rate': types.Range(0.1, 1.0), 'units': types.Choice((8, 16))}
  )
  right = hyperparameters.Hyperparameters.from_json({'rate': 0.5, 'units': 8})
  architecture.write_architecture(path, right)
  assert architecture.load_architecture(path, space=space) == right
  for wrong in ({'rate': 0.5, 'unit': 8}, {'rate': 0.5, 'units': 8, 'x': 1}):
    architecture.write_architecture(
      path, hyperparameters.Hyperparameters.from_json(wrong)
    )
    with pytest.raises(ValueError, match=r'Expected .* for rate, units; got'):
      architecture.load_architecture(path, space=space)


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

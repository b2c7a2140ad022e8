# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import io
import json
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.export import weights, weights_file
from jaxnas.spaces import recurrent_cell as space

CELL = space.KNOWN_CELLS['paper_example']
PARAMS = {
  'params': {
    'output_bias': jnp.arange(3, dtype=jnp.float32) / 7,
    'layers_0': {
      'kernel': jnp.arange(6, dtype=jnp.float32).reshape(2, 3),
      'mask': jnp.array([True, False]),
      'count': jnp.int32(4),
      'half': jnp.float16(0.1),
    },
  }
}
VOCABULARY = ('<unk>', 'été', '\n', '"')


@pytest.fixture
def path(tmp_path):
  path = tmp_path / 'weights.npz'
  weights.write_weights(path, PARAMS, VOCABULARY, CELL, epoch=3)
  return path


def test_what_is_written_is_loaded(path):
  params, vocabulary, architecture, facts = weights.load_weights(path)
  jax.tree.map(np.testing.assert_array_equal, params, PARAMS)
  for new, old in zip(
    jax.tree.leaves(params), jax.tree.leaves(PARAMS), strict=True
  ):
    assert isinstance(new, jax.Array)
    assert new.dtype == old.dtype
  assert vocabulary == VOCABULARY
  assert architecture == CELL
  assert facts == {'epoch': 3}


def test_a_cell_by_name_and_facts_of_all_kinds(path):
  weights.write_weights(
    path,
    PARAMS,
    VOCABULARY,
    'lstm',
    recipe={'sizes': (1, 2)},
    perplexity=np.float32(0.5),
    missing=float('nan'),
  )
  loaded = weights.load_weights(str(path))
  assert loaded.architecture == 'lstm'
  assert loaded.facts == {
    'recipe': {'sizes': [1, 2]},
    'perplexity': 0.5,
    'missing': None,
  }


def test_the_same_parameters_give_the_same_bytes(path, tmp_path):
  turned = {'params': dict(reversed(list(PARAMS['params'].items())))}
  other = tmp_path / 'other.npz'
  weights.write_weights(other, turned, VOCABULARY, CELL, epoch=3)
  assert other.read_bytes() == path.read_bytes()


def test_numpy_alone_reads_the_file(path):
  with np.load(path, allow_pickle=False) as archive:
    np.testing.assert_array_equal(
      archive['params/layers_0/kernel'], [[0, 1, 2], [3, 4, 5]]
    )
    about = json.loads(archive['about'].tobytes())
  assert about['vocabulary'] == list(VOCABULARY)
  assert about['architecture'] == CELL.to_json()


def test_a_failed_write_leaves_the_old_file(path, monkeypatch):
  before = path.read_bytes()

  def fail(source, _):
    raise OSError(28, 'No space left on device', str(source))

  monkeypatch.setattr(os, 'replace', fail)
  with pytest.raises(OSError, match='No space left') as error:
    weights.write_weights(path, PARAMS, (), CELL)
  assert error.value.filename == str(path)
  assert path.read_bytes() == before
  assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize(
  ('params', 'message'),
  [
    ({'params': {'w': jnp.zeros(2, jnp.bfloat16)}}, 'params/w is of type bflo'),
    ({'params': {'w': np.array(['a'])}}, 'params/w is of type <U1'),
    ({'kernel': jnp.zeros(2)}, "got 'kernel' at the top"),
  ],
)
def test_what_the_file_cannot_hold_is_refused(params, message, tmp_path):
  with pytest.raises(ValueError, match=message):
    weights.write_weights(tmp_path / 'w.npz', params, (), CELL)
  assert not list(tmp_path.iterdir())


def test_a_missing_file_is_named(tmp_path):
  with pytest.raises(FileNotFoundError, match=r'no weights file .*none\.npz'):
    weights.load_weights(tmp_path / 'none.npz')


def _npz(**arrays):
  file = io.BytesIO()
  np.savez(file, **arrays)
  return file.getvalue()


def _npy():
  file = io.BytesIO()
  np.save(file, np.zeros(3))
  return file.getvalue()


def _about(content):
  return _npz(about=np.frombuffer(json.dumps(content).encode(), np.uint8))


@pytest.mark.parametrize(
  'content',
  [
    b'',
    b'text',
    _npy(),
    _npz(other=np.zeros(2)),
    _npz(about=np.frombuffer(b'{', np.uint8)),
    _npz(about=np.array({'a': 1}, dtype=object)),
    _about([]),
    _about({'format': 'jaxnas weights 99'}),
    _about(
      {
        'format': 'jaxnas weights 1',
        'vocabulary': [],
        'architecture': {},
        'facts': {},
      }
    ),
  ],
)
def test_another_file_is_told_in_one_line(content, tmp_path):
  path = tmp_path / 'w.npz'
  path.write_bytes(content)
  with pytest.raises(
    ValueError, match=r'w\.npz is damaged or not a weights file'
  ):
    weights.load_weights(path)


def test_damage_is_noticed(path):
  content = path.read_bytes()
  with np.load(path) as archive:
    kernel = archive['params/layers_0/kernel'].tobytes()
  place = content.index(kernel) + 1
  flipped = bytearray(content)
  flipped[place] ^= 1
  for damaged in (bytes(flipped), content[: len(content) // 2]):
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match='is damaged'):
      weights.load_weights(path)


@pytest.mark.parametrize('vocabulary', ['abc', [1, 2, 3], None])
def test_a_vocabulary_that_is_none_is_damage(path, vocabulary):
  weights_file.write(
    path,
    PARAMS,
    {
      'format': weights_file.LANGUAGE_MODEL,
      'vocabulary': vocabulary,
      'architecture': 'lstm',
      'facts': {},
    },
  )
  with pytest.raises(ValueError, match='vocabulary is not a list of strings'):
    weights.load_weights(path)

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import numpy as np
import pytest

from jaxnas.export import weights_file

VARIABLES = {
  'params': {'layers_0': {'kernel': np.arange(6.0, dtype=np.float32)}},
  'statistics': {'mean': np.array([3, 1], np.int32)},
}
ABOUT = {'format': 'a format 1', 'facts': {'epoch': 3, 'sizes': np.arange(2)}}


@pytest.fixture
def path(tmp_path):
  path = tmp_path / 'weights.npz'
  weights_file.write(path, VARIABLES, ABOUT)
  return path


def load(path, file_format='a format 1'):
  return weights_file.load(path, file_format, lambda *contents: contents)


def test_what_is_written_is_loaded(path):
  variables, about = load(path)
  jax.tree.map(np.testing.assert_array_equal, variables, VARIABLES)
  assert about == {
    'format': 'a format 1',
    'facts': {'epoch': 3, 'sizes': [0, 1]},
  }
  with np.load(path, allow_pickle=False) as archive:
    assert set(archive.files) == {
      'about',
      'params/layers_0/kernel',
      'statistics/mean',
    }


def test_the_order_of_arrays_is_no_part_of_the_bytes(path, tmp_path):
  weights_file.write(
    tmp_path / 'b.npz', dict([*VARIABLES.items()][::-1]), ABOUT
  )
  assert (tmp_path / 'b.npz').read_bytes() == path.read_bytes()


def test_another_format_is_told(path):
  with pytest.raises(ValueError, match="'a format 1', not 'a format 2'"):
    load(path, 'a format 2')


def test_what_the_parser_misses_is_damage(path):
  with pytest.raises(ValueError, match=r"damaged .*'vocabulary'.* copy or"):
    weights_file.load(path, 'a format 1', lambda _, about: about['vocabulary'])


@pytest.mark.parametrize(
  ('place', 'reason'), [(8, 'encrypted'), (10, 'compression method')]
)
def test_a_file_that_zipfile_does_not_unpack_is_told(path, place, reason):
  content = bytearray(path.read_bytes())
  # A bit of what the archive says of its first file.
  content[content.index(b'PK\1\2') + place] |= 1
  path.write_bytes(content)
  with pytest.raises(ValueError, match=rf'is damaged or .*{reason}'):
    load(path)


def test_another_kind_of_model_is_told(path):
  weights_file.write(path, VARIABLES, {'format': weights_file.CLASSIFIER})
  with pytest.raises(
    ValueError, match='holds an image classifier, not a langu'
  ):
    load(path, weights_file.LANGUAGE_MODEL)


def test_any_other_archive_is_told(path):
  np.savez(path, x_train=np.zeros(2), y_train=np.zeros(2))
  with pytest.raises(ValueError, match='it has x_train, y_train, but no about'):
    load(path)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'a': np.zeros(3)}, r'p/a must be float32\[2\], but the file .*\[3\]'),
    ({'b': np.zeros(2)}, 'p/b must be none, but the file has float32'),
    ({'a': np.zeros(2, np.int8)}, 'but the file has int8'),
  ],
)
def test_parameters_of_another_network_are_told(change, message):
  def init():
    return {'p': {'a': np.zeros(2, np.float32)}}

  weights_file.check_shapes(init(), init)
  loaded = {'p': {**init()['p'], **change}}
  with pytest.raises(ValueError, match=message):
    weights_file.check_shapes(
      {
        'p': {
          name: np.float32(x) if x.dtype == np.float64 else x
          for name, x in loaded['p'].items()
        }
      },
      init,
    )
  with pytest.raises(ValueError, match='the file has none'):
    weights_file.check_shapes({'p': {}}, init)

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import os
import sys
import tempfile

import numpy as np
import pytest

from jaxnas.datasets import text_builders
from jaxnas.datasets.text_sources import EncodedText

SPLITS = ('train', 'validation', 'report', 'test')

FORMATS = ['npz']
if text_builders.default_file_format() == 'array_record':
  FORMATS.append('array_record')


@pytest.fixture(params=FORMATS)
def file_format(request):
  return request.param


def _encoded(seed=0):
  rng = np.random.default_rng(seed)
  return EncodedText(
    ('<unk>', 'é', '\0', '\n', 'a\0', '\u2028', '"'),
    {
      split: rng.integers(0, 7, size).astype(np.int32)
      for split, size in zip(SPLITS, (1000, 20, 3, 50), strict=True)
    },
  )


def _never():
  raise AssertionError('The text was prepared again.')


def _load(cache_dir, build, file_format, splits=SPLITS, key='word_7'):
  return text_builders.load_encoded(
    'toy', key, splits, build, cache_dir, file_format
  )


def _assert_same(one, two):
  assert one.vocabulary == two.vocabulary
  assert set(one.splits) == set(two.splits)
  for split, tokens in one.splits.items():
    assert two.splits[split].dtype == tokens.dtype == np.int32
    np.testing.assert_array_equal(two.splits[split], tokens)


def test_what_is_read_back_is_what_was_prepared(tmp_path, file_format):
  _assert_same(_load(tmp_path, _encoded, file_format), _encoded())
  _assert_same(_load(tmp_path, _never, file_format), _encoded())


def test_formats_hold_equal_arrays(tmp_path):
  texts = []
  for file_format in FORMATS:
    _load(tmp_path, _encoded, file_format)
    texts.append(_load(tmp_path, _never, file_format))
  for text in texts:
    _assert_same(text, texts[0])


def test_texts_of_several_records_keep_their_order(
  tmp_path, file_format, monkeypatch
):
  monkeypatch.setattr(text_builders, '_RECORD_TOKENS', 7)
  _load(tmp_path, _encoded, file_format)
  _assert_same(_load(tmp_path, _never, file_format), _encoded())


def test_only_the_splits_asked_for_are_returned(tmp_path, file_format):
  for build in (_encoded, _never):
    text = _load(tmp_path, build, file_format, ('report', 'train'))
    assert set(text.splits) == {'report', 'train'}
    np.testing.assert_array_equal(
      text.splits['report'], _encoded().splits['report']
    )


@pytest.mark.skipif('array_record' not in FORMATS, reason='Needs array_record.')
def test_other_splits_are_not_even_opened(tmp_path):
  _load(tmp_path, _encoded, 'array_record')
  (test_file,) = tmp_path.rglob('toy-test.*')
  test_file.unlink()
  text = _load(tmp_path, _never, 'array_record', ('train', 'validation'))
  assert set(text.splits) == {'train', 'validation'}


def test_another_key_is_another_text(tmp_path, file_format):
  _load(tmp_path, _encoded, file_format)
  other = _load(tmp_path, lambda: _encoded(1), file_format, key='word_8')
  _assert_same(other, _encoded(1))
  _assert_same(_load(tmp_path, _never, file_format), _encoded())


def test_nothing_but_the_text_stays(tmp_path, file_format, monkeypatch):
  temporary = tmp_path / 'temporary'
  temporary.mkdir()
  monkeypatch.setattr(tempfile, 'tempdir', str(temporary))
  _load(tmp_path, _encoded, file_format)
  (entry,) = (tmp_path / 'toy').iterdir()
  assert entry.name.startswith('word_7')
  assert not list(temporary.iterdir())


def test_interrupted_preparation_leaves_no_text(
  tmp_path, file_format, monkeypatch
):
  def interrupt(*_):
    raise KeyboardInterrupt

  with monkeypatch.context() as patch:
    patch.setattr(text_builders.os, 'rename', interrupt)
    with pytest.raises(KeyboardInterrupt):
      _load(tmp_path, _encoded, file_format)
  assert not [p for p in (tmp_path / 'toy').iterdir() if p.name[0] != '.']
  _assert_same(_load(tmp_path, _encoded, file_format), _encoded())


def test_what_a_killed_process_left_is_not_read(tmp_path, file_format):
  half = tmp_path / 'toy' / '.incomplete_x' / 'toy'
  half.mkdir(parents=True)
  (half / 'text.npz').write_bytes(b'PK')
  _assert_same(_load(tmp_path, _encoded, file_format), _encoded())


def test_two_may_prepare_at_once(tmp_path, file_format, caplog):
  def build():
    _load(tmp_path, _encoded, file_format)
    return _encoded()

  _assert_same(_load(tmp_path, build, file_format), _encoded())
  assert len(list((tmp_path / 'toy').iterdir())) == 1
  assert not caplog.records


def test_damaged_text_is_prepared_again(tmp_path, file_format, caplog):
  _load(tmp_path, _encoded, file_format)
  for path in (tmp_path / 'toy').rglob('*'):
    if path.suffix == '.npz' or 'train.array_record' in path.name:
      path.write_bytes(path.read_bytes()[:40])
  _assert_same(_load(tmp_path, _encoded, file_format), _encoded())
  assert 'cannot be read' in caplog.text
  _assert_same(_load(tmp_path, _never, file_format), _encoded())


def test_emptied_folder_is_prepared_again(tmp_path, file_format):
  _load(tmp_path, _encoded, file_format)
  (entry,) = (tmp_path / 'toy').iterdir()
  for path in entry.iterdir():
    path.unlink()
  _assert_same(_load(tmp_path, _encoded, file_format), _encoded())
  _assert_same(_load(tmp_path, _never, file_format), _encoded())


def test_cache_that_cannot_be_written_is_done_without(
  tmp_path, file_format, caplog
):
  (tmp_path / 'file').write_text('')
  text = _load(tmp_path / 'file', _encoded, file_format)
  _assert_same(text, _encoded())
  assert 'Cannot keep the prepared text' in caplog.text
  assert 'JAXNAS_DATA_DIR' in caplog.text


def test_cache_folder_comes_from_the_environment(tmp_path, monkeypatch):
  monkeypatch.setenv('HOME', str(tmp_path / 'home'))
  monkeypatch.delenv('JAXNAS_DATA_DIR', raising=False)
  _load(None, _encoded, 'npz')
  assert list((tmp_path / 'home/.cache/jaxnas/toy').iterdir())
  monkeypatch.setenv('JAXNAS_DATA_DIR', str(tmp_path / 'data'))
  _load(None, _encoded, 'npz')
  assert list((tmp_path / 'data/toy').iterdir())


def test_preparing_prints_nothing(tmp_path, file_format, capfd):
  for build in (_encoded, _never):
    _load(tmp_path, build, file_format)
  assert capfd.readouterr() == ('', '')


@pytest.mark.parametrize(
  'module',
  [
    'array_record.python.array_record_module',
    'importlib_resources',
    'tensorflow_datasets',
  ],
)
def test_without_a_package_the_format_is_npz(tmp_path, monkeypatch, module):
  monkeypatch.setitem(sys.modules, module, None)
  assert text_builders.default_file_format() == 'npz'
  _load(tmp_path, _encoded, None)
  assert list(tmp_path.rglob('*.npz'))


def test_unknown_file_format_is_refused(tmp_path):
  with pytest.raises(ValueError, match="Unknown file_format 'tfrecord'"):
    _load(tmp_path, _encoded, 'tfrecord')


@pytest.mark.skipif('array_record' not in FORMATS, reason='Needs array_record.')
def test_builder_may_be_defined_twice(tmp_path):
  text_builders._builder_class.cache_clear()
  _load(tmp_path / 'one', _encoded, 'array_record')
  text_builders._builder_class.cache_clear()
  _load(tmp_path / 'two', _encoded, 'array_record')
  assert len(os.listdir(tmp_path)) == 2

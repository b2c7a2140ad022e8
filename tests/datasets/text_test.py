# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import collections
import dataclasses
import os

import jax
import numpy as np
import pytest

from jaxnas.datasets import held_out, text, text_builders


def _write(folder, train='a b a\nb a\n', valid='a b\nb a\n', test='b b\n'):
  folder.mkdir(exist_ok=True)
  for name, content in (('train', train), ('valid', valid), ('test', test)):
    (folder / f'{name}.txt').write_text(content)
  return folder


@pytest.fixture(scope='module')
def cache_dir(tmp_path_factory):
  return tmp_path_factory.mktemp('cache')


@pytest.fixture(scope='module')
def pydoc(cache_dir):
  return text.load('pydoc', cache_dir=cache_dir)


def test_pydoc_needs_no_files(pydoc):
  assert pydoc.name == 'pydoc'
  assert pydoc.vocab_size == len(pydoc.vocabulary) == 1000
  assert pydoc.vocabulary[0] == '<unk>'
  sizes = [len(pydoc.train), len(pydoc.validation), len(pydoc.report)]
  np.testing.assert_allclose(
    np.array(sizes) / sizes[0], [1, 10 / 75, 5 / 75], atol=1e-3
  )
  assert len(pydoc.content_hash) == 64
  # The text differs a little between releases of Python.
  assert 60_000 < sizes[0] < 150_000


def test_pydoc_tokens_are_on_the_device_and_in_range(pydoc):
  for tokens in (pydoc.train, pydoc.validation, pydoc.report):
    assert isinstance(tokens, jax.Array)
    assert tokens.dtype == np.int32
    assert 0 <= tokens.min() <= tokens.max() < 1000
    # About one token in twenty is outside of the vocabulary.
    assert 0.01 < float((tokens == 0).mean()) < 0.15
  counts = np.bincount(pydoc.train, minlength=1000)[1:]
  assert (np.diff(counts) <= 0).all()


def test_second_load_gives_the_same(pydoc, cache_dir, monkeypatch):
  monkeypatch.setattr(
    text.text_sources, 'encode', lambda *_: pytest.fail('Prepared again.')
  )
  again = text.load('pydoc', cache_dir=cache_dir)
  assert again.vocabulary == pydoc.vocabulary
  assert again.content_hash == pydoc.content_hash
  for split in ('train', 'validation', 'report'):
    np.testing.assert_array_equal(getattr(again, split), getattr(pydoc, split))


def test_pydoc_chars(cache_dir):
  dataset = text.load('pydoc', level='char', cache_dir=cache_dir)
  assert 40 < dataset.vocab_size < 200
  assert {'e', ' ', '\n'} < set(dataset.vocabulary)
  assert not set('ABC') & set(dataset.vocabulary)


def test_dataset_holds_no_test_data(tmp_path):
  _write(tmp_path / 'text', test='b b b b\n')
  dataset = text.load('text', tmp_path / 'text', cache_dir=tmp_path)
  fields = {field.name for field in dataclasses.fields(dataset)}
  assert fields == {
    'name',
    'vocabulary',
    'train',
    'validation',
    'report',
    'content_hash',
    'level',
    'shares',
    'seen_hash',
  }
  sizes = {len(getattr(dataset, s)) for s in ('train', 'validation', 'report')}
  assert sizes == {7, 3}


def test_test_split_is_apart_and_logged(tmp_path, caplog):
  _write(tmp_path / 'text', test='b b a b\n')
  with caplog.at_level('INFO', logger='absl'):
    dataset = text.load('text', tmp_path / 'text', cache_dir=tmp_path)
    assert 'Test data' not in caplog.text
    held_out.check_text(dataset, tmp_path / 'text')
    assert 'Test data' not in caplog.text
    test = held_out.load_text(dataset, tmp_path / 'text')
  assert "Test data was loaded: 5 tokens of 'text'" in caplog.text
  assert isinstance(test, jax.Array)
  words = [dataset.vocabulary[token] for token in test]
  assert words == ['b', 'b', 'a', 'b', '<eos>']


def test_changed_file_is_not_served_from_the_cache(tmp_path):
  folder = _write(tmp_path / 'text')
  before = text.load('text', folder, cache_dir=tmp_path)
  _write(folder, train='a b b\nb a\n')
  after = text.load('text', folder, cache_dir=tmp_path)
  assert after.content_hash != before.content_hash
  assert not np.array_equal(after.train, before.train)


def test_level_and_vocab_size_are_not_mixed_up_in_the_cache(tmp_path):
  folder = _write(tmp_path / 'text', train='a b a\nb a c\n')
  sizes = [
    text.load(
      'text', folder, level=level, vocab_size=vocab_size, cache_dir=tmp_path
    ).vocab_size
    for level, vocab_size in (('word', None), ('word', 3), ('char', None))
  ]
  assert sizes == [4, 3, 5]


def test_content_hash_does_not_depend_on_the_folder(tmp_path):
  hashes = {
    text.load('text', _write(tmp_path / name), cache_dir=tmp_path).content_hash
    for name in ('one', 'two')
  }
  assert len(hashes) == 1


def test_npz_gives_the_same_dataset(tmp_path, monkeypatch):
  folder = _write(tmp_path / 'text')
  one = text.load('text', folder, cache_dir=tmp_path)
  monkeypatch.setattr(text_builders, 'default_file_format', lambda: 'npz')
  for _ in range(2):
    two = text.load('text', folder, cache_dir=tmp_path)
    assert two.vocabulary == one.vocabulary
    for split in ('train', 'validation', 'report'):
      np.testing.assert_array_equal(getattr(two, split), getattr(one, split))


def test_too_large_vocab_size_is_said_with_both_numbers(tmp_path, caplog):
  folder = _write(tmp_path / 'text')
  for _ in range(2):
    caplog.clear()
    dataset = text.load('text', folder, vocab_size=50, cache_dir=tmp_path)
    assert dataset.vocab_size == 3
    assert 'vocab_size is 50' in caplog.text
    assert 'only 3 different tokens' in caplog.text
  caplog.clear()
  text.load('text', folder, vocab_size=3, cache_dir=tmp_path)
  assert not caplog.records


def test_folder_given_for_pydoc_is_said_to_be_unread(cache_dir, caplog, pydoc):
  dataset = text.load('pydoc', '/some/folder', cache_dir=cache_dir)
  assert dataset.content_hash == pydoc.content_hash
  assert "'/some/folder' is ignored" in caplog.text


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (
      {'name': 'pydocs'},
      r"dataset 'pydocs'; expected one of pydoc, ptb, text\. Did you mean "
      r"'pydoc'\?",
    ),
    (
      {'name': 'q'},
      r"Unknown dataset 'q'; expected one of pydoc, ptb, text\.$",
    ),
    ({'name': 'ptb'}, "'ptb' needs data_dir"),
    ({'name': 'text'}, "'text' needs data_dir"),
    ({'name': 'pydoc', 'level': 'line'}, "level 'line'.*one of word, char"),
    (
      {'name': 'pydoc', 'vocab_size': 1},
      'vocab_size must be at least 2',
    ),
  ],
)
def test_bad_arguments_are_refused(tmp_path, arguments, message):
  with pytest.raises(ValueError, match=message) as error:
    text.load(**arguments, cache_dir=tmp_path)
  assert '\n' not in str(error.value)


def test_missing_test_file_is_refused_where_it_is_needed(tmp_path):
  folder = _write(tmp_path / 'text')
  (folder / 'test.txt').unlink()
  dataset = text.load('text', folder, cache_dir=tmp_path)
  for use in (held_out.check_text, held_out.load_text):
    with pytest.raises(FileNotFoundError, match=r'has no file test\.txt'):
      use(dataset, folder)


def test_one_file_is_divided_by_its_shares(tmp_path):
  path = tmp_path / 'all.txt'
  path.write_text('a b c\n' * 10)
  sizes = []
  for shares in ((75, 10, 5, 10), (5, 2, 2, 1)):
    dataset = text.load('text', path, cache_dir=tmp_path, shares=shares)
    assert dataset.shares == shares
    test = held_out.load_text(dataset, path)
    parts = (dataset.train, dataset.validation, dataset.report, test)
    sizes.append([len(part) for part in parts])
  assert sizes == [[30, 4, 2, 4], [20, 8, 8, 4]]
  folder = _write(tmp_path / 'text')
  assert text.load('text', folder, cache_dir=tmp_path).shares is None


def test_unknown_that_training_never_sees_is_warned_of(tmp_path, caplog):
  folder = _write(tmp_path / 'text', train='a b a\n', valid='a x\nb b\n')
  text.load('text', folder, cache_dir=tmp_path)
  assert '33 % of validation and 0 % of report are tokens that' in caplog.text
  assert 'A vocab_size below 4 turns' in caplog.text
  held_out.load_text(
    text.load('text', folder, cache_dir=tmp_path),
    _write(tmp_path / 'other', test='a y y y\n'),
  )
  assert '60 % of the test split' in caplog.text
  caplog.clear()
  text.load('text', folder, vocab_size=3, cache_dir=tmp_path)
  assert not caplog.records


@pytest.mark.skipif(
  not os.environ.get('JAXNAS_PTB_DIR'), reason='Needs JAXNAS_PTB_DIR.'
)
def test_ptb_has_its_known_sizes(tmp_path):
  folder = os.environ['JAXNAS_PTB_DIR']
  dataset = text.load('ptb', folder, cache_dir=tmp_path)
  test = held_out.load_text(dataset, folder)
  assert len(dataset.train) == 929_589
  assert len(dataset.validation) == len(dataset.report) == 73_760 // 2
  assert len(test) == 82_430
  assert dataset.vocab_size == 10_000
  assert (np.bincount(dataset.train, minlength=10_000) > 0).all()


SIZES = [(1, 1, 2), (3, 4, 13), (3, 4, 60), (3, 4, 61), (5, 2, 64), (2, 7, 40)]


@pytest.mark.parametrize(('batch_size', 'num_steps', 'num_tokens'), SIZES)
def test_train_segments_are_columns_of_the_text(
  batch_size, num_steps, num_tokens
):
  # Every token is its own position, so a pair shows where it came from.
  inputs, targets = text.train_segments(
    np.arange(num_tokens), batch_size, num_steps
  )
  num_segments = (num_tokens - 1) // (batch_size * num_steps)
  assert inputs.shape == (num_segments, num_steps, batch_size)
  assert inputs.dtype == targets.dtype == np.int32
  np.testing.assert_array_equal(targets, inputs + 1)
  seen = collections.Counter(np.asarray(inputs).ravel().tolist())
  assert seen == collections.Counter(range(inputs.size))
  for column in range(batch_size):
    read = np.concatenate([segment[:, column] for segment in inputs])
    np.testing.assert_array_equal(read, read[0] + np.arange(len(read)))


@pytest.mark.parametrize(('batch_size', 'num_steps', 'num_tokens'), SIZES)
def test_train_segments_drop_less_than_one_segment_a_column(
  batch_size, num_steps, num_tokens
):
  inputs, _ = text.train_segments(np.arange(num_tokens), batch_size, num_steps)
  assert num_tokens - 1 - inputs.size < batch_size * num_steps


@pytest.mark.parametrize(
  ('batch_size', 'num_steps', 'num_tokens'), [*SIZES, (4, 5, 2), (3, 4, 8)]
)
def test_evaluation_segments_predict_each_token_once(
  batch_size, num_steps, num_tokens
):
  tokens = np.random.default_rng(0).permutation(num_tokens) + 1
  inputs, targets, weights = (
    np.asarray(array)
    for array in text.evaluation_segments(tokens, batch_size, num_steps)
  )
  assert inputs.shape == targets.shape == weights.shape
  assert inputs.shape[1:] == (num_steps, batch_size)
  assert inputs.dtype == targets.dtype == np.int32
  assert weights.dtype == np.float32
  assert set(np.unique(weights)) <= {0.0, 1.0}
  is_real = weights == 1
  pairs = zip(inputs[is_real].tolist(), targets[is_real].tolist(), strict=True)
  expected = zip(tokens[:-1].tolist(), tokens[1:].tolist(), strict=True)
  assert collections.Counter(pairs) == collections.Counter(expected)
  assert not inputs[~is_real].any()
  assert not targets[~is_real].any()
  assert inputs.size - is_real.sum() < batch_size * num_steps


def test_evaluation_segments_go_on_within_a_column():
  inputs, _, weights = (
    np.asarray(array)
    for array in text.evaluation_segments(np.arange(1, 30), 3, 4)
  )
  for column in range(3):
    real = weights[:, :, column].ravel() == 1
    read = inputs[:, :, column].ravel()[real]
    # Padding only ends a column, so the state before it has seen only text.
    assert real[: len(read)].all()
    np.testing.assert_array_equal(np.diff(read), 1)


def test_segments_of_device_arrays_equal_those_of_numpy(pydoc):
  for cut in (text.train_segments, text.evaluation_segments):
    for one, two in zip(
      cut(pydoc.report, 4, 35),
      cut(np.asarray(pydoc.report), 4, 35),
      strict=True,
    ):
      np.testing.assert_array_equal(one, two)


def test_segments_may_be_cut_inside_a_compiled_function():
  tokens = np.arange(50, dtype=np.int32)
  for cut in (text.train_segments, text.evaluation_segments):
    compiled = jax.jit(cut, static_argnums=(1, 2))
    for one, two in zip(cut(tokens, 3, 4), compiled(tokens, 3, 4), strict=True):
      np.testing.assert_array_equal(one, two)


def test_too_short_text_is_refused_with_both_numbers():
  with pytest.raises(ValueError, match='need 13 tokens, but there are 12'):
    text.train_segments(np.arange(12), 3, 4)
  with pytest.raises(ValueError, match=r'at least 2 tokens .*, got 1'):
    text.evaluation_segments(np.arange(1), 3, 4)


@pytest.mark.parametrize('cut', [text.train_segments, text.evaluation_segments])
def test_sizes_below_one_are_refused(cut):
  with pytest.raises(ValueError, match='batch_size must be at least 1, got 0'):
    cut(np.arange(50), 0, 4)
  with pytest.raises(
    ValueError, match='num_unrolled must be at least 1, got -1'
  ):
    cut(np.arange(50), 3, -1)


def test_tokens_of_a_text_that_was_loaded_are_its_tokens(tmp_path):
  _write(tmp_path / 'text', train='a b a\nb a\n')
  dataset = text.load('text', tmp_path / 'text', cache_dir=tmp_path)
  tokens = text.tokenize('text', 'a b a\nb a\n')
  assert tokens == [dataset.vocabulary[index] for index in dataset.train]
  assert text.join('text', tokens) == 'a b a\nb a\n'


def test_an_unknown_kind_of_tokens_is_named():
  with pytest.raises(ValueError, match="Unknown dataset 'texts'"):
    text.tokenize('texts', 'a')
  with pytest.raises(ValueError, match="Unknown level 'line'"):
    text.join('text', ['a'], 'line')

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import hashlib
import pydoc_data.topics
import re

import numpy as np
import pytest

from jaxnas.datasets import text_sources
from jaxnas.datasets.text_sources import SourceFile


def _files(*texts):
  return tuple(SourceFile(f'file{i}', t.encode()) for i, t in enumerate(texts))


def _decoded(encoded, split):
  return [encoded.vocabulary[token] for token in encoded.splits[split]]


def test_words_are_split_at_white_space_and_lines_end_with_eos():
  files = _files('a b\n\n c\ta', 'a\nb\n', 'c \r\n')
  encoded = text_sources.encode('text', files)
  words = 'a b <eos> <eos> c a <eos>'
  assert _decoded(encoded, 'train') == words.split()
  assert _decoded(encoded, 'validation') == ['a', '<eos>']
  assert _decoded(encoded, 'report') == ['b', '<eos>']
  assert _decoded(encoded, 'test') == ['c', '<eos>']
  assert encoded.splits['train'].dtype == np.int32


def test_a_byte_order_mark_is_no_part_of_a_text():
  texts = 'the the cat\n', 'the\ncat\n', 'the\n'
  marked = _files(*('\ufeff' + text for text in texts))
  for level in text_sources.LEVELS:
    encoded = text_sources.encode('text', marked, level)
    expected = text_sources.encode('text', _files(*texts), level)
    assert encoded.vocabulary == expected.vocabulary
    for split, tokens in expected.splits.items():
      np.testing.assert_array_equal(encoded.splits[split], tokens)


def test_only_line_feeds_end_a_line():
  encoded = text_sources.encode(
    'text', _files('a\u2028b\fc\n', 'a\nb\n', 'a\n')
  )
  assert _decoded(encoded, 'train') == ['a', 'b', 'c', '<eos>']


def test_char_level_keeps_every_character():
  train, valid, test = 'ab b\n', 'ba a\n', ' \r\n\0'
  encoded = text_sources.encode('text', _files(train, valid, test), 'char')
  assert ''.join(_decoded(encoded, 'train')) == train
  assert ''.join(_decoded(encoded, 'validation')) == 'ba'
  assert ''.join(_decoded(encoded, 'report')) == ' a\n'
  assert _decoded(encoded, 'test') == [' ', '<unk>', '\n', '<unk>']


def test_vocabulary_is_ordered_by_frequency_then_characters():
  tokens = ['c', 'b', 'b', 'd', 'a', 'c', 'e', 'c']
  assert text_sources.build_vocabulary(tokens, tokens) == tuple('cbade')


@pytest.mark.parametrize(
  ('train', 'rest', 'vocab_size', 'expected'),
  [
    ('a a b', 'a b', None, ('a', 'b')),
    ('a a b', 'a b', 2, ('a', 'b')),
    ('a a b', 'a b', 9, ('a', 'b')),
    ('a a b b c', 'a', 2, ('<unk>', 'a')),
    ('a a b b c', 'a', 3, ('a', 'b', 'c')),
    ('a a b', 'a x', None, ('<unk>', 'a', 'b')),
    ('a a b', 'a x', 3, ('<unk>', 'a', 'b')),
    ('a a b', 'a x', 2, ('<unk>', 'a')),
    ('b <unk> a a', 'a', None, ('<unk>', 'a', 'b')),
    ('b <unk> a a', 'a x', 3, ('<unk>', 'a', 'b')),
    ('b <unk> a a', 'a x', 2, ('<unk>', 'a')),
    ('a a b', 'a <unk>', None, ('<unk>', 'a', 'b')),
  ],
)
def test_unknown_takes_a_place_only_where_needed(
  train, rest, vocab_size, expected
):
  train, rest = train.split(), rest.split()
  vocabulary = text_sources.build_vocabulary(train, train + rest, vocab_size)
  assert vocabulary == expected


def test_tokens_without_a_place_are_unknown():
  files = _files('a a a b b c', 'c d\na\n', 'e b')
  encoded = text_sources.encode('text', files, vocab_size=3)
  assert encoded.vocabulary == ('<unk>', 'a', 'b')
  unknown = '<unk>'
  assert _decoded(encoded, 'train') == [*'aaabb', unknown, unknown]
  assert _decoded(encoded, 'validation') == [unknown, unknown]
  assert _decoded(encoded, 'report') == [unknown, 'a', unknown]
  assert _decoded(encoded, 'test') == [unknown, 'b', unknown]


def test_vocabulary_does_not_depend_on_what_the_test_split_repeats():
  train, valid = 'a a b b b c', 'a b\nc\n'
  one = text_sources.encode('text', _files(train, valid, 'c c c c x'))
  two = text_sources.encode('text', _files(train, valid, 'a a y y y'))
  assert one.vocabulary == two.vocabulary
  assert 'x' not in one.vocabulary


def test_pydoc_covers_the_topics_in_order():
  (file,) = text_sources.read_files('pydoc')
  topics = pydoc_data.topics.topics
  text = '\n'.join(topics[name] for name in sorted(topics)).lower()
  assert file.content.decode().lower() == text
  encoded = text_sources.encode('pydoc', (file,))
  tokens = [
    token
    for split in ('train', 'validation', 'report', 'test')
    for token in _decoded(encoded, split)
  ]
  known = set(encoded.vocabulary)
  expected = re.findall(r'[a-z]+|[0-9]+|[^\sa-z0-9]', text)
  assert tokens == [t if t in known else '<unk>' for t in expected]
  total = len(tokens)
  sizes = [len(encoded.splits[s]) for s in ('train', 'validation', 'report')]
  for size, share in zip(sizes, (0.75, 0.1, 0.05), strict=True):
    assert abs(size - share * total) <= 1


def test_pydoc_chars_keep_white_space():
  files = _files('Ab C\n' * 40)
  encoded = text_sources.encode('pydoc', files, 'char')
  assert set(encoded.vocabulary) == set('abc \n')
  assert ''.join(_decoded(encoded, 'train')) == 'ab c\n' * 30
  assert ''.join(_decoded(encoded, 'test')) == 'ab c\n' * 4


def test_content_hash_is_what_the_docstring_says():
  digest = hashlib.sha256(b'\0' * 7 + b'\x02ab' + b'\0' * 7 + b'\x01c')
  assert text_sources.content_hash(_files('ab', 'c')) == digest.hexdigest()


def test_content_hash_sees_order_and_borders_but_not_paths():
  one = text_sources.content_hash(_files('ab', 'c', 'd'))
  elsewhere = [SourceFile('x', t.encode()) for t in ('ab', 'c', 'd')]
  assert text_sources.content_hash(elsewhere) == one
  assert text_sources.content_hash(_files('a', 'bc', 'd')) != one
  assert text_sources.content_hash(_files('ab', 'd', 'c')) != one


@pytest.mark.parametrize('prefix', ['ptb.', ''])
def test_ptb_files_may_have_either_name(tmp_path, prefix):
  for name in ('train', 'valid', 'test'):
    (tmp_path / f'{prefix}{name}.txt').write_text(f'{name} words\n')
  files = text_sources.read_files('ptb', tmp_path)
  assert [f.content.split()[0] for f in files] == [b'train', b'valid', b'test']


def test_missing_folder_argument_is_named():
  with pytest.raises(
    ValueError, match=r"'ptb' needs data_dir.*ptb\.train\.txt"
  ):
    text_sources.read_files('ptb')


def test_missing_folder_is_named(tmp_path):
  with pytest.raises(FileNotFoundError, match=r"nowhere' is not a folder"):
    text_sources.read_files('text', tmp_path / 'nowhere')


def test_missing_file_is_named(tmp_path):
  (tmp_path / 'train.txt').write_text('a b\n')
  with pytest.raises(FileNotFoundError, match=r'no file valid\.txt'):
    text_sources.read_files('text', tmp_path)
  with pytest.raises(
    FileNotFoundError, match=r'no file ptb\.valid\.txt or valid\.txt'
  ):
    text_sources.read_files('ptb', tmp_path)


def test_empty_file_is_named(tmp_path):
  for name in ('train', 'valid', 'test'):
    (tmp_path / f'{name}.txt').write_text('' if name == 'valid' else 'a\n')
  with pytest.raises(ValueError, match=r"valid\.txt' is empty"):
    text_sources.read_files('text', tmp_path)


def test_folder_in_place_of_a_file_is_named(tmp_path):
  (tmp_path / 'train.txt').mkdir()
  with pytest.raises(
    IsADirectoryError, match=r"train\.txt' is a folder; it must be a file"
  ) as error:
    text_sources.read_files('text', tmp_path)
  assert '\n' not in str(error.value)


def test_file_that_is_not_utf8_is_named_with_the_byte():
  files = (*_files('a b\n', 'a b\n'), SourceFile('test.txt', b'caf\xe9 au\n'))
  with pytest.raises(
    ValueError, match=r"'test.txt' is not UTF-8: byte 3 \(from 0\) is 0xe9"
  ):
    text_sources.encode('text', files)


def test_split_that_is_too_short_is_named():
  with pytest.raises(ValueError, match=r'validation split .* has 1'):
    text_sources.encode('text', _files('a b\n', 'a b\n', 'a b\n'))

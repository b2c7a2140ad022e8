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


def _folder(folder, *texts):
  for name, text in zip(('train', 'valid', 'test'), texts, strict=True):
    (folder / f'{name}.txt').write_text(text)
  return folder


def _decoded(encoded, split):
  return [encoded.vocabulary[token] for token in encoded.splits[split]]


def _test(file, encoded, level='word', name='text', shares=None):
  tokens = text_sources.encode_test(
    name, file, level, encoded.vocabulary, shares
  )
  assert tokens.dtype == np.int32
  return [encoded.vocabulary[token] for token in tokens]


def test_words_are_split_at_white_space_and_lines_end_with_eos():
  *files, test = _files('a b\n\n c\ta', 'a\nb\n', 'c \r\n')
  encoded = text_sources.encode('text', files)
  words = 'a b <eos> <eos> c a <eos>'
  assert _decoded(encoded, 'train') == words.split()
  assert _decoded(encoded, 'validation') == ['a', '<eos>']
  assert _decoded(encoded, 'report') == ['b', '<eos>']
  assert _test(test, encoded) == ['c', '<eos>']
  assert encoded.splits['train'].dtype == np.int32


def test_a_byte_order_mark_is_no_part_of_a_text():
  texts = 'the the cat\n', 'the\ncat\n'
  marked = _files(*('\ufeff' + text for text in texts))
  for level in text_sources.LEVELS:
    encoded = text_sources.encode('text', marked, level)
    expected = text_sources.encode('text', _files(*texts), level)
    assert encoded.vocabulary == expected.vocabulary
    for split, tokens in expected.splits.items():
      np.testing.assert_array_equal(encoded.splits[split], tokens)


def test_nothing_else_ends_a_line():
  encoded = text_sources.encode('text', _files('a\u2028b\fc\n', 'a\nb\n'))
  assert _decoded(encoded, 'train') == ['a', 'b', 'c', '<eos>']


@pytest.mark.parametrize('level', text_sources.LEVELS)
@pytest.mark.parametrize('end', ['\r\n', '\r'])
def test_every_end_of_a_line_is_read_as_a_line_feed(end, level):
  texts = 'a b\n\nc a\n', 'a b\nb\n'
  expected = text_sources.encode('text', _files(*texts), level)
  for mixed in (texts[0], texts[0].replace('\n', end)):
    files = _files(mixed, texts[1].replace('\n', end))
    encoded = text_sources.encode('text', files, level)
    assert encoded.vocabulary == expected.vocabulary
    for split, tokens in expected.splits.items():
      np.testing.assert_array_equal(encoded.splits[split], tokens)


@pytest.mark.parametrize('text', ['a cat\n' * 9, 'один кот\n' * 9])
@pytest.mark.parametrize('encoding', ['utf-16-le', 'utf-16-be', 'utf-32-be'])
def test_utf16_without_a_mark_is_refused(text, encoding):
  files = [SourceFile('here.txt', text.encode(encoding))] * 2
  with pytest.raises(ValueError, match=r"'here.txt' is not UTF-8.*save it as"):
    text_sources.encode('text', files)


def test_char_level_keeps_every_character():
  train, valid, test = 'ab b\n', 'ba c\n', ' c\n\0'
  *files, test = _files(train, valid, test)
  encoded = text_sources.encode('text', files, 'char')
  assert ''.join(_decoded(encoded, 'train')) == train
  assert ''.join(_decoded(encoded, 'validation')) == 'ba'
  assert ''.join(_decoded(encoded, 'report')) == ' <unk>\n'
  assert _test(test, encoded, 'char') == [' ', '<unk>', '\n', '<unk>']


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
  *files, test = _files('a a a b b c', 'c d\na\n', 'e b')
  encoded = text_sources.encode('text', files, vocab_size=3)
  assert encoded.vocabulary == ('<unk>', 'a', 'b')
  unknown = '<unk>'
  assert _decoded(encoded, 'train') == [*'aaabb', unknown, unknown]
  assert _decoded(encoded, 'validation') == [unknown, unknown]
  assert _decoded(encoded, 'report') == [unknown, 'a', unknown]
  assert _test(test, encoded) == [unknown, 'b', unknown]


def test_nothing_but_the_hash_depends_on_the_test_split(tmp_path):
  folder = _folder(tmp_path, 'a a b b b c\n', 'a b\nc\n', 'x y\n')
  encoded, hashes = [], set()
  for test in ('x y\n', '', b'\xff', None):
    path = folder / 'test.txt'
    if test is None:
      path.unlink()
    else:
      path.write_bytes(test if isinstance(test, bytes) else test.encode())
    files, content_hash, seen = text_sources.read_files('text', folder)
    hashes.add(content_hash)
    assert seen == text_sources.content_hash(files)
    encoded.append(text_sources.encode('text', files))
  assert len(hashes) == 4
  for other in encoded[1:]:
    assert other.vocabulary == encoded[0].vocabulary == (*'ba', '<eos>', 'c')
    for split, tokens in encoded[0].splits.items():
      np.testing.assert_array_equal(other.splits[split], tokens)


def test_tokens_of_the_test_split_without_a_place_are_refused():
  *files, test = _files('a a b\n', 'a b\nb a\n', 'x a y y\n')
  encoded = text_sources.encode('text', files)
  with pytest.raises(
    ValueError,
    match=r"2 tokens that .* lack, such as 'x', 'y'.*size below 3, so",
  ):
    _test(test, encoded)
  encoded = text_sources.encode('text', files, vocab_size=2)
  assert _test(test, encoded).count('<unk>') == 4


@pytest.mark.parametrize('level', text_sources.LEVELS)
def test_one_file_is_divided(tmp_path, level):
  path = tmp_path / 'all.txt'
  path.write_text('a b c d e f g h i\n' * 20)
  files, content_hash, _ = text_sources.read_files('text', path)
  assert content_hash == text_sources.content_hash(files)
  test = text_sources.read_test_file('text', path)
  for shares, sizes in (
    (text_sources.SHARES, (0.75, 0.1, 0.05, 0.1)),
    ((1, 1, 1, 1), (0.25, 0.25, 0.25, 0.25)),
    ((0.1, 0.2, 0.3, 0.4), (0.1, 0.2, 0.3, 0.4)),
  ):
    encoded = text_sources.encode('text', files, level, shares=shares)
    assert tuple(encoded.splits) == ('train', 'validation', 'report')
    tokens = [
      encoded.vocabulary[t] for part in encoded.splits.values() for t in part
    ]
    tested = text_sources.encode_test(
      'text', test, level, encoded.vocabulary, shares
    )
    tokens += [encoded.vocabulary[token] for token in tested]
    expected = path.read_text()
    if level == 'word':
      expected = expected.replace('\n', ' <eos> ').split()
    assert tokens == list(expected)
    found = [len(part) for part in (*encoded.splits.values(), tested)]
    np.testing.assert_allclose(
      found, np.multiply(sizes, len(tokens)), atol=1 + 1e-9
    )


def test_shares_that_are_none_are_refused():
  for shares in ((1, 1, 1), (1, 1, 0, 1), (1, 1, float('inf'), 1)):
    with pytest.raises(ValueError, match='shares must be 4 positive numbers'):
      text_sources.encode('text', _files('a b c\n' * 9), shares=shares)


def test_pydoc_covers_the_topics_in_order():
  (file,), *_ = text_sources.read_files('pydoc')
  test = text_sources.read_test_file('pydoc')
  topics = pydoc_data.topics.topics
  text = '\n'.join(topics[name] for name in sorted(topics)).lower()
  assert file.content.decode().lower() == text
  encoded = text_sources.encode('pydoc', (file,))
  tokens = [
    token
    for split in ('train', 'validation', 'report')
    for token in _decoded(encoded, split)
  ]
  assert len(encoded.splits) == 3
  tokens += _test(test, encoded, name='pydoc', shares=text_sources.SHARES)
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
  test = _test(files[0], encoded, 'char', 'pydoc', text_sources.SHARES)
  assert ''.join(test) == 'ab c\n' * 4


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
  files, content_hash, _ = text_sources.read_files('ptb', tmp_path)
  assert [f.content.split()[0] for f in files] == [b'train', b'valid']
  test = text_sources.read_test_file('ptb', tmp_path)
  assert test.content == b'test words\n'
  assert content_hash == text_sources.content_hash((*files, test))


def test_missing_folder_argument_is_named():
  with pytest.raises(
    ValueError, match=r"'ptb' needs data_dir.*ptb\.train\.txt"
  ):
    text_sources.read_files('ptb')


def test_missing_folder_is_named(tmp_path):
  with pytest.raises(FileNotFoundError, match=r"nowhere' does not exist;"):
    text_sources.read_files('text', tmp_path / 'nowhere')
  (tmp_path / 'file').touch()
  with pytest.raises(FileNotFoundError, match=r"file' is a file; .* a folder"):
    text_sources.read_files('ptb', tmp_path / 'file')


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
  file = SourceFile('here.txt', b'caf\xe9 au\n')
  with pytest.raises(
    ValueError, match=r"'here.txt' is not UTF-8: byte 3 \(from 0\) is 0xe9"
  ):
    text_sources.encode('text', (*_files('a b\n'), file))
  with pytest.raises(ValueError, match=r"'here.txt' is not UTF-8: byte 3"):
    text_sources.encode_test('text', file, 'word', 'ab')


def test_split_that_is_too_short_is_named():
  with pytest.raises(ValueError, match=r'validation split .* has 1'):
    text_sources.encode('text', _files('a b\n', 'a b\n'))


@pytest.mark.parametrize(
  ('name', 'level', 'text', 'tokens'),
  [
    ('text', 'word', 'The  cat', ['The', 'cat']),
    ('ptb', 'word', 'a cat\r\n', ['a', 'cat', '<eos>']),
    ('text', 'word', 'a\n\nb', ['a', '<eos>', '<eos>', 'b']),
    ('text', 'word', '', []),
    ('text', 'word', '\n', ['<eos>']),
    ('text', 'char', 'A b\r', ['A', ' ', 'b', '\n']),
    ('pydoc', 'word', 'The f(x1).', ['the', 'f', '(', 'x', '1', ')', '.']),
    ('pydoc', 'char', 'The', ['t', 'h', 'e']),
  ],
)
def test_a_prompt_is_cut_as_the_text_is(name, level, text, tokens):
  assert list(text_sources.tokenize(name, text, level)) == tokens
  # What is written of tokens is read as the same ones.
  joined = text_sources.join(name, tokens, level)
  assert list(text_sources.tokenize(name, joined, level)) == tokens


def test_texts_are_written_as_people_do():
  tokens = ['the', 'f', '(', 'x', ')', ',', 'too', '.']
  assert text_sources.join('pydoc', tokens, 'word') == 'the f (x), too.'
  # White space tells tokens apart in a text of one's own.
  assert text_sources.join('text', tokens, 'word') == ' '.join(tokens)
  lines = ['a', '<eos>', '<eos>', 'b', '<eos>']
  assert text_sources.join('text', lines, 'word') == 'a\n\nb\n'

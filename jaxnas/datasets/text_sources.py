# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""From text files to integers: reading, tokens, splits and vocabulary."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
import contextlib
import fractions
import hashlib
import importlib
import itertools
import os
import pathlib
import re
from typing import NamedTuple

import numpy as np

from jaxnas.datasets import prepared

NAMES = ('pydoc', 'ptb', 'text')
LEVELS = ('word', 'char')
UNKNOWN = '<unk>'
END_OF_LINE = '<eos>'
SHARES = (75.0, 10.0, 5.0, 10.0)
"""The sizes of train, validation, report and test in a text of one file."""

_FILES = {
  'ptb': (
    ('ptb.train.txt', 'train.txt'),
    ('ptb.valid.txt', 'valid.txt'),
    ('ptb.test.txt', 'test.txt'),
  ),
  'text': (('train.txt',), ('valid.txt',), ('test.txt',)),
}
_BYTE_ORDER_MARK = '\ufeff'
_PYDOC_TOKEN = re.compile(r'[a-z]+|[0-9]+|[^\sa-z0-9]')
_BEFORE_CLOSING = re.compile(r' ([.,;:!?)\]}])')
_AFTER_OPENING = re.compile(r'([(\[{]) ')
_SPLITS = ('train', 'validation', 'report', 'test')
# No text contains them, but they make up half of the bytes of UTF-16 in most
# alphabets, and three quarters of those of UTF-32.
_CONTROL_BYTES = bytes(range(9))
_MAX_CONTROL_SHARE = 0.3


class SourceFile(NamedTuple):
  """A file of a text.

  Attributes:
    path: the file's path, for messages.
    content: the file's bytes.
  """

  path: str
  content: bytes


class TextFiles(NamedTuple):
  """The files of a text on this side of the wall.

  Attributes:
    files: the train and valid files, or the single file to be divided.
    content_hash: the `content_hash` of the files and the test file.
    seen_hash: the `content_hash` of the files only.
  """

  files: tuple[SourceFile, ...]
  content_hash: str
  seen_hash: str


class EncodedText(NamedTuple):
  """A text as integers.

  Attributes:
    vocabulary: the token that each integer stands for.
    splits: the tokens of each split, by name, `int32[num_tokens]`.
  """

  vocabulary: tuple[str, ...]
  splits: Mapping[str, np.ndarray]


def read_files(
  name: str, data_dir: str | os.PathLike[str] | None = None
) -> TextFiles:
  """Reads the files of a text except its test file.

  Args:
    name: the dataset's name, one of `NAMES`.
    data_dir: the folder with the files, or the single file with all splits;
      unused for `'pydoc'`.

  Returns:
    The files. The test file is optional, and part of the hash if it exists.

  Raises:
    ValueError: no `data_dir` is given, or a file is empty.
    FileNotFoundError: the folder or a file does not exist.
    IsADirectoryError: a folder has the name of a file.
  """
  whole = _read_whole(name, data_dir)
  if whole is not None:
    digest = content_hash((whole,))
    return TextFiles((whole,), digest, digest)
  folder = _folder(name, data_dir)
  *seen, test = _FILES[name]
  files = tuple(_read_first(folder, names) for names in seen)
  everything = (*files, *_behind_wall(folder, test))
  return TextFiles(files, content_hash(everything), content_hash(files))


def read_test_file(
  name: str, data_dir: str | os.PathLike[str] | None = None
) -> SourceFile:
  """Reads the file that contains the test split of a text.

  Args:
    name: the dataset's name, one of `NAMES`.
    data_dir: the folder or file, as in `read_files`.

  Raises:
    ValueError: as in `read_files`.
    FileNotFoundError: as in `read_files`, or there is no test file.
    IsADirectoryError: as in `read_files`.
  """
  whole = _read_whole(name, data_dir)
  if whole is not None:
    return whole
  return _read_first(_folder(name, data_dir), _FILES[name][-1])


def content_hash(files: Sequence[SourceFile]) -> str:
  """Returns the SHA-256 of the files' bytes, each preceded by its length.

  Args:
    files: the files of a text, in the order train, valid, test.

  Returns:
    64 hexadecimal digits, which depend on the order of the files and their
    boundaries but not on their paths. Each length is 8 bytes, most significant
    first.
  """
  digest = hashlib.sha256()
  for file in files:
    digest.update(len(file.content).to_bytes(8, 'big'))
    digest.update(file.content)
  return digest.hexdigest()


def encode(
  name: str,
  files: Sequence[SourceFile],
  level: str = 'word',
  vocab_size: int | None = None,
  shares: Sequence[float] = SHARES,
) -> EncodedText:
  """Tokenizes a text and encodes the tokens as integers.

  Args:
    name: the dataset's name, one of `NAMES`.
    files: the files, from `read_files` with that name.
    level: the level of tokens, one of `LEVELS`.
    vocab_size: the number of different tokens, including `<unk>`; `None` for
      all of train.
    shares: the relative sizes of the splits in a text of one file, as `SHARES`.

  Returns:
    The splits train, validation and report.

  Raises:
    ValueError: a file is not UTF-8, a split has fewer than 2 tokens, or the
      shares are not positive numbers.
  """
  if len(files) == 1:
    tokens = _divide(_tokens(name, files[0], level), shares)
    del tokens['test']
  else:
    train, valid = (_tokens(name, file, level) for file in files)
    half = len(valid) // 2
    tokens = {
      'train': train, 'validation': valid[:half], 'report': valid[half:]
    }  # fmt: skip
  for split, part in tokens.items():
    _check_length(name, split, part)
  vocabulary = build_vocabulary(
    tokens['train'], itertools.chain(*tokens.values()), vocab_size
  )
  index = {token: i for i, token in enumerate(vocabulary)}
  unknown = index.get(UNKNOWN)
  return EncodedText(
    vocabulary,
    {
      split: np.array([index.get(t, unknown) for t in part], np.int32)
      for split, part in tokens.items()
    },
  )


def encode_test(
  name: str,
  file: SourceFile,
  level: str,
  vocabulary: Sequence[str],
  shares: Sequence[float] | None = None,
) -> np.ndarray:
  """Returns the test split as integers, `int32[num_tokens]`.

  Args:
    name: the dataset's name, one of `NAMES`.
    file: the file, from `read_test_file` with that name.
    level: the level of tokens, one of `LEVELS`.
    vocabulary: the vocabulary of the other splits.
    shares: the relative sizes of the splits if the file contains all of them;
      `None` if it contains only test.

  Raises:
    ValueError: as in `encode`, or the text has tokens that are not in the
      vocabulary, which has no `<unk>`.
  """
  tokens = _tokens(name, file, level)
  if shares is not None:
    tokens = _divide(tokens, shares)['test']
  _check_length(name, 'test', tokens)
  index = {token: i for i, token in enumerate(vocabulary)}
  if UNKNOWN not in index and (missing := sorted(set(tokens) - index.keys())):
    raise ValueError(
      f'The test split of dataset {name!r} has {len(missing)} tokens that the '
      f'other splits lack, such as {", ".join(map(repr, missing[:3]))}, and '
      f'the vocabulary has no {UNKNOWN}; give a vocab_size below '
      f'{len(vocabulary)}, so that it gets one.'
    )
  unknown = index.get(UNKNOWN)
  return np.array([index.get(token, unknown) for token in tokens], np.int32)


def tokenize(name: str, text: str, level: str) -> Sequence[str]:
  """Returns the tokens of a piece of text, cut as the dataset's own text is.

  Args:
    name: the dataset's name, one of `NAMES`.
    text: the text. A last line without a line end is not over, so no
      `<eos>` follows it.
    level: the level of tokens, one of `LEVELS`.
  """
  text = _unify_line_ends(text)
  if name == 'pydoc':
    text = text.lower()
    return _PYDOC_TOKEN.findall(text) if level == 'word' else text
  if level == 'char':
    return text
  return _words(text)[: None if text.endswith('\n') else -1]


def join(name: str, tokens: Sequence[str], level: str) -> str:
  """Returns the text of tokens, of which `tokenize` makes the same tokens.

  Args:
    name: the dataset's name, one of `NAMES`.
    tokens: the tokens.
    level: the level of tokens, one of `LEVELS`.
  """
  if level == 'char':
    return ''.join(tokens)
  text = ' '.join('\n' if token == END_OF_LINE else token for token in tokens)
  text = text.replace(' \n', '\n').replace('\n ', '\n')
  if name == 'pydoc':
    # White space is no part of its tokens.
    text = _BEFORE_CLOSING.sub(r'\1', _AFTER_OPENING.sub(r'\1', text))
  return text


def build_vocabulary(
  train: Sequence[str],
  everything: Sequence[str] | itertools.chain[str],
  vocab_size: int | None = None,
) -> tuple[str, ...]:
  """Returns the vocabulary, the most frequent tokens of `train`.

  Args:
    train: the tokens to count and choose from.
    everything: all tokens that a search uses; `<unk>` is needed if `train`
      lacks any of them.
    vocab_size: the maximum number of tokens, including `<unk>`; `None` for no
      bound.

  Returns:
    `<unk>` if `train` has it or some token needs it, then the others by
    decreasing frequency, ties in alphabetical order.
  """
  counts = collections.Counter(train)
  needs_unknown = UNKNOWN in counts or not counts.keys() >= set(everything)
  counts.pop(UNKNOWN, None)
  tokens = sorted(counts, key=lambda token: (-counts[token], token))
  room = len(tokens) + 1 if vocab_size is None else vocab_size
  if needs_unknown or len(tokens) > room:
    return (UNKNOWN, *tokens[: room - 1])
  return tuple(tokens)


def _read_pydoc() -> SourceFile:
  try:
    topics = importlib.import_module('pydoc_data.topics').topics
  except ImportError as error:
    raise FileNotFoundError(
      "Dataset 'pydoc' needs the module pydoc_data.topics, which this Python "
      "was installed without; use dataset 'text' with a folder of your own."
    ) from error
  text = '\n'.join(topics[topic] for topic in sorted(topics))
  return SourceFile('pydoc_data.topics', text.encode())


def _read_first(folder: pathlib.Path, names: Sequence[str]) -> SourceFile:
  """Reads the first of the named files that exists."""
  for path in (folder / name for name in names):
    if path.is_dir():
      raise IsADirectoryError(
        f'{str(path)!r} is a folder; it must be a file that holds text.'
      )
    if path.exists():
      content = path.read_bytes()
      if not content:
        raise ValueError(f'File {str(path)!r} is empty; it must hold text.')
      return SourceFile(str(path), content)
  raise FileNotFoundError(
    f'Folder {str(folder)!r} has no file {" or ".join(names)}; put it there or '
    'name another folder with data_dir.'
  )


def _read_whole(
  name: str, data_dir: str | os.PathLike[str] | None
) -> SourceFile | None:
  """Returns the file with all splits of a text; `None` if there are several."""
  if name == 'pydoc':
    return _read_pydoc()
  path = prepared.expand(data_dir or '')
  if name != 'text' or not path.is_file():
    return None
  return _read_first(path.parent, (path.name,))


def _folder(name: str, data_dir: str | os.PathLike[str] | None) -> pathlib.Path:
  """Returns the folder with the files of a text."""
  wanted = ', '.join(names[0] for names in _FILES[name][:2])
  if name == 'text':
    wanted += ', or one file that is divided'
  if not data_dir:
    raise ValueError(
      f'Dataset {name!r} needs data_dir, the folder that holds {wanted}.'
    )
  folder = prepared.expand(data_dir)
  if not folder.is_dir():
    what = 'is a file' if folder.exists() else 'does not exist'
    raise FileNotFoundError(
      f'data_dir {str(folder)!r} {what}; dataset {name!r} needs a folder that '
      f'holds {wanted}.'
    )
  return folder


def _behind_wall(
  folder: pathlib.Path, names: Sequence[str]
) -> tuple[SourceFile, ...]:
  """Returns the test file, needed only for the hash; empty if missing."""
  for path in (folder / name for name in names):
    with contextlib.suppress(OSError):
      return (SourceFile(str(path), path.read_bytes()),)
  return ()


def _decode(file: SourceFile) -> str:
  """Returns the text of a file with line feeds as line ends."""
  content = file.content
  num_controls = len(content) - len(content.translate(None, _CONTROL_BYTES))
  if num_controls > _MAX_CONTROL_SHARE * len(content):
    raise ValueError(
      f'File {file.path!r} is not UTF-8 text: {num_controls} of its '
      f'{len(content)} bytes are 0 to 8, as in UTF-16 without a mark; save it '
      'as UTF-8.'
    )
  try:
    text = content.decode().removeprefix(_BYTE_ORDER_MARK)
  except UnicodeDecodeError as error:
    raise ValueError(
      f'File {file.path!r} is not UTF-8: byte {error.start} (from 0) is '
      f'0x{content[error.start]:02x}; save it as UTF-8.'
    ) from error
  return _unify_line_ends(text)


def _unify_line_ends(text: str) -> str:
  return text.replace('\r\n', '\n').replace('\r', '\n')


def _tokens(name: str, file: SourceFile, level: str) -> Sequence[str]:
  text = _decode(file)
  if level == 'word' and name != 'pydoc':
    return _words(text)
  return tokenize(name, text, level)


def _divide(
  tokens: Sequence[str], shares: Sequence[float]
) -> dict[str, Sequence[str]]:
  """Returns the splits of one text as contiguous parts."""
  if len(shares) != len(_SPLITS) or not all(
    0 < share < float('inf') for share in shares
  ):
    raise ValueError(
      f'shares must be {len(_SPLITS)} positive numbers, of '
      f'{", ".join(_SPLITS)}; got {", ".join(map(str, shares))}.'
    )
  # Exact arithmetic makes the last bound the end of the text.
  parts = [fractions.Fraction(share) for share in shares]
  bounds = [
    int(len(tokens) * part / sum(parts))
    for part in itertools.accumulate(parts, initial=fractions.Fraction())
  ]
  return {
    split: tokens[start:stop]
    for split, (start, stop) in zip(
      _SPLITS, itertools.pairwise(bounds), strict=True
    )
  }


def _check_length(name: str, split: str, tokens: Sequence[str]) -> None:
  if len(tokens) < 2:
    raise ValueError(
      f'The {split} split of dataset {name!r} needs at least 2 tokens and has '
      f'{len(tokens)}; give it a longer text.'
    )


def _words(text: str) -> list[str]:
  """Returns the words between white space, with every line end marked."""
  lines = text.removesuffix('\n').split('\n')
  return [word for line in lines for word in (*line.split(), END_OF_LINE)]

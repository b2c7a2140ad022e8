# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""From the files of a text to integers: reading, tokens, splits, vocabulary."""

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
"""Of train, validation, report and test in a text of one file."""

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
_SPLITS = ('train', 'validation', 'report', 'test')
# No text has them, but half of the bytes of UTF-16 are among them in all
# alphabets, and three quarters of those of UTF-32.
_CONTROL_BYTES = bytes(range(9))
_MAX_CONTROL_SHARE = 0.3


class SourceFile(NamedTuple):
  """What a text is made of.

  Attributes:
    path: where it was read, for messages.
    content: its bytes.
  """

  path: str
  content: bytes


class TextFiles(NamedTuple):
  """The files of a text that anyone may read.

  Attributes:
    files: train and valid; or the one file that is yet to be divided.
    content_hash: what `content_hash` returned for them and the test file.
    seen_hash: what it returned for them alone.
  """

  files: tuple[SourceFile, ...]
  content_hash: str
  seen_hash: str


class EncodedText(NamedTuple):
  """A text as integers.

  Attributes:
    vocabulary: the token that each integer stands for.
    splits: name of a split to its tokens, `int32[num_tokens]`.
  """

  vocabulary: tuple[str, ...]
  splits: Mapping[str, np.ndarray]


def read_files(
  name: str, data_dir: str | os.PathLike[str] | None = None
) -> TextFiles:
  """Reads the files of a text, but for its test file.

  Args:
    name: one of `NAMES`.
    data_dir: the folder with the files, or the one file that holds it all;
      `'pydoc'` needs none.

  Returns:
    The files. There need not be a test file; where there is one, it is part of
    the hash.

  Raises:
    ValueError: if `data_dir` is missing or a file is empty.
    FileNotFoundError: if the folder or a file does not exist.
    IsADirectoryError: if a folder has the name of a file.
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
  """Reads the file that the test split of a text is in.

  Args:
    name: as for `read_files`.
    data_dir: as for `read_files`.

  Raises:
    ValueError: as `read_files`.
    FileNotFoundError: as `read_files`, or if there is no test file.
    IsADirectoryError: as `read_files`.
  """
  whole = _read_whole(name, data_dir)
  if whole is not None:
    return whole
  return _read_first(_folder(name, data_dir), _FILES[name][-1])


def content_hash(files: Sequence[SourceFile]) -> str:
  """Returns the SHA-256 of the files' bytes, each preceded by their number.

  Args:
    files: of a text, in the order train, valid, test.

  Returns:
    64 hexadecimal digits. Paths do not enter; the order of the files and the
    place where one ends and the next begins do. The numbers are 8 bytes each,
    most significant first.
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
  """Splits a text into tokens and these into integers.

  Args:
    name: one of `NAMES`.
    files: what `read_files` returned for that name.
    level: one of `LEVELS`.
    vocab_size: how many tokens to tell apart, `<unk>` included; `None` means
      all of train.
    shares: how a text of one file is divided, as `SHARES`.

  Returns:
    The splits train, validation and report.

  Raises:
    ValueError: if a file is not UTF-8, a split has fewer than 2 tokens, or the
      shares are none.
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
    name: one of `NAMES`.
    file: what `read_test_file` returned for that name.
    level: one of `LEVELS`.
    vocabulary: that of the other splits.
    shares: how the file is divided that holds the other splits too; `None` if
      the file holds test alone.

  Raises:
    ValueError: as `encode`, or if the text has tokens that are not in the
      vocabulary, and that has no `<unk>`.
  """
  tokens = _tokens(name, file, level)
  if shares is not None:
    tokens = _divide(tokens, shares)['test']
  _check_length(name, 'test', tokens)
  index = {token: i for i, token in enumerate(vocabulary)}
  if UNKNOWN not in index and (missing := sorted(set(tokens) - index.keys())):
    raise ValueError(
      f'The test split of dataset {name!r} has {len(missing)} tokens that the '
      f'other splits lack, {", ".join(map(repr, missing[:3]))} among them, and '
      f'the vocabulary has no {UNKNOWN}; give a vocab_size below '
      f'{len(vocabulary)}, so that it gets one.'
    )
  unknown = index.get(UNKNOWN)
  return np.array([index.get(token, unknown) for token in tokens], np.int32)


def build_vocabulary(
  train: Sequence[str],
  everything: Sequence[str] | itertools.chain[str],
  vocab_size: int | None = None,
) -> tuple[str, ...]:
  """Returns the tokens to tell apart, the most frequent of `train`.

  Args:
    train: the only tokens that are counted and can enter.
    everything: the tokens that a search sees: whether `train` has them all
      decides whether `<unk>` is needed.
    vocab_size: how many tokens there may be, `<unk>` included; `None` means
      no bound.

  Returns:
    `<unk>` if `train` has it or some token needs it, then the others by
    falling frequency, ties in the order of their characters.
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
  """Reads the first of some files that exists."""
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
    'name another folder by data_dir.'
  )


def _read_whole(
  name: str, data_dir: str | os.PathLike[str] | None
) -> SourceFile | None:
  """Returns the file that holds all splits of a text, if it is of that kind."""
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
    raise FileNotFoundError(
      f'data_dir {str(folder)!r} is not a folder; dataset {name!r} needs one '
      f'that holds {wanted}.'
    )
  return folder


def _behind_wall(
  folder: pathlib.Path, names: Sequence[str]
) -> tuple[SourceFile, ...]:
  """Returns the test file for the hash; nobody else minds if there is none."""
  for path in (folder / name for name in names):
    with contextlib.suppress(OSError):
      return (SourceFile(str(path), path.read_bytes()),)
  return ()


def _decode(file: SourceFile) -> str:
  """Returns the text of a file, its lines ended by line feeds."""
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
  return text.replace('\r\n', '\n').replace('\r', '\n')


def _tokens(name: str, file: SourceFile, level: str) -> Sequence[str]:
  text = _decode(file)
  if name == 'pydoc':
    text = text.lower()
    return _PYDOC_TOKEN.findall(text) if level == 'word' else text
  return _words(text) if level == 'word' else text


def _divide(
  tokens: Sequence[str], shares: Sequence[float]
) -> dict[str, Sequence[str]]:
  """Returns contiguous parts of one text."""
  if len(shares) != len(_SPLITS) or not all(
    0 < share < float('inf') for share in shares
  ):
    raise ValueError(
      f'shares must be {len(_SPLITS)} positive numbers, of '
      f'{", ".join(_SPLITS)}; got {", ".join(map(str, shares))}.'
    )
  # Exactly, so that the last bound is the end.
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
  """Returns what stands between white space, every line's end marked."""
  lines = text.removesuffix('\n').split('\n')
  return [word for line in lines for word in (*line.split(), END_OF_LINE)]

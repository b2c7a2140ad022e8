# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""From the files of a text to integers: reading, tokens, splits, vocabulary."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
import hashlib
import importlib
import itertools
import os
import pathlib
import re
from typing import NamedTuple

import numpy as np

NAMES = ('pydoc', 'ptb', 'text')
LEVELS = ('word', 'char')
UNKNOWN = '<unk>'
END_OF_LINE = '<eos>'

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
_PYDOC_PERCENT = {'train': 75, 'validation': 10, 'report': 5, 'test': 10}


class SourceFile(NamedTuple):
  """What a text is made of.

  Attributes:
    path: where it was read, for messages.
    content: its bytes.
  """

  path: str
  content: bytes


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
) -> tuple[SourceFile, ...]:
  """Reads the files of a text.

  Args:
    name: one of `NAMES`.
    data_dir: the folder with the files; `'pydoc'` needs none.

  Returns:
    The files train, valid and test; for `'pydoc'` one that holds it all.

  Raises:
    ValueError: if `data_dir` is missing or a file is empty.
    FileNotFoundError: if the folder or a file does not exist.
    IsADirectoryError: if a folder has the name of a file.
  """
  if name == 'pydoc':
    return (_read_pydoc(),)
  wanted = ', '.join(names[0] for names in _FILES[name])
  if not data_dir:
    raise ValueError(
      f'Dataset {name!r} needs data_dir, the folder that holds {wanted}.'
    )
  folder = pathlib.Path(data_dir).expanduser()
  if not folder.is_dir():
    raise FileNotFoundError(
      f'data_dir {str(folder)!r} is not a folder; dataset {name!r} needs one '
      f'that holds {wanted}.'
    )
  return tuple(_read_first(folder, names) for names in _FILES[name])


def content_hash(files: Sequence[SourceFile]) -> str:
  """Returns the SHA-256 of the files' bytes, each preceded by their number.

  Args:
    files: what `read_files` returned.

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
) -> EncodedText:
  """Splits a text into tokens and these into integers.

  Args:
    name: one of `NAMES`.
    files: what `read_files` returned for that name.
    level: one of `LEVELS`.
    vocab_size: how many tokens to tell apart, `<unk>` included; `None` means
      all of train.

  Returns:
    The splits train, validation, report and test.

  Raises:
    ValueError: if a file is not UTF-8 or a split has fewer than 2 tokens.
  """
  split = _split_pydoc if name == 'pydoc' else _split_files
  tokens = split([_decode(file) for file in files], level)
  for split_name, part in tokens.items():
    if len(part) < 2:
      raise ValueError(
        f'The {split_name} split of dataset {name!r} needs at least 2 tokens '
        f'and has {len(part)}; give it a longer text.'
      )
  vocabulary = build_vocabulary(
    tokens['train'], itertools.chain(*tokens.values()), vocab_size
  )
  index = {token: i for i, token in enumerate(vocabulary)}
  unknown = index.get(UNKNOWN)
  return EncodedText(
    vocabulary,
    {
      split_name: np.array([index.get(t, unknown) for t in part], np.int32)
      for split_name, part in tokens.items()
    },
  )


def build_vocabulary(
  train: Sequence[str],
  everything: Sequence[str] | itertools.chain[str],
  vocab_size: int | None = None,
) -> tuple[str, ...]:
  """Returns the tokens to tell apart, the most frequent of `train`.

  Args:
    train: the only tokens that are counted and can enter.
    everything: the tokens that will be encoded: whether `train` has them all
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


def _decode(file: SourceFile) -> str:
  try:
    return file.content.decode().removeprefix(_BYTE_ORDER_MARK)
  except UnicodeDecodeError as error:
    raise ValueError(
      f'File {file.path!r} is not UTF-8: byte {error.start} (from 0) is '
      f'0x{file.content[error.start]:02x}; save it as UTF-8.'
    ) from error


def _split_pydoc(texts: Sequence[str], level: str) -> dict[str, Sequence[str]]:
  """Returns contiguous parts of the one text, lower-cased."""
  text = texts[0].lower()
  tokens = _PYDOC_TOKEN.findall(text) if level == 'word' else text
  bounds = [0]
  for percent in itertools.accumulate(_PYDOC_PERCENT.values()):
    bounds.append(len(tokens) * percent // 100)
  return {
    split: tokens[start:stop]
    for split, (start, stop) in zip(
      _PYDOC_PERCENT, itertools.pairwise(bounds), strict=True
    )
  }


def _split_files(texts: Sequence[str], level: str) -> dict[str, Sequence[str]]:
  """Returns train, the halves of valid as validation and report, and test."""
  train, valid, test = (
    _words(text) if level == 'word' else text for text in texts
  )
  half = len(valid) // 2
  return {
    'train': train,
    'validation': valid[:half],
    'report': valid[half:],
    'test': test,
  }


def _words(text: str) -> list[str]:
  """Returns what stands between white space, every line's end marked."""
  lines = text.removesuffix('\n').split('\n')
  return [word for line in lines for word in (*line.split(), END_OF_LINE)]

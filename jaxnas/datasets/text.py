# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

r"""Text as one long array of tokens a split, and its cut into segments.

Three datasets are known:

- `'pydoc'`: the English of `pydoc_data.topics`, which ships with CPython: its
  topics in sorted order, joined by a line break and lower-cased. A word-level
  token is a match of `[a-z]+|[0-9]+|[^\sa-z0-9]`: a word, a number or a single
  mark; white space and line breaks are no tokens. The first 75 % of the tokens
  are train, then 10 % validation, 5 % report and 10 % test. The text differs
  between Python releases: quote results with its `content_hash`.
- `'ptb'`: the Penn Treebank as Mikolov prepared it, a folder with
  `ptb.train.txt`, `ptb.valid.txt` and `ptb.test.txt` (or as for `'text'`).
- `'text'`: any folder with `train.txt`, `valid.txt` and `test.txt`, in UTF-8.

For the last two a word-level token is what stands between white space, with one
`<eos>` at the end of every line, and a character-level token is any character,
line breaks included. The first half of `valid` is validation, the second half
report. The vocabulary comes from train alone.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import difflib
import functools
import os

from absl import logging
import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.datasets import text_builders, text_sources
from jaxnas.datasets.text_sources import EncodedText

PYDOC_VOCAB_SIZE = 1000


@dataclasses.dataclass(frozen=True, eq=False)
class TextDataset:
  """A text without its test split, on the device.

  Attributes:
    name: the dataset's name, `'pydoc'`, `'ptb'` or `'text'`.
    vocabulary: the token that each integer stands for: `<unk>` if there is one,
      then by falling frequency in train.
    train: tokens to train on, `int32[num_tokens]`.
    validation: tokens that rewards come from, `int32[num_tokens]`.
    report: tokens for comparisons; no reward came from them,
      `int32[num_tokens]`.
    content_hash: SHA-256, in hexadecimal, of the source files in the order
      train, valid, test, each preceded by its number of bytes (8 bytes, most
      significant first). Names and folders do not enter it.
  """

  name: str
  vocabulary: tuple[str, ...]
  train: jax.Array
  validation: jax.Array
  report: jax.Array
  content_hash: str

  @property
  def vocab_size(self) -> int:
    """How many different tokens there are, `<unk>` included."""
    return len(self.vocabulary)


def load(
  name: str,
  data_dir: str | os.PathLike[str] | None = None,
  *,
  level: str = 'word',
  vocab_size: int | None = None,
  cache_dir: str | os.PathLike[str] | None = None,
) -> TextDataset:
  """Returns the train, validation and report splits of a text.

  Args:
    name: `'pydoc'`, `'ptb'` or `'text'`.
    data_dir: the folder with the text's files; `'pydoc'` takes none.
    level: `'word'` or `'char'`.
    vocab_size: how many tokens to tell apart, `<unk>` included: the most
      frequent ones of train, ties in the order of their characters. `None`
      means all of train, and 1,000 for the words of `'pydoc'`. A text with
      fewer keeps what it has and logs a warning. `<unk>` takes a place where
      some token of any split would otherwise have none.
    cache_dir: where the prepared text is kept; `None` means the folder in the
      environment variable `JAXNAS_DATA_DIR`, or else `~/.cache/jaxnas`.

  Returns:
    The dataset.

  Raises:
    ValueError: if an argument is unknown or out of range, a file is empty or
      not UTF-8, or a split has fewer than 2 tokens.
    FileNotFoundError: if the folder or a file is missing.
  """
  encoded, content_hash = _load_splits(
    name,
    data_dir,
    level,
    vocab_size,
    cache_dir,
    splits=('train', 'validation', 'report'),
  )
  arrays = {split: jnp.asarray(a) for split, a in encoded.splits.items()}
  return TextDataset(
    name=name,
    vocabulary=encoded.vocabulary,
    content_hash=content_hash,
    **arrays,
  )


def load_test(
  name: str,
  data_dir: str | os.PathLike[str] | None = None,
  *,
  level: str = 'word',
  vocab_size: int | None = None,
  cache_dir: str | os.PathLike[str] | None = None,
) -> jax.Array:
  """Returns the test split of a text, and logs that it was loaded.

  Only experiments that train a finished architecture may call this, once.

  Args:
    name: as for `load`, like all the rest.
    data_dir: as for `load`.
    level: as for `load`.
    vocab_size: as for `load`.
    cache_dir: as for `load`.

  Returns:
    Tokens of the vocabulary that `load` returns for the same arguments,
    `int32[num_tokens]`.

  Raises:
    ValueError: as for `load`.
    FileNotFoundError: as for `load`.
  """
  encoded, content_hash = _load_splits(
    name, data_dir, level, vocab_size, cache_dir, splits=('test',)
  )
  test = jnp.asarray(encoded.splits['test'])
  logging.info(
    'Test data was loaded: %d tokens of %r (content %s).',
    len(test),
    name,
    content_hash,
  )
  return test


def train_segments(
  tokens: jax.Array | np.ndarray, batch_size: int, num_steps: int
) -> tuple[jax.Array, jax.Array]:
  """Cuts a text into segments for truncated backpropagation through time.

  The text is cut into `B` columns of equal length, one after the other, and
  each column into `S` segments: segment `s` of column `b` goes on where segment
  `s - 1` of column `b` ended, so a recurrent state can be carried over. What
  does not fill a column is dropped from the end of the text.

  Args:
    tokens: the text, `int32[num_tokens]`.
    batch_size: the number of columns, `B`.
    num_steps: the length of a segment, `T`.

  Returns:
    The inputs and their targets, the tokens that follow them, both
    `int32[S, T, B]`.

  Raises:
    ValueError: if a size is below 1 or the text too short for one segment.
  """
  block = _block_size(tokens, batch_size, num_steps)
  num_segments = (len(tokens) - 1) // block
  if num_segments < 1:
    raise ValueError(
      f'The text is too short: batch_size={batch_size} columns of '
      f'num_steps={num_steps} need {block + 1} tokens and there are '
      f'{len(tokens)}; lower batch_size or num_steps.'
    )
  tokens = jnp.asarray(tokens, jnp.int32)[: num_segments * block + 1]
  to_segments = functools.partial(
    _to_segments, batch_size=batch_size, num_steps=num_steps
  )
  return to_segments(tokens[:-1]), to_segments(tokens[1:])


def evaluation_segments(
  tokens: jax.Array | np.ndarray, batch_size: int, num_steps: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Cuts a text into segments that predict every token but the first once.

  The layout is that of `train_segments`, with the last columns filled up with
  zeros instead of the end of the text dropped.

  Args:
    tokens: the text, `int32[num_tokens]`.
    batch_size: the number of columns, `B`.
    num_steps: the length of a segment, `T`.

  Returns:
    The inputs and their targets, both `int32[S, T, B]`, and the targets'
    weights, `float32[S, T, B]`: 1 for a token, 0 for padding.

  Raises:
    ValueError: if a size is below 1 or the text has fewer than 2 tokens.
  """
  block = _block_size(tokens, batch_size, num_steps)
  num_targets = len(tokens) - 1
  if num_targets < 1:
    raise ValueError(
      f'The text needs at least 2 tokens to be evaluated, got {len(tokens)}.'
    )
  padding = (0, -num_targets % block)
  tokens = jnp.asarray(tokens, jnp.int32)
  inputs, targets, weights = (
    _to_segments(jnp.pad(array, padding), batch_size, num_steps)
    for array in (tokens[:-1], tokens[1:], jnp.ones(num_targets, jnp.float32))
  )
  return inputs, targets, weights


def _load_splits(
  name: str,
  data_dir: str | os.PathLike[str] | None,
  level: str,
  vocab_size: int | None,
  cache_dir: str | os.PathLike[str] | None,
  splits: Sequence[str],
) -> tuple[EncodedText, str]:
  """Returns some splits of a text, and the hash of its source."""
  _check_arguments(name, level, vocab_size)
  if name == 'pydoc' and data_dir:
    logging.warning(
      "Dataset 'pydoc' ships with Python; data_dir %r is not read.",
      os.fspath(data_dir),
    )
  if name == 'pydoc' and level == 'word' and vocab_size is None:
    vocab_size = PYDOC_VOCAB_SIZE
  files = text_sources.read_files(name, data_dir)
  content_hash = text_sources.content_hash(files)
  encoded = text_builders.load_encoded(
    name,
    f'{level}_{vocab_size or "all"}_{content_hash}',
    splits,
    functools.partial(text_sources.encode, name, files, level, vocab_size),
    cache_dir,
  )
  if vocab_size is not None and len(encoded.vocabulary) < vocab_size:
    logging.warning(
      'vocab_size is %d, but dataset %r has only %d different tokens at level '
      '%r; all of them are kept.',
      vocab_size,
      name,
      len(encoded.vocabulary),
      level,
    )
  return encoded, content_hash


def _check_arguments(name: str, level: str, vocab_size: int | None) -> None:
  for argument, value, known in (
    ('dataset', name, text_sources.NAMES),
    ('level', level, text_sources.LEVELS),
  ):
    if value not in known:
      near = difflib.get_close_matches(str(value), known)
      hint = f' Did you mean {" or ".join(map(repr, near))}?' if near else ''
      raise ValueError(
        f'Unknown {argument} {value!r}; expected one of {", ".join(known)}.'
        f'{hint}'
      )
  if vocab_size is not None and vocab_size < 2:
    raise ValueError(
      f'vocab_size must be at least 2 (<unk> included), got {vocab_size}.'
    )


def _block_size(tokens, batch_size: int, num_steps: int) -> int:
  """Returns how many tokens one segment of all columns takes."""
  chex.assert_rank(tokens, 1)
  for name, size in (('batch_size', batch_size), ('num_steps', num_steps)):
    if size < 1:
      raise ValueError(f'{name} must be at least 1, got {size}.')
  return batch_size * num_steps


def _to_segments(
  array: jax.Array, batch_size: int, num_steps: int
) -> jax.Array:
  """Returns `[B * S * T]` as `[S, T, B]`."""
  return array.reshape(batch_size, -1, num_steps).transpose(1, 2, 0)

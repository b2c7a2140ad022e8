# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

r"""Text as one long array of tokens per split, cut into segments.

There are three datasets:

- `'pydoc'`: the English of `pydoc_data.topics`, which ships with CPython: its
  topics in sorted order, joined by line breaks and converted to lower case. A
  word-level token is a match of `[a-z]+|[0-9]+|[^\sa-z0-9]`: a word, a number
  or a single symbol, but not white space. The first 75 % of the tokens are
  train, then 10 % validation, 5 % report and 10 % test. The text differs
  between Python releases, so quote its `content_hash` with results.
- `'ptb'`: the Penn Treebank as Mikolov prepared it, a folder with
  `ptb.train.txt`, `ptb.valid.txt` and `ptb.test.txt` (or as for `'text'`).
- `'text'`: any folder with `train.txt`, `valid.txt` and, if there is a test
  split, `test.txt`; or one file, which is divided like `'pydoc'`. All in UTF-8.

For the last two, word-level tokens are separated by white space, with an
`<eos>` at the end of every line, and a character-level token is any character,
including line breaks. A line ends with LF, CR LF or CR, all of which are read
as LF. The first half of `valid` is validation, the second half report. The
vocabulary comes from train only.

The test split is on the other side of a wall: no function here returns it, or
anything that contains it; see `held_out`.
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
      then the others by decreasing frequency in train.
    train: the tokens to train on, `int32[num_tokens]`.
    validation: the tokens that rewards are measured on, `int32[num_tokens]`.
    report: the tokens for comparisons, which no reward is measured on,
      `int32[num_tokens]`.
    content_hash: the SHA-256, in hexadecimal, of the source files in the order
      train, valid, test, each preceded by its number of bytes (8 bytes, most
      significant first). It does not depend on names and folders.
    level: the level of tokens, `'word'` or `'char'`.
    shares: the sizes of the splits that a single file was divided into; `None`
      if there are several files.
    seen_hash: the `content_hash` of train and valid only.
  """

  name: str
  vocabulary: tuple[str, ...]
  train: jax.Array
  validation: jax.Array
  report: jax.Array
  content_hash: str
  level: str
  shares: tuple[float, ...] | None
  seen_hash: str

  @property
  def vocab_size(self) -> int:
    """The number of different tokens, including `<unk>`."""
    return len(self.vocabulary)


def load(
  name: str,
  data_dir: str | os.PathLike[str] | None = None,
  *,
  level: str = 'word',
  vocab_size: int | None = None,
  cache_dir: str | os.PathLike[str] | None = None,
  shares: Sequence[float] = text_sources.SHARES,
) -> TextDataset:
  """Returns the train, validation and report splits of a text.

  Args:
    name: the dataset's name, `'pydoc'`, `'ptb'` or `'text'`.
    data_dir: the folder with the text's files, or the single file of a
      `'text'`; unused for `'pydoc'`.
    level: the level of tokens, `'word'` or `'char'`.
    vocab_size: the number of different tokens, including `<unk>`: the most
      frequent tokens of train, ties in alphabetical order. `None` is all tokens
      of train, or 1,000 for the words of `'pydoc'`. A text with fewer keeps all
      of them and logs a warning. `<unk>` is included only if some token of
      these three splits is not in the vocabulary.
    cache_dir: the folder for prepared text; `None` for the one in the
      environment variable `JAXNAS_DATA_DIR`, or else `~/.cache/jaxnas`.
    shares: the relative sizes of train, validation, report and test, which
      follow each other in a text of one file; in any unit.

  Returns:
    The dataset. A warning is logged if `<unk>` occurs in validation or report
    but not in train, since it then cannot be learned.

  Raises:
    ValueError: an argument is unknown or out of range, a file is empty or not
      UTF-8, or a split has fewer than 2 tokens.
    FileNotFoundError: the folder or a file is missing.
  """
  _check_arguments(name, level, vocab_size)
  if name == 'pydoc' and data_dir:
    logging.warning(
      "Dataset 'pydoc' ships with Python; data_dir %r is ignored.",
      os.fspath(data_dir),
    )
  if name == 'pydoc' and level == 'word' and vocab_size is None:
    vocab_size = PYDOC_VOCAB_SIZE
  files, content_hash, seen_hash = text_sources.read_files(name, data_dir)
  key = [level, str(vocab_size or 'all'), content_hash]
  if len(files) == 1 and tuple(shares) != text_sources.SHARES:
    key.insert(2, '-'.join(map(str, shares)))
  encoded = text_builders.load_encoded(
    name,
    '_'.join(key),
    ('train', 'validation', 'report'),
    functools.partial(
      text_sources.encode, name, files, level, vocab_size, shares
    ),
    cache_dir,
  )
  _warn_of_size(name, level, vocab_size, encoded)
  _warn_of_unknown(name, encoded)
  arrays = {split: jnp.asarray(a) for split, a in encoded.splits.items()}
  return TextDataset(
    name=name,
    vocabulary=encoded.vocabulary,
    content_hash=content_hash,
    level=level,
    shares=tuple(shares) if len(files) == 1 else None,
    seen_hash=seen_hash,
    **arrays,
  )


def tokenize(name: str, text: str, level: str = 'word') -> list[str]:
  """Returns the tokens of a text, such as a prompt, cut as in a dataset.

  Args:
    name: the dataset's name, `'pydoc'`, `'ptb'` or `'text'`.
    text: the text. At word level, `<eos>` stands for every line end in it.
    level: the level of tokens, `'word'` or `'char'`.

  Raises:
    ValueError: the dataset or the level is unknown.
  """
  _check_arguments(name, level, None)
  return list(text_sources.tokenize(name, text, level))


def join(name: str, tokens: Sequence[str], level: str = 'word') -> str:
  """Returns the text of tokens, with a line end for every `<eos>`.

  Args:
    name: the dataset's name, as in `tokenize`, which is the inverse.
    tokens: the tokens.
    level: the level of tokens, `'word'` or `'char'`.

  Raises:
    ValueError: the dataset or the level is unknown.
  """
  _check_arguments(name, level, None)
  return text_sources.join(name, tokens, level)


def train_segments(
  tokens: jax.Array | np.ndarray, batch_size: int, num_unrolled: int
) -> tuple[jax.Array, jax.Array]:
  """Cuts a text into segments for truncated backpropagation through time.

  The text is cut into `B` consecutive columns of equal length, and each column
  into `S` segments: segment `s` of column `b` continues where segment `s - 1`
  of column `b` ended, so a recurrent state can be carried over. Tokens at the
  end of the text that do not fill the columns are dropped.

  Args:
    tokens: the text, `int32[num_tokens]`.
    batch_size: the number of columns, `B`.
    num_unrolled: the length of a segment, `T`.

  Returns:
    The inputs and the targets, which are the tokens that follow, both `int32[S,
    T, B]`.

  Raises:
    ValueError: a size is below 1, or the text is too short for one segment.
  """
  block = _block_size(tokens, batch_size, num_unrolled)
  num_segments = (len(tokens) - 1) // block
  if num_segments < 1:
    raise ValueError(
      f'The text is too short: batch_size={batch_size} columns of '
      f'num_unrolled={num_unrolled} need {block + 1} tokens, but there are '
      f'{len(tokens)}; lower batch_size or num_unrolled.'
    )
  tokens = jnp.asarray(tokens, jnp.int32)[: num_segments * block + 1]
  to_segments = functools.partial(
    _to_segments, batch_size=batch_size, num_unrolled=num_unrolled
  )
  return to_segments(tokens[:-1]), to_segments(tokens[1:])


def evaluation_segments(
  tokens: jax.Array | np.ndarray, batch_size: int, num_unrolled: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Cuts a text into segments that predict every token but the first once.

  The layout is that of `train_segments`, except that the last columns are
  padded with zeros and no token is dropped.

  Args:
    tokens: the text, `int32[num_tokens]`.
    batch_size: the number of columns, `B`.
    num_unrolled: the length of a segment, `T`.

  Returns:
    The inputs and targets, both `int32[S, T, B]`, and the weights of the
    targets, `float32[S, T, B]`: 1 for a token, 0 for padding.

  Raises:
    ValueError: a size is below 1, or the text has fewer than 2 tokens.
  """
  block = _block_size(tokens, batch_size, num_unrolled)
  num_targets = len(tokens) - 1
  if num_targets < 1:
    raise ValueError(
      f'The text needs at least 2 tokens to be evaluated, got {len(tokens)}.'
    )
  padding = (0, -num_targets % block)
  tokens = jnp.asarray(tokens, jnp.int32)
  inputs, targets, weights = (
    _to_segments(jnp.pad(array, padding), batch_size, num_unrolled)
    for array in (tokens[:-1], tokens[1:], jnp.ones(num_targets, jnp.float32))
  )
  return inputs, targets, weights


def _warn_of_size(
  name: str, level: str, vocab_size: int | None, encoded: EncodedText
) -> None:
  """Warns if a text has fewer different tokens than requested."""
  if vocab_size is not None and len(encoded.vocabulary) < vocab_size:
    logging.warning(
      'vocab_size is %d, but dataset %r has only %d different tokens at level '
      '%r; all of them are kept.',
      vocab_size,
      name,
      len(encoded.vocabulary),
      level,
    )


def _warn_of_unknown(name: str, encoded: EncodedText) -> None:
  """Warns if tokens are measured that no training can learn."""
  if text_sources.UNKNOWN not in encoded.vocabulary:
    return
  unknown = encoded.vocabulary.index(text_sources.UNKNOWN)
  train, *others = (
    float((encoded.splits[split] == unknown).mean())
    for split in ('train', 'validation', 'report')
  )
  if not train and max(others) > 0:
    logging.warning(
      'Dataset %r: %.2g %% of validation and %.2g %% of report are tokens that '
      'train lacks, and the <unk> that stands for them never occurs in '
      'training, so perplexities mean little. A vocab_size below %d turns the '
      'rarest tokens of train into <unk> too.',
      name,
      *(100 * share for share in others),
      len(encoded.vocabulary),
    )


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


def _block_size(tokens, batch_size: int, num_unrolled: int) -> int:
  """Returns the number of tokens in one segment of all columns."""
  chex.assert_rank(tokens, 1)
  for name, size in (
    ('batch_size', batch_size),
    ('num_unrolled', num_unrolled),
  ):
    if size < 1:
      raise ValueError(f'{name} must be at least 1, got {size}.')
  return batch_size * num_unrolled


def _to_segments(
  array: jax.Array, batch_size: int, num_unrolled: int
) -> jax.Array:
  """Rearranges `[B * S * T]` to `[S, T, B]`."""
  return array.reshape(batch_size, -1, num_unrolled).transpose(1, 2, 0)

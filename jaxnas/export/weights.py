# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Trained parameters, with all that is needed to use them, as one file.

The file is an `.npz` archive, which `numpy.load` reads without jaxnas and
without pickle: an array for each parameter, named by its path as
`params/layers_0/recurrent_kernel`, and `about`, the bytes of a JSON object with
the vocabulary, the architecture and the facts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import contextlib
import io
import json
import os
import pathlib
from typing import Any, NamedTuple
import zipfile
import zlib

from flax import traverse_util
import jax.numpy as jnp
import numpy as np

from jaxnas.records import workdir
from jaxnas.spaces import recurrent_cell
from jaxnas.types import Params

_FORMAT = 'jaxnas weights 1'
_ABOUT = 'about'


class Weights(NamedTuple):
  """What is in a weights file.

  Attributes:
    params: the parameters, as they were written.
    vocabulary: the token that each integer stands for.
    architecture: a `RecurrentCell`, or the name of a cell that is not in the
      grammar.
    facts: what else the file says.
  """

  params: Params
  vocabulary: tuple[str, ...]
  architecture: recurrent_cell.RecurrentCell | str
  facts: Mapping[str, Any]


def write_weights(
  path: str | os.PathLike,
  params: Params,
  vocabulary: Sequence[str],
  architecture: recurrent_cell.RecurrentCell | str,
  **facts: Any,
) -> None:
  """Writes parameters; the same ones give the same bytes.

  Args:
    path: the file; an older one is replaced as a whole.
    params: the variables of a Flax module, `{'params': {...}}`.
    vocabulary: the token that each integer stands for.
    architecture: a `RecurrentCell`, or the name of another cell.
    **facts: what else the file should say, such as the recipe and the
      perplexity; values that JSON can hold, or arrays.

  Raises:
    ValueError: the parameters are none of a Flax module, or one is of a type
      that numpy does not know.
    OSError: the file cannot be written.
  """
  path = pathlib.Path(path)
  about = {
    'format': _FORMAT,
    'vocabulary': list(vocabulary),
    'architecture': architecture
    if isinstance(architecture, str)
    else architecture.to_json(),
    'facts': workdir.plain_json(facts),
  }
  content = json.dumps(about, allow_nan=False).encode()
  arrays = {_ABOUT: np.frombuffer(content, np.uint8)}
  for name, leaf in sorted(traverse_util.flatten_dict(params, sep='/').items()):
    array = np.asarray(leaf)
    if '/' not in name:
      raise ValueError(
        "Parameters must be the variables of a Flax module, {'params': {...}}; "
        f'got {name!r} at the top.'
      )
    if array.dtype.kind not in 'biufc':
      raise ValueError(
        f'Parameter {name} is of type {array.dtype}, which an .npz file cannot '
        'hold; convert it to float32.'
      )
    arrays[name] = array
  unfinished = path.with_name(f'{path.name}.tmp')
  try:
    with open(unfinished, 'wb') as file:
      np.savez(file, **arrays)  # type: ignore[arg-type]
      file.flush()
      os.fsync(file.fileno())
    os.replace(unfinished, path)
  except OSError as error:
    with contextlib.suppress(OSError):
      unfinished.unlink()
    raise OSError(error.errno, error.strerror, str(path)) from None


def load_weights(path: str | os.PathLike) -> Weights:
  """Returns what is in a file that `write_weights` wrote.

  Args:
    path: the file.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: the file is damaged, or another kind of file.
  """
  try:
    content = pathlib.Path(path).read_bytes()
  except FileNotFoundError:
    raise FileNotFoundError(
      f'There is no weights file {path}; give the weights.npz of a training.'
    ) from None
  try:
    return _parse(content)
  except (
    AttributeError,
    KeyError,
    TypeError,
    ValueError,
    NotImplementedError,
    EOFError,
    OSError,
    zipfile.BadZipFile,
    zlib.error,
  ) as error:
    raise ValueError(
      f'{path} is damaged or no weights file of this version ({error}); '
      'restore it from a copy or train again.'
    ) from None


def _parse(content: bytes) -> Weights:
  archive = np.load(io.BytesIO(content), allow_pickle=False)
  if not isinstance(archive, np.lib.npyio.NpzFile):
    raise ValueError('not an .npz archive')
  with archive:
    about = json.loads(archive[_ABOUT].tobytes())
    if about['format'] != _FORMAT:
      raise ValueError(f'its format is {about["format"]!r}, not {_FORMAT!r}')
    params = traverse_util.unflatten_dict(
      {
        name: jnp.asarray(archive[name])
        for name in archive.files
        if name != _ABOUT
      },
      sep='/',
    )
  architecture = about['architecture']
  if not isinstance(architecture, str):
    architecture = recurrent_cell.RecurrentCell.from_json(architecture)
  return Weights(
    params, tuple(about['vocabulary']), architecture, about['facts']
  )

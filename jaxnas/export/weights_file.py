# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Arrays and a description of them as one file.

The file is an `.npz` archive, which `numpy.load` reads without jaxnas and
without pickle: one array per leaf of a tree, named by its path, such as
`params/layers_0/recurrent_kernel`, and `about`, the bytes of a JSON object.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import json
import os
from typing import Any, TypeVar

from flax import traverse_util
import jax.numpy as jnp
import numpy as np

from jaxnas import npz
from jaxnas.records import workdir

_ABOUT = 'about'

Contents = TypeVar('Contents')


def write(
  path: str | os.PathLike,
  variables: Mapping[str, Any],
  about: Mapping[str, Any],
) -> None:
  """Writes arrays; equal arrays give equal bytes.

  Args:
    path: the file to write; an existing one is replaced atomically.
    variables: the variables of a Flax module, `{'params': {...}}`, or any
      nested dict of arrays at least two levels deep.
    about: the description, including its `format`; JSON-compatible values or
      arrays.

  Raises:
    ValueError: the arrays are not two levels deep, or one has a type that NumPy
      does not know.
    OSError: the file cannot be written.
  """
  content = json.dumps(workdir.plain_json(about), allow_nan=False).encode()
  arrays = {_ABOUT: np.frombuffer(content, np.uint8)}
  flat = traverse_util.flatten_dict(variables, sep='/')
  for name, leaf in sorted(flat.items()):
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
  npz.write(path, arrays)


def load(
  path: str | os.PathLike,
  file_format: str,
  parse: Callable[[dict[str, Any], Mapping[str, Any]], Contents],
) -> Contents:
  """Returns the content of a file that `write` wrote.

  Args:
    path: the file.
    file_format: the expected `format` in `about`.
    parse: a function `(variables, about) -> contents`.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: the file is damaged, or another kind of file.
  """
  try:
    arrays = npz.read(path)
  except FileNotFoundError:
    raise FileNotFoundError(
      f'There is no weights file {path}; give the weights.npz of a training.'
    ) from None
  except npz.NpzError as error:
    raise _damaged(path, error.reason) from None
  try:
    return parse(*_parse(arrays, file_format))
  except (
    AttributeError,
    KeyError,
    RecursionError,
    TypeError,
    ValueError,
  ) as error:
    raise _damaged(path, str(error)) from None


def _parse(
  arrays: dict[str, np.ndarray], file_format: str
) -> tuple[dict[str, Any], Mapping[str, Any]]:
  about = json.loads(arrays.pop(_ABOUT).tobytes())
  if about['format'] != file_format:
    raise ValueError(f'its format is {about["format"]!r}, not {file_format!r}')
  leaves = {name: jnp.asarray(array) for name, array in arrays.items()}
  return traverse_util.unflatten_dict(leaves, sep='/'), about


def _damaged(path: str | os.PathLike, reason: str) -> ValueError:
  return ValueError(
    f'{path} is damaged or not a weights file of this version ({reason}); '
    'restore it from a copy or train again.'
  )

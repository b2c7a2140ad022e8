# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Arrays and a description of them as one file.

The file is an `.npz` archive, which `numpy.load` reads without jaxnas and
without pickle: one array per leaf of a tree, named by its path, such as
`params/layers_0/recurrent_kernel`, and `about`, the bytes of a JSON object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
import contextlib
import json
import os
import reprlib
from typing import Any, TypeVar

from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas import npz
from jaxnas.records import workdir

LANGUAGE_MODEL = 'jaxnas weights 1'
"""The format of a trained language model."""

CLASSIFIER = 'jaxnas image weights 1'
"""The format of a trained image classifier."""

_ABOUT = 'about'
# The contents of a file of each format, and the training that writes it.
_KINDS = {
  LANGUAGE_MODEL: ('a language model', 'train_recurrent_cell'),
  CLASSIFIER: ('an image classifier', 'train_conv_net'),
}

Contents = TypeVar('Contents')
Recipe = TypeVar('Recipe')


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
    ValueError: the file is damaged or of another kind.
  """
  arrays, about = _read(path)
  held = about['format']
  if held in _KINDS and held != file_format and file_format in _KINDS:
    wanted, training = _KINDS[file_format]
    raise ValueError(
      f'{path} holds {_KINDS[held][0]}, not {wanted}; give the weights.npz of '
      f'experiments.{training}.'
    )
  with reading(path):
    if held != file_format:
      raise ValueError(f'its format is {held!r}, not {file_format!r}')
    leaves = {name: jnp.asarray(array) for name, array in arrays.items()}
    return parse(traverse_util.unflatten_dict(leaves, sep='/'), about)


def read_format(path: str | os.PathLike) -> str:
  """Returns the format of a file that `write` wrote.

  Args:
    path: the file.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: the file is damaged, or not a file of weights.
  """
  return str(_read(path)[1]['format'])


def _read(
  path: str | os.PathLike,
) -> tuple[dict[str, np.ndarray], Mapping[str, Any]]:
  """Returns the arrays of a file by name, and their description."""
  try:
    arrays = npz.read(path)
  except FileNotFoundError:
    raise FileNotFoundError(
      f'There is no weights file {path}; give the weights.npz of a training.'
    ) from None
  except npz.NpzError as error:
    raise _damaged(path, error.reason) from None
  with reading(path):
    if _ABOUT not in arrays:
      raise ValueError(f'it has {npz.listing(arrays)}, but no {_ABOUT}')
    about = json.loads(arrays.pop(_ABOUT).tobytes())
    if not isinstance(about['format'], str):
      raise ValueError('its format is not a name')
  return arrays, about


@contextlib.contextmanager
def reading(path: str | os.PathLike) -> Iterator[None]:
  """Turns what damaged contents cause during the context into one error.

  Args:
    path: the file that is read.

  Raises:
    ValueError: the contents are not what they should be.
  """
  try:
    yield
  except (
    AttributeError,
    KeyError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
  ) as error:
    raise _damaged(path, ' '.join(str(error).split()).rstrip('.')) from None


def read_recipe(
  recipe_class: Callable[..., Recipe], entries: Mapping[str, Any]
) -> Recipe:
  """Returns the recipe of a training, each entry of its default's type.

  Args:
    recipe_class: the recipe's dataclass, whose fields all have defaults.
    entries: the fields, as a file has them; those left out are the defaults.

  Raises:
    ValueError: an entry is of another type, or out of range.
    TypeError: there is no such entry.
    OverflowError: a number is too large.
  """
  values = dict(entries)
  for name in values:
    default = getattr(recipe_class, name, None)
    kind = type(default)
    if kind is float and type(values[name]) is int:
      values[name] = float(values[name])
    if default is not None and type(values[name]) is not kind:
      raise ValueError(
        f'{name} of its recipe must be of the type {kind.__name__}, got '
        f'{reprlib.repr(values[name])}'
      )
  return recipe_class(**values)


def check_shapes(variables: Any, init: Callable[[], Any]) -> None:
  """Checks that parameters are those of a network, without making any.

  Args:
    variables: the parameters that were loaded.
    init: `() -> variables`, which makes parameters of the right shapes.

  Raises:
    ValueError: a parameter is missing, superfluous or of another shape.
  """
  expected, found = (
    {
      jax.tree_util.keystr(path, simple=True, separator='/'): leaf
      for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }
    for tree in (jax.eval_shape(init), variables)
  )
  for name in sorted({*expected, *found}):
    one, other = (
      f'{each[name].dtype}{list(each[name].shape)}' if name in each else 'none'
      for each in (expected, found)
    )
    if one != other:
      raise ValueError(
        f'for its architecture, {name} must be {one}, but the file has {other}'
      )


def _damaged(path: str | os.PathLike, reason: str) -> ValueError:
  return ValueError(
    f'{path} is damaged or not a weights file of this version ({reason}); '
    'restore it from a copy or train again.'
  )

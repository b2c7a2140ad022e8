# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Fingerprints of whatever decides a trial's result: code, settings, data.

A run resumed with a different function or training would mix unrelated results.
The parts of a task are therefore recorded next to the log and compared on
resuming: the source of each function and of everything it uses from modules
that are not installed (and from jaxnas itself), and the values bound to it.
Comments and docstrings are ignored.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
import dataclasses
import enum
import functools
import hashlib
import os
import pathlib
import re
import types
from typing import Any, NamedTuple

from absl import logging
import jax
import numpy as np

from jaxnas import errors
from jaxnas.records import sources, workdir

_ROOT = 'task'
_MAX_DEPTH = 20
_MAX_TOLD = 3
_PLAIN = bool | int | float | complex | str | bytes | np.dtype | enum.Enum
_MUTABLE = list | set | dict | bytearray


class Parts(tuple):
  """Parts of a task that messages refer to by name."""

  labels: tuple[str, ...]

  def __new__(cls, **parts: Any) -> Parts:
    """Makes the parts from names and values."""
    made = super().__new__(cls, parts.values())
    made.labels = tuple(parts)
    return made


def of(task: Any) -> dict[str, str]:
  """Returns the parts of a task: names with digests.

  Args:
    task: a function, or any nesting of tuples, dataclasses, arrays and
      functions. Of other objects only the type counts. Lists, sets and dicts
      that a function closes over are ignored, since they may count its calls.
  """
  return _walk(task).parts


def check(
  path: str | os.PathLike[str],
  task: Any,
  same_task: bool,
  redo_failed: bool = False,
  is_finished: bool = False,
  what: str = 'What trials are judged by',
  with_attributes: bool = False,
) -> None:
  """Records the task of a log, or compares it with the one recorded.

  Args:
    path: the record, a JSON file.
    task: the task, as in `of`.
    same_task: whether the user asserts that the task gives the same results
      despite any change; the record is then updated.
    redo_failed: whether failed trials run again, as after a fix: a change is
      then only a warning, and the record is updated.
    is_finished: whether no trial is left to run: a change is then only a
      warning, and the record is kept.
    what: the words for the task that begin a message.
    with_attributes: whether attributes of objects count too, unless they are
      lists, sets or dicts, or the object's class is installed.

  Raises:
    ValueError: the task has changed, or the record is damaged.
  """
  path = pathlib.Path(path)
  walk = _walk(task, with_attributes)
  before = workdir.read_json(path) if path.exists() else None
  if before == walk.parts or (before is None and is_finished):
    return
  if before is not None and not same_task:
    change = (
      f'{what} has changed since {path} was written: {_tell(before, walk)}.'
    )
    if is_finished:
      logging.warning(
        '%s What is shown are the results of the old one; a run with the new '
        'one needs another folder.',
        change,
      )
      return
    if not redo_failed:
      raise ValueError(
        f'{change} Start in another folder; or, if it gives the same results, '
        f'say so with {errors.choose("--same_task", "same_task=True")}.'
      )
    logging.warning(
      '%s Trials that failed run again with the new one; the results of the '
      'others stay.',
      change,
    )
  workdir.write_json(path, walk.parts, sealed=True)


def _tell(before: Mapping[str, Any], walk: _Walk) -> str:
  """Returns the differences between a record and a task, in words."""
  now = walk.parts
  changed = sorted(
    (name for name in {*before, *now} if before.get(name) != now.get(name)),
    # The user's own changes come before those of this package's version.
    key=lambda name: (name.startswith('jaxnas.'), name),
  )
  told = []
  for name in changed[:_MAX_TOLD]:
    if name not in now:
      told.append(f'{_words(name)} (gone)')
    else:
      told.append(walk.words[name] + ('' if name in before else ' (new)'))
  rest = len(changed) - _MAX_TOLD
  return ', '.join(told) + (f' and {rest} more' if rest > 0 else '')


def _words(name: str) -> str:
  """Returns a description of a part of which only the name is known."""
  if name == _ROOT or name.startswith((f'{_ROOT}.', f'{_ROOT}[')):
    path = re.sub(r"\['(\w+)'\]", r'.\1', name).removeprefix(_ROOT)
    return f'{path.removeprefix(f".{_ROOT}").lstrip(".")} of the task'.lstrip()
  module, _, bound = name.rpartition('.')
  return f'{bound} of {module}'


class _Place(NamedTuple):
  """The place of a value in a task, in words.

  Attributes:
    path: the Python expression for the value, relative to its owner.
    owner: the nearest function or object with a name.
  """

  path: str = ''
  owner: str = 'the task'

  def __str__(self) -> str:
    return f'{self.path} of {self.owner}' if self.path else self.owner

  def attribute(self, name: str) -> _Place:
    """Returns the place of an attribute."""
    path = f'{self.path}.{name}' if self.path else name
    return self._replace(path=path)

  def item(self, key: Any) -> _Place:
    """Returns the place of an item."""
    path = f'{self.path}[{key!r}]' if self.path else f'item {key!r}'
    return self._replace(path=path)


def _walk(task: Any, with_attributes: bool = False) -> _Walk:
  walk = _Walk(with_attributes)
  walk.value(_ROOT, task, _Place())
  return walk


class _Walk:
  """Collects the parts of a task, and their names in messages.

  Names are stored in records of older runs, so they must not change; words may.
  """

  def __init__(self, with_attributes: bool) -> None:
    self._with_attributes = with_attributes
    self.parts: dict[str, str] = {}
    self.words: dict[str, str] = {}
    self._seen: set[int] = set()
    self._keep: list[Any] = []

  def value(self, name: str, value: Any, place: _Place, depth: int = 0) -> None:
    """Adds a value and everything it consists of."""
    if depth > _MAX_DEPTH:
      return
    below = functools.partial(self.value, depth=depth + 1)
    if value is None or isinstance(value, _PLAIN):
      self._add(name, _digest(repr(value)), place)
    elif isinstance(value, np.ndarray | np.generic | jax.Array):
      self._add(name, _array_digest(value), place)
    elif isinstance(value, tuple | list):
      fields = getattr(value, '_fields', None)
      labels = value.labels if isinstance(value, Parts) else fields
      for index, each in enumerate(value):
        at = place
        if labels:
          at = place.attribute(labels[index])
        elif not isinstance(each, Parts):
          at = place.item(index)
        below(f'{name}.{fields[index] if fields else index}', each, at)
    elif isinstance(value, Mapping):
      for key in sorted(value, key=repr):
        # The task itself, among other things that decide a trial's result.
        is_task = name == key == _ROOT
        at = place if is_task else place.item(key)
        if isinstance(key, str) and not is_task:
          at = place.attribute(key)
        below(f'{name}[{key!r}]', value[key], at)
    elif isinstance(value, functools.partial):
      owner = _owner(value.func, place)
      below(name, value.func, place)
      below(f'{name}.args', _arguments(value.func, value.args, owner), owner)
      self._keywords(f'{name}.keywords', value.keywords, owner, depth)
    elif isinstance(value, type):
      self._type(name, value, place)
    elif isinstance(value, types.MethodType):
      below(name, value.__func__, place)
      owner = _Place('', f'the {type(value.__self__).__name__}')
      below(f'{name}.self', value.__self__, owner)
    elif isinstance(value, types.FunctionType):
      self._function(name, value, place, depth)
    elif callable(getattr(value, '__wrapped__', None)):
      below(name, value.__wrapped__, place)
    elif dataclasses.is_dataclass(value):
      self._dataclass(name, value, place, depth)
    else:
      self._object(name, value, place, depth)

  def _add(self, name: str, digest: str, words: _Place | str) -> None:
    self.parts[name] = digest
    self.words[name] = str(words)

  def _is_new(self, value: Any) -> bool:
    if id(value) in self._seen:
      return False
    self._seen.add(id(value))
    self._keep.append(value)
    return True

  def _type(self, name: str, cls: type, place: _Place) -> None:
    self._add(name, _digest(f'{cls.__module__}.{cls.__qualname__}'), place)
    for base in cls.__mro__:
      self._source(base.__module__, base.__qualname__)

  def _object(self, name: str, value: Any, place: _Place, depth: int) -> None:
    cls = type(value)
    self._type(name, cls, place)
    is_own = cls.__module__ == '__main__' or sources.read_module(cls.__module__)
    if not (self._with_attributes and is_own and self._is_new(value)):
      return
    for attribute, content in sorted(getattr(value, '__dict__', {}).items()):
      # What is cached depends on what was called before.
      is_cache = isinstance(
        getattr(cls, attribute, None), functools.cached_property
      )
      if not is_cache and not isinstance(content, _MUTABLE):
        at = place.attribute(attribute)
        self.value(f'{name}.{attribute}', content, at, depth + 1)

  def _dataclass(
    self, name: str, value: Any, place: _Place, depth: int
  ) -> None:
    self._type(name, type(value), place)
    if not self._is_new(value):
      return
    for field in dataclasses.fields(value):
      # A Flax module and its parent refer to each other. Conditions of a run,
      # such as the platform, may change: a warning reports them instead.
      is_condition = field.metadata.get('is_condition', False)
      if field.name not in ('parent', 'name') and not is_condition:
        self.value(
          f'{name}.{field.name}',
          getattr(value, field.name, None),
          place.attribute(field.name),
          depth + 1,
        )

  def _function(
    self, name: str, value: types.FunctionType, place: _Place, depth: int
  ) -> None:
    if not self._is_new(value):
      return
    place = _owner(value, place)
    if not self._source(value.__module__, value.__qualname__):
      digest = _digest(f'{value.__module__}.{value.__qualname__}')
      if value.__qualname__ == '<lambda>' or value.__module__ == '__main__':
        digest = _digest(_code(value.__code__))
      self._add(name, digest, place)
    if value.__defaults__:
      first = value.__code__.co_argcount - len(value.__defaults__)
      defaults = _arguments(value, value.__defaults__, place, first)
      self.value(f'{name}.__defaults__', defaults, place, depth + 1)
    if value.__kwdefaults__:
      keywords = value.__kwdefaults__
      self._keywords(f'{name}.__kwdefaults__', keywords, place, depth)
    variables = value.__code__.co_freevars
    for variable, cell in zip(variables, value.__closure__ or (), strict=True):
      try:
        content = cell.cell_contents
      except ValueError:  # Not bound yet.
        continue
      if not isinstance(content, _MUTABLE):
        at = place.attribute(variable)
        self.value(f'{name}.{variable}', content, at, depth + 1)

  def _keywords(
    self, name: str, values: Mapping[str, Any], place: _Place, depth: int
  ) -> None:
    for key in sorted(values):
      at = place.attribute(_argument(key, place))
      self.value(f'{name}[{key!r}]', values[key], at, depth + 2)

  def _source(self, module: str, qualname: str) -> bool:
    """Adds the source of a module's name; returns whether it was found."""
    name = qualname.split('.')[0]
    source = sources.read_module(module)
    if source is None or name not in source.bindings:
      return False
    self._binding(source, name)
    return True

  def _binding(self, source: sources.Source, name: str) -> None:
    label = f'{source.name}.{name}'
    if label in self.parts:
      return
    binding = _read_binding(source, name)
    if binding is None:
      return
    words = f'the {binding.kind} {name} of {source.name}'
    self._add(label, binding.digest, words)
    for used, attribute in binding.used:
      target = sources.resolve(source, used, attribute)
      if target is not None:
        self._binding(*target)


class _Binding(NamedTuple):
  """What a name of a module is bound to, unless it is imported there.

  Attributes:
    kind: `'function'`, `'class'` or `'value'`.
    digest: of its source.
    used: the names in its source, each with the attribute accessed on it.
  """

  kind: str
  digest: str
  used: tuple[tuple[str, str | None], ...]


@functools.cache
def _read_binding(source: sources.Source, name: str) -> _Binding | None:
  nodes = [
    node
    for node in source.bindings.get(name, ())
    if not isinstance(node, ast.Import | ast.ImportFrom)
  ]
  if not nodes:
    return None
  kind = 'value'
  if isinstance(nodes[-1], sources.FUNCTIONS):
    kind = 'class' if isinstance(nodes[-1], ast.ClassDef) else 'function'
  used = dict.fromkeys(pair for node in nodes for pair in sources.used(node))
  digest = _digest(repr([list(sources.normal(node)) for node in nodes]))
  return _Binding(kind, digest, tuple(used))


def _owner(function: Any, place: _Place) -> _Place:
  """Returns the place of a function's values: its own, if it has a name."""
  if not isinstance(function, types.FunctionType):
    return place
  source = sources.read_module(function.__module__)
  if source is None and function.__module__ != '__main__':
    return place
  module = source.name if source else 'the program'
  name = function.__qualname__.replace('.<locals>', '')
  if name.endswith('<lambda>'):
    name = name.removesuffix('<lambda>').rstrip('.')
    return _Place('', f'a lambda{" in " * bool(name)}{name} of {module}')
  return _Place('', f'the function {name} of {module}')


def _arguments(
  function: Any, values: Sequence[Any], owner: _Place, first: int = 0
) -> Parts:
  """Returns values by the names of the arguments that they belong to."""
  code = getattr(function, '__code__', None)
  names = code.co_varnames[: code.co_argcount] if code else ()
  known = dict(enumerate(names))
  return Parts(
    **{
      _argument(known.get(index, f'{index + 1}'), owner): value
      for index, value in enumerate(values, start=first)
    }
  )


def _argument(name: str, owner: _Place) -> str:
  return name if owner.path else f'the argument {name}'


def _code(code: types.CodeType) -> str:
  """Returns the bytecode of a function that has no source."""
  constants = [
    _code(each) if isinstance(each, types.CodeType) else repr(each)
    for each in code.co_consts
  ]
  return repr((code.co_code, code.co_names, constants))


def _array_digest(array: Any) -> str:
  if isinstance(array, jax.Array) and jax.dtypes.issubdtype(
    array.dtype, jax.dtypes.prng_key
  ):
    array = jax.random.key_data(array)
  array = np.ascontiguousarray(array)
  digest = hashlib.sha256(f'{array.dtype} {array.shape}'.encode())
  digest.update(array.view(np.uint8).data if array.size else b'')
  return digest.hexdigest()[:16]


def _digest(text: str) -> str:
  return hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:16]

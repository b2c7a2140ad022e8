# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Fingerprints of what decides a trial's result: code, settings and data.

A run that goes on with another function, or another training, mixes results
that have nothing to do with each other. So the parts of it are recorded beside
the log and compared when it goes on: the source of each function, and of what
it uses of modules that are not installed (those of jaxnas count as well), and
the values that were bound to it. Comments and docstrings do not count.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
import dataclasses
import enum
import functools
import hashlib
import importlib.util
import os
import pathlib
import sys
import sysconfig
import types
from typing import Any

import jax
import numpy as np

from jaxnas.records import workdir

_MAX_DEPTH = 20
_MAX_TOLD = 3
_PLAIN = bool | int | float | complex | str | bytes | np.dtype | enum.Enum
_FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def of(task: Any) -> dict[str, str]:
  """Returns the parts of a task, each by its name with a digest.

  Args:
    task: a function, or any nest of tuples, dataclasses, arrays and functions.
      Of other objects only the type counts, and of the lists, sets and dicts
      that a function closes over nothing, for they may count its calls.
  """
  walk = _Walk()
  walk.value('task', task)
  return walk.parts


def check(path: str | os.PathLike[str], task: Any, same_task: bool) -> None:
  """Records a task beside a log, or compares it with the one that is there.

  Args:
    path: the record, a JSON file.
    task: as for `of`.
    same_task: whether somebody says that it gives the same results, whatever
      has changed; the record then takes it.

  Raises:
    ValueError: the task has changed, or the record is damaged.
  """
  path = pathlib.Path(path)
  parts = of(task)
  before = workdir.read_json(path) if path.exists() else None
  if before == parts:
    return
  if before is not None and not same_task:
    changed = sorted(
      name for name in {*before, *parts} if before.get(name) != parts.get(name)
    )
    rest = len(changed) - _MAX_TOLD
    told = ', '.join(changed[:_MAX_TOLD])
    raise ValueError(
      f'What trials are judged by has changed since {path} was written: '
      f'{told}{f" and {rest} more" if rest > 0 else ""}. Start in another '
      'folder; or, if it gives the same results, say so by --same_task '
      '(same_task=True in a program).'
    )
  workdir.write_json(path, parts, sealed=True)


class _Walk:
  """Collects the parts of a task."""

  def __init__(self) -> None:
    self.parts: dict[str, str] = {}
    self._seen: set[int] = set()
    self._keep: list[Any] = []

  def value(self, name: str, value: Any, depth: int = 0) -> None:
    """Adds a value and all that it is made of."""
    if depth > _MAX_DEPTH:
      return
    below = functools.partial(self.value, depth=depth + 1)
    if value is None or isinstance(value, _PLAIN):
      self.parts[name] = _digest(repr(value))
    elif isinstance(value, np.ndarray | np.generic | jax.Array):
      self.parts[name] = _array_digest(value)
    elif isinstance(value, tuple | list):
      for index, each in enumerate(value):
        fields = getattr(value, '_fields', None)
        below(f'{name}.{fields[index] if fields else index}', each)
    elif isinstance(value, Mapping):
      for key in sorted(value, key=repr):
        below(f'{name}[{key!r}]', value[key])
    elif isinstance(value, functools.partial):
      below(name, value.func)
      below(f'{name}.args', value.args)
      below(f'{name}.keywords', value.keywords)
    elif isinstance(value, type):
      self._type(name, value)
    elif isinstance(value, types.MethodType):
      below(name, value.__func__)
      below(f'{name}.self', value.__self__)
    elif isinstance(value, types.FunctionType):
      self._function(name, value, depth)
    elif callable(getattr(value, '__wrapped__', None)):
      below(name, value.__wrapped__)
    elif dataclasses.is_dataclass(value):
      self._dataclass(name, value, depth)
    else:
      self._type(name, type(value))

  def _is_new(self, value: Any) -> bool:
    if id(value) in self._seen:
      return False
    self._seen.add(id(value))
    self._keep.append(value)
    return True

  def _type(self, name: str, cls: type) -> None:
    self.parts[name] = _digest(f'{cls.__module__}.{cls.__qualname__}')
    for base in cls.__mro__:
      self._source(base.__module__, base.__qualname__)

  def _dataclass(self, name: str, value: Any, depth: int) -> None:
    self._type(name, type(value))
    if not self._is_new(value):
      return
    for field in dataclasses.fields(value):
      # A module of flax knows its parent, which knows it. Conditions of a run,
      # as the platform, may change: they are told and not refused.
      is_condition = field.metadata.get('is_condition', False)
      if field.name not in ('parent', 'name') and not is_condition:
        self.value(
          f'{name}.{field.name}', getattr(value, field.name, None), depth + 1
        )

  def _function(self, name: str, value: types.FunctionType, depth: int) -> None:
    if not self._is_new(value):
      return
    if not self._source(value.__module__, value.__qualname__):
      self.parts[name] = _digest(f'{value.__module__}.{value.__qualname__}')
      if value.__qualname__ == '<lambda>' or value.__module__ == '__main__':
        self.parts[name] = _digest(_code(value.__code__))
    for part in ('__defaults__', '__kwdefaults__'):
      if getattr(value, part):
        self.value(f'{name}.{part}', getattr(value, part), depth + 1)
    variables = value.__code__.co_freevars
    for variable, cell in zip(variables, value.__closure__ or (), strict=True):
      try:
        content = cell.cell_contents
      except ValueError:  # It is not bound yet.
        continue
      if not isinstance(content, list | set | dict | bytearray):
        self.value(f'{name}.{variable}', content, depth + 1)

  def _source(self, module: str, qualname: str) -> bool:
    """Adds what a name of a module says; returns whether it is found."""
    name = qualname.split('.')[0]
    source = _read_module(module)
    if source is None or name not in source.bindings:
      return False
    self._binding(source, name)
    return True

  def _binding(self, source: _Source, name: str) -> None:
    label = f'{source.name}.{name}'
    nodes = [
      node
      for node in source.bindings.get(name, ())
      if not isinstance(node, ast.Import | ast.ImportFrom)
    ]
    if label in self.parts or not nodes:
      return
    self.parts[label] = _digest(repr([list(_normal(node)) for node in nodes]))
    for used, attribute in (pair for node in nodes for pair in _used(node)):
      target = _resolve(source, used, attribute)
      if target is not None:
        self._binding(*target)


@dataclasses.dataclass(frozen=True)
class _Source:
  """A module that is not installed: its statements by the names they bind."""

  name: str
  package: str
  bindings: Mapping[str, list[ast.stmt]]


def _resolve(
  source: _Source, name: str, attribute: str | None
) -> tuple[_Source, str] | None:
  """Returns where a name that a statement uses is bound, if that counts."""
  for node in source.bindings.get(name, ()):
    if not isinstance(node, ast.Import | ast.ImportFrom):
      return source, name
    for alias in node.names:
      if name != (alias.asname or alias.name.split('.')[0]):
        continue
      if isinstance(node, ast.Import):
        module, wanted = alias.name, attribute
      else:
        package = '.' * node.level + (node.module or '')
        if node.level and source.package:
          package = importlib.util.resolve_name(package, source.package)
        module, wanted = package, alias.name
        if f'{package}.{alias.name}' in sys.modules:
          module, wanted = f'{package}.{alias.name}', attribute
      found = _read_module(module)
      if found is not None and wanted is not None:
        inner = found.bindings.get(wanted, ())
        if any(isinstance(each, ast.Import | ast.ImportFrom) for each in inner):
          return _resolve(found, wanted, None)
        return found, wanted
  return None


@functools.cache
def _read_module(name: str) -> _Source | None:
  """Returns the source of a module; `None` for one that is installed."""
  module = sys.modules.get(name)
  file = getattr(module, '__file__', None)
  if file is None or not file.endswith('.py') or _is_installed(name, file):
    return None
  try:
    tree = ast.parse(pathlib.Path(file).read_bytes())
  except (OSError, SyntaxError, ValueError):
    return None
  if name == '__main__':
    spec = getattr(module, '__spec__', None)
    name = spec.name if spec else pathlib.Path(file).stem
  bindings: dict[str, list[ast.stmt]] = {}
  for statement in tree.body:
    for bound in _bound(statement):
      bindings.setdefault(bound, []).append(statement)
  return _Source(name, getattr(module, '__package__', None) or '', bindings)


def _is_installed(name: str, file: str) -> bool:
  if name.split('.')[0] == 'jaxnas':
    return False
  path = os.path.realpath(file)
  if {'site-packages', 'dist-packages'} & set(pathlib.Path(path).parts):
    return True
  return any(
    path.startswith(os.path.realpath(sysconfig.get_path(place)) + os.sep)
    for place in ('stdlib', 'platstdlib', 'purelib', 'platlib')
  )


def _bound(statement: ast.stmt) -> Iterator[str]:
  """Yields the names that a statement at the top of a module binds."""
  if isinstance(statement, _FUNCTIONS):
    yield statement.name
  elif isinstance(statement, ast.Import | ast.ImportFrom):
    for alias in statement.names:
      yield alias.asname or alias.name.split('.')[0]
  elif not _is_main(statement):
    for node in ast.walk(statement):
      if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
      elif isinstance(node, _FUNCTIONS):
        yield node.name


def _is_main(statement: ast.stmt) -> bool:
  return isinstance(statement, ast.If) and '__name__' in {
    node.id for node in ast.walk(statement.test) if isinstance(node, ast.Name)
  }


def _used(node: ast.AST) -> Iterator[tuple[str, str | None]]:
  """Yields names, with the attribute that is taken of each, if one is."""
  for each in ast.walk(node):
    if isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name):
      yield each.value.id, each.attr
    elif isinstance(each, ast.Name):
      yield each.id, None


def _normal(node: ast.AST) -> Iterator[Any]:
  """Yields a syntax tree as every version of Python has it."""
  yield type(node).__name__
  for name, value in ast.iter_fields(node):
    if name == 'body' and isinstance(node, _FUNCTIONS) and _is_doc(value[0]):
      value = value[1:]
    # Newer versions add fields, which are empty where nothing new is used.
    if value is None or value == [] or name in ('ctx', 'kind', 'type_comment'):
      continue
    yield name
    for each in value if isinstance(value, list) else [value]:
      yield list(_normal(each)) if isinstance(each, ast.AST) else repr(each)


def _is_doc(statement: ast.stmt) -> bool:
  return (
    isinstance(statement, ast.Expr)
    and isinstance(statement.value, ast.Constant)
    and isinstance(statement.value.value, str)
  )


def _code(code: types.CodeType) -> str:
  """Returns what a function does, where there is no source of it."""
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

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Reads the source of modules that are not installed, by the names it binds."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
import dataclasses
import functools
import importlib.util
import os
import pathlib
import sys
import sysconfig
from typing import Any

FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
  """A module that is not installed, as statements by the names they bind.

  Attributes:
    name: the name of the module.
    package: the name of its package; empty if it has none.
    bindings: the statements at its top level that bind each name.
  """

  name: str
  package: str
  bindings: Mapping[str, list[ast.stmt]]


def resolve(
  source: Source, name: str, attribute: str | None
) -> tuple[Source, str] | None:
  """Finds the module and the name there that bind a name that is used.

  Args:
    source: the module that uses the name.
    name: the name.
    attribute: the attribute accessed on it, if any.

  Returns:
    The module and the name in it; `None` if it is an installed module, or if
    the name is not bound.
  """
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
      found = read_module(module)
      if found is not None and wanted is not None:
        inner = found.bindings.get(wanted, ())
        if any(isinstance(each, ast.Import | ast.ImportFrom) for each in inner):
          return resolve(found, wanted, None)
        return found, wanted
  return None


@functools.cache
def read_module(name: str) -> Source | None:
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
  return Source(name, getattr(module, '__package__', None) or '', bindings)


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
  """Yields the names that a statement at the top level of a module binds."""
  if isinstance(statement, FUNCTIONS):
    yield statement.name
  elif isinstance(statement, ast.Import | ast.ImportFrom):
    for alias in statement.names:
      yield alias.asname or alias.name.split('.')[0]
  elif not _is_main(statement):
    for node in ast.walk(statement):
      if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
      elif isinstance(node, FUNCTIONS):
        yield node.name


def _is_main(statement: ast.stmt) -> bool:
  return isinstance(statement, ast.If) and '__name__' in {
    node.id for node in ast.walk(statement.test) if isinstance(node, ast.Name)
  }


def used(node: ast.AST) -> Iterator[tuple[str, str | None]]:
  """Yields the names in a tree, each with the attribute accessed on it."""
  for each in ast.walk(node):
    if isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name):
      yield each.value.id, each.attr
    elif isinstance(each, ast.Name):
      yield each.id, None


def normal(node: ast.AST) -> Iterator[Any]:
  """Yields the parts of a syntax tree in a form common to all Pythons."""
  yield type(node).__name__
  for name, value in ast.iter_fields(node):
    if name == 'body' and isinstance(node, FUNCTIONS) and _is_doc(value[0]):
      value = value[1:]
    # Newer versions add fields, which are empty unless new syntax is used.
    if value is None or value == [] or name in ('ctx', 'kind', 'type_comment'):
      continue
    yield name
    for each in value if isinstance(value, list) else [value]:
      yield list(normal(each)) if isinstance(each, ast.AST) else repr(each)


def _is_doc(statement: ast.stmt) -> bool:
  return (
    isinstance(statement, ast.Expr)
    and isinstance(statement.value, ast.Constant)
    and isinstance(statement.value.value, str)
  )

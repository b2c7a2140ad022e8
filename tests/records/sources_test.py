# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import ast
import importlib
import sys

import pytest

from jaxnas.records import sources


@pytest.fixture
def package(tmp_path, monkeypatch):
  """A package of two modules, one of which takes names of the other."""
  folder = tmp_path / 'package_of_sources'
  folder.mkdir()
  (folder / '__init__.py').write_text('')
  (folder / 'low.py').write_text('def double(value):\n  return 2 * value\n')
  (folder / 'high.py').write_text(
    'import math\n'
    'from . import low\n'
    'from .low import double as twice\n'
    'try:\n'
    '  import missing_module\n'
    'except ImportError:\n'
    '  def fallback():\n'
    '    pass\n'
    'A, B = 1, 2\n'
    "if __name__ == '__main__':\n"
    '  C = 3\n'
  )
  monkeypatch.syspath_prepend(tmp_path)
  importlib.invalidate_caches()
  importlib.import_module('package_of_sources.high')
  yield 'package_of_sources'
  for name in ('', '.low', '.high'):
    sys.modules.pop(f'package_of_sources{name}', None)
  sources.read_module.cache_clear()


def test_statements_stand_by_the_names_that_they_bind(package):
  source = sources.read_module(f'{package}.high')
  assert source.name == f'{package}.high'
  assert set(source.bindings) == {'math', 'low', 'twice', 'fallback', 'A', 'B'}
  assert source.bindings['A'] == source.bindings['B']


def test_names_are_followed_to_where_they_are_bound(package):
  high = sources.read_module(f'{package}.high')
  low = sources.read_module(f'{package}.low')
  assert sources.resolve(high, 'twice', None) == (low, 'double')
  assert sources.resolve(high, 'low', 'double') == (low, 'double')
  assert sources.resolve(high, 'A', None) == (high, 'A')
  assert sources.resolve(high, 'math', 'pi') is None
  assert sources.resolve(high, 'nothing', None) is None


def test_modules_that_are_installed_have_no_source():
  assert sources.read_module('numpy') is None
  assert sources.read_module('pathlib') is None
  assert sources.read_module('no_such_module') is None
  # Wherever it is.
  assert sources.read_module('jaxnas.records.sources') is not None


def test_a_docstring_is_no_part_of_a_function():
  def normal(text):
    return list(sources.normal(ast.parse(text).body[0]))

  plain = normal('def f(x):\n  return x')
  assert normal('def f(x):\n  """Says."""\n  return x  # Why.') == plain
  assert normal('def f(x):\n  "Says."\n  return -x') != plain

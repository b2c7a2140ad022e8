# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The rules of the house: imports point down, test data is behind a wall."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]

FLOORS = (
  (
    *('decisions', 'errors', 'statistics', 'files', 'fronts', 'nondominated'),
    *('rung_scale', 'training_types'),
  ),
  ('types', 'npz', 'halving'),
  ('queues', 'versions'),
  ('spaces', 'datasets', 'records', 'rewards'),
  ('children', 'workers'),
  ('training', 'costs'),
  ('controllers',),
  ('strategies', 'trainers'),
  ('evaluators',),
  ('arms', 'contestants', 'generations', 'history', 'pure_search'),
  ('climbing', 'in_flight', 'rungs', 'shared_search', 'window'),
  ('folding', 'halved_rounds'),
  ('search',),
  ('retraining', 'succession'),
  ('export', 'visualize'),
  ('runs',),
  ('experiments',),
)
LEVEL = {
  package: level for level, floor in enumerate(FLOORS) for package in floor
}
# Only a training to the end may look over the wall, and nobody else may read
# data but through the doors, `images.load` and `text.load`.
BEHIND_WALL = 'held_out'
READERS = {
  'image_archives', 'image_builders', 'image_sources', 'image_stock',
  'text_builders', 'text_sources',
}  # fmt: skip
OUTSIDE_SOURCES = ('pydoc_data', 'sklearn', 'tensorflow_datasets')
VAGUE_NAMES = {
  'common', 'core', 'helper', 'helpers', 'misc', 'util', 'utils', '_src',
}  # fmt: skip
LICENCE = (
  '# Copyright 2026 The jaxnas Authors.',
  '# SPDX-License-Identifier: Apache-2.0',
)


def package_of(module):
  """Returns the name in `FLOORS` of a module of the project, else `None`.

  The package `jaxnas` itself, the public face of all floors, is `''`.
  """
  first, *rest = module.split('.')
  if first == 'experiments':
    return first
  if first != 'jaxnas':
    return None
  return rest[0] if rest else ''


def imported_modules(tree):
  """Yields the dotted name of everything that a module imports."""
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      for alias in node.names:
        yield alias.name
    elif isinstance(node, ast.ImportFrom):
      for alias in node.names:
        is_version = node.module == 'jaxnas' and alias.name.startswith('__')
        name = '' if is_version else f'.{alias.name}'
        yield f'{"." * node.level}{node.module or ""}{name}'


def import_errors(module, source):
  """Returns what is wrong with the imports of a module's source."""
  own = package_of(module)
  errors = []
  if own and own not in LEVEL:
    errors.append(f'{module}: {own!r} is on no floor')
    return errors
  for name in imported_modules(ast.parse(source)):
    other = package_of(name)
    if name.startswith('.'):
      errors.append(f'{module} imports {name}: relative')
    elif other in (None, '') or other == own:
      continue
    # The face names all that is below it, and imports none of it.
    elif LEVEL.get(other, len(FLOORS)) >= (
      LEVEL['experiments'] if own == '' else LEVEL[own]
    ):
      errors.append(f'{module} imports {name}: not on a lower floor')
  return errors


def is_string(node):
  """Whether a node of a syntax tree is a string."""
  return isinstance(node, ast.Constant) and isinstance(node.value, str)


def mentioned_names(tree):
  """Yields every name by which a module's code may reach another module.

  Attributes, as `images.image_sources`, and strings, as in a call of
  `import_module`, are among them.
  """
  for name in imported_modules(tree):
    yield from name.split('.')
  for node in ast.walk(tree):
    if isinstance(node, ast.Attribute):
      yield node.attr
    # A sentence is no name.
    elif is_string(node) and ' ' not in node.value:
      yield from node.value.split('.')


def wall_errors(module, source):
  """Returns how a module reaches test data that must not know it."""
  if module.startswith('jaxnas.datasets'):
    return []
  tree = ast.parse(source)
  forbidden = {*READERS, *OUTSIDE_SOURCES}
  if not module.startswith('experiments.train_'):
    forbidden.add(BEHIND_WALL)
  return [
    f'{module} reaches {name}'
    for name in sorted(forbidden.intersection(mentioned_names(tree)))
  ]


def name_errors(module):
  """Returns the parts of a module's name that say nothing."""
  return [
    f'{module}: {part!r} says nothing'
    for part in module.split('.')
    if part in VAGUE_NAMES
  ]


def licence_errors(module, source):
  """Returns whether the two lines of the licence are missing."""
  has_licence = tuple(source.splitlines()[:2]) == LICENCE
  return [] if has_licence else [f'{module} has no licence header']


def docstring_errors(module, source):
  """Returns the public names of a module that have no docstring."""
  definitions = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)

  def is_overload(node):
    return any('overload' in ast.unparse(each) for each in node.decorator_list)

  def visit(node, name):
    if not ast.get_docstring(node):
      yield f'{name} has no docstring'
    if isinstance(node, (ast.Module, ast.ClassDef)):
      for child in node.body:
        if not isinstance(child, definitions) or is_overload(child):
          continue
        if not child.name.startswith('_'):
          yield from visit(child, f'{name}.{child.name}')

  return list(visit(ast.parse(source), module))


def modules():
  """Returns `(dotted name, source)` of every module of the project."""
  found = []
  for top in ('jaxnas', 'experiments'):
    for path in sorted((ROOT / top).rglob('*.py')):
      parts = list(path.relative_to(ROOT).with_suffix('').parts)
      if parts[-1] == '__init__':
        parts.pop()
      found.append(('.'.join(parts), path.read_text()))
  return found


def test_the_project_is_found():
  names = [name for name, _ in modules()]
  assert {'jaxnas', 'jaxnas.types', 'experiments.launch'} <= set(names)


@pytest.mark.parametrize(
  'check',
  [import_errors, wall_errors, licence_errors],
  ids=lambda check: check.__name__,
)
def test_every_module_keeps(check):
  errors = [e for module, source in modules() for e in check(module, source)]
  assert not errors, '\n'.join(errors)


def test_every_name_says_something():
  errors = [error for module, _ in modules() for error in name_errors(module)]
  assert not errors, '\n'.join(errors)


def test_every_public_name_has_a_docstring():
  errors = [
    error
    for module, source in modules()
    if module.startswith('jaxnas')
    for error in docstring_errors(module, source)
  ]
  assert not errors, '\n'.join(errors)


def test_every_test_has_the_licence():
  errors = [
    error
    for path in sorted((ROOT / 'tests').rglob('*.py'))
    for error in licence_errors(str(path.relative_to(ROOT)), path.read_text())
  ]
  assert not errors, '\n'.join(errors)


@pytest.mark.parametrize(
  ('module', 'source'),
  [
    ('jaxnas.types', 'from jaxnas.spaces import recurrent_cell'),
    ('jaxnas.spaces.a', 'import jaxnas.children.b'),
    ('jaxnas.spaces.a', 'import numpy, jaxnas.children.b as b'),
    ('jaxnas.spaces.a', 'from jaxnas import datasets'),
    ('jaxnas.spaces.a', 'from jaxnas.datasets import text'),
    ('jaxnas.spaces.a', 'from . import b'),
    ('jaxnas.spaces.a', 'from ..types import Choice'),
    ('jaxnas.children.a', 'def f():\n  from jaxnas import controllers'),
    ('jaxnas.trainers.a', 'from jaxnas.strategies import reinforce'),
    ('jaxnas.search', 'from jaxnas.visualize import page'),
    ('jaxnas.visualize.a', 'from jaxnas.export import architecture'),
    ('jaxnas.visualize.a', 'from experiments import launch'),
    ('jaxnas.unknown.a', ''),
    ('jaxnas.children.a', 'from jaxnas.unknown import b'),
    ('jaxnas', 'from experiments import launch'),
    ('jaxnas', 'from jaxnas.unknown import a'),
    ('jaxnas.runs.a', 'from jaxnas import make_space'),
    ('experiments.a', 'from jaxnas import make_space'),
  ],
)
def test_an_import_upwards_is_found(module, source):
  assert len(import_errors(module, source)) == 1


@pytest.mark.parametrize(
  ('module', 'source'),
  [
    ('jaxnas.spaces.a', 'from jaxnas.types import Choice'),
    ('jaxnas.spaces.a', 'from jaxnas import types'),
    ('jaxnas.spaces.a', 'from jaxnas.spaces import b'),
    ('jaxnas.search', 'from jaxnas.strategies import reinforce'),
    ('jaxnas.search', 'import jaxnas.evaluators'),
    ('jaxnas.records.a', 'from jaxnas import __version__'),
    ('jaxnas.records.a', 'import jaxnas'),
    ('jaxnas.records.a', 'import jax, jaxlib, jaxnas_other'),
    ('jaxnas', 'from jaxnas.runs.own_search import run'),
    ('experiments.a', 'from experiments import launch\nimport jaxnas.search'),
  ],
)
def test_an_import_downwards_is_fine(module, source):
  assert not import_errors(module, source)


@pytest.mark.parametrize(
  'source',
  [
    'from jaxnas.datasets import held_out',
    'from jaxnas.datasets import held_out as data',
    'from jaxnas.datasets.held_out import load_text',
    'import jaxnas.datasets.held_out',
    'import jaxnas\njaxnas.datasets.held_out.load_images(dataset)',
    "importlib.import_module('jaxnas.datasets.held_out')",
    "getattr(datasets, 'held_out')",
    'def f():\n  from jaxnas.datasets import image_sources',
    'from jaxnas.datasets.text_sources import read_test_file',
    'from jaxnas.datasets import images\nimages.image_sources.read_digits()',
    'from sklearn.datasets import load_digits',
    'def f():\n  import tensorflow_datasets as tfds',
  ],
)
def test_a_hole_in_the_wall_is_found(source):
  for module in (
    'jaxnas.search',
    'jaxnas.evaluators',
    'experiments.search_a',
  ):
    assert wall_errors(module, source), module
  assert not wall_errors('jaxnas.datasets.text', source)


def test_only_a_training_to_the_end_sees_over_the_wall():
  source = 'from jaxnas.datasets import held_out\nheld_out.load_text(dataset)'
  assert not wall_errors('experiments.train_recurrent_cell', source)
  assert wall_errors('experiments.search_recurrent_cell', source)
  reader = 'from jaxnas.datasets import image_sources'
  assert wall_errors('experiments.train_conv_net', reader)
  assert not wall_errors(
    'jaxnas.search', 'from jaxnas.datasets import text\ntext.load(1)'
  )
  assert not wall_errors('jaxnas.search', "'A text that was held_out.'")


def test_the_wall_stands_where_the_data_is():
  names = {name for name, _ in modules()}
  assert {
    f'jaxnas.datasets.{name}' for name in (BEHIND_WALL, *READERS)
  } <= names


def test_other_broken_rules_are_found():
  assert name_errors('jaxnas.spaces.utils')
  assert name_errors('jaxnas._src.spaces')
  assert not name_errors('jaxnas.spaces.recurrent_cell')
  assert licence_errors('jaxnas.a', '"""A module."""\n')
  source = (
    'def public(): pass\n'
    'def _private(): pass\n'
    'class Public:\n'
    '  def method(self): pass\n'
    '  def __call__(self): pass\n'
    'class Documented:\n'
    '  """Is."""\n'
    '@typing.overload\n'
    'def public(x): ...\n'
  )
  assert docstring_errors('a', source) == [
    f'{name} has no docstring'
    for name in ('a', 'a.public', 'a.Public', 'a.Public.method')
  ]

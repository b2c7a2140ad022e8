# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import functools
import importlib
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.records import fingerprint, sources

MODULE = '''
import helper_of_judge
from helper_of_judge import double

SCALE = {'a': 2.0}


def judge(value, seed, rate=0.5):
  """Says something."""
  # Why.
  return inner(value) * SCALE['a'] * double(rate) + helper_of_judge.OFFSET


def inner(value):
  return value + 1


def other():
  return 3


if __name__ == '__main__':
  SCALE = 5
'''
HELPER = """
OFFSET = 1.0


def double(value):
  return 2 * value


def unused():
  pass
"""


@pytest.fixture
def parts(tmp_path, monkeypatch):
  """Returns the parts of `judge` in two modules, as they are then."""
  monkeypatch.syspath_prepend(tmp_path)
  monkeypatch.setattr(sys, 'dont_write_bytecode', True)

  def make(module=MODULE, helper=HELPER):
    (tmp_path / 'judge_of_test.py').write_text(module)
    (tmp_path / 'helper_of_judge.py').write_text(helper)
    for name in ('judge_of_test', 'helper_of_judge'):
      sys.modules.pop(name, None)
    importlib.invalidate_caches()
    sources.read_module.cache_clear()
    return fingerprint.of(importlib.import_module('judge_of_test').judge)

  yield make
  sources.read_module.cache_clear()


def test_comments_docstrings_and_what_is_not_used_do_not_count(parts):
  before = parts()
  assert {name for name in before if 'judge' in name} == {
    'judge_of_test.judge',
    'judge_of_test.inner',
    'judge_of_test.SCALE',
    'helper_of_judge.double',
    'helper_of_judge.OFFSET',
  }
  changed = MODULE.replace('Says something', 'Says').replace('# Why.', '#')
  changed = changed.replace('return 3', 'return 4').replace('= 5', '= 6')
  assert parts(changed, HELPER.replace('pass', 'return 1')) == before


@pytest.mark.parametrize(
  ('old', 'new', 'name'),
  [
    ('* SCALE', '+ SCALE', 'judge_of_test.judge'),
    ('value + 1', 'value + 2', 'judge_of_test.inner'),
    ("'a': 2.0", "'a': 2.5", 'judge_of_test.SCALE'),
    ('2 * value', '3 * value', 'helper_of_judge.double'),
    ('OFFSET = 1.0', 'OFFSET = 1.5', 'helper_of_judge.OFFSET'),
  ],
)
def test_what_a_function_uses_counts(parts, old, new, name):
  before = parts()
  after = parts(MODULE.replace(old, new), HELPER.replace(old, new))
  assert {each for each in before if before[each] != after.get(each)} == {name}


@dataclasses.dataclass(frozen=True)
class Recipe:
  rate: float = 0.1
  data: object = None


def make_task(recipe, calls):
  def train(x):
    calls.append(x)
    return recipe.rate * x

  return jax.jit(train)


def test_values_that_are_bound_count_but_not_what_may_grow():
  calls = []
  task = make_task(Recipe(), calls)
  before = fingerprint.of(task)
  task(1.0)
  assert calls
  assert fingerprint.of(task) == before
  assert fingerprint.of(make_task(Recipe(), [])) == before
  assert fingerprint.of(make_task(Recipe(0.2), [])) != before
  data = np.arange(4.0)
  with_data = fingerprint.of(make_task(Recipe(data=data), []))
  assert with_data != before
  assert fingerprint.of(make_task(Recipe(data=data.copy()), [])) == with_data
  assert fingerprint.of(make_task(Recipe(data=data + 1), [])) != with_data
  assert fingerprint.of(
    functools.partial(max, jnp.arange(3))
  ) != fingerprint.of(functools.partial(max, jnp.arange(4)))


def test_another_task_is_refused_and_named(tmp_path):
  path = tmp_path / 'trials.task.json'
  fingerprint.check(path, make_task(Recipe(), []), same_task=False)
  fingerprint.check(path, make_task(Recipe(), []), same_task=False)
  recorded = path.read_bytes()
  changed = make_task(Recipe(0.2), [])
  with pytest.raises(ValueError, match=r'changed since .*rate.*same_task=True'):
    fingerprint.check(path, changed, same_task=False)
  assert path.read_bytes() == recorded
  fingerprint.check(path, changed, same_task=True)
  fingerprint.check(path, changed, same_task=False)


def judged(value, seed, learning_rate=0.1, *, decay=0.5):
  return value * learning_rate


@pytest.mark.parametrize(
  ('before', 'after', 'told'),
  [
    (
      {'task': functools.partial(judged, 1.0)},
      {'task': functools.partial(judged, 2.0)},
      'the argument value of the function judged of {module}',
    ),
    (
      {'task': functools.partial(judged, learning_rate=1.0)},
      {'task': functools.partial(judged, learning_rate=2.0)},
      'the argument learning_rate of the function judged of {module}',
    ),
    (
      {'task': make_task(Recipe(), [])},
      {'task': make_task(Recipe(0.2), [])},
      'recipe.rate of the function make_task.train of {module}',
    ),
    (
      {'task': (fingerprint.Parts(optimizer=None, batch_size=8),)},
      {'task': (fingerprint.Parts(optimizer=None, batch_size=9),)},
      'batch_size of the task',
    ),
    (
      {'task': fingerprint.Parts(batch_size=8, data={'train': [1, 2]})},
      {'task': fingerprint.Parts(batch_size=9, data={'train': [1, 3]})},
      'batch_size of the task, data.train[1] of the task',
    ),
    (
      {'num_steps': 1, 'costs': None},
      {'num_steps': 2, 'power': 3.0},
      'costs of the task (gone), num_steps of the task, power of the task '
      '(new)',
    ),
    (
      {'task': lambda value: value + 1},
      {'task': lambda value: value + 2},
      'a lambda of {module}',
    ),
    (
      judged,
      functools.partial(judged, 1),
      'the argument value of {function} (new)',
    ),
  ],
)
def test_what_has_changed_is_told_in_words(tmp_path, before, after, told):
  path = tmp_path / 'trials.task.json'
  fingerprint.check(path, before, same_task=False)
  with pytest.raises(ValueError, match='has changed') as caught:
    fingerprint.check(path, after, same_task=False)
  told = told.format(
    module=__name__, function=f'the function judged of {__name__}'
  )
  assert f'was written: {told}' in str(caught.value)


def test_arguments_that_have_a_default_are_named():
  words = fingerprint._walk(judged).words
  owner = f'the function judged of {__name__}'
  assert words == {
    f'{__name__}.judged': owner,
    'task.__defaults__.0': f'the argument learning_rate of {owner}',
    "task.__kwdefaults__['decay']": f'the argument decay of {owner}',
  }


def test_a_change_after_a_repair_or_at_the_end_is_a_warning(tmp_path, caplog):
  path = tmp_path / 'trials.task.json'
  one, two = (make_task(Recipe(rate), []) for rate in (0.1, 0.2))
  # A run of an older version has no record, and gets none when it is over.
  fingerprint.check(path, one, same_task=False, is_finished=True)
  assert not path.exists()
  fingerprint.check(path, one, same_task=False)
  recorded = path.read_bytes()
  with caplog.at_level('WARNING', logger='absl'):
    fingerprint.check(path, one, same_task=False, redo_failed=True)
    fingerprint.check(path, one, same_task=False, is_finished=True)
    assert not caplog.records
    fingerprint.check(
      path, two, same_task=False, redo_failed=True, is_finished=True
    )
    assert path.read_bytes() == recorded
    fingerprint.check(path, two, same_task=False, redo_failed=True)
    assert path.read_bytes() != recorded
    fingerprint.check(path, two, same_task=False)
  shown, gone_on = (record.getMessage() for record in caplog.records)
  named = 'recipe.rate of the function make_task.train'
  assert named in shown
  assert 'results of the old one' in shown
  assert named in gone_on
  assert 'Trials that failed run again with the new one' in gone_on
  assert '\n' not in shown + gone_on


def test_it_is_the_same_in_another_process():
  code = (
    'import json\n'
    'from jaxnas.training import text_task\n'
    'from jaxnas.records import fingerprint\n'
    'task = text_task.Recipe(features=3), text_task.num_params\n'
    'print(json.dumps(fingerprint.of(task)))\n'
  )
  printed = [
    subprocess.run(
      [sys.executable, '-c', code], capture_output=True, text=True, check=True
    ).stdout
    for _ in range(2)
  ]
  assert printed[0] == printed[1]
  assert 'jaxnas.children.language_model.LanguageModel' in json.loads(
    printed[0]
  )


class Settings:
  """An object of a user's own."""

  def __init__(self, rate):
    self.rate = rate
    self.calls = [rate]

  @functools.cached_property
  def double(self):
    return 2 * self.rate


def test_attributes_of_ones_own_objects_count_where_they_are_asked_for(
  tmp_path,
):
  def check(rate, name, is_used=False, **settings):
    made = Settings(rate)
    if is_used:
      made.calls.append(made.double)
    fingerprint.check(tmp_path / name, made, False, **settings)

  check(1, 'without.json')
  check(2, 'without.json')
  wanted = {'with_attributes': True, 'what': 'What they do'}
  check(1, 'with.json', **wanted)
  check(1, 'with.json', is_used=True, **wanted)
  with pytest.raises(ValueError, match=r'^What they do has .*: rate of the'):
    check(2, 'with.json', **wanted)

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import json
import pathlib
import pickle
import re

import numpy as np
import optax
import pytest

from jaxnas import errors

HERE = pathlib.Path(__file__).name


def test_a_mapping_says_what_it_has():
  named = errors.Named('metric', {'loss': 1, 'accuracy': 2})
  assert named['loss'] == 1
  assert 'lose' not in named
  assert named.get('lose') is None
  for kind in (KeyError, ValueError):
    with pytest.raises(kind) as caught:
      named['lose']
    assert str(caught.value) == (
      "There is no metric 'lose'; there are accuracy, loss."
    )
  assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_an_error_says_whose_function_failed_and_where():
  with (
    pytest.raises(ValueError, match='The loss failed') as caught,
    errors.calling('The loss'),
  ):
    raise TypeError('of\ntwo lines')
  assert isinstance(caught.value.__cause__, TypeError)
  line = str(caught.value)
  assert line.startswith('The loss failed: TypeError at tests/errors_test.py:')
  assert line.endswith(': of two lines')


def test_what_was_said_of_a_function_is_not_said_twice():
  with (
    pytest.raises(ValueError, match=r'^The loss failed: KeyError at'),
    errors.calling('The cost'),
    errors.calling('The loss'),
  ):
    raise KeyError('x')
  # But a mapping's line says nothing of whose function asked for the name.
  with (
    pytest.raises(ValueError, match=r'^The cost failed: UnknownNameError'),
    errors.calling('The cost'),
  ):
    errors.Named('metric', {})['x']


def test_settings_are_flags_on_a_command_line_and_arguments_elsewhere():
  assert errors.choose('--a', 'a=1') == 'a=1'
  with errors.naming_flags():
    assert errors.choose('--a', 'a=1') == '--a'
    assert errors.another_folder() == 'another --workdir'
  assert errors.another_folder() == 'another folder'


def raised(function, *arguments):
  try:
    function(*arguments)
  except Exception as error:
    return error
  raise AssertionError('nothing was raised')


def test_an_error_is_its_kind_its_place_and_its_message_in_a_line():
  def fail():
    raise ValueError('two\n  lines')

  line = errors.describe(raised(fail))
  number = fail.__code__.co_firstlineno + 1
  assert line.startswith('ValueError at ')
  assert line.endswith(f'{HERE}:{number}: two lines')
  assert errors.describe(KeyError()) == 'KeyError'
  assert errors.describe(KeyError('a')) == "KeyError: 'a'"


def test_the_place_is_in_ones_own_code_rather_than_in_a_library():
  line = errors.describe(raised(json.loads, '{'))
  assert line.startswith('JSONDecodeError at ')
  assert f'{HERE}:' in line


def test_the_place_in_a_library_alone_is_told_by_the_librarys_name():
  error = raised(lambda: optax.squared_error(np.ones(3), np.ones(2)))
  frames = error.__traceback__
  while 'site-packages' not in frames.tb_frame.f_code.co_filename:
    frames = frames.tb_next
  line = errors.describe(error.with_traceback(frames))
  assert re.match(r'ValueError at optax/\S+\.py:\d+: ', line)


def test_an_error_that_can_not_be_told_is_its_kind():
  class SilentError(Exception):
    def __str__(self):
      raise RuntimeError

  assert errors.describe(SilentError()) == 'SilentError'


def test_failures_of_one_kind_are_told_from_those_of_another():
  kind = errors.kind_of('ValueError at train.py:7: 0.1 is: too high')
  assert kind == errors.kind_of('ValueError at train.py:7: 0.2 is too high')
  assert kind != errors.kind_of('ValueError at train.py:8: 0.1 is: too high')
  # Without a place, two lines have only their words.
  assert errors.kind_of('no memory: 8 GiB') == 'no memory: 8 GiB'


def test_a_long_line_is_cut():
  assert errors.shorten('x' * 500) == 'x' * 500
  assert errors.shorten('x' * 501) == 'x' * 500 + '...'
  assert errors.in_one_line(np.zeros((2, 1))) == 'array([[0.], [0.]])'

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import pickle

import pytest

from jaxnas import errors


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


def test_repeated_failures_are_alike_but_for_their_values():
  first, second = (f'KeyError at a.py:7: {each}' for each in 'xy')
  assert errors.kind_of(first) == errors.kind_of(second)
  assert errors.kind_of('the reward was nan') == 'the reward was nan'


def test_a_long_line_is_cut():
  assert len(errors.shorten('x' * 9999)) < 600
  assert errors.shorten('short') == 'short'


def test_settings_are_flags_on_a_command_line_and_arguments_elsewhere():
  assert errors.choose('--a', 'a=1') == 'a=1'
  with errors.naming_flags():
    assert errors.choose('--a', 'a=1') == '--a'
    assert errors.another_folder() == 'another --workdir'
  assert errors.another_folder() == 'another folder'

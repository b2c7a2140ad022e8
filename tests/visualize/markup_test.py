# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of pieces of HTML."""

import json

import pytest

from jaxnas.visualize import markup

NASTY = '</script><b a="\'">&'


def test_texts_are_escaped_everywhere():
  for made in (
    markup.escape(NASTY),
    markup.embed_json({NASTY: NASTY}),
    markup.table([NASTY], [[NASTY], [markup.Cell(NASTY, 1.0)]], NASTY),
    markup.facts({NASTY: NASTY}),
    markup.paragraphs([NASTY]),
    markup.bullets([NASTY]),
    markup.unfold(NASTY, ''),
    markup.section('a', NASTY),
  ):
    assert '</script>' not in made
    assert '<b ' not in made


def test_json_in_a_script_is_the_same_json():
  value = {'a': [1, 2.5, None, NASTY, '\u2028'], 'b': float('nan')}
  assert json.loads(markup.embed_json(value)) == {**value, 'b': None}


def test_columns_of_numbers_are_sorted_by_their_numbers():
  made = markup.table(
    ['name', 'count'], [['a', markup.Cell('1,000', 1000)], ['b', 'none']], 't'
  )
  assert '<th scope="col">name</th>' in made
  assert '<th scope="col" class="number">count</th>' in made
  assert 'data-value="1000">1,000<' in made
  assert made.count('data-value') == 1


@pytest.mark.parametrize(
  ('value', 'text'),
  [
    ('a', 'a'),
    (None, '–'),
    (True, 'yes'),
    (0.1, '0.1'),
    ([1, 'a', None], '1, a, –'),
    ([], 'none'),
    ({'a': [1]}, '{"a": [1]}'),
    ([[1], 2], '[[1], 2]'),
  ],
)
def test_values_of_files_are_spelled(value, text):
  assert markup.spell(value) == text


def test_long_texts_end():
  assert len(markup.spell('a' * 10_000)) < 600


def test_characters_that_no_page_may_have_are_replaced():
  assert markup.escape('a\x00\x1b\ud800\tb\n\u00a0é') == (
    'a\ufffd\ufffd\ufffd\tb\n\u00a0é'
  )


def test_long_names_and_lists_end():
  assert markup.shorten('ab') == 'ab'
  assert markup.shorten('a' * 99) == 'a' * 80 + '…'
  made = markup.facts({f'{n}{"x" * 99}': n for n in range(250)})
  assert made.count('<dt>') == 200
  assert '<p class="note">50 more.</p>' in made

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of the summary of a run."""

import json

import pytest

from jaxnas import statistics
from jaxnas.decisions import AnchorPoint, Choice, Range
from jaxnas.records import summary

ROW = summary.Row(
  name='#3 by PPO',
  label='ppo #3',
  is_found=True,
  architecture={'x': 1},
  num_contestants=2,
  num_params=7,
  num_multiply_adds=None,
  learning_rate=0.5,
  validation=(1.5, None),
  report=(2.5, None),
  rewards=(0.5, 0.25),
)
SUMMARY = summary.Summary(
  space='mine',
  space_size=str(2**80),
  decisions=(summary.Options('x', 'choice', ('a', 'b')),),
  arms=(summary.Arm('ppo', 0, 'PPO', 'searched', 16, 4),),
  known=('lstm',),
  measure=statistics.ACCURACY,
  search_metric='validation_accuracy',
  own_reward=True,
  results=summary.Results('Yes.', ('a', 'b'), (ROW,), 0, '8 steps', True),
)


def test_a_summary_is_read_as_it_was_written(tmp_path):
  assert summary.read(tmp_path) is None
  for written in (
    SUMMARY,
    summary.Summary(**{**vars(SUMMARY), 'results': None}),
  ):
    summary.write(tmp_path, written)
    assert summary.read(tmp_path) == written


def test_a_summary_of_an_older_version_has_no_replicas(tmp_path):
  arms = (summary.Arm('ppo', 0, 'PPO', 'searched', 16, 4, 3, 2),)
  summary.write(tmp_path, summary.Summary(**{**vars(SUMMARY), 'arms': arms}))
  assert summary.read(tmp_path).arms == arms
  path = tmp_path / 'summary.json'
  fields = json.loads(path.read_text())
  for name in ('replicas', 'replicas_per_update'):
    del fields['arms'][0][name]
  del fields['crc32']
  path.write_text(json.dumps(fields))
  assert summary.read(tmp_path) == SUMMARY


@pytest.mark.parametrize(
  ('decision', 'kind', 'labels', 'num_tokens'),
  [
    (Choice((1, 'a'), 'x'), 'choice', ('1', 'a'), 1),
    (Range(0, 1, num_levels=3, name='x'), 'range', ('0', '0.5', '1'), 1),
    (AnchorPoint(3, 'x'), 'anchors', ('0', '1', '2'), 3),
    (AnchorPoint(0, 'x'), 'anchors', (), 0),
  ],
)
def test_decisions_become_words(decision, kind, labels, num_tokens):
  options = summary.Options.of(decision)
  assert options == summary.Options('x', kind, labels)
  assert options.num_tokens == num_tokens == decision.num_tokens


def test_sizes_are_spelled_however_large_they_are():
  assert summary.spell_size(2**80) == '1208925819614629174706176'
  assert summary.spell_size(10**5000 + 1) == '10^5000'


def test_a_damaged_summary_is_named(tmp_path):
  summary.write(tmp_path, SUMMARY)
  path = tmp_path / 'summary.json'
  fields = json.loads(path.read_text())
  del fields['crc32']
  for change, message in (
    ({'known': [1]}, r'known\[0\] must be a str, got 1'),
    ({'space': None}, 'space must be a str'),
    ({'arms': [{'name': 'a'}]}, r'arms\[0\] has the fields name, repeat'),
    ({'other': 1}, 'the summary has the fields space'),
    ({'own_reward': 1}, 'own_reward must be a bool'),
  ):
    path.write_text(json.dumps(fields | change))
    with pytest.raises(ValueError, match=f'damaged: {message}.*delete it'):
      summary.read(tmp_path)

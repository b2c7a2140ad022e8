# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of which points of an honest report a run fulfills."""

import dataclasses

import pytest

from jaxnas.records import folder as folder_lib
from jaxnas.visualize import checklist
from tests.visualize import report_runs

Answer = checklist.Answer


def answers(run, summary=None):
  return {
    point.title.split(',')[0].split(' on ')[0]: point
    for point in checklist.check(run, summary or run.summary)
  }


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  folder = tmp_path_factory.mktemp('runs') / 'run'
  return folder_lib.read(report_runs.make_run(folder))


def test_a_careful_run_fulfils_most_points(run):
  found = answers(run)
  for title, answer in (
    ('Random search at equal cost', Answer.YES),
    ('The same data', Answer.YES),
    ('Several searches of each strategy', Answer.PARTLY),
    ('Winners retrained with fresh seeds', Answer.YES),
    ('Intervals', Answer.YES),
    ('Reported', Answer.YES),
    ('Test data untouched', Answer.YES),
    ('The code of the search and of the training', Answer.YES),
    ('Exact seeds', Answer.YES),
    ('The size of the search space', Answer.YES),
    ('The whole cost', Answer.YES),
    ("How the method's own settings were chosen", Answer.UNKNOWN),
    ('Ablations of the method', Answer.NO),
  ):
    assert found[title].answer is answer, found[title]
  assert '1 of all failed' in found['Winners retrained with fresh seeds'].reason


def test_without_a_baseline_nothing_is_compared_with_random_search(tmp_path):
  folder = report_runs.make_run(
    tmp_path / 'run', arms=(('ppo', 'PPO', 'searched'),), num_repeats=1
  )
  found = answers(folder_lib.read(folder))
  assert found['Random search at equal cost'].answer is Answer.NO
  assert found['The same data'].answer is Answer.NOT_APPLICABLE
  assert found['Several searches of each strategy'].answer is Answer.NO


def test_unequal_budgets_are_told(run):
  less = run._replace(
    trials=[each for each in run.trials if each.arm != 'random']
  )
  found = answers(less)['Random search at equal cost']
  assert found.answer is Answer.PARTLY
  assert 'REINFORCE 48, random 0' in found.reason


def test_shared_weights_are_counted_as_trials(run):
  less = run._replace(
    trials=[
      each
      for number, each in enumerate(run.trials)
      if each.arm != 'reinforce' or number % 2
    ]
  )
  assert answers(less)['Random search at equal cost'].answer is Answer.PARTLY
  missing = len(run.trials) - len(less.trials)
  (first, *_) = (each for each in run.summary.arms if each.name == 'reinforce')
  arms = tuple(
    dataclasses.replace(each, shared_trials=missing + 0.4)
    if each is first
    else each
    for each in run.summary.arms
  )
  summary = dataclasses.replace(run.summary, arms=arms)
  found = answers(less, summary)['Random search at equal cost']
  assert found.answer is Answer.YES
  assert 'The cost of shared weights is among them.' in found.reason


def test_what_was_not_recorded_is_not_claimed(run):
  bare = run._replace(manifest={}, timings=[])
  summary = dataclasses.replace(
    run.summary, results=None, own_reward=True, space_size=''
  )
  found = answers(bare, summary)
  assert found['Winners retrained with fresh seeds'].answer is Answer.NO
  assert 'Intervals' not in found
  assert found['Test data untouched'].answer is Answer.UNKNOWN
  assert found['The code of the search and of the training'].answer is Answer.NO
  assert found['Exact seeds'].answer is Answer.NO
  assert found['The size of the search space'].answer is Answer.UNKNOWN
  assert found['The whole cost'].answer is Answer.UNKNOWN


def test_code_changed_by_hand_is_told(run):
  dirty = {**run.manifest, 'git': {'commit': 'abc', 'dirty': True}}
  found = answers(run._replace(manifest=dirty))
  point = found['The code of the search and of the training']
  assert point.answer is Answer.PARTLY
  assert 'changed by hand' in point.reason


def test_a_run_without_report_data_says_so(run):
  results = dataclasses.replace(run.summary.results, has_report=False)
  summary = dataclasses.replace(run.summary, results=results)
  assert answers(run, summary)['Reported'].answer is Answer.NO


def test_answers_are_signs_and_words(run):
  points = checklist.check(run, run.summary)
  drawn = checklist.draw(points)
  assert drawn.count('<li') == len(points)
  assert 'points that apply to it' in drawn
  assert '<em>not recorded</em>' in drawn


@pytest.mark.parametrize(
  ('size', 'text'),
  [
    ('0', '0'),
    ('1234567', '1,234,567'),
    ('822083584', '8.2 × 10⁸'),
    ('10^5990', '10⁵⁹⁹⁰'),
    ('many', 'many'),
  ],
)
def test_sizes_are_spelled(size, text):
  assert checklist.spell_size(size) == text

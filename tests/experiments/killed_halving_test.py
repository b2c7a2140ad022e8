# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Kills a search with rungs at random instants, between and inside rungs.

`KILLS=20` kills it so often.
"""

import pytest

from jaxnas.records import trial_log, workdir
from tests.experiments import killed_search

pytestmark = pytest.mark.slow

SETTINGS = {
  'known_cells': ('paper_example',),
  'num_trials': 64,
  'num_steps': 16,
  'halving': 4,
  # Measured rungs are those of `rung_choice_test`.
  'rungs': ('4', '16'),
}
OUTPUTS = 'trials.jsonl', 'rounds.jsonl', 'best.json'


@pytest.fixture(scope='module')
def searches(tmp_path_factory):
  place = tmp_path_factory.mktemp('halving')
  made = killed_search.Searches(place, SETTINGS, OUTPUTS)
  made.write_text()
  return made


@pytest.fixture(scope='module')
def seconds(searches):
  return searches.check_whole('whole')


@pytest.mark.usefixtures('seconds')
def test_a_run_says_its_rungs(searches):
  folder, told = searches.place / 'whole', searches.told('whole')
  rungs = workdir.read_manifest(folder)['rungs']
  assert rungs == [4, 16]
  assert 'Rungs: 4 and 16 steps' in told
  assert 'children ended' in told
  trials = trial_log.read_trials(folder / 'trials.jsonl')
  searched = [each for each in trials if each.arm != 'retrain']
  assert {each.steps for each in searched if each.rung is not None} == {*rungs}
  # Winners are taken among children that were trained fully.
  by_number = {each.number: each for each in trials}
  labels = {each.settings['label'] for each in trials[len(searched) :]}
  winners = [each for each in labels if '#' in each]
  assert winners
  for label in winners:
    trial = by_number[int(label.split('#')[1])]
    assert trial.is_complete
    assert trial.steps == 16
  assert 'Rungs: 4, 16 steps' in (folder / 'report.html').read_text()


def test_killed_at_random_instants_and_resumed(searches, seconds):
  searches.check_kills('whole', seconds)

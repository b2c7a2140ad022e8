# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Runs a search with shared weights end to end, and kills it.

`KILLS=20` kills it so often.
"""

import pytest

from jaxnas.records import trial_log, workdir
from tests.experiments import killed_search

pytestmark = pytest.mark.slow

SETTINGS = {
  'known_cells': (),
  'strategies': ('random',),
  'num_steps': 8,
  'sharing': 'leaf',
  'shared_steps': 72,
  # The same number of cells at all times, for the same programs.
  'shared_cells': 8,
  'judged_cells': 8,
  'num_drawn': 8,
  'num_ranked': 6,
  'ranked_minibatches': 2,
  'controller_features': 8,
  'controller_layers': 1,
}
OUTPUTS = (
  'trials.jsonl',
  'rounds.jsonl',
  'best.json',
  'shared/shared_reinforce-0.json',
  'shared/shared_random-0.json',
)


@pytest.fixture(scope='module')
def searches(tmp_path_factory):
  place = tmp_path_factory.mktemp('sharing')
  made = killed_search.Searches(place, SETTINGS, OUTPUTS)
  made.write_text()
  return made


@pytest.fixture(scope='module')
def seconds(searches):
  return searches.check_whole('whole')


@pytest.mark.usefixtures('seconds')
def test_what_is_ranked_first_is_trained_alone(searches):
  folder, told = searches.place / 'whole', searches.told('whole')
  trials = trial_log.read_trials(folder / 'trials.jsonl')
  for name, label in (
    ('shared_reinforce', 'shared weights, REINFORCE'),
    ('shared_random', 'shared weights, random ranking'),
  ):
    found = workdir.read_json(folder / 'shared' / f'{name}-0.json')
    mine = [each for each in trials if each.arm == name]
    assert [list(each.tokens) for each in mine] == found['tokens']
    assert len(mine) == 6
    assert found['num_drawn'] == 8
    assert found['rewards'] == sorted(found['rewards'], reverse=True)
    assert f'S{label[1:]}: training weights and policy' in told
    assert f'Shared against own weights, {label}: rank correlation' in told
    assert f' by {label} (best of 1)' in told
    assert f'(by {label}) against #' in told
  random = [each for each in trials if each.arm == 'random']
  judged = workdir.read_json(folder / 'shared' / 'shared_random-0.json')
  tokens = [
    list(each.tokens) for each in sorted(random, key=lambda t: t.proposal)
  ]
  count = len(judged['random_tokens'])
  assert tokens[:count] == judged['random_tokens']
  # 72 steps of 8, 54 of which judge 8 forward; 8 forward on 2; 6 trainings.
  cost = (72 * 8 + 54 * 8 / 3 + 8 * 2 / 3 + 6 * 8) / 8
  assert f'That is the cost of {cost:.1f} trials' in told
  assert 0 <= len(random) - cost < 8
  assert told.count('Equal cost') == 2
  assert 'Shared against own weights' in (folder / 'report.html').read_text()


def test_killed_at_random_instants_and_resumed(searches, seconds):
  searches.check_kills('whole', seconds)

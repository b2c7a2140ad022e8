# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses

import jax
import numpy as np
import pytest

from jaxnas import search as search_lib
from jaxnas import shared_search
from jaxnas.runs import shared_phases
from jaxnas.strategies import fixed, random_search, sharing
from jaxnas.types import Evaluator
from tests.shared_toy import REWARD, SPACE, Counts, KilledError, canonical

UNIFORM = random_search.make_random_search(SPACE.decisions)
BLANK = fixed.make_fixed(np.zeros((1, 3), np.int32))
RANDOM = search_lib.Arm('random', UNIFORM, 40, 8, role=search_lib.Role.BASELINE)
SHARED = search_lib.Arm('shared', BLANK, 5, 5, label='shared weights')


def make_search():
  return search_lib.Search(
    SPACE, (RANDOM, SHARED), Evaluator(None, 4, 0.0), jax.random.key(0)
  )


def make_phase(supernet=None, **changes):
  search = shared_search.SharedSearch(
    space=SPACE,
    supernet=supernet or Counts(),
    policy=sharing.never_learning(UNIFORM),
    reward=REWARD,
    key=jax.random.key(1),
    num_steps=40,
    num_frozen=40,
    num_trained=2,
  )
  return shared_phases.Phase(
    **{
      'arm': SHARED.identity,
      'search': search,
      'num_drawn': 100,
      'baseline': RANDOM.identity,
    }
    | changes
  )


def complete(folder, phase, **options):
  return shared_phases.complete(
    make_search(), [phase], folder, checkpoint_every=16, **options
  )


def test_an_arm_proposes_what_its_phase_found(tmp_path, capsys):
  phase = make_phase()
  laps = []
  assert not shared_phases.is_finished([phase], tmp_path)
  search, found = complete(tmp_path, phase, lap=laps.append)
  assert shared_phases.is_finished([phase], tmp_path)
  assert laps == ['shared-0']
  result = found['shared', 0]
  assert (result.num_drawn, result.num_distinct) == (100, 18)
  assert (result.num_dead, result.num_gradients) == (6, 80)
  assert len({canonical(each).tobytes() for each in result.tokens}) == 5
  random, shared = search.arms
  assert random is RANDOM
  state = shared.strategy.init(jax.random.key(0))
  proposed = shared.strategy.ask(state, jax.random.key(0), 5).tokens
  np.testing.assert_array_equal(proposed, result.tokens)
  assert (
    'Shared weights: training weights and policy' in capsys.readouterr().out
  )
  # What random search is going to propose first is judged as well.
  state = search_lib.init(search).strategies[0]
  key = search_lib.arm_key(search, RANDOM)
  asked = [
    UNIFORM.ask(state, search_lib.pure_search.round_key(key, each), 8).tokens
    for each in range(4)
  ]
  np.testing.assert_array_equal(result.random_tokens, np.concatenate(asked))
  assert len(result.random_rewards) == 32

  # Read, and not run again.
  again = complete(tmp_path, make_phase(Counts(kill_at=0)), lap=laps.append)
  assert again[1] == found
  assert laps == ['shared-0']


def test_killed_and_resumed_finds_the_same(tmp_path):
  _, whole = complete(tmp_path / 'whole', make_phase())
  folder = tmp_path / 'killed'
  for kill_at in (5, 33):
    with pytest.raises(KilledError):
      complete(folder, make_phase(Counts(kill_at)))
  supernet = Counts()
  _, found = complete(folder, make_phase(supernet))
  assert found == whole
  # 32 of the 40 steps were in the checkpoint.
  assert len(supernet.calls) == 8


def test_an_unfinished_phase_of_other_code_is_refused(tmp_path):
  with pytest.raises(KilledError):
    complete(tmp_path, make_phase(Counts(kill_at=1)))
  other = make_phase()
  other = dataclasses.replace(
    other, search=dataclasses.replace(other.search, num_trained=3)
  )
  with pytest.raises(ValueError, match='shared weights has changed since'):
    complete(tmp_path, other)


@pytest.mark.parametrize(
  ('old', 'new'),
  [
    ('"num_dead": 6', '"num_dead": 7'),
    ('{', ''),
  ],
)
def test_a_damaged_file_is_named(tmp_path, old, new):
  phase = make_phase()
  complete(tmp_path, phase)
  path = tmp_path / 'shared' / 'shared-0.json'
  path.write_text(path.read_text().replace(old, new, 1))
  with pytest.raises(ValueError, match=r'shared-0.json is damaged'):
    complete(tmp_path, phase)


def test_a_file_of_another_space_is_named(tmp_path):
  phase = make_phase()
  complete(tmp_path, phase)
  path = tmp_path / 'shared' / 'shared-0.json'
  fields = shared_phases.workdir.read_json(path)
  del fields['rewards']
  shared_phases.workdir.write_json(path, fields, sealed=True)
  with pytest.raises(ValueError, match=r"damaged \('rewards'\); restore"):
    complete(tmp_path, phase)

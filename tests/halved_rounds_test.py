# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of a search with rungs, by children that cost nothing."""

import dataclasses
import shutil

import jax
import numpy as np
import pytest

from jaxnas import halving, rung_scale, rungs
from jaxnas import search as search_lib
from jaxnas.records import checkpoints, round_log, trial_log, workdir
from jaxnas.spaces import recurrent_cell
from jaxnas.strategies import evolution, fixed, random_search
from jaxnas.types import Evaluation, Status
from tests.staged_children import (
  LENGTH,
  Children,
  KilledError,
  reward_at,
  size_of,
)

SPACE = recurrent_cell.make_space(2)
SCHEDULE = halving.Schedule((2, 5, 8), eta=2)
POINTS = (2, 5, 8)


KNOWN = SPACE.encode(recurrent_cell.KNOWN_CELLS['paper_example'])
DRAW = random_search.make_random_search(SPACE.decisions)
ARMS = (
  search_lib.Arm(
    *('known', fixed.make_fixed([KNOWN]), 1, 1), role=search_lib.Role.KNOWN
  ),
  search_lib.Arm(
    'evolution',
    evolution.make_evolution(SPACE.decisions, 6, sample_size=3),
    24,
    6,
  ),
  search_lib.Arm('random', DRAW, 24, 6),
  search_lib.Arm('random', DRAW, 12, 6, repeat=1),
  search_lib.Arm('random_full', DRAW, 6, 6, trains_fully=True),
)
CALIBRATING = rungs.Calibrating(('random', 0), 6, (1, 2, 5, 8))
HALVING = rungs.Halving(SCHEDULE, CALIBRATING)


def make_search(children, **changes):
  search = search_lib.Search(
    SPACE,
    ARMS,
    children.evaluator,
    jax.random.key(5),
    rungs=HALVING,
  )
  return dataclasses.replace(search, **changes)


def run(folder, children, **changes):
  folder.mkdir(exist_ok=True)
  with (
    trial_log.TrialLog(folder / 'trials.jsonl') as log,
    checkpoints.Checkpoints(folder / 'checkpoints') as saved,
    round_log.RoundLog(folder / 'rounds.jsonl') as rounds_,
  ):
    search = make_search(children, **changes)
    search_lib.run(search, log, saved, 2, rounds=rounds_)
    return list(log.trials)


def content(folder):
  return [
    (folder / name).read_bytes() for name in ('trials.jsonl', 'rounds.jsonl')
  ]


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  folder = tmp_path_factory.mktemp('whole')
  children = Children()
  return folder, run(folder, children), children


def batches(trials, identity, size=6):
  mine = [each for each in trials if (each.arm, each.repeat) == identity]
  mine.sort(key=lambda trial: trial.proposal)
  return [mine[start : start + size] for start in range(0, len(mine), size)]


def test_the_best_of_each_batch_go_on(whole):
  trials = whole[1]
  stopped = set()
  for identity in (('evolution', 0), ('random', 0), ('random', 1)):
    for group, batch in enumerate(batches(trials, identity)):
      if identity == CALIBRATING.arm and group == 0:
        continue
      curves = np.full((6, 3), np.nan, np.float32)
      for row, trial in enumerate(batch):
        if trial.duplicate_of is None:
          state = np.array([0, seed_of(trial)], np.uint32)
          curves[row] = [
            reward_at(trial.tokens, state + np.array([rung, 0], np.uint32))
            for rung in SCHEDULE.rungs
          ]
      last = np.asarray(halving.halve(SCHEDULE, curves))
      for row, trial in enumerate(batch):
        if trial.duplicate_of is None:
          assert trial.rung == last[row]
          assert trial.steps == SCHEDULE.rungs[last[row]]
          assert trial.metrics['trained'] == trial.steps
          known = [
            (rung, float(curves[row, place]))
            for place, rung in enumerate(SCHEDULE.rungs[: last[row] + 1])
            if np.isfinite(curves[row, place])
          ]
          assert list(trial.curve) == known
          assert trial.is_stopped == (trial.status == 'ok' and last[row] < 2)
          stopped.add(trial.is_stopped)
  assert stopped == {True, False}
  assert {trial.status for trial in trials} == {'ok', 'diverged'}


def seed_of(trial):
  place = [arm.identity for arm in ARMS].index((trial.arm, trial.repeat))
  search = make_search(Children())
  key = search_lib.arm_key(search, search.arms[place])
  key = jax.random.fold_in(jax.random.fold_in(key, 2**32 - 1), trial.proposal)
  return np.asarray(jax.random.key_data(key))[-1]


def scale_of(trials, identity):
  """Yields an arm's batches, and what is known of rewards after each."""
  scale = rung_scale.init_scale(3)
  # The children of the calibration tell every arm the same.
  if identity != CALIBRATING.arm:
    first = batches(trials, CALIBRATING.arm)[0]
    scale = rung_scale.extend_scale(
      scale, rungs.curves_in(first, SCHEDULE, reevaluates=False)
    )
  for batch in batches(trials, identity):
    curves = rungs.curves_in(batch, SCHEDULE, reevaluates=False)
    scale = rung_scale.extend_scale(scale, curves)
    yield batch, scale


@pytest.fixture(scope='module')
def falling(tmp_path_factory):
  """A search whose rewards fall with the steps, so less is expected."""
  folder = tmp_path_factory.mktemp('falling')
  children = {'reward': lambda *child: 4 - reward_at(*child)}
  return folder, run(folder, Children(**children)), children


@pytest.mark.parametrize('name', ['whole', 'falling'])
def test_strategies_are_told_what_a_stopped_child_has_shown(name, request):
  trials = request.getfixturevalue(name)[1]
  lowered = 0
  for arm in (ARMS[1], ARMS[2], ARMS[3]):
    for batch, scale in scale_of(trials, arm.identity):
      for trial in batch:
        own = trial.curve[-1][1] if trial.curve else None
        if trial.duplicate_of is not None:
          first = trials[trial.duplicate_of]
          assert (trial.reward, trial.rung) == (first.reward, first.rung)
        elif trial.status != 'ok':
          assert trial.reward == 0
        elif not trial.is_stopped:
          assert trial.reward == own
        else:
          told = rung_scale.told_rewards(
            scale, np.array([own]), np.array([trial.rung]), 0.0
          )
          assert trial.reward == pytest.approx(float(told[0]), rel=1e-6)
          lowered += trial.reward < own
  # Where rewards grow with the steps, more is expected than was shown.
  assert lowered > 20 if name == 'falling' else lowered == 0


def test_no_step_is_taken_twice(whole):
  _, trials, children = whole
  new = [trial for trial in trials if trial.duplicate_of is None]
  assert sum(trial.steps for trial in new) == children.num_steps
  # Blocks are filled from the batches of all arms.
  going_on = [size for start, stop, size in children.blocks if start == 2]
  assert max(going_on) == 4


def test_who_trains_fully(whole):
  for trial in whole[1]:
    is_calibrating = trial.arm == 'random' and trial.repeat == 0
    is_calibrating &= trial.proposal < CALIBRATING.num_trials
    if trial.arm in ('known', 'random_full') or is_calibrating:
      assert trial.rung is None
      assert trial.is_complete or trial.status == 'diverged'
      if trial.is_complete:
        assert trial.steps == LENGTH
  curves = rungs.calibration_curves(whole[1], CALIBRATING)
  assert curves.shape[1] == 4
  assert np.isfinite(curves[:, 0]).all()


def test_the_children_that_calibrate_come_first(whole):
  first = whole[1][: CALIBRATING.num_trials]
  assert {(trial.arm, trial.repeat) for trial in first} == {CALIBRATING.arm}


def test_killed_at_any_block_and_resumed(tmp_path, whole):
  num_blocks = len(whole[2].blocks)
  for kill_after in range(0, num_blocks, 5):
    folder = tmp_path / str(kill_after)
    with pytest.raises(KilledError):
      run(folder, Children(kill_after))
    run(folder, Children(block_size=3))
    assert content(folder) == content(whole[0])


def test_cut_in_any_round_and_resumed(tmp_path, falling):
  trials, said = content(falling[0])
  lines = trials.splitlines(keepends=True)
  for place in range(1, len(lines), 13):
    folder = tmp_path / str(place)
    folder.mkdir()
    cut = b''.join(lines[:place]) + lines[place][:20]
    (folder / 'trials.jsonl').write_bytes(cut)
    run(folder, Children(**falling[2]))
    assert content(folder) == [trials, said]


def test_a_duplicate_can_be_trained_again(tmp_path):
  children = Children()
  arms = (search_lib.Arm('same', fixed.make_fixed([KNOWN] * 6), 6, 6),)
  search = {'arms': arms, 'rungs': rungs.Halving(SCHEDULE)}
  trials = run(tmp_path / 'one', children, **search)
  assert children.num_steps == LENGTH
  assert {trial.steps for trial in trials} == {LENGTH}
  children = Children()
  search['reevaluate_duplicates'] = True
  trials = run(tmp_path / 'all', children, **search)
  assert children.num_steps == SCHEDULE.num_steps(6)
  assert [trial.duplicate_of for trial in trials] == [None, *[0] * 5]


@pytest.mark.slow
def test_with_costs_those_go_on_whom_few_dominate(tmp_path):
  search = {
    'rungs': dataclasses.replace(HALVING, costs=('size',)),
    'arms': ARMS[1:3],
  }
  trials = run(tmp_path / 'whole', Children(), **search)
  differs = 0
  for batch in batches(trials, ('evolution', 0)):
    curves = np.full((6, 3), np.nan, np.float32)
    for row, trial in enumerate(batch):
      if trial.duplicate_of is None:
        state = np.array([0, seed_of(trial)], np.uint32)
        curves[row] = [
          reward_at(trial.tokens, state + np.array([rung, 0], np.uint32))
          for rung in SCHEDULE.rungs
        ]
    costs = np.array([[size_of(trial.tokens)] for trial in batch])
    last = np.asarray(halving.halve(SCHEDULE, curves, costs))
    for row, trial in enumerate(batch):
      if trial.duplicate_of is None:
        assert (trial.rung, trial.metrics['size']) == (last[row], costs[row])
    differs += (last != np.asarray(halving.halve(SCHEDULE, curves))).any()
  assert differs
  lines = content(tmp_path / 'whole')[0].splitlines(keepends=True)
  # In the first batch of evolution, and in its last.
  for place in (CALIBRATING.num_trials + 4, len(lines) - 8):
    folder = tmp_path / str(place)
    folder.mkdir()
    (folder / 'trials.jsonl').write_bytes(b''.join(lines[:place]))
    run(folder, Children(block_size=2), **search)
    assert content(folder) == content(tmp_path / 'whole')


def test_all_train_again_after_a_repair(tmp_path, caplog):
  search = {'rungs': rungs.Halving(SCHEDULE), 'arms': ARMS[2:3]}
  trials = run(tmp_path, Children(), **search)
  assert any(trial.has_failed for trial in trials)
  children = Children()
  with trial_log.TrialLog(tmp_path / 'trials.jsonl') as log:
    again = make_search(children, **search)
    search_lib.run(again, log, redo_failed=True)
    assert list(log.trials) == trials
  assert 'all trials of its search train again' in caplog.text
  new = [trial for trial in trials if trial.duplicate_of is None]
  assert children.num_steps == sum(trial.steps for trial in new)


def test_what_cannot_be_halved_is_refused():
  children = Children()
  evaluator = children.evaluator._replace(stages=None)
  with pytest.raises(ValueError, match='a function trains to its end'):
    make_search(children, evaluator=evaluator)
  short = rungs.Halving(halving.Schedule((2, 4), 2))
  with pytest.raises(ValueError, match='full training of 8 steps, got 2, 4'):
    make_search(children, rungs=short)
  arms = tuple(dataclasses.replace(each, replicas=2) for each in ARMS)
  with pytest.raises(ValueError, match="replicas must be 1; arm 'known'"):
    make_search(children, arms=arms)


def test_a_log_of_other_rungs_is_refused(tmp_path, whole):
  for name, changed in {
    'others': rungs.Halving(halving.Schedule((3, 8), 2)),
    'none': None,
  }.items():
    (tmp_path / name).mkdir()
    trials = content(whole[0])[0]
    (tmp_path / name / 'trials.jsonl').write_bytes(trials)
    with pytest.raises(ValueError, match='it was started with'):
      run(tmp_path / name, Children(), rungs=changed)


def test_a_log_of_other_rules_is_refused(tmp_path, whole):
  for name in ('trials.jsonl', 'trials.task.json', 'trials.strategies.json'):
    shutil.copy(whole[0] / name, tmp_path / name)
  record = tmp_path / 'trials.strategies.json'
  now = workdir.read_json(record)
  rule = 'jaxnas.rung_scale.told_rewards'
  without = {name: now[name] for name in now if name != rule}
  # A version that told other rewards, and one that recorded no rules.
  for before in ({**now, rule: 'other'}, without):
    workdir.write_json(record, before, sealed=True)
    with pytest.raises(ValueError, match='told_rewards of jaxnas'):
      run(tmp_path, Children())


def test_the_order_of_a_log_cannot_be_asked_for(tmp_path, whole):
  with trial_log.TrialLog(tmp_path / 'trials.jsonl') as log:
    search = make_search(Children())
    with pytest.raises(ValueError, match='leave replay out'):
      search_lib.run(search, log, replay=whole[1])


def screened(kill_after=None):
  """Children of which some must not be trained."""
  children = Children(kill_after)

  def screen(tokens):
    if tokens[2] != 1:
      return None
    refused = np.array([Status.INFEASIBLE], np.int32)
    return Evaluation(np.zeros(1, np.float32), {}, refused, ('over',))

  children.evaluator = children.evaluator._replace(screen=screen)
  return children


def test_what_exceeds_a_limit_takes_no_step(tmp_path):
  trials = run(tmp_path / 'whole', screened())
  over = [trial for trial in trials if trial.status == 'infeasible']
  assert len(over) > 10
  assert all(trial.tokens[2] == 1 for trial in over)
  assert {(t.steps, t.rung, t.curve, t.reason) for t in over} == {
    (0, None, (), 'over')
  }
  assert not any(t.tokens[2] == 1 for t in trials if t not in over)
  with pytest.raises(KilledError):
    run(tmp_path / 'killed', screened(9))
  run(tmp_path / 'killed', screened())
  assert content(tmp_path / 'killed') == content(tmp_path / 'whole')

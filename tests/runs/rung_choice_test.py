# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of rungs that are found with the first trials of a run."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxnas import rungs, statistics
from jaxnas import search as search_lib
from jaxnas.records import checkpoints, trial_log, workdir
from jaxnas.runs import rung_choice, search_run
from jaxnas.spaces import hyperparameters, recurrent_cell
from jaxnas.strategies import evolution, random_search
from jaxnas.types import Choice, Evaluation
from tests.staged_children import LENGTH, Children, KilledError

SPACE = recurrent_cell.make_space(2)
BREED = evolution.make_evolution(SPACE.decisions, 6, sample_size=3)
DRAW = random_search.make_random_search(SPACE.decisions)
ARMS = (
  search_lib.Arm('evolution', BREED, 36, 12),
  search_lib.Arm('random', DRAW, 48, 12, role=search_lib.Role.BASELINE),
)
PLAN = rungs.Plan(2, LENGTH)


def make_experiment(children, plan=PLAN, **changes):
  search = search_lib.Search(SPACE, ARMS, children.evaluator, jax.random.key(1))
  return search_run.Experiment(
    config={},
    search=dataclasses.replace(search, **changes),
    make_retraining=lambda log: None,
    num_retrainings=0,
    trainers=(),
    estimate=None,
    facts={'data_hash': ''},
    measure=statistics.REWARD,
    search_metric='trained',
    plan=plan,
  )


def run(folder, children):
  """Runs or resumes a search; returns its trials and how it was halved."""
  experiment = rung_choice.with_rungs(make_experiment(children), folder)
  if not (folder / 'manifest.json').exists():
    workdir.write_manifest(folder, **experiment.facts)
  with (
    trial_log.TrialLog(folder / 'trials.jsonl') as log,
    checkpoints.Checkpoints(folder / 'checkpoints') as saved,
  ):

    def search_on(experiment):
      search_lib.run(experiment.search, log, saved, 1)

    if experiment.search.rungs is None:
      experiment = rung_choice.calibrate(experiment, folder, log, search_on)
    search_on(experiment)
    return list(log.trials), experiment.search


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  folder = tmp_path_factory.mktemp('whole')
  children = Children()
  return folder, *run(folder, children), children


def test_the_first_trials_find_the_rungs(whole):
  folder, trials, search, _ = whole
  first = trials[:36]
  assert {trial.arm for trial in first} == {'random'}
  assert {trial.rung for trial in first} == {None}
  assert {trial.steps for trial in first if trial.is_complete} == {LENGTH}
  manifest = workdir.read_manifest(folder)
  schedule = search.rungs.schedule
  assert manifest['rungs'] == list(schedule.rungs)
  # The points before the first rung are those that tell too little.
  early = PLAN.points.index(schedule.rungs[0])
  correlations = manifest['rung_correlations']
  assert correlations[early] >= 0.5
  assert all(each is None or each < 0.5 for each in correlations[:early])
  assert {trial.rung for trial in trials[36:] if trial.is_stopped} == set(
    range(schedule.num_rungs - 1)
  )


def test_arms_spend_equal_steps(whole):
  _, trials, search, _ = whole
  assert search.num_trials == len(trials)
  for arm in ARMS:
    mine = [trial for trial in trials if trial.arm == arm.name]
    assert len(mine) > arm.num_trials
    spent = sum(trial.steps for trial in mine if trial.duplicate_of is None)
    # Duplicates and failures cost less than is planned.
    planned = arm.num_trials * LENGTH
    assert 0.7 * planned < spent <= planned


@pytest.mark.slow
def test_killed_at_any_moment_and_resumed(tmp_path, whole):
  for kill_after in range(1, len(whole[3].blocks), 9):
    folder = tmp_path / str(kill_after)
    folder.mkdir()
    with pytest.raises(KilledError):
      run(folder, Children(kill_after))
    run(folder, Children())
    logs = [each / 'trials.jsonl' for each in (folder, whole[0])]
    assert logs[0].read_bytes() == logs[1].read_bytes()
    found = workdir.read_manifest(folder)['rungs']
    assert found == workdir.read_manifest(whole[0])['rungs']


def test_rungs_are_read_where_they_were_written(tmp_path):
  workdir.write_manifest(tmp_path, **rung_choice.facts(PLAN.schedule))
  found = rung_choice.with_rungs(make_experiment(Children()), tmp_path)
  assert found.search.rungs.schedule == PLAN.schedule
  assert found.search.rungs.calibrating == PLAN.calibrating(ARMS)
  workdir.write_json(tmp_path / 'manifest.json', {'rungs': 'two'})
  with pytest.raises(ValueError, match="damaged: its rungs are 'two'"):
    rung_choice.with_rungs(make_experiment(Children()), tmp_path)


def test_rungs_by_hand_are_in_the_manifest_from_the_start(tmp_path):
  plan = rungs.Plan(2, LENGTH, (4, LENGTH))
  found = rung_choice.with_rungs(make_experiment(Children(), plan), tmp_path)
  assert found.facts == {'data_hash': '', 'rungs': [4, 8]}
  # 12 children take 4 steps and 6 of them 4 more.
  assert found.search.arms[0].num_trials == 36 * 8 // 72 * 12
  without = make_experiment(Children(), None)
  assert rung_choice.with_rungs(without, tmp_path) is without


def test_what_proposes_is_the_same_before_rungs_are_found(whole):
  experiment = make_experiment(Children())
  found = rung_choice.strategies(experiment)
  assert found == whole[2].strategies
  assert found.keys() > experiment.search.strategies.keys()
  without = make_experiment(Children(), None)
  assert rung_choice.strategies(without) == without.search.strategies


def test_what_is_left_is_counted_in_full_trainings(whole):
  experiment = make_experiment(Children())
  trials = whole[1]
  assert rung_choice.num_left(experiment, []) == 84
  full = [trial for trial in trials[:36] if trial.is_complete][:3]
  assert rung_choice.num_left(experiment, full) == 81
  left = rung_choice.num_left(experiment, trials)
  assert 0 <= left < 24


def test_too_few_children_are_told_before_they_are_trained(tmp_path):
  tiny = hyperparameters.make_space({'a': Choice(range(7), 'a')})
  draw = random_search.make_random_search(tiny.decisions)
  arms = (dataclasses.replace(ARMS[1], strategy=draw),)
  children = Children()
  changes = {'space': tiny, 'arms': arms}
  refused = lambda _: pytest.fail('nothing may be trained')  # noqa: E731
  with trial_log.TrialLog(tmp_path / 'trials.jsonl') as log:
    with pytest.raises(ValueError, match=r'only 7 of these are distinct .* 8'):
      rung_choice.calibrate(
        make_experiment(children, **changes), tmp_path, log, refused
      )
    # In a larger space, few are within the limits.
    infeasible = Evaluation(np.zeros(1), {}, np.zeros(1))
    evaluator = children.evaluator._replace(
      screen=lambda tokens: infeasible if tokens[[1, 3]].any() else None
    )
    with pytest.raises(
      ValueError, match=r'only \d of these .* Give rungs, as rungs='
    ):
      rung_choice.calibrate(
        make_experiment(children, evaluator=evaluator), tmp_path, log, refused
      )
  assert not children.blocks


def test_the_children_that_are_counted_are_those_that_calibrate(whole):
  counted = []
  children = Children()
  screen = lambda tokens: counted.append(tuple(tokens.tolist()))  # noqa: E731
  evaluator = children.evaluator._replace(screen=screen)
  stop = lambda _: (_ for _ in ()).throw(KilledError)  # noqa: E731
  with pytest.raises(KilledError):
    rung_choice.calibrate(
      make_experiment(children, evaluator=evaluator), whole[0], None, stop
    )
  assert counted == [trial.tokens for trial in whole[1][:36]]


def test_what_cannot_have_rungs_is_refused():
  children = Children()
  rung_choice.check(PLAN, make_experiment(children).search)
  cannot = children.evaluator._replace(stages=None)
  search = make_experiment(children, evaluator=cannot).search
  with pytest.raises(ValueError, match='a function trains to its end'):
    rung_choice.check(PLAN, search)
  with pytest.raises(ValueError, match='let random search ride along'):
    rung_choice.check(PLAN, make_experiment(children, arms=ARMS[:1]).search)

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of the curves of a report."""

import dataclasses

import numpy as np
import pytest

from jaxnas import statistics
from jaxnas.records import folder as folder_lib
from jaxnas.visualize import report_curves
from tests.visualize import report_runs


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  folder = tmp_path_factory.mktemp('runs') / 'run'
  return folder_lib.read(report_runs.make_run(folder))


def values(trials):
  return [trial.metrics['validation_perplexity'] for trial in trials]


def test_the_best_so_far_is_the_mean_of_each_search_and_its_interval(run):
  searches = report_curves.split(run, run.summary)
  chart = report_curves.best_so_far(searches, run.summary)
  best = [np.fmin.accumulate(values(each)) for each in searches['reinforce']]
  expected = statistics.mean_interval(np.array(best))
  (curve, _) = chart.curves
  np.testing.assert_allclose(curve.y, expected.value)
  np.testing.assert_allclose(curve.low, expected.low)
  np.testing.assert_allclose(curve.parts, best)
  assert chart.spell(12.345) == '12.35'


def test_a_reward_of_ones_own_is_followed_itself(run):
  own = dataclasses.replace(run.summary, own_reward=True)
  searches = report_curves.split(run, own)
  chart = report_curves.best_so_far(searches, own)
  trials = searches['random'][0]
  rewards = [t.reward if t.status == 'ok' else np.nan for t in trials]
  np.testing.assert_allclose(
    chart.curves[1].parts[0], np.fmax.accumulate(rewards)
  )


def test_searches_of_unequal_length_are_averaged_as_far_as_all_went(run):
  # The last search of a run that goes on is a trial short.
  shorter = run._replace(trials=run.searched[:-1])
  searches = report_curves.split(shorter, run.summary)
  chart = report_curves.best_so_far(searches, run.summary)
  assert [len(curve.x) for curve in chart.curves] == [24, 23]


def test_rewards_are_means_of_windows(run):
  searches = report_curves.split(run, run.summary)
  (curve, _) = report_curves.rewards(searches, run.summary).curves
  first = int(curve.x[0])
  pooled = [t.reward for each in searches['reinforce'] for t in each[:first]]
  assert curve.y[0] == pytest.approx(np.mean(pooled))
  assert curve.low[0] < curve.y[0] < curve.high[0]


def test_colors_are_of_arms_whatever_is_left_out(run):
  only = run._replace(rounds=[r for r in run.rounds if r.arm == 'random'])
  (curve,) = report_curves.entropy(only, run.summary).curves
  assert curve.color == 1
  assert curve.name == 'random (2 searches)'
  np.testing.assert_array_equal(curve.y, [9, 8, 7, 6])

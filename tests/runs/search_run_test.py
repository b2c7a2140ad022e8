# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of what a run does beside its search and its retraining."""

import pytest

from jaxnas.records import trial_log
from jaxnas.runs import search_run


def trial(status, **metrics):
  return trial_log.Trial(0, 'ppo', 0, (0,), {}, 0.0, metrics, status)


def test_children_need_the_metric_that_they_are_compared_by():
  trials = [trial('infeasible'), trial('ok', loss=1.0), trial('diverged')]
  search_run.check_measure('loss', trials)
  search_run.check_measure('error', [trial('infeasible', num_params=3.0)])
  with pytest.raises(ValueError, match="needs the metric 'error'"):
    search_run.check_measure('error', trials)

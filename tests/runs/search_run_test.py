# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of what a run refuses before it touches its folder."""

import jax
import pytest

from jaxnas import rungs, statistics
from jaxnas import search as search_lib
from jaxnas.runs import search_run
from jaxnas.spaces import recurrent_cell
from jaxnas.strategies import random_search
from tests.staged_children import LENGTH, Children

SPACE = recurrent_cell.make_space(2)
DRAW = random_search.make_random_search(SPACE.decisions)
ARM = search_lib.Arm('random', DRAW, 32, 8, role=search_lib.Role.BASELINE)


def make_experiment(evaluator, **changes):
  search = search_lib.Search(SPACE, (ARM,), evaluator, jax.random.key(0))
  return search_run.Experiment(
    config={},
    search=search,
    make_retraining=lambda log: None,
    num_retrainings=0,
    trainers=(),
    estimate=None,
    facts={'data_hash': ''},
    measure=statistics.REWARD,
    search_metric='trained',
    **changes,
  )


def test_what_cannot_run_leaves_no_trace(tmp_path):
  folder = tmp_path / 'run'
  evaluator = Children().evaluator
  plan = rungs.Plan(2, LENGTH)
  for experiment, message in (
    (
      make_experiment(evaluator, replay='nowhere'),
      'names nowhere, which is no',
    ),
    (make_experiment(evaluator, log_to=('paper',)), 'paper'),
    (
      make_experiment(evaluator._replace(stages=None), plan=plan),
      'a function trains to its end',
    ),
    (
      make_experiment(evaluator, plan=rungs.Plan(2, LENGTH + 1)),
      f'full training of {LENGTH} steps, got 1, 2, 4, {LENGTH + 1}',
    ),
  ):
    with pytest.raises(ValueError, match=message):
      search_run.run(experiment, str(folder))
    assert not folder.exists()

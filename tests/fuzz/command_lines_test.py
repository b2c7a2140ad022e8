# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Random command lines: each runs, or says in one line why it does not.

`make fuzz` tries 300 of them; the test suite the first few.
"""

from __future__ import annotations

import os
import shlex

import numpy as np
import pytest

from tests.fuzz import command_lines, programs, toys

pytestmark = pytest.mark.slow

SEED = int(os.environ.get('FUZZ_SEED', '0'))
NUM_LINES = int(os.environ.get('FUZZ_COMMAND_LINES', '12'))
MODULES = tuple(toys.TOYS)
# Few lines must be quick: a run that has begun to train is left at that.
PATIENCE = 10.0 if NUM_LINES > 100 else 0.0


@pytest.fixture(scope='module')
def data(tmp_path_factory):
  folder = tmp_path_factory.mktemp('fuzz') / 'data'
  toys.write_data(folder)
  return folder


@pytest.fixture(scope='module')
def started():
  with programs.Programs() as each:
    yield each


@pytest.mark.parametrize('index', range(NUM_LINES))
def test_a_command_line_runs_or_says_why_not(index, started, data, tmp_path):
  module = MODULES[index % len(MODULES)]
  rng = np.random.default_rng([SEED, index])
  arguments = command_lines.draw(module, rng, data, str(tmp_path / 'run'))
  ending = started.run(module, arguments, patience=PATIENCE)
  fault = ending.fault()
  assert fault is None, (
    f'{fault}\npython -m experiments.{module} {shlex.join(arguments)}'
  )

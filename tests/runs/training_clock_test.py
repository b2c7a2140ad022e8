# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of how a long training is cut into calls."""

import time

import jax
import jax.numpy as jnp
import pytest

from jaxnas.records import trial_log
from jaxnas.runs import training_clock


@pytest.fixture
def clock(tmp_path):
  with trial_log.JsonLines(tmp_path / 'timings.jsonl') as timings:
    yield training_clock.Clock(timings, save_seconds=60.0), timings


def test_calls_grow_to_about_a_second(clock, monkeypatch):
  clock, _ = clock
  now = [0.0]
  monkeypatch.setattr(time, 'perf_counter', lambda: now[0])

  def train(state, data, num_steps):
    now[0] += 0.01 * float(num_steps)
    return state + data * num_steps

  state, sizes = jnp.float32(0), []
  for _ in range(3):
    sizes.append(clock.num_steps)
    state = clock.train(train, state, 2.0, sizes[-1])
  assert sizes[:2] == [1, 4]
  assert sizes[2] in (99, 100)
  assert float(state) == 2.0 * sum(sizes)
  assert clock.estimate(50) == pytest.approx(0.5)


def test_the_estimate_is_made_once(clock):
  clock, _ = clock
  seen = []
  for _ in range(4):
    clock.train(lambda state, *_: state, jnp.float32(0), None, 1)
    seen.append(clock.is_first_estimate)
  assert seen == [False, True, False, False]


def test_a_lap_counts_compiling_once(clock):
  clock, timings = clock
  train = jax.jit(lambda state, data, num_steps: state + data * num_steps)
  clock.compile(train, jnp.float32(0), jnp.float32(1))
  clock.lap(0)
  clock.lap(7)
  first, second = timings.lines
  assert first['compile_seconds'] > 0
  assert second['compile_seconds'] == 0
  assert (second['phase'], second['num_trained']) == ('train', 7)


def test_a_save_is_due_after_a_while(clock, monkeypatch):
  clock, _ = clock
  began = time.perf_counter()
  assert not clock.is_save_due
  monkeypatch.setattr(time, 'perf_counter', lambda: began + 61)
  assert clock.is_save_due
  clock.lap(1)
  assert not clock.is_save_due

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of how a long training is cut into calls."""

import time

import pytest

from jaxnas.records import trial_log
from jaxnas.runs import stopwatch, training_clock


@pytest.fixture
def clock(tmp_path):
  with trial_log.JsonLines(tmp_path / 'timings.jsonl') as timings:
    spent = stopwatch.Spent(0.0, 0.0)
    yield training_clock.Clock(timings, 60.0, lambda: spent), timings


def test_calls_grow_to_about_a_second(clock, monkeypatch):
  clock, _ = clock
  now = [0.0]
  monkeypatch.setattr(time, 'perf_counter', lambda: now[0])

  def train(num_steps):
    now[0] += 0.01 * num_steps
    return num_steps

  sizes = []
  for _ in range(3):
    size = clock.num_steps
    sizes.append(clock.time(lambda size=size: train(size), size))
  assert sizes[:2] == [1, 4]
  assert sizes[2] in (99, 100)
  assert clock.estimate(50) == pytest.approx(0.5)


def test_the_estimate_is_made_once(clock):
  clock, _ = clock
  seen = []
  for _ in range(4):
    clock.time(lambda: None, 1)
    seen.append(clock.is_first_estimate)
  assert seen == [False, True, False, False]


def test_a_lap_tells_what_was_spent_since_the_last(tmp_path):
  spent = stopwatch.Spent(0.0, 0.0)
  with trial_log.JsonLines(tmp_path / 'timings.jsonl') as timings:
    clock = training_clock.Clock(timings, 60.0, lambda: spent)
    spent = stopwatch.Spent(2.0, 3.0)
    clock.lap(5)
    spent = stopwatch.Spent(2.0, 7.0)
    clock.lap(7)
    first, second = timings.lines
  assert (first['compile_seconds'], first['train_seconds']) == (2.0, 3.0)
  assert (second['compile_seconds'], second['train_seconds']) == (0.0, 4.0)
  assert (second['phase'], second['num_trained']) == ('train', 7)


def test_a_save_is_due_after_a_while(clock, monkeypatch):
  clock, _ = clock
  began = time.perf_counter()
  assert not clock.is_save_due
  monkeypatch.setattr(time, 'perf_counter', lambda: began + 61)
  assert clock.is_save_due
  clock.lap(1)
  assert not clock.is_save_due

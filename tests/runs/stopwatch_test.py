# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of the account of time."""

import time

from jaxnas.records import trial_log
from jaxnas.runs import stopwatch


def test_each_lap_tells_of_its_own_stretch_of_work(tmp_path, monkeypatch):
  now = [100.0]
  monkeypatch.setattr(time, 'perf_counter', lambda: now[0])
  # What was done before the watch was started is not counted.
  spent = [stopwatch.Spent(1.0, 2.0)]
  with trial_log.JsonLines(tmp_path / 'timings.jsonl') as timings:
    watch = stopwatch.Stopwatch(timings, lambda: spent[0])
    now[0], spent[0] = 110.0, stopwatch.Spent(4.0, 5.0)
    watch.lap('estimate', trials=[])
    now[0], spent[0] = 112.0, stopwatch.Spent(4.0, 6.5)
    assert watch.since_lap == 2.0
    watch.lap('search', trials=[3, 4])
    assert watch.total == 12.0
    assert timings.lines == [
      {
        'phase': 'estimate',
        'trials': [],
        'wall_seconds': 10.0,
        'compile_seconds': 3.0,
        'train_seconds': 3.0,
      },
      {
        'phase': 'search',
        'trials': [3, 4],
        'wall_seconds': 2.0,
        'compile_seconds': 0.0,
        'train_seconds': 1.5,
      },
    ]

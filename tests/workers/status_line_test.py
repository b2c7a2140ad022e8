# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

from jaxnas.workers import status_line


def test_a_line_comes_every_ten_seconds_and_counts_afresh():
  now = [0.0]
  line = status_line.StatusLine(lambda: now[0])

  def update(seconds, started, num_ready=2, num_starting=1):
    now[0] += seconds
    return line.update(4, num_ready, num_starting, started, [], None)

  line.count(8)
  assert update(5.0, [0.0]) == ''
  line.count(8)
  # It was done long before anybody looked.
  line.add_work(1.0, 3.0)
  assert update(5.0, [0.0, 8.0]) == (
    'Workers: 2 ready, 1 lost, 1 starting; 2 blocks running, the oldest for '
    '10 s; 1.6 trials/s; utilization 38%.'
  )
  assert '; 1 block running, the oldest for 2 s; ' in update(10.0, [18.0])
  assert update(4.0, []) == ''
  assert update(6.0, [], 0, 4) == (
    'Workers: 0 ready, 0 lost, 4 starting; 0 blocks running; 0 trials/s; '
    'utilization 0%.'
  )

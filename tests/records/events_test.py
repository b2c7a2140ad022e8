# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import json
import os
import time

import pytest

from jaxnas.records import events


def test_events_are_appended_with_the_time(tmp_path):
  path = tmp_path / events.FILE_NAME
  began = time.time()
  with events.EventLog(path) as log:
    log.write({'event': 'joined', 'worker': 'process 1'})
    # What is written can be read at once.
    (line,) = path.read_text().splitlines()
  with events.EventLog(path) as log:
    log.write({'event': 'died'})
  first, second = map(json.loads, path.read_text().splitlines())
  assert json.loads(line) == first
  assert began - 1 <= first.pop('time') <= second.pop('time') + 1
  assert (first, second) == (
    {'event': 'joined', 'worker': 'process 1'},
    {'event': 'died'},
  )


def test_a_line_that_was_cut_short_spoils_no_other(tmp_path):
  path = tmp_path / events.FILE_NAME
  path.write_text('{"event": "joi')
  with events.EventLog(path) as log:
    log.write({'event': 'died'})
  lines = path.read_text().splitlines()
  assert lines[0] == '{"event": "joi'
  assert json.loads(lines[1])['event'] == 'died'


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='no such device')
def test_a_full_disk_stops_no_search():
  with events.EventLog('/dev/full') as log:
    log.write({'event': 'died'})

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import importlib.util
import json

import pytest

from experiments import benchmark_workers


def test_a_table_is_measured_and_written(tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  output = tmp_path / 'table.json'
  config = benchmark_workers.Config(
    rows=('sleeping', 'dispatcher', 'start'),
    num_workers=(2,),
    num_sleeps=4,
    sleep_seconds=0.1,
    num_blocks=20,
    num_repeats=1,
    output=str(output),
  )
  rows = benchmark_workers.run(config)
  assert [row.row for row in rows] == [
    'sleeping', 'dispatcher', 'dispatcher', 'start'
  ]  # fmt: skip
  sleeping, blocks, alone, start = rows
  assert sleeping.name == '2 workers (processes) against 1'
  assert sleeping.ratio == pytest.approx(sleeping.ours / sleeping.theirs)
  # Four sleeps take two turns; a busy machine takes longer.
  assert 0.5 < sleeping.ratio <= 2.2
  assert sleeping.ours <= 4 / 0.2
  assert blocks.ours > 0
  assert alone.is_limit
  assert start.ours > 0
  text = capsys.readouterr().out
  assert 'ray: left out, Ray is not installed.' in text
  assert json.loads(output.read_text())['rows'][0]['unit'] == 'children/s'


def test_an_unknown_row_is_refused():
  with pytest.raises(ValueError, match="Unknown row 'naps' in rows"):
    benchmark_workers.Config(rows=('naps',))

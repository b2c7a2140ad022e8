# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import csv

import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import halving, rung_scale
from jaxnas.runs import halved_searches, halving_report
from jaxnas.runs.halving_report import Variant

LABELS = {'evolution': 'regularized evolution', 'random': 'random search'}
NUM_SEEDS, NUM_COSTS = 30, 5
VARIANTS = (
  Variant('evolution'),
  Variant('evolution', 20),
  Variant('random'),
  Variant('random', 1454),
  Variant('random', 4, 16),
)
SCHEDULE = halving.Schedule((64, 128, 256), 4)
GIVEN = [halved_searches.Part(SCHEDULE, np.arange(NUM_SEEDS))]


def make_report(parts=GIVEN, calibrations=None, variants=VARIANTS):
  """Searches of which those of batches of 20 are better, by 0.1."""
  generator = np.random.default_rng(0)
  found = {}
  for variant in variants:
    last = 0.5 + 0.1 * (variant.batch_size == 20)
    last = last + generator.uniform(-0.01, 0.01, (NUM_SEEDS, 1))
    best = last + np.linspace(-0.4, 0, NUM_COSTS)
    found[variant] = halving_report.Found(best, np.full(NUM_SEEDS, 7))
  return halving_report.Report('table', 1.0, found, parts, calibrations, LABELS)


def test_a_strategy_is_compared_with_itself_without_halving():
  evolution, halved, chance, once, early = make_report().rows
  assert evolution.against_full is chance.against_full is None
  assert halved.final.value == pytest.approx(0.4, abs=0.01)
  assert halved.final.low < halved.final.value < halved.final.high
  assert halved.against_full.difference.value == pytest.approx(-0.1, abs=0.01)
  assert halved.against_full.is_better is True
  assert halved.against_full.better == 1
  for row in (once, early):
    assert row.against_full.is_better is None
    assert (
      row.against_full.difference.low < 0 < row.against_full.difference.high
    )


def test_the_table_is_printed_written_and_drawn(tmp_path, capsys):
  report = make_report()
  report.show()
  report.write(tmp_path)
  report.draw(tmp_path)
  printed = capsys.readouterr().out
  assert 'table, 30 searches at the steps of 5 full trainings each' in printed
  lines = [' '.join(line.split()) for line in printed.splitlines()]
  (line,) = (line for line in lines if 'batches of 20' in line)
  assert line.startswith('regularized evolution batches of 20 7 0.4')
  assert line.endswith('< 0.001 100%')
  assert any('random search batches of 1,454 7 0.' in line for line in lines)
  assert any('search early, 16 x 4 in flight 7 0.' in line for line in lines)
  assert 'One in 4 goes on at rungs 64, 128, 256.' in printed
  with (tmp_path / halving_report.FILE).open() as file:
    written = list(csv.DictReader(file))
  assert len(written) == len(VARIANTS)
  for line, row in zip(written, report.rows, strict=True):
    assert (
      Variant(line['strategy'], int(line['batch_size']), int(line['replicas']))
      == row.variant
    )
    assert float(line['regret']) == row.final.value
    if row.against_full is None:
      assert not line['difference']
    else:
      assert float(line['p']) == row.against_full.difference.p_value
      assert float(line['lower']) == row.against_full.better
  assert (tmp_path / halving_report.PICTURE).stat().st_size > 10_000


def test_the_shares_of_measured_rungs_are_told(capsys):
  parts = [
    halved_searches.Part(SCHEDULE, np.arange(24)),
    halved_searches.Part(halving.Schedule((256,), 4), np.arange(24, 30)),
  ]
  found = [
    halving.Calibration(0 if seed < 24 else 2, (0.5, 0.25), 32)
    for seed in range(NUM_SEEDS)
  ]
  calibrations = halved_searches.Calibrations(
    np.zeros((NUM_SEEDS, 32), np.int32),
    found,
    rung_scale.Scale(*[jnp.zeros((NUM_SEEDS, 2))] * 5),
  )
  make_report(parts, calibrations).show()
  printed = capsys.readouterr().out
  assert '64 steps in 80.0%, 256 steps in 20.0% (no halving)' in printed
  assert 'with 32 children' in printed
  assert 'before the end: 0.50, 0.25.' in printed

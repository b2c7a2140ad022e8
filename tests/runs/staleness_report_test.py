# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import csv

import numpy as np
import pytest

from jaxnas.runs import many_searches, staleness_report
from jaxnas.runs.staleness_report import Variant

REWARDS = np.linspace(0, 1, 101)
LABELS = {'reinforce': 'REINFORCE', 'random': 'random search'}
LAGS = {1: 0.0, 16: 0.75}
NUM_SEEDS = 40


def make_report(*variants, cost=10):
  """Searches whose regret grows with replicas, less so if it is corrected."""
  noise = np.random.default_rng(0).integers(0, 5, (len(variants), NUM_SEEDS))
  found = {}
  for variant, own in zip(variants, noise, strict=True):
    lost = {'none': cost, 'stale': cost // 2}.get(variant.correction, 0)
    best = 90 - lost * (variant.replicas > 1) - own
    entries = np.stack([best - 3, best, best - 8], axis=1)
    found[variant] = many_searches.Searches(entries, 1.0)
  return staleness_report.Report('table', REWARDS, found, LAGS, LABELS)


VARIANTS = (
  Variant('reinforce'),
  Variant('reinforce', 16, 'none'),
  Variant('reinforce', 16, 'stale'),
  Variant('random'),
  Variant('random', 16),
)


def test_a_variant_is_compared_with_its_own_lock_step_and_no_correction():
  lock_step, none, stale, chance, late = make_report(*VARIANTS).rows
  assert [row.lag for row in (lock_step, none, late)] == [0, 0.75, 0.75]
  assert lock_step.regret.value == pytest.approx(0.12, abs=0.01)
  assert lock_step.regret.low < lock_step.regret.value < lock_step.regret.high
  for row in (lock_step, chance):
    assert row.against_lock_step is None
  for row, value in ((none, 0.1), (stale, 0.05), (late, 0.0)):
    assert row.against_lock_step.value == pytest.approx(value, abs=0.01)
  assert none.against_lock_step.is_better is False
  assert late.against_lock_step.is_better is None
  assert stale.against_none.value == pytest.approx(-0.05, abs=0.01)
  assert stale.against_none.is_better is True
  for row in (lock_step, none, chance, late):
    assert row.against_none is None


def test_the_table_is_printed_and_written(tmp_path, capsys):
  report = make_report(*VARIANTS)
  report.show()
  report.write(tmp_path)
  printed = capsys.readouterr().out
  assert 'table, 40 searches of 3 trials: regret' in printed
  lines = [line.split() for line in printed.splitlines()]
  (row,) = (line for line in lines if line[:3] == ['REINFORCE', 'none', '16'])
  assert row[3] == '0.75'
  assert row[-2:] == ['<', '0.001']
  assert "against the correction 'none'" in printed
  assert 'staleness.csv' in printed
  with (tmp_path / staleness_report.FILE).open() as file:
    written = list(csv.DictReader(file))
  assert len(written) == len(VARIANTS)
  for line, row in zip(written, report.rows, strict=True):
    assert line['strategy'] == row.variant.strategy
    assert int(line['replicas']) == row.variant.replicas
    assert float(line['lag']) == row.lag
    assert float(line['regret']) == pytest.approx(row.regret.value)
    for name, comparison in (
      ('lock_step', row.against_lock_step),
      ('none', row.against_none),
    ):
      if comparison is None:
        assert not line[f'difference_{name}']
      else:
        assert float(line[f'difference_{name}']) == comparison.value
        assert float(line[f'p_{name}']) == comparison.p_value


def test_equal_searches_have_no_interval(capsys):
  variants = VARIANTS[0], VARIANTS[1]
  entries = np.arange(6).reshape(2, 3)
  report = staleness_report.Report(
    'table',
    REWARDS,
    dict.fromkeys(variants, many_searches.Searches(entries, 1.0)),
    LAGS,
    LABELS,
  )
  report.show()
  printed = capsys.readouterr().out
  assert 'nan' not in printed
  assert "'none', paired" not in printed

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import json
import math

from jaxnas.runs import estimator_report, gradient_errors

UNIFORM = estimator_report.Policy('uniform', 0.0, 0.031, 0.02)
SHARP = estimator_report.Policy('logits of scale 2', 2.0, 0.05, 0.01)


def errors(bias, variance, cosine, interval=None, num_dropped=0):
  return gradient_errors.Errors(
    bias,
    interval or (0.8 * bias, 1.2 * bias),
    variance,
    0.9,
    cosine,
    num_dropped,
  )


def make_rows():
  rows = []
  for policy in (UNIFORM, SHARP):
    rows += [
      estimator_report.Row(
        policy,
        'leave_one_out',
        None,
        errors(
          0.0, {1: math.nan, 64: 0.04}, {1: math.nan, 64: 0.98}, (0.0, 0.01)
        ),
        0.001,
      ),
      estimator_report.Row(
        policy,
        'gumbel',
        0.5,
        errors(0.3, {1: 0.64, 64: 0.01}, {1: 0.7, 64: 0.99}, num_dropped=7),
        0.004,
      ),
      estimator_report.Row(
        policy,
        'gumbel',
        5.0,
        errors(0.8, {1: 0.01, 64: 0.001}, {1: 0.9, 64: 0.9}),
        0.004,
      ),
    ]
  return rows


def make_report():
  return estimator_report.Report('Gradients of cells', (1, 64), make_rows())


def test_table_and_verdicts(capsys):
  make_report().show()
  printed = capsys.readouterr().out
  lines = [line.split('  ') for line in printed.splitlines()]
  (gumbel,) = [
    [each.strip() for each in line if each.strip()]
    for line in lines
    if line[0] == 'uniform: Gumbel-softmax 0.5'
  ]
  assert gumbel == [
    *('uniform: Gumbel-softmax 0.5', '0.3', '0.24 to 0.36', '0.64', '0.01'),
    *('0.316', '0.900', '0.700', '0.990', '7', '4'),
  ]
  assert (
    'uniform (expected reward 0.0310, exact gradient 0.02): with 64 draws an '
    'update, REINFORCE, leave-one-out has the least error (0.20) and '
    'Gumbel-softmax 0.5 the best direction (cosine 0.99).'
  ) in printed
  assert (
    'Without a bias, as far as intervals tell, at every policy: REINFORCE, '
    'leave-one-out.'
  ) in printed


def test_files(tmp_path):
  report = make_report()
  report.write(tmp_path)
  report.draw(tmp_path)
  written = json.loads((tmp_path / 'estimators.json').read_text())
  assert written['num_draws'] == [1, 64]
  assert written['policies'][1] == SHARP._asdict()
  first, second, *_ = written['estimators']
  assert first['variance'] == {'1': None, '64': 0.04}
  assert second['temperature'] == 0.5
  assert second['milliseconds'] == 4
  assert (tmp_path / 'estimators.png').stat().st_size > 5000

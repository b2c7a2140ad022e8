# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import json

import numpy as np
import pytest

from jaxnas.datasets import base2_bench
from jaxnas.runs import scorer_report, scorers

N = 400
REWARDS = np.random.default_rng(0).permutation(N) / N


def make_report(**values):
  """Makes a report on the yardstick and on proxies with the given scores."""
  noise = np.random.default_rng(1).normal(size=N)
  made = {
    scorer_report.YARDSTICK: ('training', REWARDS + noise, 8.0),
    **{name: ('proxy', each, 0.2) for name, each in values.items()},
  }
  return scorer_report.Report(
    base2_bench.load(),
    REWARDS,
    {
      name: (scorers.Scorer(name, kind, lambda *_: None), each)
      for name, (kind, scores, seconds) in made.items()
      for each in [scorers.Scores(scores, seconds)]
    },
  )


def test_a_proxy_that_is_better_in_everything_is_named():
  report = make_report(truth=REWARDS, opposite=-REWARDS)
  assert report.results['steps_64'].judgement.regret > 0
  assert report.verdicts() == [
    'truth costs 2.50% of steps_64 and is better in rank correlation, rank '
    'correlation in the best tenth, overlap of the best 1 % and regret of the '
    'top 50.',
    'opposite costs 2.50% of steps_64 and is better in nothing.',
    'Better than steps_64 in everything: truth.',
  ]


def test_without_a_better_proxy_the_report_says_so():
  report = make_report(opposite=-REWARDS)
  assert report.verdicts()[-1] == (
    'No proxy is better than steps_64 in everything.'
  )
  assert make_report().verdicts() == []


def test_the_table_and_the_files_have_every_scorer(tmp_path, capsys):
  scores = np.where(np.arange(N) < 40, -np.inf, REWARDS)
  report = make_report(some=scores, constant=np.zeros(N))
  report.show()
  printed = capsys.readouterr().out
  lines = [line.split() for line in printed.splitlines()]
  (line,) = [line for line in lines if line[:2] == ['some', '400']]
  judged = scorers.judge(scores, REWARDS)
  assert line == [
    'some', '400', f'{judged.correlation:.3f}',
    f'{judged.best_correlation:.3f}', f'{judged.overlap:.2f}',
    f'{judged.regret:.4f}', '0', '0.5', '10.0%',
  ]  # fmt: skip
  (line,) = [line for line in lines if line[:2] == ['constant', '400']]
  assert line[2:4] == ['-', '-']
  report.write(tmp_path, {'num_trials': 3})
  written = json.loads((tmp_path / 'scorers.json').read_text())
  assert written['scorers']['some']['num_dead'] == 40
  assert written['scorers']['constant']['correlation'] is None
  assert written['warm_starts'] == {'num_trials': 3}
  report.draw(tmp_path)
  assert (tmp_path / 'scorers.png').stat().st_size > 5000


def test_a_score_costs_what_the_cells_that_have_one_cost():
  scores = np.where(np.arange(N) < 100, np.nan, REWARDS)
  result = make_report(some=scores).results['some']
  assert result.judgement.num_cells == 300
  assert result.seconds == pytest.approx(0.2 / 300)


def test_scorers_that_differ_in_their_seeds_are_one_row(tmp_path, capsys):
  rng = np.random.default_rng(2)
  found = {
    scorer_report.YARDSTICK: (
      scorers.Scorer('64 steps', 'training', lambda *_: None),
      scorers.Scores(REWARDS + rng.normal(size=N), 8.0),
    )
  }
  seeds = [REWARDS + rng.normal(size=N) / 4 for _ in range(3)]
  for seed, values in enumerate(seeds):
    found[f'shared_{seed}'] = (
      scorers.Scorer('some', 'shared', lambda *_: None, group='shared'),
      scorers.Scores(values, 1.0 + seed),
    )
  report = scorer_report.Report(base2_bench.load(), REWARDS, found)
  assert list(report.results) == list(found)
  assert list(report.rows) == ['steps_64', 'shared']
  correlations = [
    scorers.judge(values, REWARDS).correlation for values in seeds
  ]
  result = report.rows['shared']
  np.testing.assert_allclose(
    result.judgement.correlation, np.mean(correlations)
  )
  deviation = np.std(correlations, ddof=1)
  np.testing.assert_allclose(result.deviations.correlation, deviation)
  assert result.core_seconds == 2
  report.show()
  printed = capsys.readouterr().out
  mean = np.mean(correlations)
  assert f'{mean:.3f} ± {deviation:.3f}' in printed
  assert 'Rows of shared weights are means over seeds' in printed
  assert report.verdicts()[0].startswith('some costs 25.00% of 64 steps and is')
  report.draw(tmp_path)
  report.write(tmp_path)
  written = json.loads((tmp_path / 'scorers.json').read_text())
  assert list(written['scorers']) == list(found)

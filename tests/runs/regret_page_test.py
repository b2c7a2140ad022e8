# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of the page of a comparison of strategies."""

import json
import shutil

import pytest

from jaxnas.records import trial_log, workdir
from jaxnas.runs import regret_page, run_page
from jaxnas.visualize import web_page
from tests.runs import regret_report_test
from tests.visualize import report_test

SECTIONS = (
  'searched',
  'regret',
  'strategies',
  'comparisons',
  'cost',
  'settings',
  'versions',
  'checklist',
)


def make_run(folder, *names):
  """Writes the folder of a comparison that never ran."""
  (folder / 'searches').mkdir(parents=True)
  workdir.check_config(folder, {'num_seeds': 3, 'strategies': list(names)})
  workdir.write_json(
    folder / 'manifest.json',
    {'versions': {'jax': '0.10'}, 'device': {'kind': 'cpu'}, 'seed': 3},
  )
  with trial_log.JsonLines(folder / 'timings.jsonl') as lines:
    lines.append(
      [
        {
          'phase': 'first searches',
          'wall_seconds': 30.0,
          'compile_seconds': 10.0,
          'train_seconds': 15.0,
        }
      ]
    )
  for name in names:
    (folder / 'searches' / f'{name}.npz').write_bytes(b'')
  if names:
    regret_report_test.make(*names).write(folder)
  return folder


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp('runs') / 'comparison'
  return make_run(folder, 'good', 'plain')


@pytest.fixture(scope='module')
def page(folder):
  return regret_page.render(folder)


def test_the_same_run_makes_the_same_bytes(folder, page, tmp_path):
  other = shutil.copytree(folder, tmp_path / 'other')
  assert run_page.write(other) == other / web_page.FILE
  written = (other / web_page.FILE).read_bytes()
  assert written == page.encode()
  assert len(written) < web_page.MAX_BYTES
  assert '://' not in page
  assert str(folder) not in page


def test_the_verdict_comes_first(page):
  reader = report_test.read(page)
  assert tuple(reader.texts) == SECTIONS
  verdict = page[: page.index('<section')]
  assert (
    'Lowest mean regret after 3 trials: the good one, 0. the good one is '
    'better than the plain one.'
  ) in verdict
  assert '2 strategies on twenty · 3 searches of 3 trials each' in verdict


def test_numbers_are_those_of_the_results(page):
  texts = report_test.read(page).texts
  assert 'A line about it.' in texts['searched']
  assert 'the good one against the plain one' in texts['comparisons']
  assert '30 s in all.' in texts['cost']
  assert 'searching 15 s' in texts['cost']
  assert '> 3' in texts['strategies']
  assert '100.0%' in texts['strategies']
  assert '3 searches of each.' in texts['checklist']


def test_curves_show_regret_and_zero_as_well(page):
  (chart,) = json.loads(report_test.read(page).data)['charts']
  good, plain = chart['curves']
  # The entries are rewarded from 0 to 1 in steps of 1/19.
  assert good['y'] == ['0.789', '0.0526', '0']
  assert plain['y'][-1] == f'{(10 + 11 + 14) / 3 / 19:.3g}'
  assert good['low'][-1] == '0'


def test_without_a_baseline_nothing_is_compared(tmp_path):
  page = regret_page.render(make_run(tmp_path / 'run', 'good'))
  assert 'Without the plain one, nothing is compared.' in page
  texts = report_test.read(page).texts
  assert 'There was nothing to compare.' in texts['comparisons']
  assert 'No strategy is compared with random search.' in texts['checklist']


def test_a_comparison_in_progress_has_no_verdict(tmp_path):
  folder = make_run(tmp_path / 'run')
  (folder / 'searches' / 'good.npz').write_bytes(b'')
  page = regret_page.render(folder)
  assert 'There is no verdict yet: the searches of good are done.' in page
  assert tuple(report_test.read(page).texts) == SECTIONS[4:]


@pytest.mark.parametrize(
  ('place', 'value'),
  [
    ('headline', None),
    ('strategies', {}),
    ('strategies', {'a': {}}),
    ('table', {'name': 'x'}),
    ('num_seeds', 'many'),
  ],
)
def test_results_of_another_version_are_named(place, value, folder, tmp_path):
  other = shutil.copytree(folder, tmp_path / 'other')
  results = dict(workdir.read_json(other / 'results.json'))
  if value is None:
    del results[place]
  else:
    results[place] = value
  workdir.write_json(other / 'results.json', results, sealed=True)
  with pytest.raises(ValueError, match=r'results\.json is of another version'):
    run_page.write(other)

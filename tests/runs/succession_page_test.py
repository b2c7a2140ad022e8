# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of the page of a succession."""

import json
import shutil

import pytest

from jaxnas import succession
from jaxnas.records import trial_log, workdir
from jaxnas.runs import run_page, succession_page, succession_records
from jaxnas.spaces import recurrent_cell
from jaxnas.visualize import web_page
from tests.visualize import report_test

SPACE = recurrent_cell.make_space(2)
CELLS = [
  tuple(SPACE.canonical(SPACE.encode(each)).tolist())
  for each in (
    recurrent_cell.KNOWN_CELLS['paper_example'],
    SPACE.decode([0] * len(SPACE.decisions)),
  )
]
SECTIONS = (
  'searched',
  'generations',
  'curves',
  'found',
  'best',
  'retrained',
  'failures',
  'cost',
  'settings',
  'versions',
  'checklist',
)


def make_generation(branch, number, num_lineages=4):
  each = range(num_lineages)
  better = branch == succession.SUCCESSION
  return succession.Generation(
    branch=branch,
    number=number,
    cells=tuple(CELLS[0] if better else None for _ in each),
    candidates=tuple((CELLS[lineage % 2],) for lineage in each),
    rewards=tuple(1.0 + 0.1 * lineage + number for lineage in each),
    areas=tuple((1.5 if better else 0.5) + 0.01 * lane for lane in each),
    late_means=tuple(0.25 for _ in each),
    num_replaced=tuple(int(lane == 0 and better) for lane in each),
    is_finite=tuple(True for _ in each),
  )


def make_run(folder, num_done=3, num_trained=2, **changes):
  """Writes the folder of a succession that never ran."""
  folder.mkdir()
  config = {
    'base': 2,
    'num_generations': 2,
    'num_trials': 20,
    'num_seeds': 3,
    'evaluator': 'table',
  }
  workdir.check_config(folder, {**config, **changes})
  workdir.write_json(
    folder / 'manifest.json',
    {
      'time_started': '2026-01-02T03:04:05.678+00:00',
      'command': 'python -m experiments.search_controller_cell --x=1',
      'versions': {'jax': '0.10', 'jaxnas': '0.1.0'},
      'device': {'kind': 'cpu', 'count': 2},
      'seed': 3,
    },
  )
  places = ((succession.CONTROL, 0), (succession.CONTROL, 1), (
    succession.SUCCESSION, 1))  # fmt: skip
  with trial_log.JsonLines(folder / succession_records.GENERATIONS) as lines:
    for place in places[:num_done]:
      lines.append([make_generation(*place).to_json()])
  with trial_log.JsonLines(folder / succession_records.RETRAININGS) as lines:
    for rank, cell in enumerate(CELLS[:num_trained]):
      for seed in range(3):
        lines.append(
          [
            {
              'tokens': cell,
              'seed': seed,
              'validation': 40.0 + rank,
              'report': 50.0 + rank,
            }
          ]
        )
  with trial_log.JsonLines(folder / succession_records.TIMINGS) as lines:
    for phase in ('search', 'retrain'):
      lines.append(
        [
          {
            'phase': phase,
            'wall_seconds': 7.0,
            'compile_seconds': 1.0,
            'train_seconds': 2.0,
          }
        ]
      )
  return folder


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  return make_run(tmp_path_factory.mktemp('runs') / 'succession')


@pytest.fixture(scope='module')
def page(folder):
  return succession_page.render(folder)


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
  assert '<p>Improved: the last generation searches better' in verdict
  assert 'Retrained, the cells of its last generation have' in verdict
  assert '4 lineages, 20 trials a search · rewards from the table' in verdict


def test_numbers_are_those_of_the_generations(page):
  texts = report_test.read(page).texts
  assert '1, succession' in texts['generations']
  assert '50.50' in texts['generations']
  assert 'anytime area: the best reward so far' in texts['generations']
  assert '1 best cells were passed over' in texts['failures']
  assert '0 of 6 retrainings diverged' in texts['failures']
  assert '14 s in all' in texts['cost']
  assert 'Of generation 1: 2 of 4 lineages.' in texts['best']
  assert 'new_h = ' in texts['best']
  assert 'class="paper"' in page
  assert page.count('class="found"') == 1
  assert '3 fresh seeds: the geometric mean' in texts['retrained']


def test_both_branches_begin_with_the_first_generation(page):
  best, areas = json.loads(report_test.read(page).data)['charts']
  for chart in (best, areas):
    assert [curve['x'] for curve in chart['curves']] == [[0, 1], [0, 1]]
  assert best['curves'][0]['y'] == ['1.15', '2.15']
  assert areas['curves'][0]['y'] == ['0.515', '1.515']
  assert areas['curves'][1]['y'] == ['0.515', '0.515']
  assert 'low' in best['curves'][0]


@pytest.mark.parametrize('num_done', [0, 1, 2])
def test_a_succession_in_progress_has_no_verdict(num_done, tmp_path):
  folder = make_run(tmp_path / 'run', num_done, num_trained=0)
  page = succession_page.render(folder)
  assert f'There is no verdict yet: {num_done} of 3 generations' in page
  texts = report_test.read(page).texts
  assert tuple(texts) == SECTIONS
  assert 'Nothing has been retrained.' in texts['retrained']
  assert 'Nothing was found.' in texts['best']


def test_a_retraining_in_progress_is_not_compared(tmp_path):
  page = succession_page.render(make_run(tmp_path / 'run', num_trained=1))
  texts = report_test.read(page).texts
  assert 'not finished; 3 trainings are done' in texts['retrained']
  assert 'Retrained, the cells' not in page
  assert '50.00' not in texts['generations']


def test_the_folder_of_an_older_version_has_no_timings(folder, tmp_path):
  other = shutil.copytree(folder, tmp_path / 'other')
  (other / succession_records.TIMINGS).unlink()
  texts = report_test.read(succession_page.render(other)).texts
  assert 'The run has no timings.' in texts['cost']


def test_a_long_succession_makes_no_huge_page(tmp_path):
  folder = make_run(tmp_path / 'run', num_done=0, num_trained=0)
  generations = [make_generation(succession.CONTROL, 0, num_lineages=100)] + [
    make_generation(branch, number, num_lineages=100)
    for number in range(1, 121)
    for branch in (succession.CONTROL, succession.SUCCESSION)
  ]
  with trial_log.JsonLines(folder / succession_records.GENERATIONS) as lines:
    lines.append([each.to_json() for each in generations])
  with trial_log.JsonLines(folder / succession_records.RETRAININGS) as lines:
    lines.append(
      [
        {'tokens': cell, 'seed': 1, 'validation': 3.5, 'report': 3.5}
        for cell in CELLS
      ]
    )
  page = succession_page.render(folder)
  assert len(page.encode()) < web_page.MAX_BYTES / 2
  assert 'Of 241 rows, the last 200.' in page


def test_bad_settings_are_named(tmp_path):
  folder = make_run(tmp_path / 'run', num_trials='many')
  with pytest.raises(ValueError, match=r"config\.json: num_trials .* 'many'"):
    run_page.write(folder)
  with pytest.raises(ValueError, match='base number may be at most 256'):
    run_page.write(make_run(tmp_path / 'large', base=2**30))

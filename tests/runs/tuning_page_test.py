# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of the page of a tuning."""

import json
import re
import shutil

import pytest

from jaxnas import statistics
from jaxnas.records import folder as folder_lib
from jaxnas.records import summary, trial_log, workdir
from jaxnas.runs import run_page, tuning, tuning_page
from jaxnas.visualize import web_page
from tests.visualize import report_test

GRID = {'learning_rate': (1.0, 0.5, 1e30), 'kind': ('a', '<b>')}
USUAL = {'learning_rate': 1.0, 'kind': 'a'}
SECTIONS = (
  'tried',
  'trainings',
  'curves',
  'effects',
  'failures',
  'cost',
  'settings',
  'versions',
  'checklist',
)


def make_trial(number, tokens, point):
  fails = point['learning_rate'] > 1
  value = float('nan') if fails else 5.0 - number
  return trial_log.Trial(
    number=number,
    arm='grid',
    repeat=0,
    tokens=tuple(map(int, tokens)),
    architecture=point,
    reward=0.0 if fails else 80 / value**2,
    metrics={}
    if fails
    else {
      'validation_perplexity': value,
      'report_perplexity': value + 0.25,
      'epoch': 2.0,
    },
    status='diverged' if fails else 'ok',
    reason='It <diverged>.' if fails else '',
  )


def make_run(folder, num_done=4, is_finished=True):
  """Writes the folder of a tuning that never ran."""
  folder.mkdir()
  space = tuning.make_space(GRID)
  workdir.check_config(folder, {**USUAL, 'learning_rates': [1.0, 0.5, 1e30]})
  workdir.write_json(
    folder / 'manifest.json',
    {
      'time_started': '2026-01-02T03:04:05.678+00:00',
      'command': 'python -m experiments.tune_found --workdir=/tmp/a',
      'versions': {'jax': '0.10', 'jaxnas': '0.1.0'},
      'device': {'kind': 'cpu', 'count': 2},
      'seed': 3,
    },
  )
  ordered = tuning.order(space, USUAL, 0)[:num_done]
  points = [dict(space.decode(row)) for row in ordered]
  trials = [
    make_trial(number, row, point)
    for number, (row, point) in enumerate(zip(ordered, points, strict=True))
  ]
  with trial_log.TrialLog(folder / 'trials.jsonl') as log:
    log.append(trials)
  for trial, point in zip(trials, points, strict=True):
    path = tuning_page.training_folder(folder, point)
    path.mkdir(parents=True)
    with trial_log.JsonLines(path / 'timings.jsonl') as lines:
      lines.append(
        [
          {'phase': 'train', 'wall_seconds': 9.0, 'compile_seconds': 2.0,
           'train_seconds': 5.0}
        ]
      )  # fmt: skip
    if trial.status == 'ok':
      value = trial.metrics['validation_perplexity']
      with trial_log.JsonLines(path / 'epochs.jsonl') as lines:
        lines.append(
          [
            {'epoch': epoch, 'validation_perplexity': value + abs(2 - epoch)}
            for epoch in (1, 2, 3)
          ]
        )
  results = summary.Results(
    'Best of 4.', ('The usual.', 'Some failed.'), (), None, '', True
  )
  summary.write(
    folder,
    summary.Summary(
      space=f'{tuning_page.SPACE}train_recurrent_cell',
      space_size=summary.spell_size(space.size),
      decisions=tuple(map(summary.Options.of, space.decisions)),
      arms=(summary.Arm('grid', 0, 'grid', 'searched', 4, 1),),
      known=(),
      measure=statistics.PERPLEXITY,
      search_metric='validation_perplexity',
      own_reward=False,
      results=results if is_finished else None,
    ),
  )
  return folder


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  return make_run(tmp_path_factory.mktemp('runs') / 'tuning')


@pytest.fixture(scope='module')
def page(folder):
  return tuning_page.render(folder_lib.read(folder))


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
  verdict = '<p>Best of 4. The usual. Some failed.</p>'
  assert page.index(verdict) < page.index('<section')
  assert '4 of 6 points of a grid · train_recurrent_cell · started' in page


def test_numbers_are_those_of_the_trainings(folder, page):
  texts = report_test.read(page).texts
  trials = trial_log.read_trials(folder / 'trials.jsonl')
  failed = [each for each in trials if each.status != 'ok']
  assert failed
  assert f'{len(failed)} of 4 trainings failed' in texts['failures']
  assert 'It <diverged>.' in texts['failures']
  rows = re.findall(r'<tr><td.*?</tr>', page.split('id="trainings"')[1])
  first = re.findall(r'<td[^>]*>(.*?)</td>', rows[0])
  best = min(
    (each for each in trials if each.status == 'ok'),
    key=lambda each: each.metrics['validation_perplexity'],
  )
  value = best.metrics['validation_perplexity']
  assert first[:4] == [
    f'#{best.number}', f'{value:.2f}', f'{value + 0.25:.2f}', '2',
  ]  # fmt: skip
  assert '#0 (usual)' in texts['trainings']
  assert '36 s in all' in texts['cost']
  assert 'a random part of the grid' in texts['checklist']
  assert 'They are a point of the grid' in texts['checklist']


def test_curves_show_the_best_so_far_and_every_epoch(folder, page):
  best, epochs = json.loads(report_test.read(page).data)['charts']
  trials = trial_log.read_trials(folder / 'trials.jsonl')
  done = [each for each in trials if each.status == 'ok']
  lowest = min(each.metrics['validation_perplexity'] for each in done)
  assert best['curves'][0]['y'][-1] == f'{lowest:.2f}'
  assert len(epochs['curves']) == len(done)
  assert epochs['curves'][0]['y'] == [
    f'{lowest + each:.2f}' for each in (1, 0, 1)
  ]


def test_a_tuning_in_progress_has_no_verdict(tmp_path):
  folder = make_run(tmp_path / 'run', num_done=1, is_finished=False)
  page = tuning_page.render(folder_lib.read(folder))
  assert 'There is no verdict yet: 1 of 4 trainings are done.' in page
  texts = report_test.read(page).texts
  assert tuple(texts) == SECTIONS
  assert 'nothing to compare' in texts['effects']


def test_a_tuning_that_has_only_begun(tmp_path):
  folder = make_run(tmp_path / 'run', num_done=0, is_finished=False)
  page = tuning_page.render(folder_lib.read(folder))
  texts = report_test.read(page).texts
  assert 'No training is finished.' in texts['trainings']
  assert 'No training has succeeded.' in texts['curves']


def test_damaged_epochs_are_named(tmp_path):
  folder = make_run(tmp_path / 'run')
  (path, *_) = folder.glob('trainings/*/epochs.jsonl')
  path.unlink()
  with trial_log.JsonLines(path) as lines:
    lines.append([{'epoch': 1, 'validation_perplexity': 'low'}])
  with pytest.raises(ValueError, match=r'epochs\.jsonl.*validation_perplexity'):
    run_page.write(folder)

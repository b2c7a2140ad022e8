# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import csv
import dataclasses
import pathlib
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest

from experiments import show_run
from jaxnas import search as search_lib
from jaxnas.datasets import reward_table as tables
from jaxnas.records import heads, round_log, trial_log, workdir
from jaxnas.spaces import hyperparameters
from jaxnas.strategies import random_search
from tests.runs import succession_page_test

ROOT = pathlib.Path(__file__).parents[2]
SPACE = hyperparameters.make_space(
  {
    'x': hyperparameters.Choice(range(5)),
    'y': hyperparameters.Choice(('a', 'b', 'c')),
  }
)
REWARDS = np.linspace(0.1, 0.9, 15).astype(np.float32)


def make_run(folder, seed=0, change=0.0):
  """Searches a table at random, and writes what a run writes."""
  strategy = random_search.make_random_search(SPACE.decisions)
  arms = tuple(
    search_lib.Arm('random', strategy, 12, 4, repeat=repeat)
    for repeat in range(2)
  )
  evaluator = tables.make_evaluator(tables.Table((5, 3), REWARDS + change))
  search = search_lib.Search(SPACE, arms, evaluator, jax.random.key(seed))
  with workdir.lock(folder) as path:
    workdir.check_config(path, {'seed': seed, 'same': 1})
    workdir.write_manifest(path, seed=seed, data_hash='0')
    with (
      trial_log.TrialLog(path / 'trials.jsonl') as log,
      round_log.RoundLog(path / 'rounds.jsonl') as rounds,
    ):
      search_lib.run(search, log, rounds=rounds)
      log.append(
        [
          dataclasses.replace(
            log.trials[0],
            number=len(log.trials) + trained,
            arm='retrain',
            metrics={'report_loss': float(trained)},
            settings={'label': 'random #0', 'num_steps': 7, 'seed': trained},
          )
          for trained in range(3)
        ]
      )
  return folder


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  return make_run(tmp_path_factory.mktemp('runs') / 'one')


def test_a_run_is_shown(folder, capsys):
  before = {path: path.read_bytes() for path in folder.iterdir()}
  show_run.run(show_run.Config(workdir=str(folder), num_best=2))
  shown = capsys.readouterr().out
  assert f'{folder}: started' in shown
  assert 'seed 0, resumed 0 times' in shown
  rows = [line.split() for line in shown.splitlines()]
  (first,) = (row for row in rows if row[:2] == ['random', '12'])
  assert 'random 1' in shown
  trials = trial_log.read_trials(folder / 'trials.jsonl')
  mine = [each for each in trials if (each.arm, each.repeat) == ('random', 0)]
  assert first[4] == f'{max(each.reward for each in mine):.5g}'
  assert first[5] == f'{np.mean([each.reward for each in mine[:6]]):.5g}'
  assert first[-3:] == ['2.71', 'to', '2.71']
  assert len([row for row in rows if row and row[0].startswith('#')]) == 2
  assert 'random #0: num_steps 7; 3 seeds: report_loss 1 +- 1' in shown
  assert before == {path: path.read_bytes() for path in folder.iterdir()}


def test_all_trials_go_to_a_csv_file(folder, tmp_path, capsys):
  path = tmp_path / 'all.csv'
  show_run.run(show_run.Config(workdir=str(folder), csv=str(path)))
  assert f'Wrote 27 trials to {path}' in capsys.readouterr().out
  with open(path, encoding='utf-8', newline='') as file:
    assert len(list(csv.DictReader(file))) == 27


def test_the_report_is_written_into_the_folder(folder, tmp_path, capsys):
  mine = shutil.copytree(folder, tmp_path / 'mine')
  show_run.run(show_run.Config(html=True), (str(mine),))
  page = mine / 'report.html'
  assert f'Wrote {page}.' in capsys.readouterr().out
  first = page.read_bytes()
  assert b'24 proposals by random' in first
  show_run.run(show_run.Config(workdir=str(mine), html=True))
  assert page.read_bytes() == first
  with pytest.raises(ValueError, match='--html is for a single run'):
    show_run.run(show_run.Config(html=True), (str(mine), str(folder)))


def test_a_run_that_is_no_search_has_a_page(tmp_path, capsys):
  mine = succession_page_test.make_run(tmp_path / 'mine')
  show_run.run(show_run.Config(workdir=str(mine), html=True))
  assert capsys.readouterr().out == f'Wrote {mine / "report.html"}.\n'
  with pytest.raises(ValueError, match='no trials to list; pass --html'):
    show_run.run(show_run.Config(), (str(mine),))


def test_two_runs_are_compared(folder, tmp_path, capsys):
  same = make_run(tmp_path / 'same', change=0.5)
  show_run.run(show_run.Config(), (str(folder), str(same)))
  shown = capsys.readouterr().out
  assert 'Settings that differ: none.' in shown
  assert (
    'All 24 proposals are the same; their rewards differ by at most 0.5'
    in (shown)
  )
  other = make_run(tmp_path / 'other', seed=1)
  show_run.run(show_run.Config(workdir=str(folder)), (str(other),))
  shown = capsys.readouterr().out
  assert ['seed', '0', '1'] in [line.split() for line in shown.splitlines()]
  assert 'same' not in [line.split(' ')[0] for line in shown.splitlines()]
  assert 'Of 24 and 24 proposals the first' in shown


def test_rounds_of_another_run_are_not_shown(folder, tmp_path):
  mine = shutil.copytree(folder, tmp_path / 'mine')
  trials = trial_log.read_trials(mine / 'trials.jsonl')
  rounds = round_log.read_rounds(mine / 'rounds.jsonl')
  heads.note(mine, lambda: heads.of_search(trials, rounds))
  show_run.run(show_run.Config(workdir=str(mine)))
  other = make_run(tmp_path / 'other', seed=1)
  shutil.copy(other / 'rounds.jsonl', mine)
  with pytest.raises(ValueError, match=r'rounds\.jsonl does not begin as this'):
    show_run.run(show_run.Config(workdir=str(mine)))


def test_an_older_run_has_less_to_show(folder, tmp_path, capsys):
  log = (folder / 'trials.jsonl').read_bytes()
  (tmp_path / 'trials.jsonl').write_bytes(log)
  show_run.run(show_run.Config(workdir=str(tmp_path)))
  assert 'no manifest' in capsys.readouterr().out
  # Nor does one that says other things end in a traceback.
  workdir.write_json(
    tmp_path / 'manifest.json', {'device': 'cpu', 'versions': [], 'resumed': 3}
  )
  show_run.run(show_run.Config(workdir=str(tmp_path)))
  assert 'resumed 0 times' in capsys.readouterr().out


@pytest.mark.parametrize(
  ('flags', 'message'),
  [
    ([], 'Name one run to see it, or two to compare them; got 0'),
    (['a', 'b'], 'There is no run in a'),
    (['{run}', '{run}', '{run}'], 'got 3'),
    (['{run}', '{run}', '--csv=x.csv'], '--csv is for a single run'),
  ],
)
def test_errors_are_one_line(folder, flags, message):
  flags = [flag.format(run=folder) for flag in flags]
  result = subprocess.run(
    [sys.executable, '-m', 'experiments.show_run', *flags],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert result.returncode == 1
  (line,) = result.stderr.splitlines()
  assert line.startswith('error: ')
  assert message in line

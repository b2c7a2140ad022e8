# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import csv
import dataclasses
import html
import json
import re
import shutil

import numpy as np
import pytest

from experiments import compare_strategies as compare
from experiments import launch, strategy_settings
from jaxnas.runs import halving_report, many_searches, run_page
from jaxnas.visualize import regret as regret_plot

CARDINALITIES = (4, 3, 5)
SETTINGS = {
  'num_seeds': 5,
  'num_trials': 24,
  'trials_per_update': 4,
  'controller_features': 4,
  'controller_layers': 1,
  'population_size': 6,
  'sample_size': 3,
  'block_size': 4,
}


class KilledError(Exception):
  pass


@pytest.fixture(scope='module', name='table')
def fixture_table(tmp_path_factory):
  path = tmp_path_factory.mktemp('table') / 'smooth.npz'
  grid = np.meshgrid(*[np.linspace(0, 1, each) for each in CARDINALITIES])
  rewards = sum(axis.swapaxes(0, 1).ravel() for axis in grid)
  noise = np.random.default_rng(0).normal(size=(60, 2)) * [0.3, 0.1]
  curves = np.stack([*(0.5 * rewards[:, None] + noise).T, rewards], axis=1)
  curves[7] = np.nan
  np.savez(
    path,
    cardinalities=CARDINALITIES,
    rewards=rewards,
    points=[2, 4, 8],
    curves=curves,
  )
  return path


def make_config(table, **changes):
  return compare.Config(table=str(table), **{**SETTINGS, **changes})


@pytest.fixture(scope='module', name='finished')
def fixture_finished(table, tmp_path_factory):
  folder = tmp_path_factory.mktemp('finished')
  compare.run(make_config(table), folder)
  return folder


def read_results(folder):
  results = json.loads((folder / 'results.json').read_text())
  for result in results['strategies'].values():
    assert result.pop('seconds') > 0
  return results


def drop_corrected(results):
  """Returns results without what depends on what else was compared."""
  for result in results.values():
    if result['against_random'] is not None:
      difference = result['against_random']['difference']
      for name in ('low', 'high', 'p_value'):
        difference.pop(name)
  return results


def read_entries(folder, name):
  with np.load(folder / 'searches' / f'{name}.npz') as file:
    return file['entries']


@pytest.mark.slow
def test_results_are_those_of_the_searches(finished, table):
  results = read_results(finished)
  with np.load(table) as file:
    rewards = file['rewards']
  best = rewards.max()
  assert results['table']['name'] == 'smooth'
  assert results['table']['size'] == 60
  assert results['table']['best_reward'] == pytest.approx(best)
  assert results['table']['regret_of_top'] == {'0.01': 0, '0.001': 0}
  assert (results['num_seeds'], results['num_trials']) == (5, 24)
  strategies = results['strategies']
  assert tuple(strategies) == strategy_settings.STRATEGIES
  final = {}
  for name, result in strategies.items():
    entries = read_entries(finished, name)
    assert entries.shape == (5, 24)
    assert len({tuple(row) for row in entries.tolist()}) == 5
    found = best - np.maximum.accumulate(rewards[entries], axis=1)
    final[name] = found[:, -1]
    regret = result['regret']
    np.testing.assert_allclose(regret['value'], found.mean(axis=0), atol=1e-6)
    assert len(regret['low']) == len(regret['high']) == 24
    reached = np.mean(found[:, -1] < 1e-6)
    assert result['reach']['0.001']['reached'] == pytest.approx(reached)
    assert 0 < result['distinct'] <= 1
  assert strategies['random']['against_random'] is None
  for name in ('reinforce', 'ppo', 'evolution'):
    against = strategies[name]['against_random']
    difference = final[name] - final['random']
    assert against['difference']['value'] == pytest.approx(
      difference.mean(), abs=1e-6
    )
    assert against['better'] + against['equal'] + against['worse'] == 1
  assert (finished / 'regret.png').stat().st_size > 10_000
  page = (finished / 'report.html').read_text(encoding='utf-8')
  assert results['headline'] in html.unescape(page)
  run_page.write(finished)
  assert (finished / 'report.html').read_text(encoding='utf-8') == page


@pytest.mark.slow
def test_a_killed_run_continues_with_the_next_strategy(
  finished, table, tmp_path, monkeypatch, capsys
):
  save = many_searches.Searches.save

  def save_and_die(self, path, origin):
    save(self, path, origin)
    raise KilledError

  config = make_config(table, strategies=('random', 'evolution'))
  with monkeypatch.context() as patched:
    patched.setattr(many_searches.Searches, 'save', save_and_die)
    with pytest.raises(KilledError):
      compare.run(config, tmp_path)
  first = tmp_path / 'searches' / 'random.npz'
  written = first.stat().st_mtime_ns
  assert not (tmp_path / 'results.json').exists()
  capsys.readouterr()
  compare.run(config, tmp_path)
  printed = capsys.readouterr().out
  assert f'Resuming the run in {tmp_path}: random is there.' in printed
  assert 'Compiling regularized evolution ...' in printed
  assert first.stat().st_mtime_ns == written
  some, whole = (
    drop_corrected(read_results(each)['strategies'])
    for each in (tmp_path, finished)
  )
  assert some == {name: whole[name] for name in ('random', 'evolution')}


def test_the_finished_run_is_shown_again(finished, table, capsys):
  before = read_results(finished)
  compare.run(make_config(table), finished)
  printed = capsys.readouterr().out
  assert 'Found the finished run' in printed
  assert 'Compiling' not in printed
  assert 'smooth, 5 searches of 24 trials' in printed
  for name in strategy_settings.NAMES.values():
    assert f'\n{name} ' in printed
  verdicts = re.findall(r'^(.+) against random search, .*: ', printed, re.M)
  assert verdicts == ['REINFORCE', 'PPO', 'regularized evolution']
  assert 'and corrected for the 3 comparisons (Holm).' in printed
  assert '60 entries of 3 decisions' in printed
  assert read_results(finished) == before


def test_a_picture_that_fails_hides_no_result(
  finished, table, capsys, monkeypatch, caplog
):
  def fail(*_):
    raise RuntimeError('latex was not found')

  monkeypatch.setattr(regret_plot, 'plot_regret', fail)
  compare.run(make_config(table), finished)
  assert 'found) at the end' in ' '.join(capsys.readouterr().out.split())
  assert 'regret.png is not drawn: RuntimeError: latex was' in caplog.text


@pytest.mark.slow
def test_staleness_is_compared_with_the_search_in_lock_step(
  table, tmp_path, capsys
):
  config = make_config(
    table,
    strategies=('reinforce', 'random'),
    replicas=(1, 3),
    corrections=('none',),
    trials_per_update=2,
    replicas_per_update=2,
  )
  compare.run(config, tmp_path)
  printed = capsys.readouterr().out
  assert 'Compiling REINFORCE, REINFORCE with 3 replicas (none), ra' in printed
  with (tmp_path / 'staleness.csv').open() as file:
    rows = list(csv.DictReader(file))
  assert [
    (row['strategy'], row['correction'], row['replicas']) for row in rows
  ] == [
    ('reinforce', '', '1'),
    ('reinforce', 'none', '3'),
    ('random', '', '1'),
    ('random', '', '3'),
  ]
  # More of them belong to the same run.
  config = dataclasses.replace(config, corrections=('none', 'truncated'))
  compare.run(config, tmp_path)
  printed = capsys.readouterr().out
  assert 'Compiling REINFORCE with 3 replicas (truncated) ...' in printed


def read_halving(folder):
  with (folder / halving_report.FILE).open() as file:
    return list(csv.DictReader(file))


@pytest.mark.slow
def test_halving_is_compared_with_full_trainings_at_the_same_steps(
  finished, table, tmp_path, capsys
):
  shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
  config = make_config(
    table,
    strategies=('evolution', 'random'),
    halving=2,
    rungs=('2', '4', '8'),
    halving_batches=(0, 8),
  )
  compare.run(config, tmp_path)
  printed = capsys.readouterr().out
  # What is searched without halving is part of the same run.
  assert 'is there.' in printed
  assert 'Compiling regularized evolution with halving from 2 st' in printed
  assert 'One in 2 goes on at rungs 2, 4, 8.' in printed
  rows = read_halving(tmp_path)
  assert [(row['strategy'], row['batch_size']) for row in rows] == [
    (name, size) for name in ('evolution', 'random') for size in ('0', '4', '8')
  ]
  # 24 full trainings of 8 steps; a batch of 4 takes 4 * 2 + 2 * 2 + 1 * 4.
  assert [float(row['trials']) for row in rows[:3]] == [24, 48, 48]
  with np.load(table) as file:
    rewards, curves = file['rewards'], file['curves'].astype(np.float32)
  entries = read_entries(tmp_path, 'random-8-1-halving-2-2-4-8')
  finals = []
  for row in entries:
    best = []
    for batch in row.reshape(-1, 8):
      for rung, count in ((0, 4), (1, 2)):
        alive = [each for each in batch if np.isfinite(curves[each, rung])]
        batch = sorted(alive, key=lambda each: -curves[each, rung])[:count]
      best += [rewards[each] for each in batch]
    finals.append(rewards.max() - max(best))
  assert float(rows[-1]['regret']) == pytest.approx(np.mean(finals), abs=1e-6)
  whole = rewards.max() - rewards[read_entries(tmp_path, 'random')].max(axis=1)
  assert float(rows[-1]['difference']) == pytest.approx(
    np.mean(finals - whole), abs=1e-6
  )
  assert (tmp_path / halving_report.PICTURE).stat().st_size > 10_000
  compare.run(config, tmp_path)
  assert 'nothing is left to search' in capsys.readouterr().out
  assert read_halving(tmp_path) == rows


@pytest.mark.slow
def test_rungs_are_measured_and_children_may_wait_for_nobody(
  finished, table, tmp_path, capsys
):
  shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
  config = make_config(
    table, strategies=('random',), halving=2, replicas=(1, 3)
  )
  compare.run(config, tmp_path)
  printed = ' '.join(capsys.readouterr().out.split())
  assert 'measured for each search with 32 children of random search' in printed
  assert 'early, 3 x 4 in flight' in printed
  without, halved, early = read_halving(tmp_path)
  assert float(without['trials']) == 24
  # All of the cost of 24 trainings is spent on calibrating with 32.
  assert float(halved['trials']) == float(early['trials']) == 24


def test_fewer_strategies_are_part_of_the_same_run(finished, table, tmp_path):
  folder = tmp_path / 'copy'
  (folder / 'searches').mkdir(parents=True)
  for file in ('config.json', 'searches/random.npz', 'searches/ppo.npz'):
    (folder / file).write_bytes((finished / file).read_bytes())
  compare.run(make_config(table, strategies=('random', 'ppo')), folder)
  some, results = (
    drop_corrected(read_results(each)['strategies'])
    for each in (folder, finished)
  )
  assert some == {name: results[name] for name in ('random', 'ppo')}


def test_another_run_is_refused(finished, table, tmp_path):
  with pytest.raises(ValueError, match="'num_trials' is 24"):
    compare.run(make_config(table, num_trials=28), finished)
  other = tmp_path / 'smooth.npz'
  np.savez(other, cardinalities=CARDINALITIES, rewards=np.arange(60))
  with pytest.raises(ValueError, match="'table_fingerprint' is"):
    compare.run(make_config(other), finished)


def test_damaged_searches_are_named(finished, table, tmp_path):
  (tmp_path / 'searches').mkdir()
  file = tmp_path / 'searches' / 'random.npz'
  whole = (finished / 'searches' / 'random.npz').read_bytes()
  file.write_bytes(whole[:100])
  config = make_config(table, strategies=('random',))
  with pytest.raises(ValueError, match=r'random\.npz is damaged .* delete it'):
    compare.run(config, tmp_path)
  np.savez(file, entries=np.zeros((4, 24), np.int32), seconds=1.0)
  with pytest.raises(ValueError, match=r'holds \(4, 24\) trials and not \(5'):
    compare.run(config, tmp_path)


def test_one_seed_has_neither_interval_nor_verdict(table, tmp_path, capsys):
  searches = {
    name: many_searches.Searches(np.arange(24, dtype=np.int32)[None], 1.0)
    for name in ('random', 'evolution')
  }
  for name, each in searches.items():
    each.save(tmp_path / 'searches' / f'{name}.npz')
  config = make_config(table, strategies=tuple(searches), num_seeds=1)
  compare.run(config, tmp_path)
  printed = capsys.readouterr().out
  assert 'one seed, so no comparison is possible' in printed
  assert 'nan' not in printed
  regret = read_results(tmp_path)['strategies']['random']['regret']
  assert set(regret['low']) == {None}


def test_one_seed_of_many_is_neither_none_nor_all(table, tmp_path, capsys):
  entries = np.zeros((500, 1), np.int32)
  # The best of the table is its last entry.
  for name, count in (('random', 1), ('evolution', 499)):
    found = entries.copy()
    found[:count] = 59
    many_searches.Searches(found, 1.0).save(
      tmp_path / 'searches' / f'{name}.npz'
    )
  config = make_config(
    table,
    strategies=('random', 'evolution'),
    num_seeds=500,
    num_trials=1,
    trials_per_update=1,
  )
  compare.run(config, tmp_path)
  printed = capsys.readouterr().out
  assert re.search(r'^random search .* 0\.2%', printed, re.MULTILINE)
  assert re.search(r'^regularized evolution .* 99\.8%', printed, re.MULTILINE)
  assert 'lower on 99.6% of the seeds, equal on 0.4%' in printed


@pytest.mark.parametrize(
  ('rewards', 'message'),
  [
    (
      np.zeros(59),
      r'rewards must .* shape \(60,\), the product of .*; got \(59,\)',
    ),
    (np.full(60, np.nan), 'rewards must be finite .*, got nan at place 0'),
  ],
)
def test_bad_tables_are_one_line(rewards, message, tmp_path, capsys):
  path = tmp_path / 'bad.npz'
  np.savez(path, cardinalities=CARDINALITIES, rewards=rewards)
  folder = tmp_path / 'run'
  code = launch.report_errors(lambda: compare.run(make_config(path), folder))
  printed = capsys.readouterr().err
  assert code == 1
  assert printed.count('\n') == 1
  assert re.search(rf'bad\.npz: {message}', printed)
  assert not folder.exists()


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'num_seeds': 0}, 'num_seeds must be from 1 to 100,000, got 0'),
    ({'num_trials': 0}, 'num_trials must be from 1 to .*, got 0'),
    ({'num_trials': 26}, r'multiple of trials_per_update \(4\), got 26'),
    ({'trials_per_update': 0}, 'trials_per_update must be from 1 to'),
    ({'strategies': ('random', 'luck')}, "Unknown strategy 'luck'; expected"),
    ({'strategies': ()}, 'at least one, and none twice; got none'),
    ({'strategies': ('random', 'random')}, 'none twice; got random,random'),
    ({'replicas': (4, 16)}, 'replicas must have 1, .* none twice; got 4,16'),
    ({'replicas': (1, 4, 4)}, 'none twice; got 1,4,4'),
    ({'replicas': (1, 0)}, 'replicas must be from 1 to 100,000, got 0'),
    ({'replicas_per_update': 5}, r'times replicas_per_update \(20\), got 24'),
    (
      {'replicas': (1, 2), 'corrections': ('stale', 'fresh')},
      "correction must be one of none, stale, truncated, got 'fresh'",
    ),
    ({'block_size': -2}, 'block_size must be from 0 to'),
    ({'block_size': 3}, 'block_size must be .* of devices; got 3'),
    ({'seed': -1}, 'seed must be from 0'),
    ({'table': 'missing.npz'}, 'no such table'),
    ({'ppo_epochs': 0}, 'ppo_epochs must be'),
    ({'rungs': ('2', '8')}, '--rungs=2,8 needs --halving'),
    ({'halving': 4, 'rungs': ('2', '4')}, 'full training of 8 steps, got 2, 4'),
    ({'halving': 4, 'rungs': ('3', '8')}, 'after 2, 4, 8 steps, and none aft'),
    ({'halving': 1}, 'eta must be at least 2'),
    (
      {'halving': 2, 'rungs': ('2', '8'), 'halving_batches': (100,)},
      'take more than the 192 steps of a search; use smaller --halving_batches',
    ),
    (
      {'halving_batches': (4, 4)},
      'halving_batches must .* none twice; got 4,4',
    ),
  ],
)
def test_bad_settings_are_one_line(changes, message, table, tmp_path, capsys):
  folder = tmp_path / 'run'

  def start():
    config = dataclasses.replace(make_config(table), **changes)
    compare.run(config, folder)

  code = launch.report_errors(start)
  printed = capsys.readouterr().err
  assert code == 1
  assert printed.count('\n') == 1
  assert re.search(message, printed)
  assert not folder.exists()

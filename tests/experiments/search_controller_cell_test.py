# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import json

import numpy as np
import pytest

from experiments import search_controller_cell as experiment
from jaxnas.datasets import base2_bench
from jaxnas.export import architecture
from jaxnas.records import workdir
from jaxnas.runs import run_page

CONFIG = experiment.Config(
  num_lineages=2, num_generations=2, num_trials=8, trials_per_update=4,
  controller_features=4, controller_layers=1, num_seeds=2, features=2,
  vocab_size=20, num_steps=2, block_size=4,
)  # fmt: skip


@pytest.fixture(autouse=True, name='table')
def fixture_table(monkeypatch):
  """A table in which each cell is a class of its own, a few of them good."""
  num_cells = int(np.prod(base2_bench.CARDINALITIES))
  rng = np.random.default_rng(0)
  perplexity = np.exp(4 + rng.normal(size=(num_cells, 1, 1))).astype(np.float32)
  table = base2_bench.Base2Bench(
    cell_of=np.arange(num_cells, dtype=np.int32),
    validation=perplexity, report=perplexity,
    num_trained=np.ones((num_cells, 1), np.int32),
    points=(1,), facts={},
  )  # fmt: skip
  monkeypatch.setattr(base2_bench, 'load', lambda: table)
  return table


def read(path):
  return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_a_run_is_told_and_resumed(tmp_path, capsys, monkeypatch):
  experiment.run(CONFIG, tmp_path / 'whole')
  out = capsys.readouterr().out
  assert '2 lineages, 8 trials a search' in out
  assert '0, LSTM' in out
  assert '1, succession' in out
  assert 'of 2 lineages (95 % interval' in out
  assert out.count(' times)') == 3
  assert 'Retrained, the cells of its last generation have a report' in out
  names = {path.name for path in (tmp_path / 'whole').iterdir()}
  assert names >= {'best.json', 'best_cell.svg', 'succession.png'}
  page = (tmp_path / 'whole' / 'report.html').read_text(encoding='utf-8')
  run_page.write(tmp_path / 'whole')
  assert (tmp_path / 'whole' / 'report.html').read_text() == page
  phases = [line['phase'] for line in read(tmp_path / 'whole/timings.jsonl')]
  assert phases[:3] == ['search'] * 3
  assert set(phases[3:]) == {'retrain'}
  cell = architecture.load_architecture(tmp_path / 'whole' / 'best.json')
  assert f'1, succession: {",".join(map(str, cell.names))} (' in out
  lines = read(tmp_path / 'whole' / 'generations.jsonl')
  assert [line['branch'] for line in lines] == [
    'control', 'control', 'succession',
  ]  # fmt: skip
  found = {tuple(cells[0]) for line in lines for cells in line['candidates']}
  retrained = read(tmp_path / 'whole' / 'retrainings.jsonl')
  assert len(retrained) == 2 * len(found)

  # Killed in the second generation, and started again.
  judge = experiment.cell_judges.TableJudge.__call__
  calls = []

  def killed(self, tokens):
    calls.append(tokens)
    if len(calls) == 4:
      raise KeyboardInterrupt
    return judge(self, tokens)

  monkeypatch.setattr(experiment.cell_judges.TableJudge, '__call__', killed)
  # What is searched does not depend on what is retrained.
  config = dataclasses.replace(CONFIG, num_seeds=0)
  with pytest.raises(KeyboardInterrupt):
    experiment.run(config, tmp_path / 'cut')
  name = 'generations.jsonl'
  assert len(read(tmp_path / 'cut' / name)) == 1
  experiment.run(dataclasses.replace(config, log_to=('csv',)), tmp_path / 'cut')
  scalars = (tmp_path / 'cut' / 'scalars.csv').read_text()
  # What was found before is there as well.
  assert [row for row in scalars.splitlines() if '/rewards' in row] == [
    f'generation,{line["number"]},{line["branch"]}/rewards,'
    f'{sum(line["rewards"]) / 2!r}'
    for line in lines
  ]
  assert (tmp_path / 'cut' / name).read_bytes() == (
    tmp_path / 'whole' / name
  ).read_bytes()
  capsys.readouterr()
  # Killed while the second retraining was written.
  path = tmp_path / 'whole' / 'retrainings.jsonl'
  content = path.read_bytes()
  path.write_bytes(content[: content.index(b'\n') + 9])
  experiment.run(CONFIG, tmp_path / 'whole')
  assert 'All generations are finished.' in capsys.readouterr().out
  assert read(path) == retrained


@pytest.mark.slow
def test_a_run_goes_on_with_the_data_that_it_started_with(tmp_path, table):
  config = dataclasses.replace(CONFIG, num_seeds=0)
  experiment.run(config, tmp_path)
  manifest = tmp_path / 'manifest.json'
  written = manifest.read_text()
  changed = {**workdir.read_manifest(tmp_path), 'data_hash': 'other'}
  workdir.write_json(manifest, changed, sealed=True)
  with pytest.raises(ValueError, match='other data, whose hash is other'):
    experiment.run(config, tmp_path)
  manifest.write_text(written)
  table.validation[:] += 1
  with pytest.raises(ValueError, match="Config field 'table_fingerprint' is"):
    experiment.run(config, tmp_path)


@pytest.mark.slow
def test_cells_can_be_trained_and_are_trained_once(tmp_path):
  config = dataclasses.replace(
    CONFIG, evaluator='train', num_trials=4, num_seeds=0
  )
  experiment.run(config, tmp_path)
  lines = read(tmp_path / 'rewards.jsonl')
  cells = [tuple(line['tokens']) for line in lines]
  assert len(set(cells)) == len(cells) >= 8
  rewards = {
    cell: line['reward'] for cell, line in zip(cells, lines, strict=True)
  }
  generations = read(tmp_path / 'generations.jsonl')
  for line in generations:
    for candidates, reward in zip(
      line['candidates'], line['rewards'], strict=True
    ):
      assert (
        rewards[tuple(candidates[0])]
        == reward
        == max(rewards[tuple(cell)] for cell in candidates)
      )

  # Killed in the second generation, in the middle of a line.
  for name, num_lines in (('generations.jsonl', 1), ('rewards.jsonl', 5)):
    path = tmp_path / name
    whole = path.read_bytes()
    kept = b''.join(whole.splitlines(keepends=True)[:num_lines])
    path.write_bytes(whole[: len(kept) + 9])
  before = generations
  experiment.run(config, tmp_path)
  assert read(tmp_path / 'generations.jsonl') == before
  again = read(tmp_path / 'rewards.jsonl')
  assert len(again) > 5
  # Cells that only the first generation had are not asked for again.
  for line in again:
    assert rewards[tuple(line['tokens'])] == line['reward']


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    (
      {'num_generations': 1},
      'num_generations must be from 2 to 100,000, got 1',
    ),
    ({'num_lineages': 0}, 'num_lineages must be from 1 to 100,000, got 0'),
    ({'num_trials': 6}, r'a multiple of trials_per_update \(4\), got 6'),
    ({'num_trials': 0}, 'num_trials must be from 1 to 1,000,000,000, got 0'),
    ({'num_seeds': -1}, 'num_seeds must be from 0 to 100,000, got -1'),
    ({'num_steps': 0}, 'num_steps must be from 1 to 1,000,000,000, got 0'),
    ({'init_scale': 0.0}, 'init_scale must be above 0, got 0.0'),
    ({'base': 4}, 'need --evaluator=train'),
  ],
)
def test_settings_out_of_range(changes, message, tmp_path):
  with pytest.raises(ValueError, match=message):
    experiment.run(dataclasses.replace(CONFIG, **changes), tmp_path)
  # The folder stays free for the settings that were meant.
  assert not list(tmp_path.iterdir())


def test_a_table_with_gaps_is_refused(table, tmp_path):
  table.num_trained[7] = -1
  with pytest.raises(ValueError, match='only a complete table gives rewards'):
    experiment.run(CONFIG, tmp_path)

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import json
import re

import pytest

from experiments import simulate_workers
from experiments.benchmarks import simulated_workers
from experiments.simulate_workers import Config


def write(path, lines):
  path.write_text(''.join(f'{json.dumps(line)}\n' for line in lines))


def test_the_table_and_the_advice_are_printed(capsys):
  simulate_workers.run(Config(num_workers=20, trials_per_update=4))
  header, line, *rest = capsys.readouterr().out.splitlines()
  assert header.split('|')[1].strip() == 'replicas x trials'
  assert 'sigma 0.5' in header
  assert 'tail' in header
  assert set(line) == {'|', '-', ' '}
  rows = [line for line in rest if line.startswith('|')]
  assert [row.split('|')[1].strip() for row in rows] == [
    '1 x 20', '5 x 4', '7 x 4', '8 x 4', '10 x 4', '15 x 4'
  ]  # fmt: skip
  shares = [float(row.split('|')[2]) for row in rows]
  # More replicas keep workers busier.
  assert shares[1:] == sorted(shares[1:])
  advice = rest[len(rows) :]
  assert [each.partition(':')[0] for each in advice] == [
    'sigma 0.1', 'sigma 0.3', 'sigma 0.5', 'sigma 1', 'tail'
  ]  # fmt: skip


def test_what_is_advised_keeps_workers_busy(capsys):
  config = Config(num_workers=20, trials_per_update=4, sigmas=(0.3,))
  simulate_workers.run(config)
  line = capsys.readouterr().out.splitlines()[-2]
  replicas = int(re.search(r'--replicas=(\d+)', line)[1])
  outcome = simulated_workers.simulate(
    simulated_workers.Fleet(20, replicas, 4),
    simulated_workers.lognormal(0.3),
    500,
    seed=1,
  )
  assert outcome.utilization > 0.9


def test_a_group_that_is_too_large_has_no_advice(capsys):
  config = Config(
    num_workers=100, block_size=1, trials_per_update=1000, sigmas=(3.0,)
  )
  simulate_workers.run(config)
  assert 'sigma 3: none reaches 95%' in capsys.readouterr().out


def test_durations_of_a_run_are_taken(tmp_path, capsys):
  def line(phase, seconds):
    return {'phase': phase, 'train_seconds': seconds, 'crc32': '0'}

  write(
    tmp_path / 'timings.jsonl',
    [line('estimate', 9.0), line('search', 1.0), line('search', 0.0)],
  )
  with (tmp_path / 'timings.jsonl').open('a') as log:
    log.write(json.dumps(line('search', 3.0)) + '\n{"phase": "sea')
  assert simulate_workers.read_durations(str(tmp_path)) == [1.0, 3.0]
  simulate_workers.run(Config(workdir=str(tmp_path), num_workers=10))
  out = capsys.readouterr().out
  assert '2 blocks were measured; their mean is 2 s.' in out
  assert '| measured |' in out
  # Workers tell more exactly, but for what a new one compiles.
  write(
    tmp_path / 'events.jsonl',
    [
      {'event': 'joined', 'worker': 'process 1'},
      *(
        {'event': 'answered', 'worker': worker, 'seconds': seconds}
        for worker, seconds in (
          ('process 1', 60.0),
          ('process 2', 70.0),
          ('process 1', 5.0),
          ('process 2', 6.0),
        )
      ),
      {'event': 'died', 'worker': 'process 1', 'seconds': 1.0},
    ],
  )
  assert simulate_workers.read_durations(str(tmp_path)) == [5.0, 6.0]


def test_a_folder_without_durations_is_refused(tmp_path):
  for folder in (tmp_path, tmp_path / 'none'):
    with pytest.raises(ValueError, match='has no durations of blocks'):
      simulate_workers.run(Config(workdir=str(folder)))

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Runs the Python of the README."""

import os
import pathlib
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.export import architecture as architecture_file
from jaxnas.records import trial_log
from jaxnas.spaces import recurrent_cell

README = pathlib.Path(__file__).parents[1] / 'README.md'


def snippets():
  return re.findall(r'```python\n(.*?)```', README.read_text(), re.DOTALL)


def test_found_cell_in_two_lines(tmp_path, monkeypatch):
  (found,) = (text for text in snippets() if 'load_architecture' in text)
  monkeypatch.chdir(tmp_path)
  folder = tmp_path / 'runs' / 'recurrent_cell'
  folder.mkdir(parents=True)
  architecture_file.write_architecture(
    folder / 'best.json', recurrent_cell.KNOWN_CELLS['nascell']
  )
  names = {}
  exec(found, names)
  outputs, _ = names['rnn'].init_with_output(
    jax.random.key(0), jnp.ones((2, 3, 5))
  )
  assert outputs.shape == (2, 3, 64)


def test_library_code_learns(capsys):
  (library,) = (text for text in snippets() if 'strategy.ask' in text)
  names = {}
  exec(library, names)
  assert len(names['cells']) == 16
  printed = capsys.readouterr().out.split()
  # A quarter of all activations are tanh at first.
  assert float(printed[0]) > 0.25


def test_library_code_is_short():
  (library,) = (text for text in snippets() if 'strategy.ask' in text)
  assert len(library.split('\n\n')[1].strip().splitlines()) <= 12


def test_a_space_of_ones_own_is_searched_by_a_script(tmp_path):
  (program,) = (text for text in snippets() if 'evaluators.of_function' in text)
  lines = [line for line in program.splitlines() if line.strip()]
  assert len(lines) <= 20
  (tmp_path / 'my_search.py').write_text(program.replace('64, 8)', '8, 4)'))
  result = subprocess.run(
    [sys.executable, 'my_search.py'],
    cwd=tmp_path,
    env=os.environ | {'PYTHONPATH': str(README.parent)},
    capture_output=True,
    text=True,
    check=False,
  )
  assert not result.returncode, result.stderr
  trials = trial_log.read_trials(tmp_path / 'trials.jsonl')
  assert len(trials) == 8
  assert {trial.status for trial in trials} == {'ok'}
  assert 'architecture=' in result.stdout


def test_arrays_and_a_network_of_ones_own_are_searched_by_a_script(tmp_path):
  (program,) = (text for text in snippets() if 'own_search.run' in text)
  lines = [line for line in program.splitlines() if line.strip()]
  assert len(lines) < 60
  for old, new in ((' 64, 16', ' 8, 4'), ('=200', '=4'), ('8, 32', '4, 8')):
    assert old in program
    program = program.replace(old, new)
  program = program.replace("'width': 32", "'width': 8")
  (tmp_path / 'fit_curve.py').write_text(program)
  result = subprocess.run(
    [sys.executable, 'fit_curve.py'],
    cwd=tmp_path,
    env=os.environ | {'PYTHONPATH': str(README.parent)},
    capture_output=True,
    text=True,
    check=False,
  )
  assert not result.returncode, result.stderr
  assert 'usual against #' in result.stdout
  for name in ('best.json', 'curve.png', 'rounds.jsonl'):
    assert (tmp_path / 'runs' / 'curve' / name).stat().st_size > 0


def test_searches_of_the_table_are_one_program(capsys):
  (program,) = (text for text in snippets() if 'search.scan' in text)
  names = {}
  exec(program.replace(', 100)', ', 3)'), names)
  best = float(capsys.readouterr().out)
  rewards = names['table'].rewards
  assert np.quantile(rewards, 0.9) < best <= rewards.max()

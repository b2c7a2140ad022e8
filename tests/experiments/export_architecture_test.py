# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import json
import os
import pathlib
import subprocess
import sys

import pytest

from experiments import export_architecture, launch
from jaxnas.export import architecture as architecture_file
from jaxnas.spaces import known_conv_nets, recurrent_cell
from tests.export import exported_files

CELL = recurrent_cell.KNOWN_CELLS['paper_example']


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  architecture_file.write_architecture('best.json', CELL, label='"""')
  return tmp_path


def config(**changes):
  return export_architecture.Config(
    **{'architecture': 'best.json', 'out': 'my_cell.py', **changes}
  )


@pytest.mark.slow
def test_the_command_of_the_docstring_writes_a_file_that_checks_itself(folder):
  result = subprocess.run(
    [
      sys.executable,
      '-m',
      'experiments.export_architecture',
      '--architecture=best.json',
      '--out=my_cell.py',
    ],
    env=os.environ | {'PYTHONPATH': str(pathlib.Path(__file__).parents[2])},
    capture_output=True,
    text=True,
    check=False,
  )
  assert not result.returncode, result.stderr
  assert result.stdout == (
    'Wrote my_cell.py; python my_cell.py checks the code.\n'
  )
  ((code, printed),) = exported_files.run_files([folder / 'my_cell.py'])
  assert code == 0, printed


def test_weights_are_written_beside(folder, capsys):
  exported_files.write_text(folder / 'weights.npz', CELL)
  for architecture in ('best.json', '.', None):
    export_architecture.run(
      config(
        architecture=architecture, weights='weights.npz', framework='torch'
      )
    )
    assert capsys.readouterr().out == (
      'Wrote my_cell.py and my_cell.npz; python my_cell.py checks the code.\n'
    )
    assert 'torch' in (folder / 'my_cell.py').read_text()


@pytest.mark.parametrize('name', [*recurrent_cell.KNOWN_CELLS, 'figure_7'])
def test_known_architectures_have_names(name):
  expected = {
    **recurrent_cell.KNOWN_CELLS,
    'figure_7': known_conv_nets.FIGURE_7,
  }
  assert export_architecture._read(name) == expected[name]


def test_settings_are_written_as_such(folder, capsys):
  (folder / 'best.json').write_text(
    json.dumps({'kind': 'hyperparameters', 'architecture': {'rate': 0.5}})
  )
  export_architecture.run(config(out='settings.json'))
  assert capsys.readouterr().out == 'Wrote settings.json.\n'
  assert json.loads((folder / 'settings.json').read_text()) == {'rate': 0.5}


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'architecture': 'nescell'}, 'did you mean nascell'),
    ({'architecture': 'runs/none'}, 'no architecture file runs/none'),
    ({'architecture': 'empty'}, 'empty has no best.json, which a search'),
    ({'architecture': None}, 'Give an architecture, weights or both'),
    ({'weights': 'none.npz'}, 'There is no weights file none.npz'),
    ({'weights': 'best.json'}, 'best.json is damaged or not a weights file'),
    ({'weights': 'other.npz'}, 'holds the weights of another architecture'),
    ({'out': 'locked/my_cell.py'}, 'locked/my_cell.py'),
    ({'out': 'nowhere/my_cell.py'}, 'No such file or directory: nowhere/my'),
    ({'out': ''}, 'must end in .py'),
    ({'out': 'my_cell'}, 'must end in .py, got my_cell'),
    (
      {'architecture': '~no.such.user/best.json'},
      'There is no home folder for',
    ),
  ],
)
def test_what_is_wrong_is_one_line(changes, message, folder, capsys):
  (folder / 'empty').mkdir()
  (folder / 'locked').write_text('a file, which no one can write into')
  exported_files.write_text(
    folder / 'other.npz', recurrent_cell.KNOWN_CELLS['nascell'], num_layers=1
  )
  code = launch.report_errors(
    lambda: export_architecture.run(config(**changes)), resumes=False
  )
  printed = capsys.readouterr()
  assert code == 1
  assert not printed.out
  assert printed.err.startswith('error: ')
  assert message in printed.err
  assert printed.err.count('\n') == 1
  assert not list(folder.glob('my_cell*'))


def test_the_framework_is_one_of_two():
  (field,) = (
    field
    for field in dataclasses.fields(export_architecture.Config)
    if field.name == 'framework'
  )
  assert field.metadata['choices'] == ('flax', 'torch')

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import os
import pathlib
import subprocess
import sys

import matplotlib
import pytest

from jaxnas.visualize import curves, pictures

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_a_picture_is_the_old_or_the_new_one_whole(tmp_path, caplog):
  path = tmp_path / 'a.svg'

  def write(file, content, is_broken=False):
    pathlib.Path(file).write_text(content)
    if is_broken:
      raise RuntimeError('no\nfont')

  pictures.draw(write, path, 'old')
  pictures.draw(write, path, 'half', is_broken=True)
  assert path.read_text() == 'old'
  assert caplog.messages == [f'{path} is not drawn: RuntimeError: no font']
  pictures.draw(write, path, content='new')
  assert path.read_text() == 'new'
  assert os.listdir(tmp_path) == ['a.svg']


def test_a_style_without_its_tools_is_a_warning(tmp_path, monkeypatch, caplog):
  monkeypatch.setenv('PATH', str(tmp_path))
  arms = [curves.ArmCurve('random', [0.1, 0.5], [True, True])]
  with matplotlib.rc_context({'text.usetex': True}):
    pictures.draw(curves.plot_search, tmp_path / 'curve.png', arms)
  assert 'curve.png is not drawn: ' in caplog.text
  pictures.draw(curves.plot_search, tmp_path / 'curve.png', arms)
  assert (tmp_path / 'curve.png').read_bytes()[:4] == b'\x89PNG'


@pytest.mark.parametrize('backend', ['nonsense', 'module://no.such.notebook'])
def test_experiments_run_whatever_is_the_backend(backend, tmp_path):
  names = [
    path.stem
    for path in (ROOT / 'experiments').glob('*.py')
    if path.stem.startswith(('search_', 'compare_', 'train_', 'build_'))
  ]
  program = (
    f'from experiments import {", ".join(names)}\n'
    'import sys\n'
    'from jaxnas.visualize import curves, pictures\n'
    'assert "matplotlib" not in sys.modules\n'
    'arms = [curves.ArmCurve("a", [0.1], [True])]\n'
    f'pictures.draw(curves.plot_search, "{tmp_path}/curve.png", arms)\n'
  )
  result = subprocess.run(
    [sys.executable, '-c', program],
    cwd=ROOT,
    env=os.environ | {'MPLBACKEND': backend},
    capture_output=True,
    text=True,
    timeout=120,
  )
  assert result.returncode == 0, result.stderr
  is_drawn = (tmp_path / 'curve.png').exists()
  assert is_drawn == ('is not drawn' not in result.stderr)

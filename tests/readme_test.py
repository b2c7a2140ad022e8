# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Runs the Python of the README."""

import pathlib
import re

import jax
import jax.numpy as jnp

from jaxnas.export import architecture as architecture_file
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
  (library,) = (text for text in snippets() if 'make_reinforce' in text)
  names = {}
  exec(library, names)
  assert len(names['cells']) == 16
  printed = capsys.readouterr().out.split()
  # A quarter of all activations are tanh at first.
  assert float(printed[0]) > 0.25


def test_library_code_is_short():
  (library,) = (text for text in snippets() if 'make_reinforce' in text)
  assert len(library.split('\n\n')[1].strip().splitlines()) <= 12

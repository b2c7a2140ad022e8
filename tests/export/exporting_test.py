# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Exported files, run where jaxnas cannot be imported."""

import errno
import json
import os
import re
import time
from typing import NamedTuple

import numpy as np
import pytest

from jaxnas import files
from jaxnas.export import architecture as architecture_file
from jaxnas.export import exporting, listing, recording
from jaxnas.spaces import (
  conv_net,
  hyperparameters,
  known_conv_nets,
  recurrent_cell,
)
from tests.export import exported_files


def random_tokens(space, draw):
  return np.concatenate(
    [
      draw.integers(getattr(each, 'num_choices', 2), size=each.num_tokens)
      for each in space.decisions
    ]
  ).astype(np.int32)


def random_cells():
  draw = np.random.default_rng(0)
  for index in range(20):
    operations = (
      (recurrent_cell.EXTENDED_COMBINERS, recurrent_cell.EXTENDED_ACTIVATIONS)
      if index % 2
      else (recurrent_cell.COMBINERS, recurrent_cell.ACTIVATIONS)
    )
    space = recurrent_cell.make_space((2, 4, 8)[index % 3], *operations)
    yield f'cell_{index}', space.decode(random_tokens(space, draw))


def random_nets():
  draw = np.random.default_rng(0)
  for index in range(20):
    space = conv_net.make_space(
      4,
      filters=(2, 3, 5),
      heights=(1, 3, 5),
      widths=(1, 3, 7),
      strides=(1, 2, 3) if index % 4 > 1 else (1,),
      merge=conv_net.MERGES[index % 2],
      pool_after=(0, 2)[: index % 3],
    )
    tokens = random_tokens(space, draw)
    if index % 5 == 0:  # A network of two layers.
      per_layer = len(space.decisions) // 4
      tokens[
        sum(each.num_tokens for each in space.decisions[: 2 * per_layer]) :
      ] = -1
    yield f'net_{index}', space.decode(tokens)


ARCHITECTURES = {
  **{
    name: recurrent_cell.KNOWN_CELLS[name]
    for name in ('nascell', 'lstm', 'gru')
  },
  'figure_7': known_conv_nets.FIGURE_7,
  **dict(random_cells()),
  **dict(random_nets()),
}


@pytest.fixture(scope='module', params=['flax', 'torch'])
def exported(request, tmp_path_factory):
  """The files of all architectures, by name, with what came of running them."""
  framework = request.param
  folder = tmp_path_factory.mktemp(framework)
  paths = []
  for name, architecture in ARCHITECTURES.items():
    paths += exporting.export_architecture(
      architecture, folder / f'{name}.py', framework=framework
    )
  ran = None
  if framework == 'flax' or exported_files.HAS_TORCH:
    ran = exported_files.run_files(paths)
  return framework, paths, ran


@pytest.mark.slow
def test_files_agree_with_the_library_without_it(exported):
  framework, paths, ran = exported
  if ran is None:
    pytest.skip('torch is not installed')
  allowed = {'flax': '1e-06', 'torch': '1e-05'}[framework]
  assert len(paths) == len(ARCHITECTURES)
  for path, (code, printed) in zip(paths, ran, strict=True):
    assert code == 0, f'{path.name}: {printed}'
    assert 'agree with those recorded' in printed
    assert f'{allowed} is allowed' in printed
    # Recorded to nine digits, and compared in double precision.
    assert float(printed.split('difference is ')[1].split()[0]) < 1e-8


@pytest.mark.slow
def test_files_are_formatted_and_clean(exported):
  exported_files.check_format(exported[1])


@pytest.mark.slow
def test_files_import_a_framework_and_numpy_alone(exported):
  framework, paths, _ = exported
  allowed = {'flax': {'flax', 'jax'}, 'torch': {'torch'}}[framework]
  for path in paths:
    lines = path.read_text().splitlines()
    imported = {
      line.split()[1].partition('.')[0]
      for line in lines
      if line.startswith(('import ', 'from '))
    }
    assert imported <= allowed | {'numpy', 'sys'}, path.name
    assert max(map(len, lines)) <= 80


def test_a_wrong_formula_is_noticed(tmp_path):
  # Any operation of a cell, and any layer of a network.
  (path,) = exporting.export_architecture(
    recurrent_cell.KNOWN_CELLS['nascell'], tmp_path / 'right.py'
  )
  source = path.read_text()
  statements = re.findall(
    r'^    (?:leaf|node|injected|new).* = .*$',
    source.partition('def __call__')[2],
    re.MULTILINE,
  )
  assert len(statements) == 16
  wrong = []
  for number, line in enumerate(statements[::5]):
    changed = line.replace(' * ', ' - ').replace(' + ', ' - ')
    if changed == line:
      changed = f'{line} + 1'
    wrong.append(tmp_path / f'wrong_{number}.py')
    wrong[-1].write_text(source.replace(line, changed))
  for code, printed in exported_files.run_files(wrong):
    assert code == 1
    assert 'DO NOT AGREE' in printed


class Stack(NamedTuple):
  """An architecture of a space of one's own."""

  units: tuple[int, ...]
  kind = 'stack'

  def to_json(self):
    return {'units': list(self.units)}

  @classmethod
  def from_json(cls, fields):
    listing.check_counts(**{f'unit_{n}': n for n in fields['units']})
    return cls(tuple(fields['units']))


def make_stack_listing(stack, framework):
  listing.check_framework(framework)
  layers = '\n'.join(f'    x = nn.tanh(nn.Dense({n})(x))' for n in stack.units)
  code = listing.definition(
    """
    class Stack(nn.Module):
      \"""Dense layers.\"""

      @nn.compact
      def __call__(self, x):
        \"""Maps `[batch, inputs]`.\"""
    <layers>
        return x
    """,
    layers=layers + '\n',
  )

  def evaluate(variables, x):
    for number in range(len(stack.units)):
      name = f'params/Dense_{number}'
      x = np.tanh(x @ variables[f'{name}/kernel'] + variables[f'{name}/bias'])
    return [x]

  shapes, inputs = {}, 4
  for number, units in enumerate(stack.units):
    shapes[f'params/Dense_{number}/kernel'] = (inputs, units)
    shapes[f'params/Dense_{number}/bias'] = (units,)
    inputs = units
  check = recording.Drawn('Stack()', (2, 4), shapes, slice(0, 1), evaluate)
  return listing.Listing(framework, 'A stack.', [code], check)


def test_a_space_of_ones_own_joins_by_functions(tmp_path):
  best = tmp_path / 'best.json'
  architecture_file.write_architecture(best, Stack((3, 2)))
  exporter = exporting.Exporter(Stack, make_stack_listing)
  (path,) = exporting.export_architecture(
    best, tmp_path / 'my.py', exporters=[exporter]
  )
  ((code, printed),) = exported_files.run_files([path])
  assert code == 0, printed
  with pytest.raises(ValueError, match="kind 'stack' are exported without"):
    exporting.export_architecture(
      best, path, weights='w.npz', exporters=[exporter]
    )
  with pytest.raises(ValueError, match="kind 'stack'; expected one of recur"):
    exporting.export_architecture(best, path)
  with pytest.raises(
    ValueError, match='A Stack cannot be exported; give one o'
  ):
    exporting.export_architecture(Stack((3,)), path)


def test_hyperparameters_are_settings_alone(tmp_path):
  values = {'rate': 0.5, 'sizes': (1, 2), '"""': 'import os'}
  best = tmp_path / 'best.json'
  architecture_file.write_architecture(
    best, hyperparameters.Hyperparameters(tuple(values.items())), reward=1
  )
  out = tmp_path / 'settings.json'
  assert exporting.export_architecture(best, out) == [out]
  assert json.loads(out.read_text()) == values | {'sizes': [1, 2]}
  before = best.read_bytes()
  with pytest.raises(ValueError, match='would overwrite the architecture'):
    exporting.export_architecture(tmp_path, best)
  assert best.read_bytes() == before
  for name, weights in (('my.py', None), ('my.json', 'w.npz')):
    with pytest.raises(ValueError, match='a network, so there is no code to w'):
      exporting.export_architecture(best, tmp_path / name, weights=weights)


def test_the_folder_of_a_run_is_its_best(tmp_path):
  with pytest.raises(
    ValueError, match=r'has no best\.json, which a search wri'
  ):
    exporting.export_architecture(tmp_path, tmp_path / 'my.py')
  cell = recurrent_cell.KNOWN_CELLS['lstm']
  architecture_file.write_architecture(tmp_path / 'best.json', cell)
  one = exporting.export_architecture(tmp_path, tmp_path / 'one.py')
  other = exporting.export_architecture(cell, tmp_path / 'other.py')
  assert one[0].read_bytes() == other[0].read_bytes()


CELL = recurrent_cell.KNOWN_CELLS['paper_example']
NET = known_conv_nets.make_chain(2, 4).to_json()


@pytest.mark.parametrize(
  ('kind', 'fields', 'message'),
  [
    ('recurrent_cell', CELL.to_json() | {'inject_combiner': 'x"""'}, 'Unk'),
    ('recurrent_cell', CELL.to_json() | {'read_index': 'os.exit'}, 'no valid'),
    ('recurrent_cell', CELL.to_json() | {'read_index': 2**30}, 'from 0 to 2'),
    (
      'recurrent_cell',
      CELL.to_json() | {'combiners': ['add'] * (2**21 - 1)},
      'at most 256, got 1048576',
    ),
    ('conv_net', NET | {'layers': [{}] * 10**6}, 'at most 128 layers'),
    ('conv_net', NET | {'merge': '"""'}, 'Unknown merge'),
    ('import os', {}, "kind 'import os'; expected one of recurrent_cell"),
    ('other', {}, 'of your own search space, whose class has no kind; give '),
  ],
)  # fmt: skip
def test_an_architecture_of_a_stranger_is_refused_in_one_line(
  kind, fields, message, tmp_path
):
  best = tmp_path / 'best.json'
  best.write_text(json.dumps({'kind': kind, 'architecture': fields}))
  started = time.process_time()
  with pytest.raises(ValueError, match=message) as error:
    exporting.export_architecture(best, tmp_path / 'my.py')
  assert time.process_time() - started < 10
  assert '\n' not in str(error.value)
  assert not (tmp_path / 'my.py').exists()


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'architecture': None}, 'Give an architecture, weights or both'),
    ({'framework': 'keras'}, "framework 'keras'; expected one of flax, torch"),
    ({'out': 'my.txt'}, r'must end in \.py, got my\.txt'),
  ],
)
def test_bad_arguments_are_told(arguments, message, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  with pytest.raises(ValueError, match=message):
    exporting.export_architecture(
      **{'architecture': CELL, 'out': 'my.py', **arguments}
    )
  assert not list(tmp_path.iterdir())


def test_files_that_are_not_there_or_cannot_be_are_told(tmp_path):
  out = tmp_path / 'my.py'
  with pytest.raises(FileNotFoundError, match=r'x\.json; give the best'):
    exporting.export_architecture(tmp_path / 'x.json', out)
  for architecture in (CELL, None):
    with pytest.raises(FileNotFoundError, match=r'no weights file .*w\.npz'):
      exporting.export_architecture(
        architecture, out, weights=tmp_path / 'w.npz'
      )
  with pytest.raises(OSError, match=r'nowhere/my\.py'):
    exporting.export_architecture(CELL, tmp_path / 'nowhere' / 'my.py')


def test_a_file_that_cannot_be_written_leaves_no_arrays(tmp_path, monkeypatch):
  weights = tmp_path / 'weights.npz'
  exported_files.write_text(weights, CELL)
  out, arrays = tmp_path / 'my.py', tmp_path / 'my.npz'

  def export():
    exporting.export_architecture(CELL, out, weights=weights)

  out.mkdir()
  with pytest.raises(OSError, match=r"Is a directory: '.*my\.py'"):
    export()
  assert not arrays.exists()
  out.rmdir()
  with monkeypatch.context() as patched:
    patched.setattr(files, 'sync', fail)
    with pytest.raises(OSError, match=r"No space left on device: '.*my\.py'"):
      export()
  assert not out.exists()
  assert not arrays.exists()
  # Nor does a source come without its arrays.
  arrays.mkdir()
  with pytest.raises(OSError, match=r"my\.npz'"):
    export()
  assert not out.exists()
  arrays.rmdir()
  export()
  assert out.exists()
  assert arrays.exists()


def fail(*_):
  raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_weights_are_not_written_over(tmp_path):
  weights = tmp_path / 'weights.npz'
  exported_files.write_text(weights, CELL)
  before = weights.read_bytes()
  with pytest.raises(
    ValueError, match='would overwrite the weights that it is'
  ):
    exporting.export_architecture(
      CELL, tmp_path / 'weights.py', weights=weights
    )
  (tmp_path / 'a').mkdir()
  with pytest.raises(ValueError, match='overwrite the weights'):
    exporting.export_architecture(
      CELL, tmp_path / 'a' / '..' / 'weights.py', weights=weights
    )
  assert weights.read_bytes() == before
  exported_files.edit(weights, lambda about, _: about.update(format='x\ny'))
  with pytest.raises(
    ValueError, match=r"the format 'x.*ny', which cannot be ex"
  ):
    exporting.export_architecture(None, tmp_path / 'my.py', weights=weights)

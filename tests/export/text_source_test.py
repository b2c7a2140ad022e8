# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0


import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import npz
from jaxnas.export import exporting
from jaxnas.spaces import recurrent_cell
from tests.export import exported_files
from tests.export.exported_files import VOCABULARY

CELLS = {
  'plain': ('nascell', {}),
  'biases': ('paper_example', {'use_bias': True, 'num_layers': 1}),
  'tied': ('paper_example', {'tie_embeddings': True}),
  'lstm': ('lstm', {}),
}


def architecture_of(name):
  cell = CELLS[name][0]
  return cell if name == 'lstm' else recurrent_cell.KNOWN_CELLS[cell]


@pytest.fixture(scope='module', params=['flax', 'torch'])
def exported(request, tmp_path_factory):
  """The framework, the folder and the sources."""
  folder = tmp_path_factory.mktemp(request.param)
  sources = []
  for name, (_, recipe) in CELLS.items():
    weights = folder / f'{name}_weights.npz'
    architecture = architecture_of(name)
    exported_files.write_text(weights, architecture, **recipe)
    source, arrays = exporting.export_architecture(
      None if name == 'lstm' else architecture,
      folder / f'{name}.py',
      weights=weights,
      framework=request.param,
    )
    assert arrays == source.with_suffix('.npz')
    sources.append(source)
  return request.param, folder, sources


@pytest.mark.slow
def test_files_agree_with_the_library_without_it(exported):
  framework, _, sources = exported
  if framework == 'torch' and not exported_files.HAS_TORCH:
    pytest.skip('torch is not installed')
  ran = exported_files.run_files(sources)
  for source, (code, printed) in zip(sources, ran, strict=True):
    assert code == 0, f'{source.name}: {printed}'
    assert '64 outputs agree with those recorded' in printed
    assert float(printed.split('difference is ')[1].split()[0]) < 1e-12


def test_files_are_formatted_and_clean(exported):
  exported_files.check_format(exported[2])


def test_nothing_of_the_weights_comes_into_the_source(exported):
  framework, _, sources = exported
  for source in sources:
    assert 'import os' not in source.read_text()
    arrays = npz.read(source.with_suffix('.npz'))
    about = json.loads(arrays['about'].tobytes())
    assert about['format'] == 'jaxnas exported weights 1'
    assert tuple(about['vocabulary']) == VOCABULARY
    group = {'flax': 'params', 'torch': 'state'}[framework]
    assert {name.split('/')[0] for name in arrays} == {'about', 'check', group}


@pytest.mark.parametrize('name', CELLS)
def test_a_model_goes_on_where_it_was(exported, name):
  # In single precision, a text in two parts, against the library.
  framework, folder, _ = exported
  if framework == 'torch' and not exported_files.HAS_TORCH:
    pytest.skip('torch is not installed')
  model, params = exported_files.write_text(
    folder / 'again.npz', architecture_of(name), **CELLS[name][1]
  )
  tokens = np.random.default_rng(1).integers(0, len(VOCABULARY), (3, 7))
  expected, _ = model.apply(
    params, model.initialize_carry(3), tokens.T, method='logits'
  )
  own = exported_files.load(folder / f'{name}.py')
  if framework == 'flax':
    with jax.numpy_rank_promotion('allow'):
      model, variables, vocabulary = own.load()
      first, carry = model.apply(variables, tokens[:, :3])
      second, _ = model.apply(variables, tokens[:, 3:], carry)
    logits = jnp.concatenate([first, second], 1)
  else:
    import torch

    model, vocabulary = own.load()
    with torch.no_grad():
      first, state = model(torch.from_numpy(tokens[:, :3]))
      second, _ = model(torch.from_numpy(tokens[:, 3:]), state)
    logits = torch.cat([first, second], 1).numpy()
  assert tuple(vocabulary) == VOCABULARY
  np.testing.assert_allclose(logits, expected.swapaxes(0, 1), atol=1e-5)


def _recipe(**changes):
  return lambda about, _: about['facts']['recipe'].update(changes)


def _drop(name):
  return lambda _, arrays: arrays.pop(name)


def _layers(about, _):
  about['facts']['recipe']['num_layers'] = 10**6


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (_layers, '1000000 layers have no parameters'),
    (_recipe(num_layers=3), 'layers_2/.* must be float32.* the file has none'),
    (_recipe(features=4), r'\[4, 4\], but the file has float32\[4, 3\]'),
    (_recipe(features=10**9), r'params/embedding must be float32\[4, 1000000'),
    (_recipe(features=0), 'features must be at least 1, got 0'),
    (_recipe(features=3.0), 'features .* must be of the type int, got 3.0'),
    (_recipe(features='3\n'), r"must be of the type int, got '3\\n'"),
    (_recipe(tie_embeddings=None), 'must be of the type bool, got None'),
    (_recipe(use_bias=10**9), 'must be of the type bool, got 1000000000'),
    (_recipe(learning_rate=[]), r'must be of the type float, got \[\]'),
    (_recipe(tie_embeddings=True), 'params/output_kernel must be none'),
    (_recipe(wrong=1), "unexpected keyword argument 'wrong'"),
    (_drop('params/output_bias'), 'params/output_bias .* the file has none'),
    (lambda about, _: about['facts'].clear(), r"\('recipe'\)"),
    (
      lambda about, _: about['vocabulary'].append('x'),
      'params/embedding must',
    ),
    (
      lambda about, _: about.update(architecture='import os'),
      "must be a RecurrentCell or one of lstm, .*got 'import os'",
    ),
    (
      lambda about, _: about['architecture'].update(read_index=99),
      'read_index must be an integer from 0 to 2',
    ),
  ],
)
def test_weights_of_a_stranger_are_refused_in_one_line(
  change, message, tmp_path
):
  path = tmp_path / 'weights.npz'
  exported_files.write_text(path, recurrent_cell.KNOWN_CELLS['paper_example'])
  exported_files.edit(path, change)
  with pytest.raises(ValueError, match=message) as error:
    exporting.export_architecture(None, tmp_path / 'my.py', weights=path)
  assert 'weights.npz is damaged or not a weights' in str(error.value)
  assert '\n' not in str(error.value)
  assert len(str(error.value)) < 500
  assert not (tmp_path / 'my.py').exists()


def test_weights_of_another_architecture_are_refused(tmp_path):
  path = tmp_path / 'weights.npz'
  exported_files.write_text(path, recurrent_cell.KNOWN_CELLS['paper_example'])
  other = recurrent_cell.KNOWN_CELLS['nascell']
  with pytest.raises(ValueError, match='weights of another architecture; name'):
    exporting.export_architecture(other, tmp_path / 'my.py', weights=path)


@pytest.mark.parametrize('size', [0, 100, -1])
def test_truncated_weights_are_refused(size, tmp_path):
  path = tmp_path / 'weights.npz'
  exported_files.write_text(path, recurrent_cell.KNOWN_CELLS['paper_example'])
  path.write_bytes(path.read_bytes()[:size])
  with pytest.raises(
    ValueError, match=r'weights\.npz is damaged or no'
  ) as error:
    exporting.export_architecture(None, tmp_path / 'my.py', weights=path)
  assert '\n' not in str(error.value)


def test_a_file_tells_that_its_weights_are_damaged(tmp_path):
  cell = recurrent_cell.KNOWN_CELLS['paper_example']
  sources = {}
  for damage in ('missing', 'truncated', 'changed', 'other'):
    weights = tmp_path / f'{damage}_weights.npz'
    exported_files.write_text(weights, cell)
    sources[damage], arrays = exporting.export_architecture(
      cell, tmp_path / f'{damage}.py', weights=weights
    )
    if damage == 'missing':
      arrays.unlink()
    elif damage == 'truncated':
      arrays.write_bytes(arrays.read_bytes()[:-300])
    elif damage == 'changed':
      exported_files.edit(
        arrays,
        lambda _, arrays: arrays.update(
          {'params/output/bias': 1 + arrays['params/output/bias']}
        ),
      )
    else:
      exported_files.write_text(weights, cell, features=4)
      _, others = exporting.export_architecture(
        cell, tmp_path / 'larger.py', weights=weights
      )
      others.rename(arrays)
  ran = exported_files.run_files(list(sources.values()))
  for damage, (code, printed) in zip(sources, ran, strict=True):
    assert code == 1
    assert printed.count('\n') == 1
    if damage == 'changed':
      assert 'DO NOT AGREE' in printed
    else:
      reason = 'is missing, damaged or belongs to another model ('
      assert f'{damage}.npz {reason}' in printed

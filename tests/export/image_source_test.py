# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0


import jax
import numpy as np
import pytest

from jaxnas.export import exporting, image_weights
from jaxnas.spaces import conv_net, known_conv_nets
from tests.export import exported_files

NET = conv_net.ConvNet(
  (
    conv_net.ConvLayer(3, 3, 3, 2, 1),
    conv_net.ConvLayer(1, 3, 2),
    conv_net.ConvLayer(3, 1, 3, inputs=(0, 1)),
  ),
  pool_after=(1,),
)
RECIPES = {
  'standardized': ('standardize', {}),
  'whitened': ('whiten', {}),
  'enlarged': ('whiten', {'augmentation': 'upsample_crop', 'margin': 2}),
  'smoothed': ('standardize', {'batch_norm_epsilon': 0.123456789012345678}),
}


@pytest.fixture(scope='module', params=['flax', 'torch'])
def exported(request, tmp_path_factory):
  """The framework, the folder and the sources."""
  folder = tmp_path_factory.mktemp(request.param)
  sources = []
  for name, (preprocessing, recipe) in RECIPES.items():
    weights = folder / f'{name}_weights.npz'
    exported_files.write_images(weights, NET, preprocessing, **recipe)
    source, arrays = exporting.export_architecture(
      NET if name == 'whitened' else None,
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
    assert '16 outputs agree with those recorded' in printed


def test_files_are_formatted_and_clean(exported):
  exported_files.check_format(exported[2])


@pytest.mark.parametrize('name', RECIPES)
def test_images_are_classified_as_they_come(exported, name):
  framework, folder, _ = exported
  if framework == 'torch' and not exported_files.HAS_TORCH:
    pytest.skip('torch is not installed')
  preprocessing, recipe = RECIPES[name]
  path = folder / 'again.npz'
  images = exported_files.write_images(path, NET, preprocessing, **recipe)
  expected = image_weights.make_classifier(image_weights.load_weights(path))(
    images
  )
  with jax.numpy_rank_promotion('allow'):
    logits = exported_files.load(folder / f'{name}.py').classify(images)
  assert logits.dtype == np.float32
  np.testing.assert_allclose(logits, expected, atol=2e-6)
  assert np.ptp(expected, 0).min() > 1e-3


def _set(**changes):
  return lambda about, _: about.update(changes)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (_set(num_classes='10\nimport os'), 'damaged'),
    (_set(num_classes=10**9), r'\[1000000000\], but the file has float32\[4\]'),
    (_set(num_classes=True), r'float32\[1\], but the file has float32'),
    (_set(image_shape=['"""', 5, 3]), 'damaged'),
    (_set(image_shape=[6, 5, 10**9]), r'has \[3\]'),
    (_set(image_shape=[6.0, 5, 3]), 'height must be a positive integer'),
    (_set(image_shape=[2**20, 5000, 3]), r'1048576 x 5000 pixels, of which at'),
    (_set(image_shape=[6, 5]), 'not enough values to unpack'),
    (
      lambda about, _: about['recipe'].update(batch_norm_epsilon='1'),
      "batch_norm_epsilon of its recipe must be of the type float, got '1'",
    ),
    (
      lambda about, _: about['recipe'].update(batch_norm_epsilon=10**400),
      'int too large to convert to float',
    ),
    (
      lambda about, _: about['recipe'].update(margin=2.5),
      'margin of its recipe must be of the type int, got 2.5',
    ),
    (
      lambda _, arrays: arrays.update({'statistics/low': np.zeros(3)}),
      r'statistics/low must be \[\], but the file has \[3\]',
    ),
    (
      lambda about, _: about['architecture'].update(merge='"""'),
      'Unknown merge',
    ),
    (
      lambda _, arrays: arrays.pop('batch_stats/layer_1/var'),
      'layer_1/var must be .* but the file has none',
    ),
  ],
)
def test_weights_of_a_stranger_are_refused_in_one_line(
  change, message, tmp_path
):
  path = tmp_path / 'weights.npz'
  exported_files.write_images(path, NET)
  exported_files.edit(path, change)
  with pytest.raises(ValueError, match=message) as error:
    exporting.export_architecture(None, tmp_path / 'my.py', weights=path)
  assert 'weights.npz is damaged or not a weights' in str(error.value)
  assert '\n' not in str(error.value)
  assert not (tmp_path / 'my.py').exists()


def test_weights_of_another_network_are_refused(tmp_path):
  path = tmp_path / 'weights.npz'
  exported_files.write_images(path, NET)
  with pytest.raises(ValueError, match='weights of another architecture; name'):
    exporting.export_architecture(
      known_conv_nets.FIGURE_7, tmp_path / 'my.py', weights=path
    )

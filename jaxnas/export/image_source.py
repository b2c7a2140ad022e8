# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Trained image classifiers as straight-line code, with their weights."""

from __future__ import annotations

import os

import jax
import jax.numpy as jnp
import numpy as np

import jaxnas
from jaxnas.children import conv_net
from jaxnas.export import (
  conv_source,
  image_weights,
  listing,
  recording,
  weights_file,
)
from jaxnas.export.pieces import preprocessing
from jaxnas.spaces import conv_net as space
from jaxnas.training import augmentation

_CHECKED_BATCH = 4
# The largest image of a check, 4,096 x 4,096; larger ones would take gigabytes.
_MAX_PIXELS = 2**24


def make_listing(
  path: str | os.PathLike[str],
  architecture: space.ConvNet | None,
  framework: str,
) -> listing.Listing:
  """Returns the source of a classifier, and its weights.

  Args:
    path: the `weights.npz` of a long training.
    architecture: the network that the weights must belong to; any if `None`.
    framework: one of `listing.FRAMEWORKS`.

  Raises:
    ValueError: the file is damaged, belongs to another network, or does not
      hold the arrays of its network.
    OSError: the file cannot be read.
  """
  trained = image_weights.load_weights(path)
  if architecture is not None and trained.architecture != architecture:
    raise ValueError(listing.OTHER_WEIGHTS.format(path))
  variables = {'params': trained.params, 'batch_stats': trained.batch_stats}
  channels, num_classes = trained.image_shape[2], trained.num_classes
  _check_counts(path, trained)
  own = conv_source.to_file(variables, trained.architecture, framework)
  statistics = _statistics(trained)
  images = _images(trained)
  docstring = listing.definition(
    """
    A trained image classifier, as stand-alone code.

    <description>

    The weights are in the .npz file beside this one:

        logits = classify(images)

    Images are [batch, height, width, channels], of <shape>, before any
    preprocessing; there are <classes> classes.

    Run as a program, this file checks itself. Written by jaxnas <version>.
    """,
    description=conv_source.describe(trained.architecture),
    shape=' x '.join(map(str, trained.image_shape)),
    classes=num_classes,
    version=jaxnas.__version__,
  )
  return listing.Listing(
    framework,
    docstring,
    [
      listing.WEIGHTS,
      *conv_source.code(
        trained.architecture,
        framework,
        channels,
        num_classes,
        trained.recipe.batch_norm_epsilon,
      ),
      *(part.strip('\n') for part in _LOAD[framework]),
      listing.pieces('preprocessing')['preprocess'],
      listing.pieces('recorded')['read_group'],
      *listing.recorded_pieces(framework),
    ],
    listing.Recorded(
      {
        **_groups(own, framework),
        'statistics': statistics,
        'check': {
          'inputs': images,
          'outputs': _logits(trained, variables, statistics, images),
        },
      },
      {'facts': trained.facts, 'image_shape': trained.image_shape},
    ),
  )


def _check_counts(path, trained: image_weights.ImageWeights) -> None:
  """Checks the numbers in the source, and how much a check would take."""
  height, width, channels = trained.image_shape
  with weights_file.reading(path):
    listing.check_counts(
      height=height,
      width=width,
      channels=channels,
      num_classes=trained.num_classes,
    )
    if height * width > _MAX_PIXELS:
      raise ValueError(
        f'its images have {height} x {width} pixels, of which at most '
        f'{_MAX_PIXELS:,} are allowed'
      )


def _groups(
  own: dict[str, np.ndarray], framework: str
) -> dict[str, dict[str, np.ndarray]]:
  """Returns arrays grouped by the collection that each belongs to."""
  if framework == 'torch':
    return {'state': own}
  groups: dict[str, dict[str, np.ndarray]] = {}
  for name, array in own.items():
    collection, _, rest = name.partition('/')
    groups.setdefault(collection, {})[rest] = array
  return groups


def _statistics(trained: image_weights.ImageWeights) -> dict[str, np.ndarray]:
  """Returns the statistics for preprocessing, as `preprocess` takes them."""
  statistics = trained.statistics
  result = {'mean': statistics.mean, 'deviation': statistics.deviation}
  if statistics.whitening is not None:
    assert statistics.center is not None
    result |= {
      'center': statistics.center,
      'whitening': statistics.whitening,
    }
  recipe = trained.recipe
  if recipe.augmentation == 'upsample_crop':
    # The view is linear in rows and in columns, with weights that add up to 1.
    # So the view of a single row of ones is a column of the rows' weights,
    # however wide the image is.
    height, width, _ = trained.image_shape
    for name, ones in (
      ('rows', np.eye(height)[:, :, None]),
      ('columns', np.eye(width)[:, None]),
    ):
      view = augmentation.center(
        jnp.asarray(ones[..., None], jnp.float32),
        recipe.augmentation,
        recipe.margin,
      )[..., 0]
      middle = np.asarray(view[:, :, 0] if name == 'rows' else view[:, 0])
      result[name] = middle.T
  return result


def _images(trained: image_weights.ImageWeights) -> np.ndarray:
  """Returns random images in the range of the training images."""
  statistics = trained.statistics
  low = statistics.mean - 2 * statistics.deviation
  high = statistics.mean + 2 * statistics.deviation
  if statistics.low is not None and statistics.high is not None:
    low, high = statistics.low, statistics.high
  draw = np.random.RandomState(0).random_sample(
    (_CHECKED_BATCH, *trained.image_shape)
  )
  return (low + (high - low) * draw).astype(np.float32)


def _logits(trained, variables, statistics, images) -> np.ndarray:
  """Returns the library's logits in double precision, `[batch, classes]`."""
  module = conv_net.ConvNetwork(
    trained.architecture,
    trained.num_classes,
    epsilon=trained.recipe.batch_norm_epsilon,
  )
  with recording.double_precision():
    variables = jax.tree.map(
      lambda leaf: np.asarray(leaf, np.float64), variables
    )
    views = preprocessing.preprocess(images.astype(np.float64), statistics)
    return np.asarray(jax.jit(module.apply)(variables, views))


_LOAD: dict[str, tuple[str, ...]] = {
  'flax': (
    '''
def load(path=WEIGHTS, dtype=None):
  """Returns the trained network, its variables and the image statistics."""
  arrays, about = read_arrays(path)
  network = ConvNet()
  images = np.zeros((1, *about['image_shape']), np.float32)
  variables = read_variables(network, arrays, images, dtype)
  return network, variables, read_group(arrays, 'statistics')
''',
    '''
def classify(images, dtype=np.float32):
  """Returns the logits of unprocessed images, `[batch, num_classes]`.

  Args:
    images: the images, `[batch, height, width, channels]`.
    dtype: the floating-point type of the computation.
  """
  network, variables, statistics = load(dtype=dtype)
  images = preprocess(np.asarray(images, dtype), statistics)
  return np.asarray(network.apply(variables, images))
''',
    '''
def checked_outputs(images):
  """Returns the logits of images, in double precision, as a list of arrays."""
  # In double precision, rounding is far below any mistake, on any machine.
  jax.config.update('jax_enable_x64', True)
  return [classify(images, np.float64)]
''',
  ),
  'torch': (
    '''
def load(path=WEIGHTS):
  """Returns the trained network and the image statistics."""
  arrays, _ = read_arrays(path)
  network = ConvNet()
  read_state(network, arrays)
  return network.eval(), read_group(arrays, 'statistics')
''',
    '''
def classify(images, dtype=np.float32):
  """Returns the logits of unprocessed images, `[batch, num_classes]`.

  Args:
    images: the images, `[batch, height, width, channels]`.
    dtype: the floating-point type of the computation.
  """
  network, statistics = load()
  images = preprocess(np.asarray(images, dtype), statistics).astype(dtype)
  images = torch.from_numpy(images.transpose(0, 3, 1, 2))
  with torch.no_grad():
    return network.to(images.dtype)(images).numpy()
''',
    '''
def checked_outputs(images):
  """Returns the logits of images, in double precision, as a list of arrays."""
  # In double precision, rounding is far below any mistake, on any machine.
  return [classify(images, np.float64)]
''',
  ),
}

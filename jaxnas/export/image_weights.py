# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A trained image classifier, with everything needed to use it.

The file, see `weights_file`, holds the parameters, the running averages of
batch norm, the statistics for preprocessing, and as JSON the architecture, the
recipe and facts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import dataclasses
import os
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnas.children import conv_net
from jaxnas.datasets import image_preprocessing
from jaxnas.export import weights_file
from jaxnas.spaces import conv_net as space
from jaxnas.training import augmentation, long_images


class ImageWeights(NamedTuple):
  """The content of the weights file of a classifier of `K` classes.

  Attributes:
    params: the parameters of a `conv_net.ConvNetwork`.
    batch_stats: the running averages of the network's batch norm.
    architecture: the network.
    image_shape: the shape of an image, `(H, W, C)`.
    num_classes: the number of classes `K`.
    statistics: the statistics that images are preprocessed with.
    recipe: the recipe of the training, which determines the view of an image
      that is classified.
    facts: further facts about the classifier.
  """

  params: Any
  batch_stats: Any
  architecture: space.ConvNet
  image_shape: tuple[int, int, int]
  num_classes: int
  statistics: image_preprocessing.Statistics
  recipe: long_images.Recipe
  facts: Mapping[str, Any]


def write_weights(path: str | os.PathLike, weights: ImageWeights) -> None:
  """Writes a classifier; equal classifiers give equal bytes.

  Args:
    path: the file to write; an existing one is replaced atomically.
    weights: the classifier; its facts are JSON-compatible values or arrays.

  Raises:
    ValueError: an array has a type that NumPy does not know.
    OSError: the file cannot be written.
  """
  statistics = {
    name: value
    for name, value in weights.statistics._asdict().items()
    if value is not None
  }
  about = {
    'format': weights_file.CLASSIFIER,
    'architecture': weights.architecture.to_json(),
    'image_shape': weights.image_shape,
    'num_classes': weights.num_classes,
    'recipe': dataclasses.asdict(weights.recipe),
    'facts': weights.facts,
  }
  variables = {
    'params': weights.params,
    'batch_stats': weights.batch_stats,
    'statistics': statistics,
  }
  weights_file.write(path, variables, about)


def load_weights(path: str | os.PathLike) -> ImageWeights:
  """Returns the content of a file that `write_weights` wrote.

  Args:
    path: the file.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: the file is damaged or of another kind.
  """
  return weights_file.load(path, weights_file.CLASSIFIER, _parse)


def make_classifier(
  weights: ImageWeights,
) -> Callable[[np.ndarray], np.ndarray]:
  """Makes a function that classifies images without prior preprocessing.

  Args:
    weights: a trained classifier.

  Returns:
    A function `images -> logits`. Images are `uint8` or `float32[n, H, W, C]`,
    or `[n, H, W]` if gray, in the range of the training images; logits are
    `float32[n, K]`. It raises `ValueError` for images of another shape or
    scale.
  """
  recipe = weights.recipe
  network = conv_net.make_network(
    weights.architecture,
    weights.image_shape,
    weights.num_classes,
    epsilon=recipe.batch_norm_epsilon,
  )

  @jax.jit
  def predict(params, batch_stats, images):
    views = augmentation.center(images, recipe.augmentation, recipe.margin)
    return network.predict(params, batch_stats, views)

  def classify(images):
    images = np.asarray(images)
    if images.ndim == 3 and weights.image_shape[2] == 1:
      images = images[..., None]
    if images.ndim != 4 or images.shape[1:] != weights.image_shape:
      raise ValueError(
        f'images must have the shape [n, '
        f'{", ".join(map(str, weights.image_shape))}], got '
        f'{list(images.shape)}.'
      )
    image_preprocessing.check_scale('Images', images, weights.statistics)
    logits = [np.zeros((0, weights.num_classes), np.float32)]
    for start in range(0, len(images), recipe.evaluation_batch_size):
      chunk = images[start : start + recipe.evaluation_batch_size]
      preprocessed = image_preprocessing.apply(weights.statistics, chunk)
      logits.append(predict(weights.params, weights.batch_stats, preprocessed))
    return np.concatenate(logits)

  return classify


def _parse(variables: dict[str, Any], about: Mapping[str, Any]) -> ImageWeights:
  statistics = {
    name: np.asarray(value) for name, value in variables['statistics'].items()
  }
  height, width, channels = image_shape = tuple(about['image_shape'])
  num_values, num_classes = height * width * channels, about['num_classes']
  for name, shape in (
    ('mean', (channels,)),
    ('deviation', (channels,)),
    ('center', (num_values,)),
    ('whitening', (num_values, num_values)),
    ('low', ()),
    ('high', ()),
  ):
    if name in statistics and statistics[name].shape != shape:
      raise ValueError(
        f'for its images, statistics/{name} must be {list(shape)}, but the '
        f'file has {list(statistics[name].shape)}'
      )
  architecture = space.ConvNet.from_json(about['architecture'])
  network = conv_net.make_network(architecture, image_shape, num_classes)
  params, batch_stats = variables['params'], variables['batch_stats']
  weights_file.check_shapes(
    (params, batch_stats), lambda: network.init(jax.random.key(0))
  )
  return ImageWeights(
    params=params,
    batch_stats=batch_stats,
    architecture=architecture,
    image_shape=image_shape,
    num_classes=num_classes,
    statistics=image_preprocessing.Statistics(**statistics),
    recipe=weights_file.read_recipe(long_images.Recipe, about['recipe']),
    facts=about['facts'],
  )

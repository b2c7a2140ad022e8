# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

r"""Classifies images with a trained network.

    python -m experiments.classify_images --data_dir=images.npz \
        --weights=runs/train_conv/weights.npz --out=labels.csv

The weights are those of `experiments.train_conv_net`. The table has a line for
each image: its number, the most probable class, the probability of every class
and, if the file has labels, the true class. With labels, the accuracy is also
printed, to standard error.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import sys
from typing import TextIO

import numpy as np

from experiments import launch, settings
from jaxnas import statistics
from jaxnas.datasets import image_files, image_preprocessing, prepared
from jaxnas.export import image_weights


@dataclasses.dataclass(frozen=True)
class Config(settings.Bounded):
  """Settings of a classification."""

  weights: str | None = settings.data(
    None,
    'Path of the weights.npz of a training.',
    is_common=True,
    required=True,
  )
  data_dir: str | None = settings.data(
    None, 'The .npz file of the images.', is_common=True, required=True
  )
  out: str | None = settings.data(
    None,
    'Path of the table to write; none prints it.',
    is_common=True,
  )
  images: str | None = settings.data(
    None, 'Name of the array of images; none looks for x, images or x_test.'
  )
  labels: str | None = settings.data(
    None, 'Name of the array of labels; none looks for y, labels or y_test.'
  )
  rescale: bool = settings.data(
    False,
    'Whether images of another scale than the training images are rescaled '
    'instead of refused.',
    is_common=True,
  )


def run(config: Config) -> None:
  """Writes the table, and prints the accuracy if there are labels.

  Args:
    config: the settings.

  Raises:
    ValueError: the weights are damaged or not a classifier's, or the images are
      unlike those that it was trained on.
    OSError: a file cannot be read or written.
  """
  _check_out(config)
  weights = image_weights.load_weights(prepared.expand(config.weights or ''))
  file = image_files.read(config.data_dir or '', config.images, config.labels)
  images, labels = file.images, file.labels
  if labels is not None and labels.max() >= weights.num_classes:
    raise ValueError(
      f'{file.labels_name} has the class {labels.max()}, but the classifier '
      f'knows {weights.num_classes} classes, counted from 0.'
    )
  if config.rescale:
    images, factor = image_preprocessing.rescale(images, weights.statistics)
    if factor != 1:
      _tell(
        f'The images have values up to {file.images.max():g}; they are '
        f'multiplied by {factor:g}, to the scale of the training images.'
      )
  else:
    _check_scale(file, weights)
  logits = image_weights.make_classifier(weights)(images)
  _write(config.out, _probabilities(logits), labels)
  if labels is not None:
    _tell(_accuracy(logits.argmax(axis=1) == labels, file.images_name))


def _check_out(config: Config) -> None:
  """Refuses to overwrite a file that the table is made from."""
  for source in (config.weights, config.data_dir):
    if config.out and source:
      out, file = (
        prepared.expand(name).resolve() for name in (config.out, source)
      )
      if out == file:
        raise ValueError(
          f'The table would overwrite {source}, from which it is made; name '
          'another --out.'
        )


def _check_scale(
  file: image_files.ImageFile, weights: image_weights.ImageWeights
) -> None:
  try:
    image_preprocessing.check_scale(
      file.images_name, file.images, weights.statistics
    )
  except ValueError as error:
    raise ValueError(
      f'{error} --rescale does this for values that start at 0.'
    ) from None


def _probabilities(logits: np.ndarray) -> np.ndarray:
  """Returns the softmax, `[n, K]`, as `float64`."""
  if not np.isfinite(logits).all():
    raise ValueError(
      'The network returns logits that are not finite, so its training failed; '
      'train it again with a smaller learning rate.'
    )
  exponentials = np.exp(
    logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
  )
  return exponentials / exponentials.sum(axis=1, keepdims=True)


def _write(
  out: str | None, probabilities: np.ndarray, labels: np.ndarray | None
) -> None:
  """Writes the table to a file, or prints it."""
  classes = [f'probability_{i}' for i in range(probabilities.shape[1])]
  truth = [] if labels is None else ['truth']
  with contextlib.ExitStack() as stack:
    file: TextIO = sys.stdout
    if out:
      file = stack.enter_context(
        open(prepared.expand(out), 'w', encoding='utf-8', newline='')
      )
    writer = csv.writer(file, lineterminator='\n')
    writer.writerow(['image', 'label', *classes, *truth])
    for number, row in enumerate(probabilities):
      writer.writerow(
        [
          number,
          row.argmax(),
          *(f'{value:.6g}' for value in row),
          *([] if labels is None else [labels[number]]),
        ]
      )
  if out:
    _tell(f'Wrote {len(probabilities)} labels to {out}.')


def _accuracy(is_right: np.ndarray, images_name: str) -> str:
  """Returns a sentence on the share of images that are classified correctly."""
  interval = statistics.share_interval(is_right)
  low, high = (
    statistics.ACCURACY.text(end) for end in (interval.low, interval.high)
  )
  return (
    f'Accuracy on {images_name}: {statistics.ACCURACY.text(is_right.mean())} '
    f'of {len(is_right)} images, 95 % interval {low} to {high}.'
  )


def _tell(line: str) -> None:
  """Prints a line beside the table, which may be piped to another program."""
  print(line, file=sys.stderr)


if __name__ == '__main__':
  launch.launch(Config, run, has_workdir=False)

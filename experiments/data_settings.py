# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Settings of the data that children are trained and measured on."""

from __future__ import annotations

import dataclasses
from typing import Any

from experiments import settings
from jaxnas.datasets import image_preprocessing, images, text
from jaxnas.training import augmentation


@dataclasses.dataclass(frozen=True)
class ImageData(settings.Bounded):
  """The images, and how they are split."""

  dataset: str = settings.data(
    'digits',
    'Images: digits, cifar10, fashion_mnist, mnist, npz (a file of your own) '
    'or a name in TensorFlow Datasets.',
    is_common=True,
  )
  data_dir: str | None = settings.data(
    None, 'Folder of the archives, or the .npz file.', is_common=True
  )
  num_validation: int | None = settings.data(
    None,
    'Number of images that rewards and epochs are judged by; none: a tenth.',
    low=1,
    high=settings.MAX_COUNT,
  )
  num_report: int | None = settings.data(
    None,
    'Number of images that comparisons are made on; none: a tenth.',
    low=0,
    high=settings.MAX_COUNT,
  )


def facts_of_images(dataset: images.ImageDataset) -> dict[str, Any]:
  """Returns the entries of a run's manifest about its images."""
  return {
    'data_hash': dataset.content_hash,
    'seen_hash': dataset.seen_hash,
    'image_shape': list(dataset.image_shape),
    'num_classes': dataset.num_classes,
  }


@dataclasses.dataclass(frozen=True)
class AugmentedImages(ImageData):
  """Images that are preprocessed, and augmented during training."""

  preprocessing: str = settings.data(
    'standardize',
    'Preprocessing of all images; the paper whitens them.',
    choices=image_preprocessing.KINDS,
  )
  augmentation: str = settings.data(
    'none',
    'Augmentation of training images; pad_crop is that of DenseNet.',
    choices=augmentation.KINDS,
  )
  margin: int = settings.data(
    4,
    'Largest distance of a crop from the center, in pixels.',
    source=settings.DENSENET,
    low=0,
    high=settings.MAX_MARGIN,
  )
  flip: bool = settings.data(
    False, 'Whether half of the training images are mirrored.'
  )


def load_images(config: ImageData) -> images.ImageDataset:
  """Returns the images that the settings name; raises as `images.load` does."""
  preprocessing = 'standardize'
  if isinstance(config, AugmentedImages):
    preprocessing = config.preprocessing
  return images.load(
    config.dataset,
    config.data_dir,
    num_validation=config.num_validation,
    num_report=config.num_report,
    preprocessing=preprocessing,
  )


@dataclasses.dataclass(frozen=True)
class TextData(settings.Bounded):
  """The text, and its tokens."""

  dataset: str = settings.data(
    'pydoc',
    'Text: pydoc, ptb or text (a folder of your own).',
    is_common=True,
  )
  data_dir: str | None = settings.data(
    None, 'Folder of the text files.', is_common=True
  )
  level: str = settings.data(
    'word', 'Kind of the tokens.', choices=('word', 'char')
  )
  vocab_size: int | None = settings.data(
    None,
    'Number of different tokens; none: the default of the text.',
    low=1,
    high=settings.MAX_COUNT,
  )


def load_text(config: TextData) -> text.TextDataset:
  """Returns the text that the settings name; raises as `text.load` does."""
  return text.load(
    config.dataset,
    config.data_dir,
    level=config.level,
    vocab_size=config.vocab_size,
  )


def facts_of_text(dataset: text.TextDataset) -> dict[str, Any]:
  """Returns what the manifest of a run says about its text."""
  return {
    'data_hash': dataset.content_hash,
    'seen_hash': dataset.seen_hash,
    'vocab_size': dataset.vocab_size,
  }


@dataclasses.dataclass(frozen=True)
class TextBatches(settings.Bounded):
  """How a text is cut for training."""

  batch_size: int = settings.children(
    20,
    'Number of columns of text that a child reads at once.',
    source=settings.ZAREMBA,
    low=1,
    high=settings.MAX_ITEMS,
  )
  num_unrolled: int = settings.children(
    35,
    'Number of steps of backpropagation through time.',
    source=settings.ZAREMBA,
    low=1,
    high=settings.MAX_ITEMS,
  )


_TABLE = 'Base2Bench, the table that is shipped'


@dataclasses.dataclass(frozen=True)
class TableChildren(TextBatches):
  """The children of Base2Bench: small cells on few words."""

  features: int = settings.children(
    16,
    'Number of hidden units of a child.',
    source=_TABLE,
    low=1,
    high=settings.MAX_FEATURES,
  )
  vocab_size: int = settings.data(
    500,
    'Number of different words.',
    source=_TABLE,
    low=1,
    high=settings.MAX_COUNT,
  )
  num_steps: int = settings.children(
    256,
    'Number of training steps of a child; an epoch has 128.',
    source=_TABLE,
    low=1,
    high=settings.MAX_COUNT,
  )
  learning_rate: float = settings.children(
    0.01, 'Learning rate of Adam, for a child.', source=_TABLE, above=0.0
  )
  block_size: int = settings.machine(
    32, 'Number of children in one call.', low=1, high=settings.MAX_BLOCK
  )

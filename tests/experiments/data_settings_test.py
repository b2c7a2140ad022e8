# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np

from experiments import data_settings


def test_images_are_split_and_preprocessed_as_the_settings_say():
  plain = data_settings.ImageData(num_validation=100, num_report=50)
  standardized = data_settings.load_images(plain)
  assert len(standardized.validation_labels) == 100
  assert len(standardized.report_labels) == 50
  whitened = data_settings.load_images(
    data_settings.AugmentedImages(
      num_validation=100, num_report=50, preprocessing='whiten'
    )
  )
  np.testing.assert_array_equal(
    whitened.train_labels, standardized.train_labels
  )
  assert not np.allclose(whitened.train_images, standardized.train_images)


def test_a_text_has_the_tokens_that_the_settings_say(tmp_path):
  for split, words in (
    ('train', 'one two two three three three ' * 20),
    ('valid', 'one two ' * 20),
    ('test', 'three ' * 20),
  ):
    path = tmp_path / f'ptb.{split}.txt'
    path.write_text(words, encoding='utf-8')
  few = data_settings.load_text(
    data_settings.TextData(dataset='ptb', data_dir=str(tmp_path), vocab_size=3)
  )
  assert few.vocab_size == 3
  assert 'three' in few.vocabulary
  assert 'one' not in few.vocabulary
  letters = data_settings.load_text(
    data_settings.TextData(dataset='ptb', data_dir=str(tmp_path), level='char')
  )
  assert {'o', 'n', 'e'} < set(letters.vocabulary)

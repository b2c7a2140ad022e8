# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.training import image_evaluation

K = 3
RNG = np.random.default_rng(0)


def make_examples(size):
  """Returns images that hold the logits a test expects of them."""
  images = RNG.normal(size=(size, 1, 1, K)).astype(np.float32)
  labels = RNG.integers(0, K, size, dtype=np.int32)
  return image_evaluation.Examples(images, labels)


def predict(images):
  return images[:, 0, 0]


@functools.partial(jax.jit, static_argnames='batch_size')
def evaluate(examples, batch_size):
  return image_evaluation.evaluate(predict, examples, batch_size)


def expected(examples):
  logits = np.asarray(examples.images, np.float64)[:, 0, 0]
  log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
  losses = -log_probs[np.arange(len(logits)), examples.labels]
  is_right = logits.argmax(-1) == examples.labels
  return {'accuracy': is_right.mean(), 'loss': losses.mean()}


@pytest.mark.parametrize(('size', 'batch_size'), [(6, 8), (6, 3), (7, 3)])
def test_every_image_counts_once(size, batch_size):
  examples = make_examples(size)
  result = evaluate(examples, batch_size)
  for name, value in expected(examples).items():
    np.testing.assert_allclose(result[name], value, rtol=1e-6)


def test_padding_counts_for_nothing():
  examples = make_examples(7)
  padded = image_evaluation.pad(examples, 4, size=10)
  assert padded.labels.tolist() == [*examples.labels.tolist(), *[-1] * 5]
  assert padded.images.shape == (12, 1, 1, K)
  # Chunks of 4 fit: nothing more is added.
  assert image_evaluation.pad(padded, 4) is padded
  result = evaluate(padded, 4)
  for name, value in expected(examples).items():
    np.testing.assert_allclose(result[name], value, rtol=1e-6)


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_logits_that_are_not_finite_are_wrong(value):
  images = np.zeros((4, 1, 1, K), np.float32)
  images[:, 0, 0, 1] = [1, 1, value, value]
  examples = image_evaluation.Examples(images, jnp.ones(4, jnp.int32))
  assert evaluate(examples, 4)['accuracy'] == 0.5

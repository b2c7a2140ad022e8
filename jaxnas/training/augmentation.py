# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Random views of images, drawn anew for every image of a batch.

Images are `float32[B, H, W, C]`, and so are their views.
"""

from __future__ import annotations

import jax
from jax import lax
import jax.numpy as jnp

KINDS = ('none', 'pad_crop', 'upsample_crop')


def augment(
  key: jax.Array, images: jax.Array, kind: str, margin: int, flip: bool
) -> jax.Array:
  """Returns a random view of every image.

  Args:
    key: a random key.
    images: `[B, H, W, C]`.
    kind: `'none'`; `'pad_crop'`, see `pad_crop`; `'upsample_crop'`, see
      `upsample_crop`.
    margin: how far a crop can be off the centre, pixels.
    flip: whether half of the views are mirrored left to right.
  """
  crop_key, flip_key = jax.random.split(key)
  if kind != 'none':
    offsets = jax.random.randint(
      crop_key, (len(images), 2), 0, 2 * margin + 1, jnp.int32
    )
    crop = pad_crop if kind == 'pad_crop' else upsample_crop
    images = crop(images, offsets, margin)
  if flip:
    images = random_flip(flip_key, images)
  return images


def centre(images: jax.Array, kind: str, margin: int) -> jax.Array:
  """Returns the view of every image that a trained child is judged by.

  The images themselves but for `'upsample_crop'`, where it is the central crop:
  the network has only seen images enlarged. (The paper does not tell.)

  Args:
    images: `[B, H, W, C]`.
    kind: as for `augment`.
    margin: as for `augment`.
  """
  if kind != 'upsample_crop':
    return images
  offsets = jnp.full((len(images), 2), margin, jnp.int32)
  return jax.jit(upsample_crop, static_argnums=2)(images, offsets, margin)


def pad_crop(images: jax.Array, offsets: jax.Array, margin: int) -> jax.Array:
  """Crops images to their size after padding them with zeros on every side.

  Args:
    images: `[B, H, W, C]`, of mean 0, so that zeros are their mean.
    offsets: first row and column of every crop, from 0 to `2 * margin`,
      `int32[B, 2]`.
    margin: how many zeros go on every side.
  """
  widths = ((0, 0), (margin, margin), (margin, margin), (0, 0))

  def crop(image, offset):
    start = (offset[0], offset[1], jnp.zeros_like(offset[0]))
    return lax.dynamic_slice(image, start, images.shape[1:])

  return jax.vmap(crop)(jnp.pad(images, widths), offsets)


def upsample_crop(
  images: jax.Array, offsets: jax.Array, margin: int
) -> jax.Array:
  """Crops images to their size after enlarging them.

  Section 4.1 of "Neural Architecture Search with Reinforcement Learning", Zoph
  and Le, 2017 (https://arxiv.org/abs/1611.01578); with a margin of 4, 32 x 32
  pixels become 40 x 40. Between pixels they are interpolated linearly, of which
  the paper says nothing.

  Args:
    images: `[B, H, W, C]`.
    offsets: first row and column of every crop, from 0 to `2 * margin`,
      `int32[B, 2]`.
    margin: by how many pixels they are enlarged on every side.
  """
  sides = jnp.array(images.shape[1:3], jnp.float32)

  def crop(image, offset):
    # One resampling of the rows and columns that are kept.
    return jax.image.scale_and_translate(
      image,
      image.shape,
      (0, 1),
      (sides + 2 * margin) / sides,
      -offset.astype(jnp.float32),
      'linear',
    )

  return jax.vmap(crop)(images, offsets)


def random_flip(key: jax.Array, images: jax.Array) -> jax.Array:
  """Mirrors each image left to right, or not, with equal probability."""
  is_flipped = jax.random.bernoulli(key, shape=(len(images), 1, 1, 1))
  return jnp.where(is_flipped, images[:, :, ::-1], images)

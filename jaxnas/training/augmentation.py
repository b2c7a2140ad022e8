# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Random views of images, drawn independently for every image of a batch.

Images and their views are `float32[B, H, W, C]`.
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
    images: the images, `[B, H, W, C]`.
    kind: `'none'`; `'pad_crop'`, see `pad_crop`; or `'upsample_crop'`, see
      `upsample_crop`.
    margin: the maximum distance of a crop from the center, in pixels.
    flip: whether to mirror each view left to right with probability 1/2.
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


def center(images: jax.Array, kind: str, margin: int) -> jax.Array:
  """Returns the view of every image that children are evaluated on.

  These are the images themselves except for `'upsample_crop'`, where they are
  the central crops, since the network was trained on enlarged images only. (The
  paper does not specify this.)

  Args:
    images: the images, `[B, H, W, C]`.
    kind: the kind of augmentation, as in `augment`.
    margin: the margin of the crops, as in `augment`.
  """
  if kind != 'upsample_crop':
    return images
  offsets = jnp.full((len(images), 2), margin, jnp.int32)
  return jax.jit(upsample_crop, static_argnums=2)(images, offsets, margin)


def pad_crop(images: jax.Array, offsets: jax.Array, margin: int) -> jax.Array:
  """Pads images with zeros on every side and crops them to their old size.

  Args:
    images: the images, `[B, H, W, C]`, with mean 0, so that the padding equals
      their mean.
    offsets: the first row and column of every crop, from 0 to `2 * margin`,
      `int32[B, 2]`.
    margin: the number of zeros added on every side.
  """
  widths = ((0, 0), (margin, margin), (margin, margin), (0, 0))

  def crop(image, offset):
    start = (offset[0], offset[1], jnp.zeros_like(offset[0]))
    return lax.dynamic_slice(image, start, images.shape[1:])

  return jax.vmap(crop)(jnp.pad(images, widths), offsets)


def upsample_crop(
  images: jax.Array, offsets: jax.Array, margin: int
) -> jax.Array:
  """Enlarges images and crops them to their old size.

  Section 4.1 of "Neural Architecture Search with Reinforcement Learning", Zoph
  and Le, 2017 (https://arxiv.org/abs/1611.01578); with a margin of 4, 32 x 32
  pixels become 40 x 40. The interpolation is linear; the paper does not specify
  it.

  Args:
    images: the images, `[B, H, W, C]`.
    offsets: the first row and column of every crop, from 0 to `2 * margin`,
      `int32[B, 2]`.
    margin: the number of pixels that images grow by on every side.
  """
  sides = jnp.array(images.shape[1:3], jnp.float32)

  def crop(image, offset):
    # Resamples only the rows and columns that the crop keeps.
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
  """Mirrors each image left to right with probability 1/2."""
  is_flipped = jax.random.bernoulli(key, shape=(len(images), 1, 1, 1))
  return jnp.where(is_flipped, images[:, :, ::-1], images)

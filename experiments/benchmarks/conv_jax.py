# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The JAX side of the benchmark of convolutional networks.

A worker of `experiments.benchmark_conv`; each `make_` function prepares one
measurement. Architectures are given as JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import time
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.benchmarks import device as device_lib
from experiments.benchmarks import worker as worker_lib
from jaxnas.children import conv_masked, conv_net, convolution, platforms
from jaxnas.children.network import Network
from jaxnas.datasets import image_preprocessing, images
from jaxnas.spaces import conv_net as spaces
from jaxnas.trainers import blocks, conv_routes
from jaxnas.training import image_task
from jaxnas.types import Task, Trainer

Facts = worker_lib.Facts
Burst = Callable[..., Facts]

_LEARNING_RATE = 0.1
_NUM_CLASSES = 10
_NUM_BATCHES = 16
_NEVER = 2**30
# The number of children per device in a search's block, on a route that loops
# over them.
_SEARCH_BLOCK = 4


def make_train(
  route: str, architectures: Sequence[Mapping[str, Any]], **shape: Any
) -> tuple[Facts, Burst]:
  """Trains children by a route, as a search does.

  A burst uses the library's own code path: children are initialized, trained
  for `num_steps` and measured on one batch.

  Args:
    route: the route, one of `conv_routes.ROUTES`.
    architectures: the children.
    **shape: the images and the search space; see `make_search`.

  Returns:
    The facts and the burst. The facts are `cold_seconds`, the duration of one
    step and everything before it the first time, and `compile_seconds`, the
    total time that threads spent compiling.
  """
  children = [spaces.ConvNet.from_json(each) for each in architectures]
  makers = make_search(block_size=whole_block(len(children)), **shape)
  way = makers.make(route)

  def burst(num_steps: int) -> Facts:
    return {
      'seconds': _train(makers, way, children, num_steps),
      'peak_bytes': device_lib.peak_bytes(),
    }

  cold = burst(1)['seconds']
  return {
    'cold_seconds': cold,
    'compile_seconds': way.compile_seconds,
  }, burst


def make_full(
  route: str, architectures: Sequence[Mapping[str, Any]], **shape: Any
) -> tuple[Facts, Burst]:
  """Trains children by a route; every burst compiles everything again.

  Args:
    route: the route, one of `conv_routes.ROUTES`.
    architectures: the children.
    **shape: the images and the search space; see `make_search`.
  """
  children = [spaces.ConvNet.from_json(each) for each in architectures]
  block_size = whole_block(len(children))
  if block_size >= _SEARCH_BLOCK * len(jax.local_devices()):
    block_size = 0

  def burst(num_steps: int) -> Facts:
    makers = make_search(block_size=block_size, **shape)
    # Loading the data and starting JAX are not part of a route.
    jax.block_until_ready((makers.dataset.train_images, _keys(len(children))))
    started = time.perf_counter()
    _train(makers, makers.make(route), children, num_steps)
    return {'seconds': time.perf_counter() - started}

  return {}, burst


def make_grouped(
  architectures: Sequence[Mapping[str, Any]], **shape: Any
) -> tuple[Facts, Burst]:
  """Differentiates masked networks that use JAX's convolutions, under `vmap`.

  This is what a naive implementation would do; see `grouped_network`. A burst
  is one step of all children, without an optimizer, and is not warmed up, since
  it can take minutes.

  Args:
    architectures: the children.
    **shape: the images and the search space; see `make_search`.
  """
  children = [spaces.ConvNet.from_json(each) for each in architectures]
  dataset = _make_dataset(tuple(shape['image_shape']), shape['batch_size'])
  masked = make_masked(**shape)

  def init(program, key, learning_rate):
    del learning_rate
    return grouped_network(masked, program).init(key)

  def train(data, program, state, key, learning_rate, span):
    del key, learning_rate, span
    network = grouped_network(masked, program)
    _, batch_stats, grads = network.loss_and_grad(*state, *data)
    return grads, batch_stats

  trainer = blocks.BlockTrainer(
    Task(
      init=init,
      train=train,
      train_metrics=lambda state: {'is_alive': jnp.array(True)},
      measure=lambda data, program, state: {},
      train_data=(dataset.validation_images, dataset.validation_labels),
      splits={},
      assemble=masked.assemble,
      program_axes=conv_masked.BATCH_AXES,
    ),
    whole_block(len(children)),
  )

  def burst() -> Facts:
    before = trainer.run_seconds
    rates = np.full(len(children), _LEARNING_RATE)
    trainer.run(children, _keys(len(children)), rates, 1, splits=())
    return {'seconds': trainer.run_seconds - before}

  return {}, burst


def make_convolution(
  kind: str,
  image_size: int,
  channels: int,
  batch_size: int,
  kernel_size: int,
  num_calls: int = 1,
) -> tuple[Facts, Burst]:
  """Takes gradient steps of one convolution; a burst gives the mean duration.

  Args:
    kind: the kind of convolution: `'loop'`, the library's in a compiled loop;
      `'plain'`, JAX's own, called repeatedly; or `'plain_loop'`, JAX's own in
      the loop.
    image_size: the height and width of the images.
    channels: the number of channels of the images and filters.
    batch_size: the number of images.
    kernel_size: the height and width of the filters, odd.
    num_calls: the number of gradient steps in a burst.
  """
  is_canonical = kind == 'loop' and convolution.needs_canonical(
    platforms.default()
  )
  keys = jax.random.split(jax.random.key(0), 3)
  shape = (batch_size, image_size, image_size, channels)
  inputs, weights = (jax.random.normal(key, shape) for key in keys[:2])
  kernel = jax.random.normal(
    keys[2], (kernel_size, kernel_size) + 2 * shape[3:]
  )

  def loss(inputs, kernel):
    outputs = convolution.convolve(inputs, kernel, is_canonical=is_canonical)
    return jnp.sum(outputs * weights)

  # Each step depends on the previous one, or a loop would do its work once.
  def step(inputs, kernel):
    grads = jax.grad(loss, argnums=(0, 1))(inputs, kernel)
    return inputs - 1e-9 * grads[0], kernel - 1e-9 * grads[1]

  @jax.jit
  def loop(inputs, kernel, num_calls):
    return lax.fori_loop(
      0, num_calls, lambda _, state: step(*state), (inputs, kernel)
    )

  step_program = jax.jit(step)

  def call(num_calls: int) -> None:
    state = inputs, kernel
    if kind == 'plain':
      for _ in range(num_calls):
        state = step_program(*state)
    else:
      state = loop(*state, num_calls)
    jax.block_until_ready(state)

  def burst() -> Facts:
    started = time.perf_counter()
    call(num_calls)
    return {'seconds': (time.perf_counter() - started) / num_calls}

  call(1)
  return {}, burst


MAKERS: dict[str, worker_lib.Maker] = {
  'train': make_train,
  'full': make_full,
  'grouped': make_grouped,
  'convolution': make_convolution,
}


def make_search(
  image_shape: Sequence[int],
  batch_size: int,
  num_layers: int,
  heights: Sequence[int],
  widths: Sequence[int],
  filters: Sequence[int],
  block_size: int = 0,
) -> conv_routes.ConvRoutes:
  """Makes the routes of a search with synthetic images, on all devices.

  Args:
    image_shape: the shape of an image, `(H, W, C)`.
    batch_size: the number of images per step.
    num_layers: the number of layers of the deepest network.
    heights: the possible heights of filters.
    widths: the possible widths of filters.
    filters: the possible numbers of filters of a layer.
    block_size: the number of children per call; 0 for the default of a search.
  """
  return conv_routes.ConvRoutes(
    _make_dataset(tuple(image_shape), batch_size),
    # The only evaluation is of one batch, at the end.
    image_task.Recipe(
      batch_size=batch_size,
      schedule='constant',
      evaluate_every=_NEVER,
      num_evaluations=1,
      evaluation_batch_size=batch_size,
    ),
    {
      'num_layers': num_layers,
      'heights': tuple(heights),
      'widths': tuple(widths),
      'filters': tuple(filters),
      'merge': 'concat',
    },
    len(jax.local_devices()),
    block_size,
  )


def make_masked(
  image_shape: Sequence[int],
  num_layers: int,
  heights: Sequence[int],
  widths: Sequence[int],
  filters: Sequence[int],
  batch_size: int | None = None,
) -> conv_masked.ConvMasked:
  """Makes the masked form of a search space's networks; see `make_search`."""
  del batch_size
  return conv_masked.ConvMasked(
    num_layers,
    (image_shape[0], image_shape[1], image_shape[2]),
    _NUM_CLASSES,
    tuple(heights),
    tuple(widths),
    tuple(filters),
  )


def grouped_network(
  masked: conv_masked.ConvMasked, program: conv_masked.MaskedProgram
) -> Network:
  """Returns a masked network that computes each layer by one `lax` convolution.

  Under `jax.vmap` that becomes a grouped convolution. Everything else,
  including the form of the parameters, is as in `masked.make_network`, for
  concatenated outputs.

  Args:
    masked: the networks of the search space.
    program: the program of one network; its arrays may be traced.
  """
  plain = masked.make_network(program)
  layout = masked.layout
  masks = [
    layout.kernel_places(program, source)[1]
    for source in range(masked.num_layers)
  ]
  head_mask = layout.head_places(program)[1]

  def logits(params, inputs):
    sources, stats = [inputs], []
    for number in range(masked.num_layers):
      kernel = jnp.concatenate(
        [
          jnp.where(mask, kernels, 0)[number - source]
          for source, (mask, kernels) in enumerate(
            zip(masks[: number + 1], params['kernels'], strict=False)
          )
        ],
        2,
      )
      outputs = convolution.convolve(
        jnp.concatenate(sources, -1), kernel, is_canonical=False
      )
      mean, var = conv_net.batch_moments(outputs)
      stats.append((mean, var))
      gain = lax.rsqrt(var + conv_net.EPSILON) * params['scale'][number]
      normalized = (outputs - mean[None, None, None]) * gain[None, None, None]
      outputs = jax.nn.relu(
        normalized + params['bias'][number][None, None, None]
      )
      is_filter = jnp.arange(outputs.shape[-1]) < program.filters[number]
      sources.append(jnp.where(is_filter[None, None, None], outputs, 0))
    features = jnp.stack([output.mean((1, 2)) for output in sources[1:]])
    head = jnp.where(head_mask, params['head_kernel'], 0)
    result = jnp.einsum('lbf,lfk->bk', features, head)
    return result + params['head_bias'][None], stats

  def loss_and_grad(params, batch_stats, inputs, labels):
    def loss(params):
      outputs, stats = logits(params, inputs)
      losses = optax.softmax_cross_entropy_with_integer_labels(outputs, labels)
      mean, var = map(jnp.stack, zip(*stats, strict=True))
      return losses.mean(), {
        'mean': conv_net.running_average(batch_stats['mean'], mean),
        'var': conv_net.running_average(batch_stats['var'], var),
      }

    (value, updated), grads = jax.value_and_grad(loss, has_aux=True)(params)
    return value, updated, grads

  return plain._replace(loss_and_grad=loss_and_grad)


def _train(
  makers: conv_routes.ConvRoutes,
  trainer: Trainer,
  children: Sequence[spaces.ConvNet],
  num_steps: int,
) -> float:
  """Returns the seconds that a search would take to train the children."""
  height, width, channels = makers.dataset.image_shape
  started = time.perf_counter()
  trainer.run(
    children,
    _keys(len(children)),
    np.full(len(children), _LEARNING_RATE),
    num_steps,
    durations=[
      net.num_multiply_adds(height, width, channels, _NUM_CLASSES)
      for net in children
    ],
  )
  return time.perf_counter() - started


def whole_block(num_children: int) -> int:
  """Returns the smallest block size that holds a number of children."""
  num_devices = len(jax.local_devices())
  return -(-num_children // num_devices) * num_devices


def _keys(count: int) -> jax.Array:
  return jax.random.split(jax.random.key(0), count)


def _make_dataset(
  image_shape: tuple[int, ...], batch_size: int
) -> images.ImageDataset:
  """Returns random images and labels: several batches, and one per split."""
  generator = np.random.default_rng(0)
  arrays = {}
  for split, num_batches in (
    ('train', _NUM_BATCHES),
    ('validation', 1),
    ('report', 1),
  ):
    count = num_batches * batch_size
    arrays[f'{split}_images'] = jnp.asarray(
      generator.normal(size=(count, *image_shape)), jnp.float32
    )
    arrays[f'{split}_labels'] = jnp.asarray(
      generator.integers(_NUM_CLASSES, size=count), jnp.int32
    )
  channels = np.ones(image_shape[-1], np.float32)
  return images.ImageDataset(
    name='synthetic',
    num_classes=_NUM_CLASSES,
    statistics=image_preprocessing.Statistics(0 * channels, channels),
    content_hash='',
    has_report=True,
    seen_hash='',
    **arrays,
  )


if __name__ == '__main__':
  worker_lib.serve(MAKERS, device_lib.describe)

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""An interpreter of convolutional networks: one program for all networks.

Architectures are data (`jaxnas.children.conv_program`), and branches are real:
loops run over the existing layers and edges, and a switch executes only the
selected convolution. One compiled program therefore trains any architecture up
to a given depth and does no work for layers that an architecture lacks.

Never map it with `jax.vmap`: every branch of a switch would run for every
child. Train children one after another, or on several devices.

The reverse pass is written by hand, since loops of traced length have none, and
that of a switch would store the residuals of every branch. Only the outputs of
the convolutions are stored; batch norm and ReLU are recomputed from them.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import functools
from typing import Any, NamedTuple

import chex
import jax
from jax import lax
import jax.numpy as jnp
import optax

from jaxnas.children import conv_net, conv_program, convolution, platforms
from jaxnas.children import network as network_lib
from jaxnas.children.conv_program import ConvProgram


class _Slots(NamedTuple):
  """The outputs of layers, where slot 0 is the image; `S = L + 1`.

  Attributes:
    convolved: the outputs before batch norm, `[S, B, H, W, C]`.
    mean: the mean that batch norm subtracts, `[S, C]`.
    gain: the factor that batch norm multiplies by, `[S, C]`.
    bias: the bias that batch norm adds, `[S, C]`.
  """

  convolved: jax.Array
  mean: jax.Array
  gain: jax.Array
  bias: jax.Array


@dataclasses.dataclass(frozen=True)
class ConvInterpreter(conv_program.ConvLayout):
  """Trains any architecture of a layout with one program.

  Create one instance and reuse it. Its networks agree with those of
  `conv_net.make_network` in values, gradients and, through `conv_packing`,
  parameters.

      interpreter = ConvInterpreter(6, (8, 8, 1), 10, filters=(8, 12, 16, 24))
      programs = interpreter.assemble(architectures)
      network = interpreter.make_network(jax.tree.map(lambda x: x[0], programs))

  Attributes:
    platform: the platform that the program is compiled for, such as `'cpu'`.
  """

  platform: str = dataclasses.field(
    default_factory=platforms.default, metadata=platforms.CONDITION
  )

  def make_network(self, program: ConvProgram) -> network_lib.Network:
    """Makes the network of one architecture.

    Args:
      program: the program of one architecture; its arrays may be traced.
    """
    program = jax.tree.map(jnp.asarray, program)
    return network_lib.Network(
      init=functools.partial(self.init, program=program),
      loss_and_grad=functools.partial(self._loss_and_grad, program),
      predict=functools.partial(self._predict, program),
    )

  def _predict(self, program, params, batch_stats, images):
    _, _, pooled = self._forward(program, params, images, batch_stats)
    return self._logits(_head(params), pooled)

  def _loss_and_grad(self, program, params, batch_stats, images, labels):
    slots, moments, pooled = self._forward(program, params, images)

    def head_loss(head, pooled):
      logits = self._logits(head, pooled)
      return optax.softmax_cross_entropy_with_integer_labels(
        logits, labels
      ).mean()

    loss, (grad_head, grad_pooled) = jax.value_and_grad(
      head_loss, argnums=(0, 1)
    )(_head(params), pooled)
    grad_pooled = jnp.where(program.is_output[:, None, None], grad_pooled, 0)
    grads = self._backward(program, params, slots, moments['var'], grad_pooled)
    is_active = (jnp.arange(self.num_layers) < program.num_layers)[:, None]
    batch_stats = jax.tree.map(
      lambda old, new: jnp.where(
        is_active, conv_net.running_average(old, new), old
      ),
      batch_stats,
      moments,
    )
    return loss, batch_stats, grads | grad_head

  def _logits(self, head, pooled):
    if self.merge == 'add':
      pooled = pooled.sum(0, keepdims=True)
    logits = jnp.einsum('lbc,lck->bk', pooled, head['head'])
    return logits + head['head_bias'][None]

  def _forward(self, program, params, images, batch_stats=None):
    """Runs all layers, in training mode if `batch_stats` is `None`.

    Returns:
      The slots; the `mean` and `var` of every layer, `[L, C]`; and the outputs
      averaged over pixels, `[L, B, C]`, 0 for layers that the classifier does
      not read.
    """
    chex.assert_shape(images, (None, *self.image_shape))
    is_training = batch_stats is None
    moments = batch_stats or {
      'mean': jnp.zeros_like(params['scale']),
      'var': jnp.ones_like(params['scale']),
    }
    slots = self._empty_slots(images, params, moments)
    pooled = jnp.zeros(
      (self.num_layers, len(images), self.slot_channels), images.dtype
    )

    def layer(number, state):
      slots, moments, pooled = state
      convolved = self._convolve(program, params['kernels'], slots, number)
      slots = slots._replace(
        convolved=slots.convolved.at[number + 1].set(convolved)
      )
      if is_training:
        mean, var = conv_net.batch_moments(convolved)
        gain = _gain(var, params['scale'][number])
        moments = {
          'mean': moments['mean'].at[number].set(mean),
          'var': moments['var'].at[number].set(var),
        }
        slots = slots._replace(
          mean=slots.mean.at[number + 1].set(mean),
          gain=slots.gain.at[number + 1].set(gain),
        )
      average = lax.cond(
        program.is_output[number],
        lambda: self._read(slots, number + 1, self.slot_channels).mean((1, 2)),
        lambda: jnp.zeros_like(pooled[0]),
      )
      return slots, moments, pooled.at[number].set(average)

    return lax.fori_loop(0, program.num_layers, layer, (slots, moments, pooled))

  def _empty_slots(self, images, params, moments):
    missing = self.slot_channels - images.shape[-1]
    images = jnp.pad(images, ((0, 0), (0, 0), (0, 0), (0, missing)))
    gain = _gain(moments['var'], params['scale'])

    def with_image(value, layers):
      return jnp.pad(layers, ((1, 0), (0, 0)), constant_values=value)

    return _Slots(
      convolved=jnp.zeros((self.num_layers + 1, *images.shape), images.dtype)
      .at[0]
      .set(images),
      mean=with_image(0, moments['mean']),
      gain=with_image(1, gain),
      bias=with_image(0, params['bias']),
    )

  def _convolve(self, program, kernels, slots, number):
    """Returns the convolved inputs of a layer, `[B, H, W, C]`."""
    first, last = program.edge_starts[number], program.edge_starts[number + 1]
    if self.merge == 'add':
      return lax.switch(
        program.operations[number],
        self._forward_operations,
        self._add(program, slots, number),
        kernels,
        program.offsets[number],
      )

    def edge(edge, total):
      return total + lax.switch(
        program.operations[edge],
        self._forward_operations,
        (slots, program.sources[edge]),
        kernels,
        program.offsets[edge],
      )

    return lax.fori_loop(first, last, edge, jnp.zeros_like(slots.convolved[0]))

  def _add(self, program, slots, number):
    """Returns the sum of a layer's inputs, `[B, H, W, C]`."""

    def edge(edge, total):
      source = program.sources[edge]
      return total + self._read(slots, source, self.slot_channels)

    return lax.fori_loop(
      program.edge_starts[number],
      program.edge_starts[number + 1],
      edge,
      jnp.zeros_like(slots.convolved[0]),
    )

  def _backward(self, program, params, slots, var, grad_pooled):
    """Returns the gradients of all parameters except the head's."""
    height, width, _ = self.image_shape
    num_pixels = height * width
    num_values = num_pixels * slots.convolved.shape[1]

    def layer(index, state):
      number = program.num_layers - 1 - index
      grad_outputs, grads = state
      slot = number + 1
      deviation = slots.convolved[slot] - slots.mean[slot][None, None, None]
      is_positive = (
        deviation * slots.gain[slot][None, None, None]
        + slots.bias[slot][None, None, None]
      ) > 0
      grad = jnp.where(
        is_positive,
        grad_outputs[number] + grad_pooled[number][:, None, None] / num_pixels,
        0,
      )
      normalized = (
        deviation * lax.rsqrt(var[number] + conv_net.EPSILON)[None, None, None]
      )
      grad_bias = grad.sum((0, 1, 2))
      grad_scale = (grad * normalized).sum((0, 1, 2))
      # The mean and the variance of the batch depend on every value.
      grad_convolved = slots.gain[slot][None, None, None] * (
        grad
        - (grad_bias / num_values)[None, None, None]
        - normalized * (grad_scale / num_values)[None, None, None]
      )
      grads = grads | {
        'scale': grads['scale'].at[number].set(grad_scale),
        'bias': grads['bias'].at[number].set(grad_bias),
      }
      return self._backward_edges(
        program,
        params['kernels'],
        slots,
        number,
        grad_convolved,
        (grad_outputs, grads),
      )

    grads = {
      name: jnp.zeros_like(params[name])
      for name in ('kernels', 'scale', 'bias')
    }
    grad_outputs = jnp.zeros_like(slots.convolved[1:])
    return lax.fori_loop(0, program.num_layers, layer, (grad_outputs, grads))[1]

  def _backward_edges(
    self, program, kernels, slots, number, grad_convolved, state
  ):
    first, last = program.edge_starts[number], program.edge_starts[number + 1]

    def operation(block, operand, grad_kernels):
      grad_input, grad_block = lax.switch(
        program.operations[block],
        self._backward_operations,
        operand,
        kernels,
        program.offsets[block],
        grad_convolved,
      )
      # Not inside the switch, which would copy the whole vector. Entries beyond
      # the block belong to later layers and are added to with zeros.
      offset = program.offsets[block]
      old = lax.dynamic_slice_in_dim(grad_kernels, offset, self.max_block_size)
      return grad_input, lax.dynamic_update_slice_in_dim(
        grad_kernels, old + grad_block, offset, 0
      )

    def add_to_source(edge, grad_outputs, grad_input):
      # The image's gradient is 0, so adding it to the first layer's is
      # harmless.
      place = jnp.maximum(program.sources[edge] - 1, 0)
      return grad_outputs.at[place].add(grad_input)

    grad_outputs, grads = state
    if self.merge == 'add':
      grad_input, grad_kernels = operation(
        number, self._add(program, slots, number), grads['kernels']
      )
      grad_outputs = lax.fori_loop(
        first,
        last,
        lambda edge, x: add_to_source(edge, x, grad_input),
        grad_outputs,
      )
      return grad_outputs, grads | {'kernels': grad_kernels}

    def edge(edge, state):
      grad_outputs, grad_kernels = state
      operand = slots, program.sources[edge]
      grad_input, grad_kernels = operation(edge, operand, grad_kernels)
      return add_to_source(edge, grad_outputs, grad_input), grad_kernels

    grad_outputs, grad_kernels = lax.fori_loop(
      first, last, edge, (grad_outputs, grads['kernels'])
    )
    return grad_outputs, grads | {'kernels': grad_kernels}

  def _read(self, slots: _Slots, slot, channels: int) -> jax.Array:
    """Returns the first channels of an output, after batch norm and ReLU."""
    _, *shape, _ = slots.convolved.shape
    convolved = lax.dynamic_slice(
      slots.convolved, (slot, 0, 0, 0, 0), (1, *shape, channels)
    )[0]
    mean, gain, bias = (
      values[slot, :channels][None, None, None] for values in slots[1:]
    )
    # The image has no ReLU.
    least = jnp.where(slot == 0, -jnp.inf, 0).astype(convolved.dtype)
    return jnp.maximum((convolved - mean) * gain + bias, least)

  def _operand(self, operand, channels: int) -> jax.Array:
    """Returns the input of an operation: a slot, or the sum of slots."""
    if self.merge == 'add':
      return operand[..., :channels]
    slots, slot = operand
    return self._read(slots, slot, channels)

  @functools.cached_property
  def _convolution(self) -> Callable[..., jax.Array]:
    return functools.partial(
      convolution.convolve,
      is_canonical=convolution.needs_canonical(self.platform),
    )

  @functools.cached_property
  def _forward_operations(self) -> list[Callable[..., jax.Array]]:
    def make(shape):
      def run(operand, kernels, offset):
        result = self._convolution(
          self._operand(operand, shape[2]), _block(kernels, offset, shape)
        )
        return _widen(result, self.slot_channels)

      return run

    return [make(shape) for shape in self.operations]

  @functools.cached_property
  def _backward_operations(self) -> list[Callable[..., Any]]:
    def make(shape, reads_image):
      def run(operand, kernels, offset, grad):
        inputs = self._operand(operand, shape[2])
        _, vjp = jax.vjp(
          self._convolution, inputs, _block(kernels, offset, shape)
        )
        grad_input, grad_kernel = vjp(grad[..., : shape[3]])
        flat = grad_kernel.reshape(-1)
        flat = jnp.pad(flat, (0, self.max_block_size - flat.size))
        if reads_image:
          return jnp.zeros_like(grad), flat
        return _widen(grad_input, self.slot_channels), flat

      return run

    return [
      make(shape, index < self.num_image_operations)
      for index, shape in enumerate(self.operations)
    ]


def _gain(var, scale):
  return lax.rsqrt(var + conv_net.EPSILON) * scale


def _head(params):
  return {name: params[name] for name in ('head', 'head_bias')}


def _block(kernels, offset, shape):
  height, width, channels, filters = shape
  size = height * width * channels * filters
  return lax.dynamic_slice_in_dim(kernels, offset, size).reshape(shape)


def _widen(images, channels):
  missing = channels - images.shape[-1]
  return jnp.pad(images, ((0, 0), (0, 0), (0, 0), (0, missing)))

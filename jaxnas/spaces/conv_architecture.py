# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Convolutional networks wired by anchor points, as frozen descriptions.

Sections 3.2 and 3.3 of "Neural Architecture Search with Reinforcement
Learning", Zoph and Le, 2017 (https://arxiv.org/abs/1611.01578). Every layer is
a convolution, batch norm and ReLU, and reads any subset of the earlier layers.
The paper's rules settle what such a choice leaves open:

1. A layer that reads no layer reads the image.
2. The outputs that no layer reads are joined and go to the classifier; the
   last layer's is always among them.
3. Where outputs to be joined differ in size, the smaller are padded with zeros,
   half before and half after; an odd row or column goes after.

Outputs are joined by concatenating their filters (`'concat'`, the paper) or by
addition (`'add'`, residual connections), where an output with fewer filters is
padded with zero filters at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import itertools
import reprlib
from typing import Any, ClassVar

MERGES = ('concat', 'add')

# Bounds on what a file may ask for, so that a stranger's file cannot make a
# machine hang. All are far beyond the networks of the field.
MAX_LAYERS = 128
"""The largest depth; deeper networks take minutes to compile. The paper's has
39 layers."""
MAX_SIZE = 255
"""The largest filter size and stride, in pixels."""
MAX_FILTERS = 2**14
"""The most filters of a layer; the widest residual networks have 2,048."""
MAX_PARAMS = 2**28
"""The most parameters, one gigabyte; the paper's largest network has 37
million."""

_MAX_SHOWN = 200


@dataclasses.dataclass(frozen=True)
class ConvLayer:
  """A convolutional layer, and the layers that feed it.

  Attributes:
    height: the filters' height, odd, in pixels.
    width: the filters' width, odd, in pixels.
    filters: the number of filters.
    stride_height: the number of rows from one output to the next.
    stride_width: the number of columns from one output to the next.
    inputs: the earlier layers that the layer reads, counted from 0, ascending;
      a layer without inputs reads the image.
  """

  height: int
  width: int
  filters: int
  stride_height: int = 1
  stride_width: int = 1
  inputs: tuple[int, ...] = ()

  def __post_init__(self):
    for name in ('height', 'width', 'filters', 'stride_height', 'stride_width'):
      value = getattr(self, name)
      if type(value) is not int or value < 1:
        raise ValueError(
          f'{name} of a layer must be a positive integer, got '
          f'{reprlib.repr(value)}.'
        )
    for name in ('height', 'width'):
      if not getattr(self, name) % 2:
        raise ValueError(
          f'{name} of a layer must be odd, so that its padding is symmetric; '
          f'got {getattr(self, name)}.'
        )
    if any(type(source) is not int for source in self.inputs) or list(
      self.inputs
    ) != sorted(set(self.inputs)):
      raise ValueError(
        'inputs of a layer must be ascending layer numbers, got '
        f'{reprlib.repr(list(self.inputs))}.'
      )


@dataclasses.dataclass(frozen=True)
class ConvNet:
  """A convolutional network.

  Attributes:
    layers: the layers, from the image on; at least one.
    merge: how outputs are joined, `'concat'` or `'add'`.
    pool_after: the layers, counted from 0 and ascending, after which everything
      that later layers and the classifier read, including the image, is max
      pooled, 2 x 2 with stride 2.
    kind: the name of such architectures in files.
  """

  kind: ClassVar[str] = 'conv_net'

  layers: tuple[ConvLayer, ...]
  merge: str = 'concat'
  pool_after: tuple[int, ...] = ()

  def __post_init__(self):
    if not self.layers:
      raise ValueError('A network needs at least one layer.')
    check_num_layers(len(self.layers))
    check_merge(self.merge)
    for number, layer in enumerate(self.layers):
      if layer.inputs and not 0 <= layer.inputs[0] <= layer.inputs[-1] < number:
        raise ValueError(
          f'Layer {number} can only read layers before it, got '
          f'{list(layer.inputs)}.'
        )
    check_pool_after(self.pool_after, len(self.layers))

  @property
  def outputs(self) -> tuple[int, ...]:
    """The layers that the classifier reads, because no layer reads them."""
    read = set(itertools.chain(*(layer.inputs for layer in self.layers)))
    return tuple(sorted(set(range(len(self.layers))) - read))

  def read_after(self, number: int) -> set[int]:
    """Returns what later layers or the classifier still read after a layer.

    Args:
      number: the layer's number, from 0.

    Returns:
      A set with 0 for the image and `i + 1` for layer `i`.
    """
    read = {source + 1 for source in self.outputs if source <= number}
    for layer in self.layers[number + 1 :]:
      sources = layer.inputs or (-1,)
      read.update(source + 1 for source in sources if source <= number)
    return read

  def join_filters(self, sources: Sequence[int], image_filters: int) -> int:
    """Returns the number of filters of some outputs once they are joined.

    Args:
      sources: the layers whose outputs are joined; none means the image.
      image_filters: the number of the image's channels.
    """
    filters = [self.layers[source].filters for source in sources]
    filters = filters or [image_filters]
    return sum(filters) if self.merge == 'concat' else max(filters)

  def sizes(
    self, height: int, width: int
  ) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    """Returns the sizes of what layers read and write, in pixels.

    Args:
      height: the image's height.
      width: the image's width.

    Returns:
      The `(height, width)` of every layer's joined input, and that of every
      layer's output before any pooling.

    Raises:
      ValueError: a pooling leaves no pixel; the message names the layer.
    """
    image = height, width
    written: list[tuple[int, int]] = []
    joined: list[tuple[int, int]] = []
    outputs: list[tuple[int, int]] = []
    for number, layer in enumerate(self.layers):
      sources = [written[source] for source in layer.inputs] or [image]
      size = max(s[0] for s in sources), max(s[1] for s in sources)
      joined.append(size)
      # Padding by half an odd filter keeps the size, which a stride divides,
      # rounding up: no pixel is ever lost to a stride.
      output = (
        -(-size[0] // layer.stride_height),
        -(-size[1] // layer.stride_width),
      )
      outputs.append(output)
      written.append(output)
      if number in self.pool_after:
        image, *written = [(h // 2, w // 2) for h, w in (image, *written)]
        left = self.read_after(number)
        slots = (image, *written)
        if not min((min(slots[slot]) for slot in left), default=1):
          raise ValueError(
            f'Pooling after layer {number} leaves no pixel of an image of '
            f'{height} x {width}; pool or stride less.'
          )
    return tuple(joined), tuple(outputs)

  def num_multiply_adds(
    self, height: int, width: int, image_filters: int, num_classes: int
  ) -> int:
    """Returns the multiply-adds of one image's forward pass.

    Convolutions and the classifier count; batch norm and ReLU do not.

    Args:
      height: the image's height, in pixels.
      width: the image's width, in pixels.
      image_filters: the number of the image's channels.
      num_classes: the number of classes.
    """
    _, outputs = self.sizes(height, width)
    total = self.join_filters(self.outputs, image_filters) * num_classes
    for layer, (rows, columns) in zip(self.layers, outputs, strict=True):
      total += (
        rows
        * columns
        * layer.height
        * layer.width
        * self.join_filters(layer.inputs, image_filters)
        * layer.filters
      )
    return total

  def num_params(self, image_filters: int, num_classes: int) -> int:
    """Returns the number of parameters.

    Convolutions have no bias, batch norm has a scale and an offset for each
    filter, and the linear classifier has a bias.

    Args:
      image_filters: the number of the image's channels.
      num_classes: the number of classes.
    """
    total = num_classes * (1 + self.join_filters(self.outputs, image_filters))
    for layer in self.layers:
      channels = self.join_filters(layer.inputs, image_filters)
      total += layer.filters * (layer.height * layer.width * channels + 2)
    return total

  def to_json(self) -> dict[str, Any]:
    """Returns the network as a dict that `json.dumps` accepts."""
    return {
      'layers': [
        dataclasses.asdict(layer) | {'inputs': list(layer.inputs)}
        for layer in self.layers
      ],
      'merge': self.merge,
      'pool_after': list(self.pool_after),
    }

  @classmethod
  def from_json(cls, fields: Mapping[str, Any]) -> ConvNet:
    """Returns the network that `to_json` described.

    Args:
      fields: the result of `to_json`, perhaps from an untrusted file.

    Raises:
      ValueError: a field is missing, unknown, or out of bounds.
    """
    _check_fields(cls, fields, 'A convolutional network')
    for name in ('layers', 'pool_after'):
      if not isinstance(fields[name], list | tuple):
        raise ValueError(
          f'{name} of a convolutional network must be a list, got '
          f'{reprlib.repr(fields[name])}.'
        )
    check_num_layers(len(fields['layers']))
    layers = []
    for number, layer in enumerate(fields['layers']):
      _check_fields(ConvLayer, layer, f'Layer {number}')
      if not isinstance(layer['inputs'], list | tuple):
        raise ValueError(
          f'inputs of layer {number} must be a list, got '
          f'{reprlib.repr(layer["inputs"])}.'
        )
      layers.append(
        ConvLayer(**(dict(layer) | {'inputs': tuple(layer['inputs'])}))
      )
    for number, layer in enumerate(layers):
      _check_sizes(number, layer)
    net = cls(tuple(layers), fields['merge'], tuple(fields['pool_after']))
    # The data is unknown here, so count for the least demanding: gray images of
    # two classes.
    if (num_params := net.num_params(1, 2)) > MAX_PARAMS:
      raise ValueError(
        f'A network in a file may have at most {MAX_PARAMS:,} parameters, got '
        f'{num_params:,} or more.'
      )
    return net


def check_num_layers(num_layers: int) -> None:
  """Raises `ValueError` if there are more layers than `MAX_LAYERS`."""
  if num_layers > MAX_LAYERS:
    raise ValueError(
      f'A network may have at most {MAX_LAYERS} layers, since more take '
      f'minutes to compile; got {num_layers}.'
    )


def check_merge(merge: str) -> None:
  """Raises `ValueError` if `merge` is not one of `MERGES`."""
  if merge not in MERGES:
    raise ValueError(
      f'Unknown merge {reprlib.repr(merge)}; expected one of '
      f'{", ".join(MERGES)}.'
    )


def check_pool_after(pool_after: Sequence[int], num_layers: int) -> None:
  """Raises `ValueError` unless these are ascending numbers of layers."""
  is_known = all(
    type(number) is int and 0 <= number < num_layers for number in pool_after
  )
  if not is_known or list(pool_after) != sorted(set(pool_after)):
    raise ValueError(
      f'pool_after must be ascending layer numbers from 0 to {num_layers - 1}, '
      f'got {reprlib.repr(list(pool_after))}.'
    )


def _check_sizes(number: int, layer: ConvLayer) -> None:
  """Checks that a layer in a file is not absurdly large."""
  for name in ('height', 'width', 'filters', 'stride_height', 'stride_width'):
    value = getattr(layer, name)
    most = MAX_FILTERS if name == 'filters' else MAX_SIZE
    if value > most:
      raise ValueError(
        f'{name} of layer {number} may be at most {most} in a file, got '
        f'{value}.'
      )


def _check_fields(cls: type, fields: Mapping[str, Any], what: str) -> None:
  expected = [field.name for field in dataclasses.fields(cls)]
  if not isinstance(fields, Mapping):
    raise ValueError(f'{what} must be an object, got {reprlib.repr(fields)}.')
  if sorted(fields) != sorted(expected):
    raise ValueError(
      f'{what} has the fields {", ".join(expected)}; got '
      f'{", ".join(sorted(map(str, fields)))[:_MAX_SHOWN]}.'
    )

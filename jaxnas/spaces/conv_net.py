# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Convolutional networks wired by anchor points.

Sections 3.2 and 3.3 of "Neural Architecture Search with Reinforcement
Learning", Zoph and Le, 2017 (https://arxiv.org/abs/1611.01578). Every layer is
a convolution, batch norm and ReLU, and reads any subset of the earlier layers.
What such a choice leaves open is repaired by the paper's rules:

1. A layer that reads no layer reads the image.
2. The outputs that no layer reads are joined and go to the classifier; the
   last layer's is always among them.
3. Where outputs to be joined differ in size, the smaller are padded with zeros,
   half before and half after; an odd row or column goes after.

Outputs are joined by concatenation of their filters (`'concat'`, the paper) or
by addition (`'add'`, residual connections), where fewer filters are padded with
zero ones after the last.

Tokens stand layer by layer: the anchor point's, one 0/1 token for each earlier
layer, then filter height and width, stride height and width if they are to be
predicted, and the number of filters. A shallower network is a prefix.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import itertools
import math
import reprlib
from typing import Any

import numpy as np

from jaxnas.types import AnchorPoint, Choice, Decision, SearchSpace

MERGES = ('concat', 'add')
SIZES = (1, 3, 5, 7)
FILTERS = (24, 36, 48, 64)
STRIDES = (1, 2, 3)

# What a file may ask for, so that no stranger's makes a machine hang: all are
# far beyond the networks of the field.
MAX_LAYERS = 128
"""A network of more takes minutes to compile; the paper's deepest has 39."""
MAX_SIZE = 255
"""Of filters and strides, which are pixels; images are not much larger."""
MAX_FILTERS = 2**14
"""Of a layer; the widest residual networks have 2,048."""
MAX_PARAMS = 2**28
"""Of a network in a file, one gigabyte; the paper's largest has 37 million."""


_MAX_SHOWN = 200


@dataclasses.dataclass(frozen=True)
class ConvLayer:
  """A convolutional layer, and which layers feed it.

  Attributes:
    height: of the filters, odd.
    width: of the filters, odd.
    filters: how many there are.
    stride_height: rows from one output to the next.
    stride_width: columns from one output to the next.
    inputs: the earlier layers that it reads, counted from 0, ascending; none is
      the image.
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
          f'{name} of a layer must be an integer from 1 on, got '
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
    layers: from the image on; at least one.
    merge: how outputs are joined, `'concat'` or `'add'`.
    pool_after: layers, counted from 0 and ascending, after which everything
      that later layers and the classifier read, the image included, is max
      pooled, 2 x 2 with stride 2.
  """

  layers: tuple[ConvLayer, ...]
  merge: str = 'concat'
  pool_after: tuple[int, ...] = ()

  def __post_init__(self):
    if not self.layers:
      raise ValueError('A network needs at least one layer.')
    check_num_layers(len(self.layers))
    _check_merge(self.merge)
    for number, layer in enumerate(self.layers):
      if layer.inputs and not 0 <= layer.inputs[0] <= layer.inputs[-1] < number:
        raise ValueError(
          f'Layer {number} can only read layers before it, got '
          f'{list(layer.inputs)}.'
        )
    _check_pool_after(self.pool_after, len(self.layers))

  @property
  def outputs(self) -> tuple[int, ...]:
    """The layers that no layer reads, and that the classifier reads."""
    read = set(itertools.chain(*(layer.inputs for layer in self.layers)))
    return tuple(sorted(set(range(len(self.layers))) - read))

  def read_after(self, number: int) -> set[int]:
    """Returns what is still read after a layer.

    Args:
      number: the layer.

    Returns:
      0 for the image, and `i + 1` for layer `i`, if a later layer or the
      classifier reads it.
    """
    read = {source + 1 for source in self.outputs if source <= number}
    for layer in self.layers[number + 1 :]:
      sources = layer.inputs or (-1,)
      read.update(source + 1 for source in sources if source <= number)
    return read

  def join_filters(self, sources: Sequence[int], image_filters: int) -> int:
    """Returns how many filters some outputs have once they are joined.

    Args:
      sources: layers; none is the image.
      image_filters: channels of the image.
    """
    filters = [self.layers[source].filters for source in sources]
    filters = filters or [image_filters]
    return sum(filters) if self.merge == 'concat' else max(filters)

  def sizes(
    self, height: int, width: int
  ) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    """Returns the sizes of what layers read and write, `(height, width)`.

    Args:
      height: of the image.
      width: of the image.

    Returns:
      The size of every layer's joined input, and of every layer's output before
      any pooling.

    Raises:
      ValueError: a pooling leaves no pixel; the layer is named.
    """
    image = height, width
    written: list[tuple[int, int]] = []
    joined: list[tuple[int, int]] = []
    outputs: list[tuple[int, int]] = []
    for number, layer in enumerate(self.layers):
      sources = [written[source] for source in layer.inputs] or [image]
      size = max(s[0] for s in sources), max(s[1] for s in sources)
      joined.append(size)
      # Padding by half of an odd filter leaves every stride a pixel.
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
    """Returns the multiply-adds of one image forward: convolutions and head."""
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
    """Returns how many parameters the network has.

    Convolutions without bias, a scale and an offset of each filter in batch
    norm, and a linear classifier with bias.
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
    """Returns what `to_json` gave; raises `ValueError` otherwise."""
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
    # Of a grey image and two classes: the least that it can have.
    if (num_params := net.num_params(1, 2)) > MAX_PARAMS:
      raise ValueError(
        f'A network in a file may have {MAX_PARAMS:,} parameters, got '
        f'{num_params:,} or more.'
      )
    return net


def make_space(
  num_layers: int = 6,
  heights: Sequence[int] = SIZES,
  widths: Sequence[int] = SIZES,
  filters: Sequence[int] = FILTERS,
  strides: Sequence[int] = (1,),
  merge: str = 'concat',
  pool_after: Sequence[int] = (),
) -> SearchSpace:
  """Makes the space of all networks of up to so many layers.

  Args:
    num_layers: the largest depth.
    heights: of filters, odd.
    widths: of filters, odd.
    filters: how many filters a layer can have.
    strides: if there is more than one, a layer's two strides are decisions; a
      single one is every layer's.
    merge: how outputs are joined, `'concat'` or `'add'`.
    pool_after: layers, counted from 0, after which everything is max pooled.

  Returns:
    A space of `layer_decisions(strides)` decisions for each layer. Its `size`
    counts networks of the largest depth. Its `canonical` is the identity: that
    layers which do not read each other could change places is not looked for.

  Raises:
    ValueError: a number is out of range, or a name is not known.
  """
  if num_layers < 1:
    raise ValueError(f'num_layers must be at least 1, got {num_layers}.')
  check_num_layers(num_layers)
  if not strides:
    raise ValueError('strides needs at least one value, got none.')
  _check_merge(merge)
  pool_after = tuple(pool_after)
  _check_pool_after(pool_after, num_layers)
  kinds: dict[str, tuple[int, ...]] = {
    'height': tuple(heights),
    'width': tuple(widths),
  }
  if len(strides) > 1:
    kinds['stride_height'] = kinds['stride_width'] = tuple(strides)
  kinds['filters'] = tuple(filters)
  fixed: dict[str, int] = {}
  if len(strides) == 1:
    fixed = {'stride_height': strides[0], 'stride_width': strides[0]}
  decisions: list[Decision] = []
  for number in range(num_layers):
    decisions.append(AnchorPoint(number, f'layer_{number}/inputs'))
    for kind, values in kinds.items():
      decisions.append(Choice(values, f'layer_{number}/{kind}'))
  # Every value must make a layer: refused here, not in the middle of a search.
  for kind, values in (*kinds.items(), ('stride_height', tuple(strides))):
    for value in values:
      dataclasses.replace(ConvLayer(1, 1, 1), **{kind: value})  # type: ignore[arg-type]  # No kind is `inputs`.

  def decode(tokens) -> ConvNet:
    layers = []
    for number, row in enumerate(_layers_of(tokens, num_layers, len(kinds))):
      chosen, values = row[:number], dict(fixed)
      for token, name in zip(row[number:], kinds, strict=True):
        _check_token(token, len(kinds[name]), f'layer_{number}/{name}')
        values[name] = kinds[name][token]
      for token in chosen:
        _check_token(token, 2, f'layer_{number}/inputs')
      inputs = tuple(source for source, token in enumerate(chosen) if token)
      layers.append(ConvLayer(**values, inputs=inputs))
    pools = tuple(number for number in pool_after if number < len(layers))
    return ConvNet(tuple(layers), merge, pools)

  def encode(net: ConvNet) -> np.ndarray:
    depth = len(net.layers)
    if depth > num_layers:
      raise ValueError(
        f'A space of {num_layers} layers has no network of {depth}.'
      )
    pools = tuple(number for number in pool_after if number < depth)
    if (net.merge, net.pool_after) != (merge, pools):
      raise ValueError(
        f'A space with merge {merge!r} and pool_after {list(pools)} has no '
        f'network with {net.merge!r} and {list(net.pool_after)}.'
      )
    tokens: list[int] = []
    for number, layer in enumerate(net.layers):
      tokens.extend(source in layer.inputs for source in range(number))
      for name, value in fixed.items():
        if getattr(layer, name) != value:
          raise ValueError(
            f'{name} of layer {number} is {getattr(layer, name)}; in this '
            f'space it is always {value}.'
          )
      for name, values in kinds.items():
        value = getattr(layer, name)
        if value not in values:
          raise ValueError(
            f'{value} is not a value of decision '
            f"'layer_{number}/{name}', which has "
            f'{", ".join(map(str, values))}.'
          )
        tokens.append(values.index(value))
    result = np.full(sum(d.num_tokens for d in decisions), -1, np.int32)
    result[: len(tokens)] = tokens
    return result

  def canonical(tokens) -> np.ndarray:
    return encode(decode(tokens))

  return SearchSpace(
    name=f'conv_net_{num_layers}_layers_{merge}',
    decisions=tuple(decisions),
    decode=decode,
    encode=encode,
    canonical=canonical,
    size=math.prod(d.num_choices**d.num_tokens for d in decisions),
  )


def layer_decisions(strides: Sequence[int] = (1,)) -> int:
  """Returns how many decisions each layer of a space has.

  Args:
    strides: as given to `make_space`.
  """
  return 4 if len(strides) == 1 else 6


def check_num_layers(num_layers: int) -> None:
  """Raises `ValueError` if there are more layers than `MAX_LAYERS`."""
  if num_layers > MAX_LAYERS:
    raise ValueError(
      f'A network may have {MAX_LAYERS} layers, beyond which it takes minutes '
      f'to compile; got {num_layers}.'
    )


def _check_sizes(number: int, layer: ConvLayer) -> None:
  """Checks what a layer in a file asks for."""
  for name in ('height', 'width', 'filters', 'stride_height', 'stride_width'):
    value = getattr(layer, name)
    most = MAX_FILTERS if name == 'filters' else MAX_SIZE
    if value > most:
      raise ValueError(
        f'{name} of layer {number} may be {most} in a file, got {value}.'
      )


def _layers_of(
  tokens: Any, num_layers: int, num_kinds: int
) -> Iterator[list[int]]:
  """Yields the tokens of every active layer."""
  tokens = np.asarray(tokens)
  if not np.issubdtype(tokens.dtype, np.integer):
    raise ValueError(f'Tokens must be integers, got {tokens.dtype}.')
  ends = np.cumsum([number + num_kinds for number in range(num_layers)])
  if tokens.shape != (ends[-1],):
    raise ValueError(
      f'A network of up to {num_layers} layers has {ends[-1]} tokens, got an '
      f'array of shape {tokens.shape}.'
    )
  num_active = int((tokens != -1).sum())
  if num_active not in ends or (tokens[num_active:] != -1).any():
    raise ValueError(
      'Tokens of -1 must follow the last active layer, whole layers at a time '
      f'and after at least one; got {tokens.tolist()}.'
    )
  start = 0
  for end in ends[ends <= num_active].tolist():
    yield tokens[start:end].tolist()
    start = end


def _check_token(token: int, num_choices: int, name: str) -> None:
  if not 0 <= token < num_choices:
    raise ValueError(
      f'Token {token} is out of range for decision {name!r}, which has '
      f'{num_choices} choices.'
    )


def _check_merge(merge: str) -> None:
  if merge not in MERGES:
    raise ValueError(
      f'Unknown merge {reprlib.repr(merge)}; expected one of '
      f'{", ".join(MERGES)}.'
    )


def _check_pool_after(pool_after: Sequence[int], num_layers: int) -> None:
  is_known = all(
    type(number) is int and 0 <= number < num_layers for number in pool_after
  )
  if not is_known or list(pool_after) != sorted(set(pool_after)):
    raise ValueError(
      f'pool_after must be ascending layer numbers from 0 to {num_layers - 1}, '
      f'got {reprlib.repr(list(pool_after))}.'
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

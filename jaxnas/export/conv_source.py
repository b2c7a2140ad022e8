# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Convolutional networks as straight-line code.

Layers are numbered from 0, as in the file of an architecture. Images and
weights have the layout that is usual in the framework.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
import textwrap
from typing import Any, NamedTuple

from flax import traverse_util
import jax
import numpy as np

import jaxnas
from jaxnas.children import conv_net
from jaxnas.export import listing, recording, statements
from jaxnas.spaces import conv_net as space

# The defaults of a network without weights.
_CHANNELS, _CLASSES = 3, 10
_CHECKED_CLASSES, _BATCH = 3, 2
# As the layers' source spells `conv_net.EPSILON`.
_EPSILON = '1e-5'
_SIDES = tuple(8 * 2**power for power in range(7))
# A minute or so on two cores.
_MAX_MULTIPLY_ADDS = 2**36


class Array(NamedTuple):
  """An array of weights of a network.

  Attributes:
    name: its name in the file.
    path: its place in the library's variables: collection, layer and name.
    axes: the library's axes, in the order that they have in the file.
  """

  name: str
  path: tuple[str, str, str]
  axes: tuple[int, ...]


def make_listing(
  architecture: space.ConvNet, framework: str
) -> listing.Listing:
  """Returns the source of a network.

  Args:
    architecture: the network.
    framework: one of `listing.FRAMEWORKS`.

  Raises:
    ValueError: the network's poolings need images that are too large, or the
      network is too large to be checked.
  """
  docstring = listing.definition(
    """
    A convolutional network of <layers> layers, as stand-alone code.

    <description>

    <usage>

    Run as a program, this file checks itself. Written by jaxnas <version>.
    """,
    layers=len(architecture.layers),
    description=describe(architecture),
    usage=_USAGE[framework],
    version=jaxnas.__version__,
  )
  return listing.Listing(
    framework,
    docstring,
    code(architecture, framework, _CHANNELS, _CLASSES),
    _check(architecture, framework),
  )


def describe(architecture: space.ConvNet) -> str:
  """Returns a description of what a network computes, layer by layer."""
  rows = []
  for number, layer in enumerate(architecture.layers):
    strides = layer.stride_height, layer.stride_width
    rows.append(
      f'layer_{number}: {layer.filters} filters of {layer.height} x '
      f'{layer.width}'
      + (f', strides {strides[0]} and {strides[1]}' if max(strides) > 1 else '')
      + f', on {_listed(layer.inputs)}'
    )
    if number in architecture.pool_after:
      rows.append('max pooling, 2 x 2, of everything that is read below')
  rows.append(
    f'logits: a linear layer on the mean over all pixels of '
    f'{_listed(architecture.outputs)}'
  )
  lines = '\n'.join(
    textwrap.fill(
      row, statements.WIDTH, initial_indent=' ' * 4, subsequent_indent=' ' * 8
    )
    for row in rows
  )
  joined = {'concat': 'concatenated', 'add': 'added'}[architecture.merge]
  padded = ''
  if is_padded(architecture):
    fewer = ' or with fewer filters' if architecture.merge == 'add' else ''
    padded = f'; those of smaller size{fewer} are padded with zeros'
  return (
    textwrap.fill(
      'A layer is a convolution without bias, batch norm and ReLU. Where a '
      f'layer reads several outputs, they are {joined}{padded}.',
      statements.WIDTH,
    )
    + f'\n\n{lines}'
  )


def code(
  architecture: space.ConvNet,
  framework: str,
  channels: int,
  num_classes: int,
  epsilon: float = conv_net.EPSILON,
) -> list[str]:
  """Returns the definition of a network, `ConvNet`, after those that it uses.

  Args:
    architecture: the network.
    framework: one of `listing.FRAMEWORKS`.
    channels: the default number of channels of the images.
    num_classes: the default number of classes.
    epsilon: the number that batch norm adds to variances.
  """
  joins = [*(layer.inputs for layer in architecture.layers)]
  joins.append(architecture.outputs)
  parts = dict(listing.pieces(f'{framework}_conv'))
  used = [parts['ConvLayer'].replace(_EPSILON, repr(float(epsilon)))]
  if any(len(sources) > 1 for sources in joins):
    if is_padded(architecture):
      parts |= listing.pieces(f'{framework}_padded')
    used += [parts[architecture.merge], parts.get('pad', '')]
  if architecture.pool_after:
    used.append(parts['max_pool'])
  own = listing.definition(
    _NETWORK[framework],
    channels=channels,
    classes=num_classes,
    layers='\n'.join(_torch_layers(architecture)),
    features=architecture.join_filters(architecture.outputs, channels),
    body='\n'.join(_body(architecture, framework)),
  )
  return [*filter(None, used), own]


def is_padded(architecture: space.ConvNet) -> bool:
  """Returns whether outputs of different shapes are joined anywhere.

  Args:
    architecture: the network. Whether shapes differ may depend on the size of
      the images: shapes that differ for some size count as different.
  """
  # Two sizes are equal for every image if they came about in the same way.
  known: dict[Hashable, int] = {}

  def number(*way: Hashable) -> int:
    return known.setdefault(way, len(known))

  def unlike(sources: Sequence[int]) -> bool:
    filters = {architecture.layers[source].filters for source in sources}
    return len({written[source] for source in sources}) > 1 or (
      architecture.merge == 'add' and len(filters) > 1
    )

  image: tuple[int, int] = (number('height'), number('width'))
  written: list[tuple[int, int]] = []
  for index, layer in enumerate(architecture.layers):
    if unlike(layer.inputs):
      return True
    size = written[layer.inputs[0]] if layer.inputs else image
    strides = layer.stride_height, layer.stride_width
    rows, columns = (
      side if stride == 1 else number('stride', side, stride)
      for side, stride in zip(size, strides, strict=True)
    )
    written.append((rows, columns))
    if index in architecture.pool_after:
      image, *written = (
        (number('pool', size[0]), number('pool', size[1]))
        for size in (image, *written)
      )
  return unlike(architecture.outputs)


def arrays(architecture: space.ConvNet, framework: str) -> Iterator[Array]:
  """Yields every array of weights of a network."""
  layers = [f'layer_{number}' for number in range(len(architecture.layers))]
  if framework == 'flax':
    for layer in layers:
      path = 'params', layer, 'kernel'
      yield Array(f'params/{layer}/conv/kernel', path, (0, 1, 2, 3))
      for collection, name in _FLAX_NORM:
        full_name = f'{collection}/{layer}/norm/{name}'
        yield Array(full_name, (collection, layer, name), (0,))
    yield Array('params/head/kernel', ('params', 'head', 'kernel'), (0, 1))
    yield Array('params/head/bias', ('params', 'head', 'bias'), (0,))
    return
  for layer in layers:
    path = 'params', layer, 'kernel'
    yield Array(f'{layer}.conv.weight', path, (3, 2, 0, 1))
    for (collection, name), own in zip(_FLAX_NORM, _TORCH_NORM, strict=True):
      yield Array(f'{layer}.norm.{own}', (collection, layer, name), (0,))
  yield Array('head.weight', ('params', 'head', 'kernel'), (1, 0))
  yield Array('head.bias', ('params', 'head', 'bias'), (0,))


def _listed(sources: Sequence[int]) -> str:
  if not sources:
    return 'the images'
  numbers = ', '.join(map(str, sources))
  return f'layer{"s" if len(sources) > 1 else ""} {numbers}'


def _read(sources: Sequence[int]) -> str:
  """Returns the name of a layer's inputs once they are joined."""
  if len(sources) > 1:
    return 'x'
  return f'layer_{sources[0]}' if sources else 'images'


def _torch_layers(architecture: space.ConvNet) -> Iterator[str]:
  """Yields the lines that make the layers of a PyTorch network."""
  for number, layer in enumerate(architecture.layers):
    channels = (
      str(architecture.join_filters(layer.inputs, 0))
      if layer.inputs
      else 'channels'
    )
    yield statements.call(
      f'self.layer_{number} = ConvLayer', [channels, *_sizes(layer)], 4
    )


def _sizes(layer: space.ConvLayer) -> list[str]:
  """Returns the arguments that a layer takes in either framework."""
  arguments = [str(layer.filters), f'({layer.height}, {layer.width})']
  if max(strides := (layer.stride_height, layer.stride_width)) > 1:
    arguments.append(str(strides))
  return arguments


def _body(architecture: space.ConvNet, framework: str) -> Iterator[str]:
  """Yields the lines from `images` to the last `x`."""

  def join(sources: Sequence[int]) -> Iterator[str]:
    if len(sources) > 1:
      names = [f'layer_{source}' for source in sources]
      yield statements.call(f'x = {architecture.merge}', names, 4)

  for number, layer in enumerate(architecture.layers):
    name = f'layer_{number}'
    yield from join(layer.inputs)
    read = _read(layer.inputs)
    if framework == 'torch':
      yield f'    {name} = self.{name}({read})'
    else:
      arguments = ', '.join([*_sizes(layer), f"name='{name}'"])
      head = f'{name} = ConvLayer({arguments})'
      yield statements.call(head, [read, 'train'], 4)
    if number in architecture.pool_after:
      for slot in sorted(architecture.read_after(number)):
        pooled = f'layer_{slot - 1}' if slot else 'images'
        yield f'    {pooled} = max_pool({pooled})'
  yield from join(architecture.outputs)
  if len(architecture.outputs) == 1:
    yield f'    x = {_read(architecture.outputs)}'


def _check(architecture: space.ConvNet, framework: str) -> recording.Drawn:
  side = _smallest_side(architecture)
  num_multiply_adds = architecture.num_multiply_adds(
    side, side, _CHANNELS, _CHECKED_CLASSES
  )
  if num_multiply_adds > _MAX_MULTIPLY_ADDS:
    raise ValueError(
      'The network is too large for its file to check itself: an image of '
      f'{side} x {side} takes {num_multiply_adds:,} multiply-adds, and at most '
      f'{_MAX_MULTIPLY_ADDS:,} are allowed; export it with trained weights.'
    )
  image = (side, side, _CHANNELS)
  template = jax.eval_shape(
    lambda: conv_net.init(
      jax.random.key(0), architecture, image, _CHECKED_CLASSES
    )
  )
  shapes = to_file(
    {'params': template[0], 'batch_stats': template[1]},
    architecture,
    framework,
    lambda leaf, axes: tuple(leaf.shape[axis] for axis in axes),
  )
  model = conv_net.ConvNetwork(architecture, _CHECKED_CLASSES)

  def evaluate(variables: Mapping[str, np.ndarray], images: np.ndarray):
    if framework == 'torch':
      images = images.transpose(0, 2, 3, 1)
    own = to_library(variables, architecture, framework)
    return [jax.jit(model.apply)(own, images)]

  return recording.Drawn(
    f'ConvNet(num_classes={_CHECKED_CLASSES})',
    {
      'flax': (_BATCH, side, side, _CHANNELS),
      'torch': (_BATCH, _CHANNELS, side, side),
    }[framework],
    shapes,
    {'flax': slice(0, -1), 'torch': slice(1, None)}[framework],
    evaluate,
  )


def _smallest_side(architecture: space.ConvNet) -> int:
  """Returns the side of an image large enough for the poolings, in pixels."""
  for side in _SIDES[:-1]:
    try:
      architecture.sizes(side, side)
    except ValueError:
      continue
    return side
  architecture.sizes(_SIDES[-1], _SIDES[-1])
  return _SIDES[-1]


def to_file(
  variables: Mapping[str, Any],
  architecture: space.ConvNet,
  framework: str,
  convert: Any = lambda leaf, axes: np.asarray(leaf).transpose(axes),
) -> dict[str, Any]:
  """Returns a network's weights by name, with the layout of a file.

  Args:
    variables: the variables of the library's module, `params` and
      `batch_stats`.
    architecture: the network.
    framework: one of `listing.FRAMEWORKS`.
    convert: `(leaf, axes) -> value`, the value that is returned for a leaf; its
      array with the axes in that order by default.
  """
  return {
    array.name: convert(_at(variables, array.path), array.axes)
    for array in arrays(architecture, framework)
  }


def to_library(
  weights: Mapping[str, np.ndarray], architecture: space.ConvNet, framework: str
) -> dict[str, Any]:
  """Returns the variables of the library's module; the inverse of `to_file`."""
  return traverse_util.unflatten_dict(
    {
      array.path: weights[array.name].transpose(np.argsort(array.axes))
      for array in arrays(architecture, framework)
    }
  )


def _at(tree: Mapping[str, Any], path: Sequence[str]) -> Any:
  for name in path:
    tree = tree[name]
  return tree


_FLAX_NORM = (
  ('params', 'scale'),
  ('params', 'bias'),
  ('batch_stats', 'mean'),
  ('batch_stats', 'var'),
)
_TORCH_NORM = ('weight', 'bias', 'running_mean', 'running_var')
_USAGE = {
  'flax': """
    network = ConvNet(num_classes=10)
    variables = network.init(jax.random.key(0), images)
    logits = network.apply(variables, images)

Images are [batch, height, width, channels].
"""[1:-1],
  'torch': """
    network = ConvNet(channels=3, num_classes=10)
    logits = network(images)

Images are [batch, channels, height, width].
"""[1:-1],
}
_NETWORK = {
  'flax': '''
class ConvNet(nn.Module):
  """The network.

  Attributes:
    num_classes: the number of classes.
  """

  num_classes: int = <classes>

  @nn.compact
  def __call__(self, images, train=False):
    """Returns the logits of images, `[batch, num_classes]`.

    Args:
      images: the images, `[batch, height, width, channels]`.
      train: whether batch norm uses the statistics of this batch; if so, the
        collection `batch_stats` must be mutable.
    """
<body>
    return nn.Dense(self.num_classes, name='head')(x.mean((1, 2)))
''',
  'torch': '''
class ConvNet(nn.Module):
  """The network.

  Args:
    channels: the number of channels of the images.
    num_classes: the number of classes.
  """

  def __init__(self, channels=<channels>, num_classes=<classes>):
    super().__init__()
<layers>
    self.head = nn.Linear(<features>, num_classes)

  def forward(self, images):
    """Returns the logits of images, `[batch, num_classes]`.

    Args:
      images: the images, `[batch, channels, height, width]`.
    """
<body>
    return self.head(x.mean((2, 3)))
''',
}

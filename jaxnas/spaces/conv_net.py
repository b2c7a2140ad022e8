# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The search space of convolutional networks wired by anchor points.

Sections 3.2 and 3.3 of "Neural Architecture Search with Reinforcement
Learning", Zoph and Le, 2017 (https://arxiv.org/abs/1611.01578);
`conv_architecture` says what a network is.

Tokens stand layer by layer: the anchor point's, one 0/1 token for each earlier
layer; then filter height, filter width, stride height and stride width, if
strides are to be predicted, and the number of filters. A shallower network is a
prefix.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import math
from typing import Any

import numpy as np

from jaxnas.decisions import check_token, check_tokens
from jaxnas.spaces.conv_architecture import (
  MAX_FILTERS,
  MAX_LAYERS,
  MAX_SIZE,
  MERGES,
  ConvLayer,
  ConvNet,
  check_merge,
  check_num_layers,
  check_pool_after,
)
from jaxnas.types import AnchorPoint, Choice, Decision, SearchSpace

__all__ = (
  'FILTERS',
  'MAX_FILTERS',
  'MAX_LAYERS',
  'MAX_SIZE',
  'MERGES',
  'SIZES',
  'ConvLayer',
  'ConvNet',
  'check_num_layers',
  'layer_decisions',
  'make_space',
)

SIZES = (1, 3, 5, 7)
FILTERS = (24, 36, 48, 64)


def make_space(
  num_layers: int = 6,
  heights: Sequence[int] = SIZES,
  widths: Sequence[int] = SIZES,
  filters: Sequence[int] = FILTERS,
  strides: Sequence[int] = (1,),
  merge: str = 'concat',
  pool_after: Sequence[int] = (),
) -> SearchSpace:
  """Makes the space of all networks of up to `num_layers` layers.

  Args:
    num_layers: the largest depth.
    heights: the filter heights to choose from, odd, in pixels.
    widths: the filter widths to choose from, odd, in pixels.
    filters: the numbers of filters to choose from.
    strides: the strides to choose from, in pixels. A single stride applies to
      every layer; if there are more, each layer's two strides are decisions.
    merge: how outputs are joined, `'concat'` or `'add'`.
    pool_after: the layers, counted from 0, after which everything is max
      pooled.

  Returns:
    A space of `layer_decisions(strides)` decisions per layer. Its `size` counts
    networks of the largest depth. Its `canonical` is the identity: it does not
    recognize that layers which do not read each other could change places.

  Raises:
    ValueError: a number is out of range, or a name is unknown.
  """
  if num_layers < 1:
    raise ValueError(f'num_layers must be at least 1, got {num_layers}.')
  check_num_layers(num_layers)
  if not strides:
    raise ValueError('strides needs at least one value, got none.')
  check_merge(merge)
  pool_after = tuple(pool_after)
  check_pool_after(pool_after, num_layers)
  kinds: dict[str, tuple[int, ...]] = {
    'height': tuple(heights),
    'width': tuple(widths),
  }
  fixed: dict[str, int] = {}
  if len(strides) > 1:
    kinds['stride_height'] = kinds['stride_width'] = tuple(strides)
  else:
    fixed = {'stride_height': strides[0], 'stride_width': strides[0]}
  kinds['filters'] = tuple(filters)
  grammar = _Grammar(num_layers, kinds, fixed, merge, pool_after)
  # Checks every value now rather than in the middle of a search.
  for kind, values in (*kinds.items(), ('stride_height', tuple(strides))):
    for value in values:
      dataclasses.replace(ConvLayer(1, 1, 1), **{kind: value})  # type: ignore[arg-type]  # No kind is `inputs`.
  decisions = grammar.decisions()
  return SearchSpace(
    name=f'conv_net_{num_layers}_layers_{merge}',
    decisions=decisions,
    decode=grammar.decode,
    encode=grammar.encode,
    canonical=grammar.canonical,
    size=math.prod(d.num_choices**d.num_tokens for d in decisions),
  )


def layer_decisions(strides: Sequence[int] = (1,)) -> int:
  """Returns the number of decisions per layer of a space.

  Args:
    strides: the argument of `make_space`.
  """
  return 4 if len(strides) == 1 else 6


@dataclasses.dataclass(frozen=True)
class _Grammar:
  """What the tokens of a space mean.

  Attributes:
    num_layers: the largest depth.
    kinds: the values of each decision of a layer but its anchor point, by the
      name of `ConvLayer`'s attribute, in the order of the tokens.
    fixed: the attributes that are the same in every layer.
    merge: how outputs are joined.
    pool_after: the layers after which everything is max pooled.
  """

  num_layers: int
  kinds: Mapping[str, tuple[int, ...]]
  fixed: Mapping[str, int]
  merge: str
  pool_after: tuple[int, ...]

  def decisions(self) -> tuple[Decision, ...]:
    """Returns the decisions, layer by layer."""
    decisions: list[Decision] = []
    for number in range(self.num_layers):
      decisions.append(AnchorPoint(number, f'layer_{number}/inputs'))
      for kind, values in self.kinds.items():
        decisions.append(Choice(values, f'layer_{number}/{kind}'))
    return tuple(decisions)

  def decode(self, tokens: Any) -> ConvNet:
    """Returns the network that tokens stand for."""
    layers = []
    for number, row in enumerate(self._layers_of(tokens)):
      chosen, values = row[:number], dict(self.fixed)
      for token, name in zip(row[number:], self.kinds, strict=True):
        check_token(token, len(self.kinds[name]), f'layer_{number}/{name}')
        values[name] = self.kinds[name][token]
      for token in chosen:
        check_token(token, 2, f'layer_{number}/inputs')
      inputs = tuple(source for source, token in enumerate(chosen) if token)
      layers.append(ConvLayer(**values, inputs=inputs))
    return ConvNet(tuple(layers), self.merge, self._pools(len(layers)))

  def encode(self, net: ConvNet) -> np.ndarray:
    """Returns the tokens of a network of the space."""
    depth = len(net.layers)
    if depth > self.num_layers:
      raise ValueError(
        f'A space of {self.num_layers} layers has no network of {depth}.'
      )
    if (net.merge, net.pool_after) != (self.merge, self._pools(depth)):
      raise ValueError(
        f'A space with merge {self.merge!r} and pool_after '
        f'{list(self._pools(depth))} has no network with {net.merge!r} and '
        f'{list(net.pool_after)}.'
      )
    tokens: list[int] = []
    for number, layer in enumerate(net.layers):
      tokens.extend(source in layer.inputs for source in range(number))
      for name, value in self.fixed.items():
        if getattr(layer, name) != value:
          raise ValueError(
            f'{name} of layer {number} is {getattr(layer, name)}; in this '
            f'space it is always {value}.'
          )
      for name, values in self.kinds.items():
        value = getattr(layer, name)
        if value not in values:
          raise ValueError(
            f'{value} is not a value of decision '
            f"'layer_{number}/{name}', which has "
            f'{", ".join(map(str, values))}.'
          )
        tokens.append(values.index(value))
    result = np.full(self._ends()[-1], -1, np.int32)
    result[: len(tokens)] = tokens
    return result

  def canonical(self, tokens: Any) -> np.ndarray:
    """Returns the tokens themselves, checked."""
    return self.encode(self.decode(tokens))

  def _pools(self, depth: int) -> tuple[int, ...]:
    """Returns the layers of a network of some depth after which is pooled."""
    return tuple(number for number in self.pool_after if number < depth)

  def _ends(self) -> np.ndarray:
    """Returns where each layer's tokens end, `int[num_layers]`."""
    return np.cumsum(
      [number + len(self.kinds) for number in range(self.num_layers)]
    )

  def _layers_of(self, tokens: Any) -> Iterator[list[int]]:
    """Yields the tokens of every active layer."""
    ends = self._ends()
    tokens = check_tokens(
      tokens, int(ends[-1]), f'A network of up to {self.num_layers} layers has'
    )
    num_active = int((tokens != -1).sum())
    if num_active not in ends or (tokens[num_active:] != -1).any():
      raise ValueError(
        'Tokens of -1 must follow the last active layer, whole layers at a '
        f'time and after at least one; got {tokens.tolist()}.'
      )
    start = 0
    for end in ends[ends <= num_active].tolist():
      yield tokens[start:end].tolist()
      start = end

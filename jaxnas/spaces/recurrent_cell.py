# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Recurrent cells as trees of combiners and activations.

Section 3.4 of "Neural Architecture Search with Reinforcement Learning", Zoph
and Le, 2017 (https://arxiv.org/abs/1611.01578). A cell of *base number* `L` is
a full binary tree with `L` leaves. Its nodes are numbered level by level, from
the leaves (`0` to `L-1`) to the root (`2L-2`); node `L+k` joins nodes `2k` and
`2k+1`. Leaf `i` has weights `W_i` and `U_i` of its own:

    leaf      z_i = combiner_i(W_i x_t, U_i h_{t-1})
    inner     z_i = combiner_i(a_left, a_right)
    every     a_i = activation_i(z_i)
    injected  a_q = inject_activation(inject_combiner(a_q, c_{t-1}))
    h_t = a_root,  c_t = z_p

where `q` is `inject_index`, the node whose output changes before its parent
reads it, and `p` is `read_index`. Tokens stand in the order in which the
paper's controller predicts them: combiner and activation of every node,
combiner and activation of the injection, `read_index`, `inject_index`; `4L + 2`
in all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import difflib
import math
import reprlib
from typing import Any, ClassVar

import numpy as np

from jaxnas.decisions import check_token, check_tokens
from jaxnas.types import Choice, SearchSpace

COMBINERS = ('add', 'elem_mult')
ACTIVATIONS = ('identity', 'tanh', 'sigmoid', 'relu')
EXTENDED_COMBINERS = (*COMBINERS, 'max')
EXTENDED_ACTIVATIONS = (*ACTIVATIONS, 'sin')
MAX_BASE = 256
"""The most leaves, so that a stranger's file cannot make a machine hang; the
paper's largest cell has 8."""

_MAX_SHOWN = 200
_ALIASES = {
  'mul': 'elem_mult',
  'mult': 'elem_mult',
  'multiply': 'elem_mult',
  'elemmult': 'elem_mult',
  'maximum': 'max',
  'linear': 'identity',
}


@dataclasses.dataclass(frozen=True)
class RecurrentCell:
  """A recurrent cell of the tree grammar.

  Attributes:
    combiners: the name of each node's combiner, `2L - 1` of them.
    activations: the name of each node's activation, `2L - 1` of them.
    inject_combiner: the combiner that joins a node's output with the previous
      memory.
    inject_activation: the activation applied to the joined value.
    read_index: the node whose value before activation becomes the memory.
    inject_index: the node whose output is joined with the previous memory.
    kind: the name of such architectures in files.
  """

  kind: ClassVar[str] = 'recurrent_cell'

  combiners: tuple[str, ...]
  activations: tuple[str, ...]
  inject_combiner: str
  inject_activation: str
  read_index: int
  inject_index: int

  def __post_init__(self):
    for name in ('combiners', 'activations'):
      value = getattr(self, name)
      if not isinstance(value, list | tuple):
        raise ValueError(
          f'{name} of a recurrent cell must be a tuple or a list, got '
          f'{reprlib.repr(value)}.'
        )
      object.__setattr__(self, name, tuple(value))
    num_nodes = len(self.combiners)
    if num_nodes < 3 or num_nodes & (num_nodes + 1):
      raise ValueError(
        'A cell has 2L - 1 nodes, where the base number L is a power of two '
        f'of at least 2; got {num_nodes} combiners.'
      )
    _check_base(self.base)
    if len(self.activations) != num_nodes:
      raise ValueError(
        f'A cell with {num_nodes} combiners needs as many activations, got '
        f'{len(self.activations)}.'
      )
    _check_known(
      'combiner', (*self.combiners, self.inject_combiner), EXTENDED_COMBINERS
    )
    _check_known(
      'activation',
      (*self.activations, self.inject_activation),
      EXTENDED_ACTIVATIONS,
    )
    for name in ('read_index', 'inject_index'):
      index = getattr(self, name)
      if type(index) is not int or not 0 <= index < num_nodes:
        raise ValueError(
          f'{name} must be an integer from 0 to {num_nodes - 1}, the nodes of '
          f'the cell, got {reprlib.repr(index)}.'
        )

  @property
  def base(self) -> int:
    """The base number `L`, the number of leaves."""
    return (len(self.combiners) + 1) // 2

  @property
  def names(self) -> tuple[str | int, ...]:
    """The cell in the paper's token order, spelled out."""
    nodes = zip(self.combiners, self.activations, strict=True)
    return (
      *(name for node in nodes for name in node),
      self.inject_combiner,
      self.inject_activation,
      self.read_index,
      self.inject_index,
    )

  def to_json(self) -> dict[str, Any]:
    """Returns the cell as a dict that `json.dumps` accepts."""
    return dataclasses.asdict(self) | {
      'combiners': list(self.combiners),
      'activations': list(self.activations),
    }

  @classmethod
  def from_json(cls, fields: Mapping[str, Any]) -> RecurrentCell:
    """Returns the cell that `to_json` described.

    Args:
      fields: the result of `to_json`, perhaps from an untrusted file.

    Raises:
      ValueError: a field is missing, unknown, or out of bounds.
    """
    expected = [field.name for field in dataclasses.fields(cls)]
    if not isinstance(fields, Mapping):
      raise ValueError(
        f'A recurrent cell is a dict with the fields {", ".join(expected)}; '
        f'got {reprlib.repr(fields)}.'
      )
    if set(fields) != set(expected):
      raise ValueError(
        f'A recurrent cell has the fields {", ".join(expected)}; got '
        f'{", ".join(sorted(map(str, fields)))[:_MAX_SHOWN]}.'
      )
    return cls(**fields)


def parse(names: str | Sequence[str | int]) -> RecurrentCell:
  """Returns the cell spelled by a list in the paper's token order.

  The names of the paper and those of the article are accepted, in upper or
  lower case: `[Add, Tanh, ElemMult, ReLU, Multiply, sigmoid, Add, ReLU, 1, 0]`.

  Args:
    names: the list, or a string with commas and optional brackets.

  Raises:
    ValueError: a name is unknown, or the length fits no base number.
  """
  if isinstance(names, str):
    names = [name.strip() for name in names.strip().strip('[]').split(',')]
  base = (len(names) - 2) // 4
  if base < 2 or base & (base - 1) or len(names) != 4 * base + 2:
    raise ValueError(
      'A cell of base number L has 4L + 2 tokens, with L a power of two of at '
      f'least 2; got {len(names)}.'
    )
  *spelled, read_index, inject_index = names
  words = [_spelling(str(word)) for word in spelled]
  try:
    indices = int(str(read_index)), int(str(inject_index))
  except ValueError:
    raise ValueError(
      'The last two tokens of a cell are read_index and inject_index; got '
      f'{read_index!r} and {inject_index!r}.'
    ) from None
  *nodes, inject_combiner, inject_activation = words
  return RecurrentCell(
    tuple(nodes[0::2]),
    tuple(nodes[1::2]),
    inject_combiner,
    inject_activation,
    *indices,
  )


def levels(base: int) -> list[tuple[int, int]]:
  """Returns `(first node, width)` of every level, from leaves to root."""
  result, first, width = [], 0, base
  while width:
    result.append((first, width))
    first, width = first + width, width // 2
  return result


def canonicalize(
  cell: RecurrentCell,
) -> tuple[RecurrentCell, tuple[int, ...]]:
  """Returns a cell's canonical form and where its leaves come from.

  Every combiner commutes, so swapping the children of a node, together with the
  weights of their leaves, changes nothing. In the canonical form the injected
  node is the first of its level, and all other children stand in a fixed order.

  Args:
    cell: the cell.

  Returns:
    The canonical cell and, for each of its leaves, the leaf of `cell` whose
    weights it takes.
  """
  base = cell.base

  def describe(node: int) -> tuple[Any, list[list[int]]]:
    """Returns a sort key of the subtree, and its nodes by level."""
    own = (
      cell.combiners[node],
      cell.activations[node],
      node == cell.read_index,
    )
    if node < base:
      return (node != cell.inject_index, own), [[node]]
    first, second = sorted(
      (describe(2 * (node - base)), describe(2 * (node - base) + 1)),
      key=lambda subtree: subtree[0],
    )
    is_plain = node != cell.inject_index and first[0][0] and second[0][0]
    rows = [
      left + right for left, right in zip(first[1], second[1], strict=True)
    ]
    return (is_plain, own, first[0], second[0]), [*rows, [node]]

  rows = describe(2 * base - 2)[1]
  order = [node for row in rows for node in row]
  canonical_cell = RecurrentCell(
    tuple(cell.combiners[node] for node in order),
    tuple(cell.activations[node] for node in order),
    cell.inject_combiner,
    cell.inject_activation,
    order.index(cell.read_index),
    order.index(cell.inject_index),
  )
  return canonical_cell, tuple(order[:base])


def make_space(
  base: int = 8,
  combiners: Sequence[str] = COMBINERS,
  activations: Sequence[str] = ACTIVATIONS,
) -> SearchSpace:
  """Makes the space of all recurrent cells of one base number.

  Args:
    base: the number of leaves; a power of two of at least 2.
    combiners: the combiners to choose from; besides the defaults, `'max'`.
    activations: the activations to choose from; besides the defaults, `'sin'`.

  Returns:
    A space of `4 * base + 2` decisions, one token each.

  Raises:
    ValueError: `base` is not a power of two, or a name is unknown.
  """
  num_nodes = 2 * base - 1
  _check_base(base)
  combiners = tuple(_spelling(name) for name in combiners)
  activations = tuple(_spelling(name) for name in activations)
  _check_known('combiner', combiners, EXTENDED_COMBINERS)
  _check_known('activation', activations, EXTENDED_ACTIVATIONS)
  decisions = (
    *(
      Choice(values, f'node_{node}/{kind}')
      for node in range(num_nodes)
      for kind, values in (
        ('combiner', combiners),
        ('activation', activations),
      )
    ),
    Choice(combiners, 'inject/combiner'),
    Choice(activations, 'inject/activation'),
    Choice(range(num_nodes), 'read_index'),
    Choice(range(num_nodes), 'inject_index'),
  )

  def decode(tokens) -> RecurrentCell:
    tokens = check_tokens(tokens, len(decisions), f'A cell of base {base} has')
    for token, decision in zip(tokens.tolist(), decisions, strict=True):
      check_token(token, decision.num_choices, decision.name)
    return parse(
      [
        decision.values[token]
        for token, decision in zip(tokens.tolist(), decisions, strict=True)
      ]
    )

  def encode(cell: RecurrentCell) -> np.ndarray:
    if cell.base != base:
      raise ValueError(
        f'A space of base {base} has no cell of base {cell.base}.'
      )
    tokens = []
    for name, decision in zip(cell.names, decisions, strict=True):
      if name not in decision.values:
        raise ValueError(
          f'{name!r} is not a value of decision {decision.name!r}, which has '
          f'{", ".join(map(str, decision.values))}.'
        )
      tokens.append(decision.values.index(name))
    return np.asarray(tokens, np.int32)

  def canonical(tokens) -> np.ndarray:
    return encode(canonicalize(decode(tokens))[0])

  return SearchSpace(
    name=f'recurrent_cell_base{base}',
    decisions=decisions,
    decode=decode,
    encode=encode,
    canonical=canonical,
    size=math.prod(decision.num_choices for decision in decisions),
  )


def size_up_to_swaps(
  base: int,
  num_combiners: int = len(COMBINERS),
  num_activations: int = len(ACTIVATIONS),
) -> int:
  """Returns the number of cells that differ by more than swaps of children.

  Counts the subtrees of each height up to swaps: those that contain neither of
  the two indices, one of them, and both.

  Args:
    base: the number of leaves; a power of two of at least 2.
    num_combiners: the number of combiners, all of which commute.
    num_activations: the number of activations.
  """
  _check_base(base)
  labels = num_combiners * num_activations
  plain = one = both = labels
  while base > 1:
    pairs = plain * (plain + 1) // 2
    both = labels * (pairs + 2 * one * plain + both * plain + one * one)
    one = labels * (pairs + one * plain)
    plain = labels * pairs
    base //= 2
  return both * labels


def _check_base(base: int) -> None:
  if base < 2 or base & (base - 1):
    raise ValueError(
      f'The base number must be a power of two of at least 2, got {base}.'
    )
  if base > MAX_BASE:
    raise ValueError(f'The base number may be at most {MAX_BASE}, got {base}.')


def _check_known(kind, names, known) -> None:
  for name in names:
    if name not in known:
      raise ValueError(
        f'Unknown {kind} {reprlib.repr(name)}; expected one of '
        f'{", ".join(known)}.'
      )


def _spelling(name: str) -> str:
  name = name.strip().lower()
  return _ALIASES.get(name, name)


KNOWN_CELLS: Mapping[str, RecurrentCell] = {
  # Figure 5 of the paper.
  'paper_example': parse(
    'add,tanh, elem_mult,relu, elem_mult,sigmoid, add,relu, 1,0'
  ),
  # Figure 8 of the paper, as in TensorFlow's `NASCell`.
  'nascell': parse(
    'add,sigmoid, add,relu, add,sigmoid, elem_mult,relu,'
    'add,tanh, add,sigmoid, add,tanh, add,sigmoid,'
    'elem_mult,tanh, add,tanh, elem_mult,tanh, add,sigmoid,'
    'elem_mult,identity, add,tanh, elem_mult,tanh,'
    'add,tanh, 12,8'
  ),
  # Leaves 0 and 1 sum to the forget gate, 2 is the input gate, 3 the candidate,
  # 4 to 7 sum to the output gate.
  'lstm': parse(
    'add,identity, add,identity, add,sigmoid, add,tanh,'
    'add,identity, add,identity, add,identity, add,identity,'
    'add,sigmoid, elem_mult,identity, add,identity, add,identity,'
    'add,tanh, add,sigmoid, elem_mult,identity,'
    'elem_mult,identity, 12,8'
  ),
  # Reset-after; the memory carries h. Leaves 0 to 7 sum to the update gate z,
  # 8 to 11 to the argument of 1 - z, 12 and 13 to the candidate's input half;
  # 14 is the reset gate and 15 the candidate's recurrent half.
  'gru': parse(
    'add,identity, ' * 14
    + 'add,sigmoid, add,identity,'
    + 'add,identity, ' * 7
    + 'elem_mult,identity,'
    'add,identity, add,identity, add,sigmoid, add,tanh,'
    'add,sigmoid, elem_mult,identity, add,identity,'
    'elem_mult,identity, 30,28'
  ),
}


def known_cell(name: str) -> RecurrentCell:
  """Returns a known cell by name.

  Raises:
    ValueError: no cell has that name; similar names are listed.
  """
  if name in KNOWN_CELLS:
    return KNOWN_CELLS[name]
  near = difflib.get_close_matches(name, KNOWN_CELLS, cutoff=0.4)
  raise ValueError(
    f'Unknown cell {name!r}; '
    + (f'did you mean {" or ".join(near)}? ' if near else '')
    + f'The known cells are {", ".join(KNOWN_CELLS)}.'
  )

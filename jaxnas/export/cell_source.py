# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Recurrent cells as straight-line code.

Nodes are numbered as in the grammar, see `jaxnas.spaces.recurrent_cell`: first
the leaves, from `leaf_0`, then the nodes above them. Weights are arranged leaf
by leaf in the order of the architecture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np

import jaxnas
from jaxnas.children import recurrent_cell as cells
from jaxnas.export import listing, recording, statements
from jaxnas.export.statements import Call, Statement
from jaxnas.spaces import recurrent_cell as space

Leaf: TypeAlias = Callable[[int, str], tuple[str, str]]
"""`(block, combiner) -> (input half, recurrent half)` of a leaf, as text."""

Groups: TypeAlias = tuple[tuple[Statement, ...], ...]

_BATCH, _STEPS, _INPUTS, _FEATURES = 2, 3, 4, 3


class Cell(NamedTuple):
  """A cell as a program.

  Attributes:
    title: a name for the cell in prose.
    num_blocks: the number of blocks of weights.
    groups: `leaf -> groups`, the statements that compute `new_c` and `new_h`
      from the leaves and `c`, in groups that belong together.
    has_bias: whether the recurrent half of every block has a bias.
  """

  title: str
  num_blocks: int
  groups: Callable[[Leaf], Groups]
  has_bias: bool = False


def grammar_cell(
  architecture: space.RecurrentCell, has_bias: bool = False
) -> Cell:
  """Returns the cell that an architecture describes."""
  return Cell(
    f'A recurrent cell of base number {architecture.base}',
    architecture.base,
    lambda leaf: _tree(architecture, leaf),
    has_bias,
  )


def lstm_cell() -> Cell:
  """Returns `jaxnas.children.recurrent_cell.LSTMCell`."""

  def groups(leaf: Leaf) -> Groups:
    gates = tuple(
      Statement(name, Call(activation, (Call('add', leaf(block, 'add')),)))
      for block, (name, activation) in enumerate(
        (('i', 'sigmoid'), ('f', 'sigmoid'), ('g', 'tanh'), ('o', 'sigmoid'))
      )
    )
    kept, added = Call('elem_mult', ('f', 'c')), Call('elem_mult', ('i', 'g'))
    shown = Call('elem_mult', ('o', Call('tanh', ('new_c',))))
    return gates, (
      Statement('new_c', Call('add', (kept, added))),
      Statement('new_h', shown),
    )

  return Cell('An LSTM with biases', 4, groups, has_bias=True)


def make_listing(
  architecture: space.RecurrentCell, framework: str
) -> listing.Listing:
  """Returns the source of a cell.

  Args:
    architecture: the cell.
    framework: one of `listing.FRAMEWORKS`.
  """
  cell = grammar_cell(architecture)
  usage = {
    'flax': 'outputs = nn.RNN(Cell(features=64))(inputs)  # [batch, time, 64]',
    'torch': 'outputs, _ = Recurrent(inputs.shape[-1], 64)(inputs)',
  }[framework]
  docstring = listing.definition(
    """
    <title>, as stand-alone code.

    <formulas>

    For inputs of shape [batch, time, inputs]:

        <usage>

    Run as a program, this file checks itself. Written by jaxnas <version>.
    """,
    title=cell.title,
    formulas=formulas(cell),
    usage=usage,
    version=jaxnas.__version__,
  )
  return listing.Listing(
    framework, docstring, code(cell, framework), _check(architecture, framework)
  )


def formulas(cell: Cell) -> str:
  """Returns a description of what a cell computes, in words and formulas."""

  def leaf(block: int, combiner: str) -> tuple[str, str]:
    left, right = f'W_{block} x', f'U_{block} h'
    if cell.has_bias:
      right = f'{right} + b_{block}'
    if combiner == 'elem_mult':
      return f'({left})', f'({right})'
    return left, right

  lines = '\n\n'.join(
    '\n'.join(
      f'    {line}' for line in statements.lines(group, statements.FORMULAS)
    )
    for group in cell.groups(leaf)
  )
  return (
    'From the inputs x, the hidden state h and the memory c, a step computes '
    'new_h\nand new_c; W_i and U_i are matrices, and * is elementwise:\n\n'
    f'{lines}'
  )


def code(cell: Cell, framework: str) -> list[str]:
  """Returns the definitions of a cell; the last one runs it over time."""
  dialect = statements.DIALECTS[framework]
  body = '\n\n'.join(
    '\n'.join(f'    {line}' for line in statements.lines(group, dialect))
    for group in cell.groups(lambda block, _: (f'wx[{block}]', f'uh[{block}]'))
  )
  if framework == 'torch':
    own = listing.definition(
      _TORCH,
      blocks=cell.num_blocks,
      statements=body,
      bias=_TORCH_BIAS.format(cell.num_blocks) if cell.has_bias else '',
      recurrent='h @ self.recurrent_kernel' + ' + self.bias' * cell.has_bias,
    )
    return [own, listing.pieces('torch_recurrent')['Recurrent']]
  own = listing.definition(
    _FLAX,
    blocks=cell.num_blocks,
    statements=body,
    bias=_FLAX_BIAS.format(cell.num_blocks) if cell.has_bias else '',
    recurrent='h @ recurrent_kernel' + ' + bias' * cell.has_bias,
  )
  return [listing.pieces('flax_recurrent')['orthogonal_blocks'], own]


def shapes(
  cell: Cell, inputs: int, features: int
) -> Iterator[tuple[str, tuple[int, ...]]]:
  """Yields the name and shape of each array of weights."""
  width = cell.num_blocks * features
  yield 'input_kernel', (inputs, width)
  yield 'recurrent_kernel', (features, width)
  if cell.has_bias:
    yield 'bias', (width,)


def _tree(architecture: space.RecurrentCell, leaf: Leaf) -> Groups:
  base = architecture.base
  outputs: list[str] = []
  groups: list[tuple[Statement, ...]] = []
  for first, width in space.levels(base):
    group: list[Statement] = []
    for node in range(first, first + width):
      combiner = architecture.combiners[node]
      if node < base:
        operands = leaf(node, combiner)
      else:
        child = 2 * (node - base)
        operands = outputs[child], outputs[child + 1]
      group += _node(architecture, node, Call(combiner, operands))
      outputs.append(group[-1].name)
    groups.append(tuple(group))
  *lower, (*rest, root) = groups
  if root.name == 'new_c':
    return *lower, (*rest, root, Statement('new_h', 'new_c'))
  return *lower, (*rest, root._replace(name='new_h'))


def _node(
  architecture: space.RecurrentCell, node: int, value: statements.Expression
) -> Iterator[Statement]:
  """Yields the statements of a node; the last one assigns its output."""
  name = f'{"leaf" if node < architecture.base else "node"}_{node}'
  activation = architecture.activations[node]
  if node == architecture.read_index:
    yield Statement('new_c', value)
    value = 'new_c'
    if activation == 'identity':
      name = 'new_c'
  if name != 'new_c':
    yield Statement(name, Call(activation, (value,)))
  if node == architecture.inject_index:
    joined = Call(architecture.inject_combiner, (name, 'c'))
    yield Statement('injected', Call(architecture.inject_activation, (joined,)))


def _check(
  architecture: space.RecurrentCell, framework: str
) -> recording.Drawn:
  prefix = {'flax': 'params/cell/', 'torch': 'cell.'}[framework]
  model = cells.GrammarCell(architecture=architecture, features=_FEATURES)

  def evaluate(variables: Mapping[str, np.ndarray], inputs: np.ndarray):
    params = library_params(
      {name.removeprefix(prefix): each for name, each in variables.items()},
      architecture,
    )
    zeros = jnp.zeros((_BATCH, _FEATURES), inputs.dtype)
    carry: Any = (zeros, zeros)
    hidden: list[Any] = []
    for time in range(_STEPS):
      carry, output = model.apply({'params': params}, carry, inputs[:, time])
      hidden.append(output)
    outputs = jnp.stack(hidden, 1)
    if framework == 'torch':
      return outputs, *carry[::-1]
    return *carry, outputs

  return recording.Drawn(
    {
      'flax': f'nn.RNN(Cell(features={_FEATURES}), return_carry=True)',
      'torch': f'Recurrent(inputs={_INPUTS}, features={_FEATURES})',
    }[framework],
    (_BATCH, _STEPS, _INPUTS),
    {
      prefix + name: shape
      for name, shape in shapes(grammar_cell(architecture), _INPUTS, _FEATURES)
    },
    slice(0, -1),
    evaluate,
  )


def reorder(array: Any, order: Sequence[int] | np.ndarray) -> Any:
  """Returns an array with its blocks of columns in another order.

  Args:
    array: the array, `[..., L * D]`.
    order: the index in `array` of each of the `L` blocks of the result.
  """
  blocks = array.reshape(*array.shape[:-1], len(order), -1)
  return blocks[..., np.asarray(order), :].reshape(array.shape)


def library_params(
  weights: Mapping[str, Any], architecture: space.RecurrentCell
) -> dict[str, Any]:
  """Returns the parameters of a `GrammarCell` with the weights of a file.

  Args:
    weights: the weights, with the names and shapes that `shapes` yields.
    architecture: the cell.
  """
  arranged: dict[str, Any] = {
    name: reorder(jnp.asarray(array), cells.leaf_order(architecture))
    for name, array in weights.items()
  }
  arranged['input_projection'] = {'kernel': arranged.pop('input_kernel')}
  return arranged


_FLAX_BIAS = """
    bias = self.param('bias', nn.initializers.zeros, ({} * self.features,))
"""[1:-1]
_TORCH_BIAS = """
    self.bias = nn.Parameter(torch.zeros({} * features))
"""[1:-1]
_FLAX = '''
class Cell(nn.RNNCellBase):
  """The cell, for `nn.RNN`.

  Attributes:
    features: the number of hidden units.
  """

  features: int

  @nn.compact
  def __call__(self, carry, inputs):
    """Runs the cell for one time step.

    Args:
      carry: the previous `(c, h)`, each `[..., features]`.
      inputs: the inputs of this step, `[..., inputs]`.

    Returns:
      The new carry `(c, h)`, and the outputs, which are the new `h`.
    """
    c, h = carry
    input_kernel = self.param(
      'input_kernel',
      nn.initializers.lecun_normal(),
      (inputs.shape[-1], <blocks> * self.features),
    )
    recurrent_kernel = self.param(
      'recurrent_kernel',
      orthogonal_blocks,
      (self.features, <blocks> * self.features),
    )
<bias>
    wx = jnp.split(inputs @ input_kernel, <blocks>, axis=-1)
    uh = jnp.split(<recurrent>, <blocks>, axis=-1)

<statements>
    return (new_c, new_h), new_h

  @nn.nowrap
  def initialize_carry(self, rng, input_shape):
    """Returns a carry of zeros for inputs of shape `[..., inputs]`."""
    zeros = jnp.zeros((*input_shape[:-1], self.features))
    return zeros, zeros

  @property
  def num_feature_axes(self):
    """The number of feature axes of the inputs, which `nn.RNN` asks for."""
    return 1
'''
_TORCH = '''
class Cell(nn.Module):
  """The cell, for one time step, like `nn.LSTMCell`.

  Args:
    inputs: the number of features of the inputs.
    features: the number of hidden units.
  """

  def __init__(self, inputs, features):
    super().__init__()
    self.features = features
    input_kernel = torch.randn(inputs, <blocks> * features) * inputs**-0.5
    self.input_kernel = nn.Parameter(input_kernel)
    blocks = torch.empty(<blocks>, features, features)
    recurrent_kernel = torch.cat([nn.init.orthogonal_(b) for b in blocks], 1)
    self.recurrent_kernel = nn.Parameter(recurrent_kernel)
<bias>

  def forward(self, inputs, state):
    """Runs the cell for one time step.

    Args:
      inputs: the inputs of this step, `[..., inputs]`.
      state: the previous `(h, c)`, each `[..., features]`.

    Returns:
      The new `(h, c)`.
    """
    h, c = state
    wx = torch.chunk(inputs @ self.input_kernel, <blocks>, dim=-1)
    uh = torch.chunk(<recurrent>, <blocks>, dim=-1)

<statements>
    return new_h, new_c
'''

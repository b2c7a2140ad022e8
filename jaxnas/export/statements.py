# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Straight-line programs, written in Python or as formulas.

A program is a sequence of assignments to new names. A dialect gives the names
of the operations, so that one program can be written for either framework, and
for people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

WIDTH = 80
"""The longest line, in characters."""

_INDENT = 2
_INFIX = {'add': '+', 'elem_mult': '*'}


class Call(NamedTuple):
  """An operation on values.

  Attributes:
    operation: the operation's name. `'add'` and `'elem_mult'` are written
      between two operands, `'identity'` is not written at all, and others are
      written as the dialect names them.
    operands: the values that it is applied to.
  """

  operation: str
  operands: tuple[Expression, ...]


Expression: TypeAlias = 'str | Call'
"""A call, or text that is written as it is: a name or an operand."""


class Statement(NamedTuple):
  """An assignment.

  Attributes:
    name: the name that is assigned to.
    value: the value that it is given.
  """

  name: str
  value: Expression


FLAX: Mapping[str, str] = {
  'max': 'jnp.maximum',
  'tanh': 'jnp.tanh',
  'sigmoid': 'nn.sigmoid',
  'relu': 'nn.relu',
  'sin': 'jnp.sin',
}
TORCH: Mapping[str, str] = {
  name: f'torch.{name}' for name in ('tanh', 'sigmoid', 'relu', 'sin')
} | {'max': 'torch.maximum'}
DIALECTS: Mapping[str, Mapping[str, str]] = {'flax': FLAX, 'torch': TORCH}
FORMULAS: Mapping[str, str] = {name: name for name in FLAX}


def spell(expression: Expression, dialect: Mapping[str, str]) -> str:
  """Returns an expression as text.

  Args:
    expression: any expression.
    dialect: the names of the operations.
  """
  if isinstance(expression, str):
    return expression
  operation = expression.operation
  operands = [spell(each, dialect) for each in expression.operands]
  if operation == 'identity':
    return operands[0]
  if operation == 'elem_mult':
    operands = [
      f'({text})'
      if isinstance(each, Call) and each.operation == 'add'
      else text
      for text, each in zip(operands, expression.operands, strict=True)
    ]
  if operation in _INFIX:
    return f' {_INFIX[operation]} '.join(operands)
  return f'{dialect[operation]}({", ".join(operands)})'


def lines(
  statements: Iterable[Statement], dialect: Mapping[str, str]
) -> list[str]:
  """Returns the line of each statement.

  Args:
    statements: the program.
    dialect: the names of the operations.
  """
  return [f'{each.name} = {spell(each.value, dialect)}' for each in statements]


def call(
  head: str, arguments: Sequence[str], indent: int, tail: str = ''
) -> str:
  """Returns a call, broken into lines as the formatter would.

  Args:
    head: the text before the opening parenthesis, such as `'x = f'`.
    arguments: the arguments.
    indent: the number of spaces before the first line.
    tail: the text after the closing parenthesis.
  """
  flat = ', '.join(arguments)
  margin, inner = ' ' * indent, ' ' * (indent + _INDENT)
  if len(line := f'{margin}{head}({flat}){tail}') <= WIDTH:
    return line
  if len(line := f'{inner}{flat}') <= WIDTH:
    return f'{margin}{head}(\n{line}\n{margin}){tail}'
  listed = ''.join(f'{inner}{argument},\n' for argument in arguments)
  return f'{margin}{head}(\n{listed}{margin}){tail}'

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import pytest

from jaxnas.export import statements
from jaxnas.export.statements import Call, Statement


@pytest.mark.parametrize(
  ('expression', 'formula', 'flax', 'torch'),
  [
    ('x', 'x', 'x', 'x'),
    (Call('identity', ('x',)), 'x', 'x', 'x'),
    (Call('add', ('x', 'y')), 'x + y', 'x + y', 'x + y'),
    (
      Call('sigmoid', (Call('elem_mult', ('x', 'y')),)),
      'sigmoid(x * y)',
      'nn.sigmoid(x * y)',
      'torch.sigmoid(x * y)',
    ),
    (
      Call('max', ('x', Call('sin', ('y',)))),
      'max(x, sin(y))',
      'jnp.maximum(x, jnp.sin(y))',
      'torch.maximum(x, torch.sin(y))',
    ),
    (
      Call('elem_mult', (Call('add', ('x', 'y')), 'c')),
      '(x + y) * c',
      '(x + y) * c',
      '(x + y) * c',
    ),
    (
      Call('add', (Call('elem_mult', ('x', 'y')), 'c')),
      'x * y + c',
      'x * y + c',
      'x * y + c',
    ),
  ],
)
def test_an_expression_is_spelled_in_every_dialect(
  expression, formula, flax, torch
):
  assert statements.spell(expression, statements.FORMULAS) == formula
  assert statements.spell(expression, statements.FLAX) == flax
  assert statements.spell(expression, statements.TORCH) == torch


def test_a_program_has_a_line_for_each_statement():
  program = [Statement('x', Call('tanh', ('y',))), Statement('z', 'x')]
  assert statements.lines(program, statements.FORMULAS) == [
    'x = tanh(y)',
    'z = x',
  ]


ARGUMENTS = [f'argument_{number}' for number in range(7)]
SIX = ', '.join(ARGUMENTS[:6])


@pytest.mark.parametrize(
  ('head', 'arguments', 'expected'),
  [
    ('f', ARGUMENTS[:1], '  f(argument_0)!'),
    ('f', ARGUMENTS[:6], f'  f({SIX})!'),
    ('f_of_all', ARGUMENTS[:6], f'  f_of_all(\n    {SIX}\n  )!'),
    (
      'f',
      ARGUMENTS,
      '  f(\n' + ''.join(f'    {name},\n' for name in ARGUMENTS) + '  )!',
    ),
  ],
)
def test_a_call_is_broken_as_the_formatter_breaks_it(head, arguments, expected):
  assert statements.call(head, arguments, 2, '!') == expected

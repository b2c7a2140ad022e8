# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import numpy as np
import pytest

from jaxnas.export import listing, recording

CODE = """
class Double(nn.Module):
  @nn.compact
  def __call__(self, inputs):
    return scale(nn.Dense(2)(inputs))
"""
SCALE = """
def scale(inputs):
  return math.pi * inputs
"""


def test_a_listing_without_a_check_is_docstring_imports_and_code():
  made = listing.Listing(
    'flax', 'Doubles.', [SCALE, CODE], None, ['import math']
  )
  assert listing.to_source(made) == (
    '"""Doubles.\n"""\n\nfrom flax import linen as nn\nimport math\n\n\n'
    + SCALE.strip()
    + '\n\n\n'
    + CODE.strip()
    + '\n'
  )


def run(made, capsys):
  names = {'__name__': 'made'}
  exec(listing.to_source(made), names)
  # The check changes the settings of its process.
  with jax.enable_x64(True):
    code = names['check']()
  jax.config.update('jax_enable_x64', False)
  return code, capsys.readouterr().out, names


@pytest.mark.parametrize('factor', [1.0, 1 + 1e-5])
def test_a_drawn_check_tells_right_from_wrong(factor, capsys):
  def evaluate(variables, inputs):
    kernel, bias = (
      variables[f'params/Dense_0/{n}'] for n in ('kernel', 'bias')
    )
    return [factor * np.pi * (inputs @ kernel + bias)]

  check = recording.Drawn(
    'Double()',
    (3, 4),
    {'params/Dense_0/kernel': (4, 2), 'params/Dense_0/bias': (2,)},
    slice(0, -1),
    evaluate,
  )
  made = listing.Listing('flax', 'D.', [SCALE, CODE], check, ['import math'])
  code, printed, names = run(made, capsys)
  if factor == 1:
    assert code == 0
    assert '6 outputs agree with those recorded' in printed
  else:
    assert code == 1
    assert 'DO NOT AGREE' in printed
  assert names['compare']([np.array([np.nan])], [1.0]) == 1
  assert names['compare']([np.zeros(2)], np.zeros(2)) == 0


def test_values_come_into_a_definition_with_their_own_indentation():
  template = """
    def f():
      <body>
      return <value>
  """
  assert listing.definition(template, body='  x = 1\n  y = 2', value=3) == (
    'def f():\n  x = 1\n  y = 2\n  return 3'
  )
  assert listing.definition(template, body='', value='x') == (
    'def f():\n  return x'
  )


def test_numbers_are_lists_of_nine_digits():
  values = np.array([[1 / 3, -2e-10], [1e20, 4]])
  assert listing.numbers(values) == (
    '[\n  [0.333333333, -2e-10],\n  [1e+20, 4.0],\n]'
  )


def test_an_unknown_framework_is_told():
  with pytest.raises(ValueError, match="framework 'keras'; expected one of fl"):
    listing.check_framework('keras')


@pytest.mark.parametrize('count', [0, -1, True, 1.0, '1', None, [1]])
def test_only_positive_integers_come_into_source(count):
  listing.check_counts(layers=3)
  with pytest.raises(ValueError, match='layers must be a positive integer'):
    listing.check_counts(layers=count)


def test_every_piece_is_a_definition_of_a_few_lines():
  for name in (
    'comparison', 'drawing', 'flax_conv', 'flax_drawn', 'flax_padded',
    'flax_recorded', 'flax_recurrent', 'preprocessing', 'recorded',
    'torch_conv', 'torch_drawn', 'torch_padded', 'torch_recorded',
    'torch_recurrent',
  ):  # fmt: skip
    for text in listing.pieces(name).values():
      assert text.startswith(('def ', 'class '))
      assert '"""' in text

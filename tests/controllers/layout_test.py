# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax.numpy as jnp
import numpy as np

from jaxnas.controllers import layout
from jaxnas.types import AnchorPoint, Choice, Range

# Tokens 0, 1, 2, 3-4 and 5.
DECISIONS = (
  AnchorPoint(0, 'layer_0'),
  Choice((24, 36, 48), 'filters_0'),
  AnchorPoint(1, 'layer_1'),
  Range(0.1, 1.0, num_levels=4, name='rate'),
  AnchorPoint(2, 'layer_2'),
  Choice((24, 36), 'filters_2'),
)


def test_places_by_hand():
  result = layout.Layout(DECISIONS)
  assert (result.num_steps, result.num_tokens) == (6, 6)
  assert (result.num_anchors, result.num_sources) == (3, 2)
  expected = {
    'is_anchor': [True, False, True, False, True, False],
    'numbers': [0, 0, 1, 1, 2, 2],
    'slots': [0, 2, 1, 2, 2, 2],
    'first_rows': [1, 1, 4, 4, 8, 8],
    'choice_steps': [1, 3, 5],
    'choice_tokens': [0, 2, 5],
    'is_choice': [[1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 0, 0]],
    'anchor_steps': [0, 2, 4],
    'anchor_tokens': [[0, 0], [1, 0], [3, 4]],
    'is_pair': [[0, 0], [1, 0], [1, 1]],
    'token_steps': [1, 2, 3, 4, 4, 5],
    'token_places': [0, 0, 0, 0, 1, 0],
    'outcome_steps': [1, 1, 1, 2, 3, 3, 3, 3, 4, 4, 5, 5],
  }
  for name, values in expected.items():
    np.testing.assert_array_equal(getattr(result, name), values, err_msg=name)


def test_decisions_are_joined_in_order():
  result = layout.Layout(DECISIONS)
  joined = result.join(jnp.asarray([[1, 3, 5]]), jnp.asarray([[0, 2, 4]]))
  np.testing.assert_array_equal(joined, np.arange(6)[None])


def test_outcomes_are_joined_in_order():
  result = layout.Layout(DECISIONS)
  choices = jnp.arange(12).reshape(3, 4)
  anchors = 100 + jnp.arange(6).reshape(3, 2)
  np.testing.assert_array_equal(
    result.outcomes(choices[None], anchors[None]),
    [[0, 1, 2, 102, 4, 5, 6, 7, 104, 105, 8, 9]],
  )


def test_a_decision_is_made_when_all_its_tokens_are_there():
  result = layout.Layout(DECISIONS)
  tokens = np.asarray([[1, 0, 2, 1, 0, 1], [1, 0, 2, 0, -1, -1], [-1] * 6])
  made = result.is_made(jnp.asarray(tokens))
  # The first has no token that could be missing.
  expected = [[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0], [1, 0, 0, 0, 0, 0]]
  np.testing.assert_array_equal(made, expected)

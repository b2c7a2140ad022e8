# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import versions
from jaxnas.types import Proposals

WINDOWS = [(1, 1), (3, 1), (5, 1), (8, 3), (2, 4), (1, 10), (4, 2)]


@pytest.mark.parametrize(('replicas', 'per_update'), WINDOWS)
@pytest.mark.parametrize('seed', [0, 1])
def test_a_version_is_what_a_search_in_any_order_has(
  replicas, per_update, seed
):
  random = np.random.default_rng(seed)
  num_groups, version, num_finished = 40, 0, 0
  proposed = [0] * min(replicas, num_groups)
  flying = list(range(len(proposed)))
  while flying:
    flying.pop(random.integers(len(flying)))
    num_finished += 1
    version += num_finished % per_update == 0
    if len(proposed) < num_groups:
      flying.append(len(proposed))
      proposed.append(version)
  numbers = np.arange(num_groups)
  expected = [
    versions.proposing_version(group, replicas, per_update)
    for group in range(num_groups)
  ]
  assert proposed == expected
  for arrays in (numbers, jnp.asarray(numbers)):
    np.testing.assert_array_equal(
      versions.proposing_version(arrays, replicas, per_update), expected
    )


def make_group(number):
  return Proposals(
    tokens=jnp.full((2, 3), number),
    log_prob=jnp.full(2, -float(number)),
    policy={'params': jnp.full((1, 4), number)},
  )


def test_groups_are_joined_in_their_order():
  joined = versions.join([make_group(2), make_group(0), make_group(1)], 4)
  np.testing.assert_array_equal(joined.tokens[:, 0], [2, 2, 0, 0, 1, 1])
  np.testing.assert_array_equal(joined.log_prob, [-2, -2, 0, 0, -1, -1])
  np.testing.assert_array_equal(joined.policy['params'][:, 0], [2, 0, 1])


def test_a_single_replica_says_nothing_of_its_policy():
  group = make_group(1)
  assert versions.join([group], 1).policy is None
  assert versions.join([group, group], 1).policy is None
  assert versions.join([group], 2) is group
  # Where there is nothing to leave out, a strategy gets what it gave.
  own = jax.tree.map(np.asarray, group._replace(policy=None))
  joined = versions.join([own], 1)
  assert joined.tokens is own.tokens

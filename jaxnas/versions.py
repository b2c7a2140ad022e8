# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Which version of a strategy's state proposes what, in a search with replicas.

Section 3.2 of "Neural Architecture Search with Reinforcement Learning", Zoph
and Le, 2017 (https://arxiv.org/abs/1611.01578), where replicas of a controller
work asynchronously. Here a *replica* is a group of proposals in flight. At the
start each of `replicas` replicas asks for a group; whenever a group is
finished, its replica asks for the next one. Every `replicas_per_update` groups
that have finished, the strategy is told of them together and has a new version;
it begins as version 0.

The `f`-th group to finish, counted from 1, frees the replica that asks for
group `replicas + f - 1`, after the strategy was told of what is complete. So
the version that proposes a group follows from the group's number alone, and not
from the order of finishing. A single replica is the search in lock step.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxnas.types import Proposals


def proposing_version(group, replicas: int, replicas_per_update: int):
  """Returns the version that proposes a group.

  Args:
    group: the group's number, from 0: an integer or an array of them.
    replicas: the number of groups in flight.
    replicas_per_update: the number of finished groups told together.
  """
  since = group - replicas + 1
  # Of both signs without a branch, for arrays of any library.
  return since * (since > 0) // replicas_per_update


def join(groups: Sequence[Proposals], replicas: int) -> Proposals:
  """Returns the proposals of finished groups, as a strategy is told of them.

  Args:
    groups: the groups in the order of finishing.
    replicas: the number of groups in flight. One alone proposes by the state
      that is told, so nothing is said of its policy, which keeps a strategy's
      corrections out and its bits as they are.
  """
  if replicas == 1:
    groups = [group._replace(policy=None) for group in groups]
  if len(groups) == 1:
    return groups[0]
  return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *groups)

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The window of an arm: its strategy, and the proposals in flight.

A window is a fold over the arm's trials, in the order in which they finished.
It has a fixed number of *groups* in flight, each the answer to one `ask`. Every
group that finishes makes room for the next; every few finished groups are told
to the strategy at once, in the order in which they finished, each with its rows
in the order of proposal. With one group in flight, told by itself, this is the
synchronous loop: ask, evaluate, tell. See `versions`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnas import arms, pure_search, versions
from jaxnas.records import round_log
from jaxnas.types import Proposals, SearchSpace


class Group(NamedTuple):
  """The `N` proposals of one `ask`.

  Attributes:
    number: the number of the group in its arm, a scalar; -1 for an empty place,
      whose other fields mean nothing.
    proposals: the proposals, as `ask` returned them.
    rewards: the rewards known so far, `float32[N]`.
    is_done: which rewards are known, `bool[N]`.
  """

  number: np.ndarray
  proposals: Proposals
  rewards: np.ndarray
  is_done: np.ndarray


class Window(NamedTuple):
  """The state of an arm, a pytree whose structure and shapes stay fixed.

  Attributes:
    strategy: the strategy's state.
    num_asked: the number of groups proposed, a scalar.
    num_finished: the number of groups whose rewards are all known, a scalar.
    num_told: the number of times the strategy was told, a scalar: its version.
    groups: the groups in flight, one per replica.
    finished: the groups that are finished and not yet told, from the first
      place on in the order of finishing.
  """

  strategy: Any
  num_asked: np.ndarray
  num_finished: np.ndarray
  num_told: np.ndarray
  groups: tuple[Group, ...]
  finished: tuple[Group, ...]

  @property
  def open(self) -> list[Group]:
    """The groups in flight, in the order of proposal."""
    groups = [group for group in self.groups if group.number >= 0]
    return sorted(groups, key=lambda group: int(group.number))


class Told(NamedTuple):
  """What followed from a `tell`.

  Attributes:
    version: the version of the strategy that was told.
    metrics: the metrics that it returned.
  """

  version: int
  metrics: Mapping[str, float]


class Step(NamedTuple):
  """A window after one more reward.

  Attributes:
    window: the window.
    told: what the strategy said, if it was told.
    asked: the group that was proposed, if one was.
  """

  window: Window
  told: Told | None = None
  asked: Group | None = None


class NotExtendableError(Exception):
  """A window lacks groups that only an earlier version could propose."""


@dataclasses.dataclass(frozen=True)
class Fold:
  """The rule by which an arm's window follows from its trials.

  Attributes:
    arm: the arm.
    key: the arm's random key.
    space: the search space.
    num_groups: the number of groups to propose in all.
  """

  arm: arms.Arm
  key: jax.Array
  space: SearchSpace
  num_groups: int

  def start(self) -> Window:
    """Returns the window before the first reward."""
    arm = self.arm
    window = Window(
      strategy=arm.strategy.init(pure_search.init_key(self.key)),
      num_asked=_scalar(0),
      num_finished=_scalar(0),
      num_told=_scalar(0),
      groups=(),
      finished=(),
    )
    # What a group is made of is known once there is one, and no budget changes
    # the structure of a state.
    first = self._ask(window, 0)
    empty = first._replace(number=_scalar(-1))
    window = window._replace(
      groups=(empty,) * arm.replicas,
      finished=(empty,) * (arm.replicas_per_update - 1),
    )
    if self.num_groups:
      window = _put(window._replace(num_asked=_scalar(1)), 0, first)
    return self.extend(window)

  def extend(self, window: Window) -> Window:
    """Returns a window with all groups that may be in flight.

    Some are missing in a window that ended with a smaller `num_groups`.

    Args:
      window: the window.

    Raises:
      NotExtendableError: a missing group is one that an earlier version
        proposes, so that only the whole fold gives it.
    """
    groups = list(window.groups)
    num_asked = int(window.num_asked)
    while num_asked < min(
      self.num_groups, self.arm.replicas + int(window.num_finished)
    ):
      if self.version(num_asked) != window.num_told:
        raise NotExtendableError
      place = next(i for i, each in enumerate(groups) if each.number < 0)
      groups[place] = self._ask(window, num_asked)
      num_asked += 1
    return window._replace(groups=tuple(groups), num_asked=_scalar(num_asked))

  def version(self, group: int) -> int:
    """Returns the version that proposes a group."""
    return versions.proposing_version(
      group, self.arm.replicas, self.arm.replicas_per_update
    )

  def find(self, window: Window, proposal: int) -> np.ndarray | None:
    """Returns the tokens of a proposal in flight without a reward, `int32[T]`.

    Args:
      window: the window.
      proposal: the position of the proposal among those of the arm.
    """
    index, row = divmod(proposal, self.arm.batch_size)
    for group in window.groups:
      if group.number == index and not group.is_done[row]:
        return np.asarray(group.proposals.tokens)[row]
    return None

  def record(self, window: Window, proposal: int, reward: float) -> Step:
    """Returns the window after a reward.

    Args:
      window: the window.
      proposal: the position of the proposal among those of the arm; it is in
        flight and has no reward.
      reward: the proposal's reward.
    """
    index, row = divmod(proposal, self.arm.batch_size)
    place = next(
      i for i, each in enumerate(window.groups) if each.number == index
    )
    group = _rewarded(window.groups[place], row, reward)
    if not group.is_done.all():
      return Step(_put(window, place, group))
    window, told = self._finish(window, group)
    if window.num_asked >= self.num_groups:
      return Step(_put(window, place, group._replace(number=_scalar(-1))), told)
    asked = self._ask(window, int(window.num_asked))
    window = window._replace(num_asked=_scalar(window.num_asked + 1))
    return Step(_put(window, place, asked), told, asked)

  def policy(self, window: Window) -> tuple[float, ...] | None:
    """Returns the probabilities to record of the policy that proposes next.

    They depend on the arm's key and the strategy's state and version alone.

    Args:
      window: the window, whose strategy has the policy.

    Returns:
      The probabilities, as in `records.round_log.Round`; `None` if they are not
      to be recorded, or the strategy has no policy.
    """
    version = int(window.num_told)
    if not round_log.has_probabilities(version):
      return None
    probabilities = self.arm.probabilities(
      window.strategy,
      pure_search.probability_key(self.key, version),
      version * self.arm.replicas_per_update * self.arm.batch_size,
      sum(decision.num_outcomes for decision in self.space.decisions),
    )
    return None if probabilities is None else round_log.rounded(probabilities)

  def _ask(self, window: Window, index: int) -> Group:
    arm = self.arm
    proposals = arm.ask(
      window.strategy,
      pure_search.round_key(self.key, index),
      index * arm.batch_size,
      self.space.num_tokens,
    )
    # What need not be told need not be kept.
    proposals = versions.join([proposals], arm.replicas)
    if window.groups:
      arm.check_like(window.groups[0].proposals, proposals)
    return Group(
      _scalar(index),
      proposals,
      np.zeros(arm.batch_size, np.float32),
      np.zeros(arm.batch_size, bool),
    )

  def _finish(self, window: Window, group: Group) -> tuple[Window, Told | None]:
    """Puts a group with all rewards among the finished ones, or tells them."""
    finished = list(window.finished)
    num_waiting = int(window.num_finished) % self.arm.replicas_per_update
    window = window._replace(num_finished=_scalar(window.num_finished + 1))
    if num_waiting < len(finished):
      finished[num_waiting] = group
      return window._replace(finished=tuple(finished)), None
    told_groups = [*finished, group]
    strategy, metrics = self.arm.tell(
      window.strategy,
      versions.join(
        [each.proposals for each in told_groups], self.arm.replicas
      ),
      np.concatenate([each.rewards for each in told_groups]),
    )
    told = Told(int(window.num_told), metrics)
    return window._replace(
      strategy=strategy, num_told=_scalar(window.num_told + 1)
    ), told


def rows(group: Group, batch_size: int) -> Iterator[tuple[int, np.ndarray]]:
  """Yields the proposals of a group without a reward, with their tokens.

  Args:
    group: the group.
    batch_size: the number of proposals of a group.

  Yields:
    The position of a proposal in its arm, and its tokens, `int32[T]`.
  """
  tokens = np.asarray(group.proposals.tokens)
  for row in np.flatnonzero(~group.is_done):
    yield int(group.number) * batch_size + int(row), tokens[row]


def _rewarded(group: Group, row: int, reward: float) -> Group:
  rewards, is_done = group.rewards.copy(), group.is_done.copy()
  rewards[row], is_done[row] = reward, True
  return group._replace(rewards=rewards, is_done=is_done)


def _put(window: Window, place: int, group: Group) -> Window:
  groups = window.groups
  return window._replace(groups=(*groups[:place], group, *groups[place + 1 :]))


def _scalar(value: Any) -> np.ndarray:
  return np.array(value, np.int32)

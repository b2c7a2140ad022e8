# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Trains children from rung to rung, fewer at each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
from typing import Any, Protocol, TypeVar

import jax
import numpy as np

from jaxnas import halving
from jaxnas.evaluators import stages as stages_lib
from jaxnas.types import Evaluation, Kept, Status


class Child(Protocol):
  """A child that is trained; it can be a key of a dict."""

  @property
  def batch(self) -> tuple[int, int]:
    """The batch in which the child is compared."""

  @property
  def row(self) -> int:
    """The position of the child in its batch."""


_C = TypeVar('_C', bound=Child)


@dataclasses.dataclass
class Outcome:
  """What is known of a child so far; see `records.trials.Trial`."""

  reward: float
  metrics: dict[str, Any]
  status: str
  reason: str
  steps: int
  rung: int | None = None
  is_stopped: bool = False
  curve: tuple[tuple[int, float], ...] = ()

  @property
  def is_alive(self) -> bool:
    """Whether the child has not failed."""
    return self.status == _OK


class Choice(Protocol):
  """What decides who goes on."""

  def see(self, child: Any, rung: int, outcome: Outcome) -> None:
    """Takes what is known of a child that is alive at a rung."""

  def surely_lost(self, rung: int, kept: Mapping[Any, Any]) -> list[Any]:
    """Returns children that cannot go on, whatever the others do."""

  def going_on(self, rung: int, children: Sequence[Any]) -> list[Any]:
    """Returns who goes on from a rung; all children were seen there."""


def climb(
  stages: stages_lib.Stages,
  children: Sequence[_C],
  points: Sequence[int],
  choice: Choice,
  start: Callable[[Sequence[_C]], tuple[jax.Array, np.ndarray]],
) -> dict[_C, Outcome]:
  """Trains children from point to point, as far as a choice lets them go on.

  They are trained in blocks, which are filled anew at each point.

  Args:
    stages: what trains them.
    children: the children.
    points: the numbers of steps at which they are measured, which grow.
    choice: what decides who goes on.
    start: `children -> (keys [N], tokens int32[N, T])`.

  Returns:
    What is known of each child where it stopped.
  """
  outcomes: dict[_C, Outcome] = {}
  kept: dict[_C, Kept] = {}
  for rung, stop in enumerate(points):
    before, kept = kept, {}
    for block in blocks(children, stages.block_size):
      if rung:
        together = stages_lib.join([before.pop(child) for child in block])
        evaluation, together = stages.go_on(together, stop)
      else:
        evaluation, together = stages.start(*start(block), stop)
      for row, child in enumerate(block):
        outcome = read(evaluation, row, stop)
        if child in outcomes:
          outcome.curve = outcomes[child].curve
        if outcome.is_alive:
          outcome.curve += ((stop, outcome.reward),)
          choice.see(child, rung, outcome)
          if together is not None:
            kept[child] = stages_lib.pick(together, row)
        outcomes[child] = outcome
      # Most states need not be kept until the rung is complete.
      for child in choice.surely_lost(rung, kept):
        del kept[child]
    if stop == points[-1]:
      break
    children = [
      child for child in choice.going_on(rung, children) if child in kept
    ]
  return outcomes


class Everyone:
  """The choice that lets all children go on."""

  def see(self, child: Child, rung: int, outcome: Outcome) -> None:
    """Does nothing: rewards do not matter."""

  def surely_lost(self, rung: int, kept: Mapping[Child, Any]) -> list[Child]:
    """Returns nobody."""
    return []

  def going_on(self, rung: int, children: Sequence[Child]) -> list[Child]:
    """Returns all."""
    return list(children)


class Best:
  """The choice of the best of each batch.

  Attributes:
    curves: the rewards at all rungs of each batch, `float32[N, K]`, by arm and
      group; NaN where they are not known.
  """

  def __init__(
    self,
    schedule: halving.Schedule,
    logged: Mapping[tuple[int, int], np.ndarray],
    cost_names: Sequence[str] = (),
    costs: Mapping[tuple[int, int], np.ndarray] | None = None,
  ):
    """Starts before the first rung.

    Args:
      schedule: the rungs.
      logged: the rewards of children that are not trained again, `float32[N,
        K]` for each batch; NaN for all others.
      cost_names: the metrics that are costs, which then decide as well; see
        `halving.going_on`.
      costs: the costs of the children whose rewards are logged, `float32[N, C]`
        for each batch; NaN for all others.
    """
    self.curves = dict(logged)
    self._cost_names, self._costs = tuple(cost_names), dict(costs or {})
    self._started = {
      each: schedule.num_started(len(curves)) for each, curves in logged.items()
    }
    self._stays = {
      each: np.ones(len(curves), bool) for each, curves in logged.items()
    }

  def see(self, child: Child, rung: int, outcome: Outcome) -> None:
    """Takes what is known of a child that is alive at a rung."""
    self.curves[child.batch][child.row, rung] = outcome.reward
    if self._cost_names:
      costs = [outcome.metrics[name] for name in self._cost_names]
      self._costs[child.batch][child.row] = costs

  def surely_lost(self, rung: int, kept: Mapping[Child, Any]) -> list[Child]:
    """Returns children that cannot go on, whatever the others do."""
    batches: dict[tuple[int, int], list[Child]] = {}
    for child in kept:
      batches.setdefault(child.batch, []).append(child)
    lost = []
    for batch, children in batches.items():
      started = self._started[batch]
      if rung + 1 == len(started):
        lost.extend(children)
        continue
      is_lost = self._decide(_surely_lost, batch, rung)
      lost.extend(child for child in children if is_lost[child.row])
    return lost

  def going_on(self, rung: int, children: Sequence[Child]) -> list[Child]:
    """Returns who goes on from a rung."""
    for batch in self.curves:
      self._stays[batch] = self._decide(_going_on, batch, rung)
    return [child for child in children if self._stays[child.batch][child.row]]

  def _decide(
    self, rule: Callable[..., Any], batch: tuple[int, int], rung: int
  ) -> np.ndarray:
    """Returns whom a rule picks of those who have come to a rung, `bool[N]`."""
    rewards = self.curves[batch][:, rung]
    is_here = self._stays[batch] & np.isfinite(rewards)
    limit = self._started[batch][rung + 1]
    costs = self._costs[batch] if self._cost_names else None
    return np.asarray(rule(rewards, is_here, limit, costs))


def blocks(children: Sequence[_C], block_size: int) -> Iterator[Sequence[_C]]:
  """Yields children in blocks of at most `block_size`."""
  for start in range(0, len(children), block_size):
    yield children[start : start + block_size]


def read(evaluation: Evaluation, row: int, steps: int) -> Outcome:
  """Returns the outcome of one of several trials.

  Args:
    evaluation: the evaluation of all of these trials.
    row: the position of the trial.
    steps: the number of steps that the trial was trained for.
  """
  return Outcome(
    reward=float(evaluation.rewards[row]),
    metrics={
      name: values[row].item() for name, values in evaluation.metrics.items()
    },
    status=Status(evaluation.status[row]).name.lower(),
    reason=evaluation.reasons[row] if evaluation.reasons else '',
    steps=steps,
  )


_OK = Status.OK.name.lower()
_going_on = jax.jit(halving.going_on)
_surely_lost = jax.jit(halving.surely_lost)

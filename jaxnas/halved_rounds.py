# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The rounds of a search with rungs: most children stop early; see `halving`.

A round is one batch of every arm. Its children are trained to the first rung in
blocks; of each batch the best go on, and blocks are filled anew from those of
all arms. When the round is over its trials leave in the order of proposal, the
stopped ones with `rung_scale.told_rewards`. All of it follows from the log and
the round's own keys: a run that was killed trains the children of its
unfinished round again, with the same results.

A duplicate takes no part: it has the result of what it repeats.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import dataclasses

import jax
import numpy as np

from jaxnas import arms as arms_lib
from jaxnas import climbing, in_flight, rung_scale
from jaxnas import history as history_lib
from jaxnas import rungs as rungs_lib
from jaxnas.records import trial_log
from jaxnas.types import Evaluator, SearchSpace


@dataclasses.dataclass(frozen=True, eq=False)
class _Plan:
  """A proposal, and the position of the first of its architecture."""

  group: int
  arm: int
  row: int
  proposal: in_flight.Proposal
  first: int

  @property
  def batch(self) -> tuple[int, int]:
    return self.arm, self.group


class HalvedRounds:
  """The proposals in flight of all arms, in a search with rungs."""

  def __init__(
    self,
    space: SearchSpace,
    arms: Sequence[arms_lib.Arm],
    arm_keys: Sequence[jax.Array],
    evaluator: Evaluator,
    rungs: rungs_lib.Halving,
    history: history_lib.History,
    reevaluate_duplicates: bool = False,
  ):
    """Starts with nothing in flight.

    Args:
      space: the search space.
      arms: the arms of the search.
      arm_keys: the arms' random keys.
      evaluator: the evaluator of all arms, which can pause.
      rungs: how children share steps, checked.
      history: the trials so far.
      reevaluate_duplicates: whether to evaluate an architecture again.

    Raises:
      ValueError: the log was written with other rungs.
    """
    rungs.check_log(history.trials)
    self._space, self._arms, self._rungs = space, arms, rungs
    self._arm_keys = jax.numpy.stack(list(arm_keys))
    self._evaluator, self._stages = evaluator, evaluator.stages
    self._history, self._reevaluates = history, reevaluate_duplicates
    self._waiting: list[_Plan] = []
    self._first: dict[tuple[int, bytes], int] = {}
    # The scale of each arm, and the number of batches that it is a fold over.
    self._scales: dict[int, tuple[int, rung_scale.Scale]] = {}
    places = {arm.identity: place for place, arm in enumerate(arms)}
    for proposal, trial in sorted(
      zip(history.proposals, history.trials, strict=True),
      key=lambda pair: pair[0],
    ):
      place = places[trial.arm, trial.repeat]
      self._find_first(place, np.asarray(trial.tokens), proposal)

  def add(self, proposals: Sequence[in_flight.Proposal]) -> None:
    """Takes proposals, each arm's in the order in which it proposed them."""
    for each in proposals:
      group, row = divmod(each.proposal, self._arms[each.arm].batch_size)
      first = self._find_first(each.arm, each.tokens, each.proposal)
      self._waiting.append(_Plan(group, each.arm, row, each, first))

  def collect(self) -> list[trial_log.Trial]:
    """Evaluates the next round; returns its trials, in order of proposal.

    They must be appended to the history before the next call.

    Returns:
      The trials; none if nothing is in flight.
    """
    plans = self._take_round()
    trained = [
      plan
      for plan in plans
      if plan.first == plan.proposal.proposal or self._reevaluates
    ]
    outcomes = self._evaluate(trained)
    new: dict[tuple[int, int], trial_log.Trial] = {}
    for plan in plans:
      arm, proposal = plan.arm, plan.proposal.proposal
      first = None
      if plan.first != proposal:
        first = new.get((arm, plan.first)) or self._history.find(
          self._arms[arm].identity, plan.first
        )
        assert first is not None, 'a batch follows those before it'
      number = len(self._history.log.trials) + len(new)
      new[arm, proposal] = self._to_trial(
        plan, number, outcomes.get(plan), first
      )
    return list(new.values())

  def _take_round(self) -> list[_Plan]:
    """Takes the batches that are evaluated next, in the order of proposal."""

    def turn(plan):
      arm = self._arms[plan.arm]
      # The rungs must be known before anybody stops at them.
      return not self._rungs.is_calibrating(arm, plan.group), plan.group

    first = min(map(turn, self._waiting), default=None)
    taken = sorted(
      (plan for plan in self._waiting if turn(plan) == first),
      key=lambda plan: (plan.arm, plan.row),
    )
    self._waiting = [plan for plan in self._waiting if turn(plan) != first]
    return taken

  def _evaluate(self, plans: Sequence[_Plan]) -> dict[_Plan, climbing.Outcome]:
    """Trains each child as far as it gets, but none beyond a limit of costs."""
    refused = self._refuse(plans)
    plans = [plan for plan in plans if plan not in refused]
    if not plans:
      return refused
    rungs, schedule = self._rungs, self._rungs.schedule
    fully, calibrating, halved = [], [], []
    for plan in plans:
      arm = self._arms[plan.arm]
      if not arm.is_halved:
        fully.append(plan)
      elif rungs.is_calibrating(arm, plan.group):
        calibrating.append(plan)
      else:
        halved.append(plan)
    outcomes = self._train_fully(fully)
    if rungs.calibrating is not None:
      outcomes |= self._climb(
        calibrating, rungs.calibrating.points, climbing.Everyone()
      )
    batches = dict.fromkeys(plan.batch for plan in halved)
    choice = climbing.Best(
      schedule,
      {each: self._logged(*each) for each in batches},
      rungs.costs,
      {each: self._costs(*each) for each in batches},
    )
    climbed = self._climb(halved, schedule.rungs, choice)
    for outcome in climbed.values():
      outcome.rung = schedule.rungs.index(outcome.steps)
      outcome.is_stopped = (
        outcome.is_alive and outcome.rung < schedule.num_rungs - 1
      )
    self._tell_expected(climbed, choice)
    return refused | outcomes | climbed

  def _refuse(self, plans: Sequence[_Plan]) -> dict[_Plan, climbing.Outcome]:
    screen = self._evaluator.screen
    found = (
      {}
      if screen is None
      else {plan: screen(plan.proposal.tokens) for plan in plans}
    )
    return {
      plan: climbing.read(evaluation, 0, 0)
      for plan, evaluation in found.items()
      if evaluation is not None
    }

  def _train_fully(
    self, plans: Sequence[_Plan]
  ) -> dict[_Plan, climbing.Outcome]:
    outcomes = {}
    for block in climbing.blocks(plans, self._stages.block_size):
      evaluation = self._evaluator.evaluate(*self._start(block))
      for row, plan in enumerate(block):
        outcomes[plan] = climbing.read(evaluation, row, self._stages.num_steps)
    return outcomes

  def _climb(
    self,
    plans: Sequence[_Plan],
    points: Sequence[int],
    choice: climbing.Choice,
  ) -> dict[_Plan, climbing.Outcome]:
    return climbing.climb(self._stages, plans, points, choice, self._start)

  def _tell_expected(
    self, outcomes: Mapping[_Plan, climbing.Outcome], choice: climbing.Best
  ) -> None:
    """Brings the rewards of children that stopped to the scale of the end."""
    floor = np.float32(self._evaluator.floor_reward)
    for (place, group), curves in choice.curves.items():
      scale = self._scale(place, group, curves)
      last = np.maximum(np.isfinite(curves).sum(axis=1) - 1, 0)
      rewards = curves[np.arange(len(curves)), last]
      rungs = last.astype(np.int32)
      told = np.asarray(_told(scale, rewards, rungs, floor))
      for plan, outcome in outcomes.items():
        if plan.batch == (place, group) and outcome.is_stopped:
          outcome.reward = float(told[plan.row])

  def _scale(
    self, place: int, group: int, curves: np.ndarray
  ) -> rung_scale.Scale:
    """Returns the scale of an arm after a batch."""
    done, scale = self._scales.get(place) or self._first_scale(place)
    scale = self._extended(scale, place, range(done, group))
    scale = _extend(scale, curves)
    self._scales[place] = group + 1, scale
    return scale

  def _first_scale(self, place: int) -> tuple[int, rung_scale.Scale]:
    """Returns what an arm knows before its first batch that is halved.

    The children of the calibration, all of which are in the log by then, tell
    every arm the same.

    Returns:
      The number of the arm's batches that the scale is a fold over, and the
      scale.
    """
    scale = rung_scale.init_scale(self._rungs.schedule.num_rungs)
    for giver, arm in enumerate(self._arms):
      groups = range(self._rungs.num_calibrating(arm))
      if groups:
        scale = self._extended(scale, giver, groups)
        return len(groups) if giver == place else 0, scale
    return 0, scale

  def _extended(
    self, scale: rung_scale.Scale, place: int, groups: Iterable[int]
  ) -> rung_scale.Scale:
    """Returns a scale with logged batches of an arm."""
    for group in groups:
      scale = _extend(scale, self._logged(place, group))
    return scale

  def _logged(self, place: int, group: int) -> np.ndarray:
    """Returns the curves of a batch, as far as the log has them."""
    trials = _trials_of(self._history, self._arms[place], group)
    return rungs_lib.curves_in(trials, self._rungs.schedule, self._reevaluates)

  def _costs(self, place: int, group: int) -> np.ndarray:
    """Returns the costs of a batch, as far as the log has them."""
    trials = _trials_of(self._history, self._arms[place], group)
    return rungs_lib.costs_in(trials, self._rungs.costs)

  def _to_trial(
    self,
    plan: _Plan,
    number: int,
    outcome: climbing.Outcome | None,
    first: trial_log.Trial | None,
  ) -> trial_log.Trial:
    name, repeat = self._arms[plan.arm].identity
    proposal = plan.proposal
    if outcome is None:
      assert first is not None
      fields = {each: getattr(first, each) for each in _RESULT}
      fields['metrics'] = dict(first.metrics)
    else:
      fields = {each: getattr(outcome, each) for each in _RESULT}
    return trial_log.Trial(
      number=number,
      arm=name,
      repeat=repeat,
      tokens=tuple(proposal.tokens.tolist()),
      architecture=self._space.decode(proposal.tokens).to_json(),
      duplicate_of=None if first is None else first.number,
      settings=proposal.settings,
      proposal=proposal.proposal,
      version=proposal.version,
      **fields,
    )

  def _start(self, plans: Sequence[_Plan]) -> tuple[jax.Array, np.ndarray]:
    """Returns the keys and tokens of children."""
    keys = in_flight.trial_keys(
      self._arm_keys,
      np.array([plan.arm for plan in plans], np.int32),
      np.array([plan.proposal.proposal for plan in plans], np.uint32),
    )
    return keys, np.stack([plan.proposal.tokens for plan in plans])

  def _find_first(self, arm: int, tokens: np.ndarray, proposal: int) -> int:
    """Returns the arm's first proposal of an architecture; itself if new."""
    canonical = self._space.canonical(tokens).tobytes()
    return self._first.setdefault((arm, canonical), proposal)


def _trials_of(
  history: history_lib.History, arm: arms_lib.Arm, group: int
) -> list[trial_log.Trial | None]:
  """Returns the trials of a batch, `None` for those that are not logged."""
  start = group * arm.batch_size
  return [
    history.find(arm.identity, start + row) for row in range(arm.batch_size)
  ]


_RESULT = tuple(field.name for field in dataclasses.fields(climbing.Outcome))
_extend = jax.jit(rung_scale.extend_scale)
_told = jax.jit(rung_scale.told_rewards)

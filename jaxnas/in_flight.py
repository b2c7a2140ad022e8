# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The proposals of a search that have no line in its log yet.

They wait for a place in the queue of the evaluator, are evaluated in blocks,
and leave as trials, in the order in which they finish. Results that repeat
another trial's wait for that trial.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Sequence
import heapq
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnas import arms as arms_lib
from jaxnas import errors, pure_search, queues
from jaxnas import history as history_lib
from jaxnas.records import trial_log, workdir
from jaxnas.types import Evaluation, SearchSpace, Status


class Proposal(NamedTuple):
  """A proposal in flight.

  Attributes:
    arm: the place of the arm among the arms of the search.
    proposal: the position of the proposal in its arm.
    version: the version of the strategy that proposed it.
    tokens: the architecture's tokens, `int32[T]`.
    settings: the settings to log.
  """

  arm: int
  proposal: int
  version: int
  tokens: np.ndarray
  settings: dict[str, int]


class _Result(NamedTuple):
  """What the evaluation of a trial found out."""

  reward: float
  metrics: dict[str, Any]
  status: str
  reason: str


class _Plan(NamedTuple):
  """A proposal on its way.

  Attributes:
    turn: the place among the proposals that leave: that in the log to replay,
      or a number past all of its places.
    place: the order among proposals of one turn, and that of their evaluation.
    proposal: the proposal.
    first: the position of the arm's first proposal of this architecture.
  """

  turn: int
  place: tuple[int, int, int]
  proposal: Proposal
  first: int


class _Block(NamedTuple):
  """A block in evaluation, and the results that leave together with it."""

  plans: list[_Plan]
  ready: list[tuple[_Plan, _Result]]


class InFlight:
  """The proposals in flight of all arms, and the queue that evaluates them."""

  def __init__(
    self,
    space: SearchSpace,
    arms: Sequence[arms_lib.Arm],
    key: jax.Array,
    arm_keys: Sequence[jax.Array],
    queue: queues.EvaluationQueue,
    history: history_lib.History,
    reevaluate_duplicates: bool = False,
    replay: Sequence[trial_log.Trial] = (),
    screen: Callable[[np.ndarray], Evaluation | None] | None = None,
  ):
    """Starts with nothing in flight.

    Args:
      space: the search space.
      arms: the arms of the search.
      key: the search's random key.
      arm_keys: the arms' random keys.
      queue: an empty queue of the search's evaluator.
      history: the trials so far.
      reevaluate_duplicates: whether to evaluate an architecture again.
      replay: the trials whose order the log is to have, from its start.
      screen: the evaluator's `screen`, if it has one.
    """
    self._space, self._arms, self._queue = space, arms, queue
    self._history = history
    self._reevaluates, self._screen = reevaluate_duplicates, screen
    self._key, self._arm_keys = key, jax.numpy.stack(list(arm_keys))
    self._replay = replay
    self._turns = _turns(replay)
    # The number of each trial in the log to replay, by its number here.
    self._numbered: dict[int, int] = {}
    self._waiting: list[_Plan] = []
    self._blocks: dict[int, _Block] = {}
    # Proposals that wait for the first of their architecture, by that first.
    self._repeats: dict[tuple[int, int], list[tuple[_Plan, _Result | None]]] = (
      collections.defaultdict(list)
    )
    # Results that wait for their turn.
    self._held: list[tuple[int, Any, _Plan, _Result]] = []
    self._results: dict[tuple[int, int], _Result] = {}
    self._first: dict[tuple[int, bytes], int] = {}
    # The newest version that has proposed something, by arm.
    self._versions = [0] * len(arms)
    if (tell_lag := getattr(queue, 'tell_lag', None)) is not None:
      tell_lag(self.lag)
    history_lib.check_replay(
      self._turns,
      {arm.identity: arm.num_groups * arm.batch_size for arm in arms},
      len(history.trials),
    )
    places = {arm.identity: place for place, arm in enumerate(arms)}
    past = sorted(
      (proposal, trial.number, trial)
      for proposal, trial in zip(history.proposals, history.trials, strict=True)
    )
    for proposal, _, trial in past:
      place = places[trial.arm, trial.repeat]
      self._find_first(place, np.asarray(trial.tokens), proposal)
    for turn, trial in enumerate(history.trials[: len(replay)]):
      self._check_line(turn, trial)

  def add(self, proposals: Sequence[Proposal]) -> None:
    """Takes proposals, each arm's in the order in which it proposed them.

    Raises:
      ValueError: they are not those of the trials to replay.
    """
    for each in proposals:
      arm = self._arms[each.arm]
      self._versions[each.arm] = max(self._versions[each.arm], each.version)
      group, row = divmod(each.proposal, arm.batch_size)
      heapq.heappush(
        self._waiting,
        _Plan(
          self._turns.get((arm.identity, each.proposal), len(self._replay)),
          (group, each.arm, row),
          each,
          self._find_first(each.arm, each.tokens, each.proposal),
        ),
      )
    self._check_replayed(proposals)

  def lag(self) -> float | None:
    """Returns how many groups proposals in evaluation are behind, on average.

    `None` if there are none.
    """
    lags = [
      (self._versions[each.arm] - each.version)
      * self._arms[each.arm].replicas_per_update
      for block in self._blocks.values()
      for each in (plan.proposal for plan in block.plans)
    ]
    return float(np.mean(lags)) if lags else None

  def collect(self) -> list[trial_log.Trial]:
    """Evaluates, and returns the next trials, which follow the last in the log.

    They must be appended to the history before the next call.

    Returns:
      At least one trial; none if nothing is in flight.

    Raises:
      ValueError: the trials are not those to replay.
    """
    while True:
      # What has finished is recorded before anything else is submitted.
      trials = self._leave()
      if not trials:
        self._fill()
        trials = self._leave()
      if trials:
        return trials
      if not self._blocks:
        if self._held or self._waiting:
          raise self._differs(len(self._history.trials), 'it is proposed later')
        return []
      for number, evaluation in self._queue.collect():
        block = self._blocks.pop(number)
        for row, plan in enumerate(block.plans):
          self._settle(plan, _result_of(evaluation, row))
        for plan, result in block.ready:
          self._settle(plan, result)

  def _fill(self) -> None:
    """Submits as many blocks as the queue wants."""
    while self._waiting and (self._queue.num_wanted > 0 or not self._blocks):
      # Keys that follow from line numbers need these in advance.
      if self._history.is_numbered and self._blocks:
        break
      block, numbers = self._next_block()
      # If blocks are in flight already, results finish in no certain order, so
      # nothing need wait. Otherwise the log has the order of proposal.
      if self._blocks or not block.plans:
        for plan, result in block.ready:
          self._settle(plan, result)
        block = block._replace(ready=[])
      if not block.plans:
        break
      tokens = np.stack([plan.proposal.tokens for plan in block.plans])
      number = self._queue.submit(self._keys(block.plans, numbers), tokens)
      self._blocks[number] = block

  def _next_block(self) -> tuple[_Block, list[int]]:
    """Takes proposals in order until a block is full.

    Returns:
      The block, and the numbers that the trials to be evaluated will have if no
      other block is in flight.
    """
    block, numbers = _Block([], []), []
    number = len(self._history.log.trials)
    while self._waiting:
      plan = self._waiting[0]
      known = self._known(plan, number)
      is_repeat = self._is_repeat(plan)
      if known is None and not is_repeat:
        if len(block.plans) == self._queue.block_size:
          break
        block.plans.append(plan)
        numbers.append(number)
      elif known is not None:
        block.ready.append((plan, known))
      else:
        self._repeats[plan.proposal.arm, plan.first].append((plan, None))
      heapq.heappop(self._waiting)
      number += 1
    return block, numbers

  def _is_repeat(self, plan: _Plan) -> bool:
    return plan.first != plan.proposal.proposal and not self._reevaluates

  def _known(self, plan: _Plan, number: int) -> _Result | None:
    """Returns the result of a proposal that needs no evaluation."""
    arm = self._arms[plan.proposal.arm]
    place = number if self._history.is_numbered else plan.proposal.proposal
    earlier = self._history.earlier(place, arm.identity, plan.proposal.tokens)
    # The result of a duplicate came from another trial, and says nothing about
    # the one at this place.
    if (
      not self._is_repeat(plan)
      and earlier is not None
      and (earlier.duplicate_of is None or self._reevaluates)
    ):
      return _result_in(earlier)
    if self._is_repeat(plan):
      first = self._history.find(arm.identity, plan.first)
      if first is not None:
        return _result_in(first)
      return self._results.get((plan.proposal.arm, plan.first))
    if self._screen is not None:
      refused = self._screen(plan.proposal.tokens)
      return None if refused is None else _result_of(refused, 0)
    return None

  def _settle(self, plan: _Plan, result: _Result) -> None:
    """Lets a result leave when its turn comes, and those that repeat it."""
    arm = plan.proposal.arm
    if plan.first != plan.proposal.proposal and not self._has_left(plan):
      self._repeats[arm, plan.first].append((plan, result))
      return
    heapq.heappush(self._held, (plan.turn, plan.place, plan, result))
    place = arm, plan.proposal.proposal
    self._results[place] = result
    for repeat, own in self._repeats.pop(place, ()):
      self._settle(repeat, result if own is None else own)

  def _has_left(self, plan: _Plan) -> bool:
    """Returns whether the first of an architecture precedes its repeat."""
    arm = plan.proposal.arm
    identity = self._arms[arm].identity
    return (arm, plan.first) in self._results or (
      self._history.find(identity, plan.first) is not None
    )

  def _leave(self) -> list[trial_log.Trial]:
    """Returns the results whose turn it is, as trials."""
    trials: list[trial_log.Trial] = []
    numbers: dict[tuple[int, int], int] = {}
    number, turn = len(self._history.log.trials), len(self._history.trials)
    while self._held and (
      turn >= len(self._replay) or self._held[0][0] == turn
    ):
      *_, plan, result = heapq.heappop(self._held)
      arm, proposal = plan.proposal.arm, plan.proposal.proposal
      numbers[arm, proposal] = number
      del self._results[arm, proposal]
      duplicate_of = None
      if plan.first != proposal:
        duplicate_of = numbers.get((arm, plan.first))
        if duplicate_of is None:
          first = self._history.find(self._arms[arm].identity, plan.first)
          if first is None:
            raise self._differs(turn, 'what it repeats comes later')
          duplicate_of = first.number
      trial = self._to_trial(plan.proposal, result, number, duplicate_of)
      if turn < len(self._replay):
        self._check_line(turn, trial)
      trials.append(trial)
      number, turn = number + 1, turn + 1
    return trials

  def _to_trial(
    self,
    proposal: Proposal,
    result: _Result,
    number: int,
    duplicate_of: int | None,
  ) -> trial_log.Trial:
    name, repeat = self._arms[proposal.arm].identity
    is_numbered = self._history.is_numbered
    return trial_log.Trial(
      number=number,
      arm=name,
      repeat=repeat,
      tokens=tuple(proposal.tokens.tolist()),
      architecture=self._space.decode(proposal.tokens).to_json(),
      duplicate_of=duplicate_of,
      settings=proposal.settings,
      proposal=None if is_numbered else proposal.proposal,
      version=None if is_numbered else proposal.version,
      **result._asdict(),
    )

  def _keys(self, plans: Sequence[_Plan], numbers: Sequence[int]) -> jax.Array:
    """Returns the random keys of a block, one per trial."""
    if self._history.is_numbered:
      return _numbered_keys(self._key, np.array(numbers, np.uint32))
    return trial_keys(
      self._arm_keys,
      np.array([plan.proposal.arm for plan in plans], np.int32),
      np.array([plan.proposal.proposal for plan in plans], np.uint32),
    )

  def _find_first(self, arm: int, tokens: np.ndarray, proposal: int) -> int:
    """Returns the arm's first proposal of an architecture; itself if new."""
    canonical = self._space.canonical(tokens).tobytes()
    return self._first.setdefault((arm, canonical), proposal)

  def _check_replayed(self, proposals: Sequence[Proposal]) -> None:
    """Checks that proposals have the tokens of the trials to replay."""
    differing = []
    for each in proposals:
      turn = self._turns.get((self._arms[each.arm].identity, each.proposal))
      if turn is not None and not history_lib.is_of(
        self._replay[turn], self._space, each.tokens
      ):
        differing.append(turn)
    if differing:
      raise self._differs(min(differing), 'another architecture is proposed')

  def _check_line(self, turn: int, trial: trial_log.Trial) -> None:
    """Checks that a trial is the one to replay."""
    wanted, got = (
      workdir.plain_json(each.to_json()) for each in (self._replay[turn], trial)
    )
    self._numbered[trial.number] = self._replay[turn].number
    for name in dict.fromkeys((*wanted, *got)):
      here = value = got.get(name)
      # Lines of retrainings, which are not replayed, have numbers too.
      if name in ('number', 'duplicate_of'):
        here = self._numbered.get(value)
      if wanted.get(name) != here:
        raise self._differs(
          turn, f'its {name} is {errors.in_one_line(value)} here'
        )

  def _differs(self, turn: int, why: str) -> ValueError:
    if turn >= len(self._replay):
      return ValueError('A proposal waits for one that is never evaluated.')
    number = self._replay[turn].number
    return ValueError(
      f'The log to replay is of another run: line {number + 1} is the first '
      f'that differs ({why}). Replay it with the settings, data and version '
      'that wrote it.'
    )


def _turns(
  replay: Sequence[trial_log.Trial],
) -> dict[tuple[tuple[str, int], int], int]:
  """Returns the order in which proposals leave."""
  counts: collections.Counter[tuple[str, int]] = collections.Counter()
  turns = {}
  for turn, trial in enumerate(replay):
    identity = trial.arm, trial.repeat
    proposal = trial.proposal
    turns[identity, counts[identity] if proposal is None else proposal] = turn
    counts[identity] += 1
  return turns


def _result_of(evaluation: Any, row: int) -> _Result:
  return _Result(
    reward=float(evaluation.rewards[row]),
    metrics={
      name: values[row].item() for name, values in evaluation.metrics.items()
    },
    status=Status(evaluation.status[row]).name.lower(),
    reason=evaluation.reasons[row] if evaluation.reasons else '',
  )


def _result_in(trial: trial_log.Trial) -> _Result:
  return _Result(trial.reward, dict(trial.metrics), trial.status, trial.reason)


@jax.jit
def trial_keys(
  arm_keys: jax.Array, arms: jax.Array, proposals: jax.Array
) -> jax.Array:
  """Returns the random keys of trials; see `pure_search.trial_key`.

  Args:
    arm_keys: the keys of all arms.
    arms: the places of the trials' arms, `int32[N]`.
    proposals: the positions of the trials in their arms, `uint32[N]`.
  """
  return jax.vmap(pure_search.trial_key)(arm_keys[arms], proposals)


@jax.jit
def _numbered_keys(key: jax.Array, numbers: jax.Array) -> jax.Array:
  return jax.vmap(jax.random.fold_in, (None, 0))(key, numbers)

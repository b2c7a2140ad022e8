# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The search loop: propose, evaluate, record, learn.

A run has one or more arms that share nothing. In each round every arm asks its
strategy for a batch, all new architectures of the round are trained together,
and every arm's strategy is told its rewards. Trials are logged before anything
is learnt from them, so a run that was killed replays the logged rewards into
its strategies and continues as if nothing had happened.

If rewards are a pure function of tokens, such as those of a table, `scan` runs
an arm's whole search as one compiled program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import dataclasses
from typing import Any, NamedTuple
import zlib

import jax
import numpy as np

from jaxnas import arms as arms_lib
from jaxnas import errors, pure_search
from jaxnas import history as history_lib
from jaxnas.records import checkpoints as checkpoints_lib
from jaxnas.records import round_log, trial_log
from jaxnas.types import Evaluator, Proposals, SearchSpace, Status

Arm = arms_lib.Arm
Role = arms_lib.Role
DepthSchedule = arms_lib.DepthSchedule


@dataclasses.dataclass(frozen=True)
class Search:
  """The settings of a run; made once, outside loops.

  Attributes:
    space: the search space.
    arms: the arms, with distinct identities.
    evaluator: the evaluator of all arms.
    key: the random key that all randomness of the run follows from.
    reevaluate_duplicates: whether an architecture that its arm has already
      proposed is trained again, instead of getting its old reward.
    max_failures: the number of trials that, if they all fail for the same
      reason from the start, stop the run; 0 never stops it.
  """

  space: SearchSpace
  arms: tuple[Arm, ...]
  evaluator: Evaluator
  key: jax.Array
  reevaluate_duplicates: bool = False
  max_failures: int = 8

  def __post_init__(self):
    if self.max_failures < 0:
      raise ValueError(
        f'max_failures must be at least 0, got {self.max_failures}.'
      )
    identities = [arm.identity for arm in self.arms]
    if len(set(identities)) != len(identities):
      raise ValueError(f'Arms need distinct names, got {identities}.')

  @property
  def num_rounds(self) -> int:
    """The number of rounds that spend every arm's budget."""
    return max(
      (arm.num_trials // arm.batch_size for arm in self.arms), default=0
    )

  @property
  def num_trials(self) -> int:
    """The number of trials of all arms together."""
    return sum(arm.num_trials for arm in self.arms)

  @property
  def strategies(self) -> dict[str, Any]:
    """What proposes: the arms' strategies, and their `num_active` if any."""
    parts: dict[str, Any] = {}
    for arm in self.arms:
      name = f'{arm.name} {arm.repeat}' if arm.repeat else arm.name
      parts[name] = arm.strategy
      if arm.num_active is not None:
        parts[f'{name} num_active'] = arm.num_active
    return parts


RETRAIN = history_lib.RETRAIN
History = history_lib.History


class SearchState(NamedTuple):
  """The state of a run between two rounds, which a checkpoint stores.

  Attributes:
    round: the number of rounds completed.
    num_trials: the number of trials completed.
    strategies: the state of every arm's strategy.
  """

  round: np.ndarray
  num_trials: np.ndarray
  strategies: tuple[Any, ...]


Progress = Callable[[Sequence[trial_log.Trial]], None]
"""A callback that gets new trials as they are recorded."""


def init(search: Search) -> SearchState:
  """Returns the state before the first round."""
  return SearchState(
    round=np.array(0, np.int32),
    num_trials=np.array(0, np.int32),
    strategies=tuple(
      arm.strategy.init(pure_search.init_key(arm_key(search, arm)))
      for arm in search.arms
    ),
  )


def step(
  search: Search,
  state: SearchState,
  history: History,
  on_trials: Progress | None = None,
  rounds: round_log.RoundLog | None = None,
) -> SearchState:
  """Runs one round.

  Trials of this round that the history already has are not evaluated again.

  Args:
    search: the settings of the run.
    state: the state before the round.
    history: the trials so far, at least `state.num_trials` of them; those of
      this round are added.
    on_trials: a callback that gets new trials as they are recorded.
    rounds: the log of the metrics that strategies return.

  Returns:
    The state after the round.

  Raises:
    ValueError: the history has other architectures than those proposed, the
      first trials all failed for one reason, or a strategy does not return what
      `Strategy` says.
  """
  round_index = int(state.round)
  batches: dict[int, Proposals] = {}
  proposed: list[_Proposal] = []
  for index, arm in enumerate(search.arms):
    num_done = round_index * arm.batch_size
    if num_done >= arm.num_trials:
      continue
    batches[index] = arm.ask(
      state.strategies[index],
      pure_search.round_key(arm_key(search, arm), round_index),
      num_done,
      search.space.num_tokens,
    )
    proposed.extend(
      _Proposal(arm, tokens, arm.settings(num_done))
      for tokens in np.asarray(batches[index].tokens)
    )
  start = int(state.num_trials)
  replayed = history.trials[start : start + len(proposed)]
  for trial, proposal in zip(replayed, proposed, strict=False):
    _check_replay(search.space, trial, proposal, history)
  for trials in _evaluate(search, proposed[len(replayed) :], history):
    history.append(trials)
    if on_trials is not None:
      on_trials(trials)
    history.check_start(search.max_failures)
  trials = history.trials[start : start + len(proposed)]
  strategies = list(state.strategies)
  said = []
  for index, batch in batches.items():
    mine, trials = trials[: len(batch.tokens)], trials[len(batch.tokens) :]
    strategies[index], metrics = search.arms[index].tell(
      strategies[index],
      batch,
      np.array([trial.reward for trial in mine], np.float32),
    )
    said.append(
      round_log.Round(round_index, *search.arms[index].identity, metrics)
    )
  if rounds is not None:
    rounds.append(said)
  return SearchState(
    round=state.round + np.int32(1),
    num_trials=state.num_trials + np.int32(len(proposed)),
    strategies=tuple(strategies),
  )


def run(
  search: Search,
  log: trial_log.TrialLog,
  checkpoints: checkpoints_lib.Checkpoints | None = None,
  checkpoint_every: int = 4,
  on_trials: Progress | None = None,
  rounds: round_log.RoundLog | None = None,
  redo_failed: bool = False,
  same_task: bool = False,
) -> SearchState:
  """Runs all rounds, or those that remain.

  Args:
    search: the settings of the run.
    log: the run's trial log; trials in it are not evaluated again.
    checkpoints: the store of states. If there is none, or it is damaged, the
      states are recomputed from the log.
    checkpoint_every: the number of rounds from one checkpoint to the next.
    on_trials: a callback that gets new trials as they are recorded.
    rounds: the log of the metrics that strategies return.
    redo_failed: whether to run failed trials again, for instance after fixing
      the function that they call; see `history.redo_failed`. An evaluator that
      has changed is then told and not refused.
    same_task: whether to trust that the evaluator gives the same results as the
      one that the log was written with, although its code or data differ, and
      the strategies the same proposals.

  Returns:
    The state after the last round.

  Raises:
    ValueError: the log belongs to another search, the evaluator or a strategy
      has changed, or the first trials all failed for one reason.
  """
  history_lib.check_task(search.evaluator, log, same_task, redo_failed)
  history_lib.check_strategies(search.strategies, log, same_task)
  if redo_failed:
    history_lib.redo_failed(log, checkpoints, rounds)
  history = History(search.space, log)
  history.check_start(search.max_failures)
  state = init(search)
  if checkpoints is not None:
    restored = checkpoints.restore_newest(state)
    # Trials are logged before their state is saved, so a state ahead of the log
    # means that the log was cut by hand; then the log decides.
    if (
      restored is not None
      and restored[1].num_trials <= len(history.trials)
      and _has_rounds(search, rounds, int(restored[1].round))
    ):
      state = restored[1]
  while int(state.round) < search.num_rounds:
    state = step(search, state, history, on_trials, rounds)
    is_last = int(state.round) == search.num_rounds
    if checkpoints is not None and (
      is_last or int(state.round) % checkpoint_every == 0
    ):
      checkpoints.save(int(state.round), state)
  history.warn_of_failures()
  return state


def arm_key(search: Search, arm: Arm) -> jax.Array:
  """Returns the key that all of an arm's randomness follows from."""
  name = zlib.crc32(f'{arm.name}/{arm.repeat}'.encode())
  return jax.random.fold_in(search.key, name)


def expected_rounds(
  search: Search, num_rounds: int | None = None
) -> list[tuple[int, str, int]]:
  """Returns the identities of the entries of the round log, in order.

  Args:
    search: the settings of the run.
    num_rounds: the number of rounds, from the first; all by default.
  """
  num_rounds = search.num_rounds if num_rounds is None else num_rounds
  return [
    (index, *arm.identity)
    for index in range(num_rounds)
    for arm in search.arms
    if index * arm.batch_size < arm.num_trials
  ]


Scan = pure_search.Scan
scan = pure_search.scan


class _Proposal(NamedTuple):
  """An architecture that an arm proposes."""

  arm: Arm
  tokens: np.ndarray
  settings: dict[str, int]


def _has_rounds(search, rounds, num_rounds: int) -> bool:
  """Returns whether the round log has the first rounds of all arms."""
  # Rounds that are missing come back when the trial log is replayed.
  return rounds is None or all(
    identity in rounds for identity in expected_rounds(search, num_rounds)
  )


def _check_replay(space, trial, proposal, history):
  is_same = history_lib.is_of(trial, space, proposal.tokens)
  if (trial.arm, trial.repeat) != proposal.arm.identity or not is_same:
    raise ValueError(
      f'Trial {trial.number} in {history.log.path} is not the one that this '
      'run proposes there: it was written with other settings, versions or '
      f'hardware. Start with {errors.another_folder()}.'
    )


class _Plan(NamedTuple):
  """A trial before its result.

  Attributes:
    number: the trial's number.
    first: the number of the arm's first trial of this architecture.
    proposal: the architecture and the arm that proposes it.
  """

  number: int
  first: int
  proposal: _Proposal


def _evaluate(
  search: Search,
  proposed: Sequence[_Proposal],
  history: History,
) -> Iterator[list[trial_log.Trial]]:
  """Yields trials in order, as blocks of new ones are evaluated."""
  number = len(history.log.trials)
  plans = []
  for proposal in proposed:
    first = history.first_number(proposal.arm.identity, proposal.tokens, number)
    plans.append(_Plan(number, first, proposal))
    number += 1
  new = [
    plan
    for plan in plans
    if plan.first == plan.number or search.reevaluate_duplicates
  ]
  known = {trial.number: trial for trial in history.trials}
  known |= _earlier(search, new, history)
  new = [plan for plan in new if plan.number not in known]
  waiting = {plan.number for plan in new}
  for start in range(0, max(1, len(new)), search.evaluator.block_size):
    for trial in _judge(
      search, new[start : start + search.evaluator.block_size]
    ):
      known[trial.number] = trial
      waiting.discard(trial.number)
    end = min(waiting, default=number)
    ready, plans = (
      [plan for plan in plans if plan.number < end],
      [plan for plan in plans if plan.number >= end],
    )
    for plan in ready:
      if plan.number not in known:
        known[plan.number] = _duplicate(search, plan, known[plan.first])
    if ready:
      yield [known[plan.number] for plan in ready]


def _earlier(
  search: Search, plans: Sequence[_Plan], history: History
) -> dict[int, trial_log.Trial]:
  """Returns the trials whose results are in an older log, by number."""
  results = {}
  for plan in plans:
    proposal = plan.proposal
    trial = history.earlier(plan.number, proposal.arm.identity, proposal.tokens)
    # The result of a duplicate came from another trial, so it says nothing of
    # what the trial of this number gives.
    if trial is not None and (
      trial.duplicate_of is None or search.reevaluate_duplicates
    ):
      results[plan.number] = dataclasses.replace(
        trial,
        duplicate_of=None if plan.first == plan.number else plan.first,
        settings=proposal.settings,
      )
  return results


def _judge(search: Search, plans: Sequence[_Plan]) -> list[trial_log.Trial]:
  if not plans:
    return []
  numbers = np.array([plan.number for plan in plans], np.uint32)
  keys = jax.vmap(lambda number: jax.random.fold_in(search.key, number))(
    numbers
  )
  evaluation = search.evaluator.evaluate(
    keys, np.stack([plan.proposal.tokens for plan in plans])
  )
  return [
    trial_log.Trial(
      number=plan.number,
      arm=plan.proposal.arm.name,
      repeat=plan.proposal.arm.repeat,
      tokens=tuple(plan.proposal.tokens.tolist()),
      architecture=search.space.decode(plan.proposal.tokens).to_json(),
      reward=float(evaluation.rewards[row]),
      metrics={
        name: values[row].item() for name, values in evaluation.metrics.items()
      },
      status=Status(evaluation.status[row]).name.lower(),
      duplicate_of=None if plan.first == plan.number else plan.first,
      settings=plan.proposal.settings,
      reason=evaluation.reasons[row] if evaluation.reasons else '',
    )
    for row, plan in enumerate(plans)
  ]


def _duplicate(
  search: Search, plan: _Plan, first: trial_log.Trial
) -> trial_log.Trial:
  return dataclasses.replace(
    first,
    number=plan.number,
    tokens=tuple(plan.proposal.tokens.tolist()),
    architecture=search.space.decode(plan.proposal.tokens).to_json(),
    duplicate_of=first.number,
    settings=plan.proposal.settings,
  )

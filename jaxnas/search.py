# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The search loop: propose, evaluate, record, learn.

A run holds one or more arms that share nothing. Round by round every arm asks
its strategy for a batch, all new architectures of the round are trained
together, and every arm is told its rewards. The trial log is written before
anything is learnt from it, so a run that was killed replays the log's rewards
into its strategies and goes on as if nothing had happened.

Where rewards are a pure function of tokens, as those of a table, `scan` runs an
arm's whole search as one compiled program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import enum
from typing import Any, NamedTuple
import zlib

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas import history as history_lib
from jaxnas.records import checkpoints as checkpoints_lib
from jaxnas.records import round_log, trial_log
from jaxnas.strategies import told
from jaxnas.types import Evaluator, Proposals, SearchSpace, Status, Strategy


@dataclasses.dataclass(frozen=True)
class DepthSchedule:
  """How many layers are searched, growing with the trials that are done.

  Section 3.3 of "Neural Architecture Search with Reinforcement Learning", Zoph
  and Le, 2017 (https://arxiv.org/abs/1611.01578), where the depth starts at 6
  and grows by 2 every 1,600 trials.

  Attributes:
    first_depth: layers at the beginning.
    growth: how many layers are added at a time.
    every: how many trials lie between; 0 keeps the first depth.
    max_depth: the layers that the space has; no more are added.
    decisions_per_layer: how many decisions a layer takes.
  """

  first_depth: int
  growth: int
  every: int
  max_depth: int
  decisions_per_layer: int

  def __post_init__(self):
    if not 1 <= self.first_depth <= self.max_depth:
      raise ValueError(
        f'The depth must start from 1 to {self.max_depth}, the layers of the '
        f'space; got {self.first_depth}.'
      )
    if min(self.growth, self.every) < 0:
      raise ValueError(
        'The depth can only grow, and after a positive number of trials; got '
        f'growth {self.growth} every {self.every}.'
      )

  def depth(self, num_trials: int) -> int:
    """Returns the number of layers once so many trials are done."""
    grown = num_trials // self.every if self.every else 0
    return min(self.max_depth, self.first_depth + grown * self.growth)

  def __call__(self, num_trials: int) -> int:
    """Returns the number of active decisions once so many trials are done."""
    return self.depth(num_trials) * self.decisions_per_layer


class Role(enum.Enum):
  """What an arm is for.

  Attributes:
    SEARCHED: its strategy is what the run is about.
    BASELINE: what the others are compared with, as random search is.
    KNOWN: architectures that were known before the search.
  """

  SEARCHED = 'searched'
  BASELINE = 'baseline'
  KNOWN = 'known'


@dataclasses.dataclass(frozen=True)
class Arm:
  """One strategy with its own state, budget and cache.

  Attributes:
    name: what the log calls it, as `'reinforce'`.
    strategy: who proposes.
    num_trials: the budget, counted in proposals; a multiple of `batch_size`.
    batch_size: how many architectures are proposed before the strategy learns.
    repeat: tells repeats of one arm apart.
    num_active: how many decisions are made, by how many of the arm's trials are
      done; the log tells it of each trial. All of them by default.
    role: what the arm is for.
    label: what people call it, as `'REINFORCE'`; the name by default.
  """

  name: str
  strategy: Strategy
  num_trials: int
  batch_size: int
  repeat: int = 0
  num_active: Callable[[int], int] | None = None
  role: Role = Role.SEARCHED
  label: str = ''

  def __post_init__(self):
    if not self.label:
      object.__setattr__(self, 'label', self.name)
    if self.batch_size < 1:
      raise ValueError(
        f'Arm {self.name!r} needs batch_size >= 1, got {self.batch_size}.'
      )
    if self.num_trials < 0 or self.num_trials % self.batch_size:
      raise ValueError(
        f'num_trials of arm {self.name!r} must be a multiple of its batch_size '
        f'({self.batch_size}), got {self.num_trials}.'
      )

  @property
  def identity(self) -> tuple[str, int]:
    """What the log calls the arm."""
    return self.name, self.repeat

  def settings(self, num_trials: int) -> dict[str, int]:
    """Returns what the log tells of a trial, once so many were done before."""
    if self.num_active is None:
      return {}
    return {'num_active': self.num_active(num_trials)}


@dataclasses.dataclass(frozen=True)
class Search:
  """What a run searches with; made once, outside loops.

  Attributes:
    space: what the tokens mean.
    arms: who proposes; their identities differ.
    evaluator: who judges.
    key: the run's random key; everything random follows from it.
    reevaluate_duplicates: whether an architecture that its arm has seen is
      trained again, instead of getting its old reward.
    max_failures: how many trials may fail for one reason from the start on
      before the run stops; any number for 0.
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
    """How many rounds spend every arm's budget."""
    return max(
      (arm.num_trials // arm.batch_size for arm in self.arms), default=0
    )

  @property
  def num_trials(self) -> int:
    """How many trials all arms have together."""
    return sum(arm.num_trials for arm in self.arms)


RETRAIN = history_lib.RETRAIN

History = history_lib.History


class SearchState(NamedTuple):
  """Where a run stands; one checkpoint is one state.

  Attributes:
    round: how many rounds are done.
    num_trials: how many trials they had.
    strategies: the state of every arm's strategy.
  """

  round: np.ndarray
  num_trials: np.ndarray
  strategies: tuple[Any, ...]


Progress = Callable[[Sequence[trial_log.Trial]], None]
"""Told of trials as they are recorded."""


def init(search: Search) -> SearchState:
  """Returns the state before the first round."""
  return SearchState(
    round=np.array(0, np.int32),
    num_trials=np.array(0, np.int32),
    strategies=tuple(
      arm.strategy.init(init_key(arm_key(search, arm))) for arm in search.arms
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
    search: what to search with.
    state: where the run stands.
    history: has at least the `state.num_trials` trials of the rounds before;
      gets the trials of this one.
    on_trials: told of new trials as they are recorded.
    rounds: gets what the strategies say of their rewards.

  Returns:
    The state after the round.

  Raises:
    ValueError: the history has other architectures than are proposed, or
      trials fail for one reason from the start on.
  """
  round_index = int(state.round)
  batches: dict[int, Proposals] = {}
  proposed: list[_Proposal] = []
  for index, arm in enumerate(search.arms):
    num_done = round_index * arm.batch_size
    if num_done >= arm.num_trials:
      continue
    settings = arm.settings(num_done)
    batches[index] = arm.strategy.ask(
      state.strategies[index],
      round_key(arm_key(search, arm), round_index),
      arm.batch_size,
      **settings,
    )
    proposed.extend(
      _Proposal(arm, tokens, settings)
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
    strategies[index], metrics = search.arms[index].strategy.tell(
      strategies[index],
      batch,
      np.array([trial.reward for trial in mine], np.float32),
    )
    said.append((search.arms[index], metrics))
  if rounds is not None:
    rounds.append([_to_round(round_index, *each) for each in said])
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
) -> SearchState:
  """Runs all rounds, or those that are left.

  Args:
    search: what to search with.
    log: the run's trial log; trials in it are not evaluated again.
    checkpoints: where states are kept. Without, or where they are damaged, the
      states are made again from the log.
    checkpoint_every: how many rounds lie between two checkpoints.
    on_trials: told of new trials as they are recorded.
    rounds: gets what the strategies say of their rewards.
    redo_failed: whether trials that failed are run again, such as those of a
      function that has been mended; see `history.redo_failed`.

  Returns:
    The state after the last round.

  Raises:
    ValueError: the log belongs to another search, or trials fail for one reason
      from the start on.
  """
  if redo_failed:
    history_lib.redo_failed(log, checkpoints, rounds)
  history = History(search.space, log)
  history.check_start(search.max_failures)
  state = init(search)
  if checkpoints is not None:
    restored = checkpoints.restore_newest(state)
    # A state is saved after its trials are, so one that is ahead of the log
    # belongs to a log that was cut by hand; then the log decides.
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
  return state


def arm_key(search: Search, arm: Arm) -> jax.Array:
  """Returns the key that all of an arm's randomness follows from."""
  name = zlib.crc32(f'{arm.name}/{arm.repeat}'.encode())
  return jax.random.fold_in(search.key, name)


def expected_rounds(
  search: Search, num_rounds: int | None = None
) -> list[tuple[int, str, int]]:
  """Returns the identities of the first rounds of all arms, in their order.

  Args:
    search: what is searched with.
    num_rounds: how many; all by default.
  """
  num_rounds = search.num_rounds if num_rounds is None else num_rounds
  return [
    (index, *arm.identity)
    for index in range(num_rounds)
    for arm in search.arms
    if index * arm.batch_size < arm.num_trials
  ]


class Scan(NamedTuple):
  """A whole search: `R` rounds of `N` trials.

  Attributes:
    tokens: what was proposed, `int32[R, N, T]`.
    rewards: `float32[R, N]`.
    metrics: the strategy's, each `[R]`.
    state: the strategy's, after the last round.
  """

  tokens: jax.Array
  rewards: jax.Array
  metrics: Mapping[str, jax.Array]
  state: Any


def scan(
  strategy: Strategy,
  reward: Callable[[jax.Array], jax.Array],
  key: jax.Array,
  num_rounds: int,
  batch_size: int,
  num_active: jax.Array | Sequence[int] | int | None = None,
) -> Scan:
  """Runs a whole search as one pure function, for `jit` and `vmap`.

  It proposes what `run` proposes in an arm with this key, see `arm_key`, if the
  rewards are the same. Nothing is cached: an architecture that is proposed
  again gets its reward again, which is the same by definition.

      best = jax.vmap(
        lambda key: scan(strategy, table.look_up, key, 25, 20).rewards.max()
      )(keys)

  The numbers that `make_reinforce` takes can be mapped too, and those of
  `make_ppo` but for its epochs, by making the strategy in the mapped function:
  `jax.vmap(lambda key, rate: scan(make_reinforce(controller, rate), ...))`.

  Args:
    strategy: who proposes.
    reward: `tokens int32[N, T] -> rewards [N]`, a pure function.
    key: everything random follows from it.
    num_rounds: how often the strategy is asked and told.
    batch_size: how many architectures it proposes each time.
    num_active: how many decisions are made: one number, or one for each round,
      `[R]`; all decisions by default.

  Returns:
    What was proposed and what it was worth, round by round.

  Raises:
    ValueError: a reward is not finite. Under `jit` or `vmap` nothing is raised:
      look at the rewards that come back; a strategy that learns has learnt
      nothing from the rounds that have such a one.
  """
  if num_active is not None:
    num_active = jnp.asarray(num_active, jnp.int32)
    if not num_active.ndim:
      num_active = jnp.broadcast_to(num_active, (num_rounds,))
    chex.assert_shape(num_active, (num_rounds,))

  def play(state, inputs):
    index, active = inputs
    proposals = strategy.ask(state, round_key(key, index), batch_size, active)
    rewards = jnp.asarray(reward(proposals.tokens), jnp.float32)
    chex.assert_shape(rewards, (batch_size,))
    state, metrics = strategy.tell(state, proposals, rewards)
    return state, (proposals.tokens, rewards, metrics)

  state, (tokens, rewards, metrics) = jax.lax.scan(
    play,
    strategy.init(init_key(key)),
    (jnp.arange(num_rounds, dtype=jnp.int32), num_active),
    num_rounds,
  )
  told.check(rewards)
  return Scan(tokens, rewards, metrics, state)


def init_key(key: jax.Array) -> jax.Array:
  """Returns the key that an arm's strategy is made with, of the arm's key."""
  return jax.random.fold_in(key, 0)


def round_key(key: jax.Array, round_index: jax.Array | int) -> jax.Array:
  """Returns the key that a strategy is asked with, of the arm's key."""
  return jax.random.fold_in(key, 1 + round_index)


class _Proposal(NamedTuple):
  """An architecture that an arm proposes."""

  arm: Arm
  tokens: np.ndarray
  settings: dict[str, int]


def _to_round(
  index: int, arm: Arm, metrics: Mapping[str, jax.Array]
) -> round_log.Round:
  scalars = {name: float(value) for name, value in metrics.items()}
  return round_log.Round(index, *arm.identity, scalars)


def _has_rounds(search, rounds, num_rounds: int) -> bool:
  """Returns whether nothing is left to say of the first rounds."""
  # What is not there is said once more by a replay of the trial log.
  return rounds is None or all(
    identity in rounds for identity in expected_rounds(search, num_rounds)
  )


def _check_replay(space, trial, proposal, history):
  is_same = history_lib.is_of(trial, space, proposal.tokens)
  if (trial.arm, trial.repeat) != proposal.arm.identity or not is_same:
    raise ValueError(
      f'Trial {trial.number} in {history.log.path} is not the one that this '
      'run proposes there: it was written with other settings, versions or '
      'hardware. Start with another --workdir.'
    )


class _Plan(NamedTuple):
  """A trial before its result: `first` had this architecture first."""

  number: int
  first: int
  proposal: _Proposal


def _evaluate(
  search: Search,
  proposed: Sequence[_Proposal],
  history: History,
) -> Iterator[list[trial_log.Trial]]:
  """Yields trials in their order, whenever a block of new ones is judged."""
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
  """Returns the trials that have their result since before the log's start."""
  results = {}
  for plan in plans:
    proposal = plan.proposal
    trial = history.earlier(plan.number, proposal.arm.identity, proposal.tokens)
    # A duplicate's may be another trial's, which its number says nothing of.
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

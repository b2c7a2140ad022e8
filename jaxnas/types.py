# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The nouns of jaxnas: what a search is made of, and what flows between.

- A `SearchSpace` translates between integer *tokens* and *architectures*.
- A `Strategy` proposes tokens and learns from their rewards. Some strategies
  train a `Controller`, a distribution over tokens.
- A `Task` defines how one child network is made, trained and measured. A
  `Trainer` does so for many architectures.
- A `Reward` says what a trained child is worth. An `Evaluator` combines a
  trainer and a reward: tokens in, rewards out.

Shape letters, used in every docstring of the package: `N` architectures, `T`
tokens of one architecture (or time steps of a sequence), `B` batch, `D`
features, `K` choices of a decision, `L` leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
import dataclasses
import enum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from jaxnas.decisions import AnchorPoint, Choice, Decision, Range
from jaxnas.training_types import Kept, Span, Task, Trained, Trainer

# Only annotations need JAX: a search space alone runs with NumPy.
if TYPE_CHECKING:
  import jax

__all__ = (
  'AnchorPoint', 'Architecture', 'Choice', 'Controller', 'Cost', 'Decision',
  'Evaluation', 'Evaluator', 'Kept', 'Params', 'Proposals', 'Range', 'Reward',
  'SearchSpace', 'Span', 'Status', 'Strategy', 'Task', 'Trained', 'Trainer',
)  # fmt: skip


class Architecture(Hashable, Protocol):
  """A description of a network: a frozen dataclass without arrays."""

  def to_json(self) -> dict[str, Any]:
    """Returns the description as a dict that `json.dumps` accepts."""


Params = Any
"""A pytree of arrays."""


@dataclasses.dataclass(frozen=True)
class SearchSpace:
  """The architectures that can be searched, as sequences of tokens.

  A shallower network is a prefix: the tokens of decisions that were not made
  are -1.

  Attributes:
    name: the space's name in configs and logs.
    decisions: the decisions, in the order in which a controller makes them.
    decode: `tokens int32[T] -> architecture`. Raises `ValueError` for tokens of
      the wrong length or out of range; the message names the decision.
    encode: `architecture -> tokens int32[T]`, the inverse of `decode`.
    canonical: `tokens int32[T] -> tokens int32[T]`, which maps architectures
      that compute the same family of functions to the same tokens.
    size: the exact number of token sequences.
  """

  name: str
  decisions: tuple[Decision, ...]
  decode: Callable[[np.ndarray], Architecture]
  encode: Callable[[Any], np.ndarray]
  canonical: Callable[[np.ndarray], np.ndarray]
  size: int

  @property
  def num_tokens(self) -> int:
    """The length `T` of a token sequence."""
    return sum(decision.num_tokens for decision in self.decisions)


class Controller(NamedTuple):
  """A distribution over the tokens of a sequence of decisions.

  `num_active` is the number of decisions to make, an integer that may be traced
  or `None` for all of them. Tokens of later decisions are -1, and their
  log-probability and entropy are 0.

  Attributes:
    init: `key -> params`.
    sample_and_log_prob: `(params, key, num_active) -> (tokens int32[T],
      log_prob[decisions])`, for one architecture; map it over keys with
      `jax.vmap` to draw many.
    log_prob: `(params, tokens int32[..., T], num_active) -> (log_prob[...,
      decisions], entropy[..., decisions])`, both in nats: the log-probability
      of each decision given those before it, and its distribution's entropy.
    sample_probabilities: `(params, key, num_active) -> float32[V]`, or `None`:
      the distributions that the decisions of one random architecture are drawn
      from, as in `Strategy.probabilities`, which is their mean over keys.
    log_prob_and_divergence: `(params, tokens int32[..., T], prior) ->
      (log_prob, entropy, divergence[..., L])`, or `None`: `log_prob` of all
      decisions, and how far the coins that each of `L` anchor points tosses are
      from coins of probability `prior`; see `anchors.divergence`.
    sample_and_vjp: `(params, keys[N], num_active) -> (tokens int32[N, T],
      (log_prob[N, decisions], entropy[N, decisions]), vjp)`, or `None`: what
      `sample_and_log_prob` draws with these keys, `log_prob` of it, and
      `cotangents of both -> cotangent of params`, as `jax.vjp` of `log_prob`
      would return, without running the network again.
  """

  init: Callable[[jax.Array], Params]
  sample_and_log_prob: Callable[..., tuple[jax.Array, jax.Array]]
  log_prob: Callable[..., tuple[jax.Array, jax.Array]]
  sample_probabilities: Callable[..., jax.Array] | None = None
  log_prob_and_divergence: (
    Callable[..., tuple[jax.Array, jax.Array, jax.Array]] | None
  ) = None
  sample_and_vjp: (
    Callable[
      ...,
      tuple[jax.Array, tuple[jax.Array, jax.Array], Callable[[Any], Params]],
    ]
    | None
  ) = None

  def sample(
    self,
    params: Params,
    key: jax.Array,
    num_active: jax.Array | int | None = None,
  ) -> jax.Array:
    """Returns the tokens of one architecture, `int32[T]`."""
    return self.sample_and_log_prob(params, key, num_active)[0]


class Proposals(NamedTuple):
  """`N` architectures that a strategy wants evaluated.

  Attributes:
    tokens: the architectures, `int32[N, T]`.
    log_prob: the log-probability of each under the policy that proposed it,
      `[N]`, nats.
    policy: what a strategy must know of the policy that proposed, to learn from
      proposals that are no longer its latest: a pytree of arrays `[G, ...]` for
      `G` groups of `N / G` rows, one group for each `ask`. `None` if it needs
      nothing, or if all proposals are of the state that is told of them.
  """

  tokens: jax.Array
  log_prob: jax.Array
  policy: Any = None


class Strategy(NamedTuple):
  """A search method behind ask and tell.

  `ask` and `tell` alternate; `tell` gets the proposals of the last `ask`, or,
  with replicas, of several earlier ones in a row, each of the same size. A
  search raises `ValueError` where they return anything else.

  Attributes:
    init: `key -> state`, a pytree of arrays whose structure, shapes and dtypes
      stay fixed: what grows needs room from the start.
    ask: `(state, key, num_trials, num_active) -> Proposals`, exactly
      `num_trials` of them. That is static; `num_active` is a `Controller`'s.
    tell: `(state, proposals, rewards[N]) -> (state, metrics)`, where metrics is
      a dict of scalars. Raises `ValueError` for a reward that is not finite,
      unless it is traced.
    probabilities: `(state, key, num_active) -> float[V]`, or `None` for a
      strategy without a policy: how likely the state's policy is to choose each
      of the `V` outcomes of all decisions, in order; -1 where one is not made.
    ask_and_teller: `(state, key, num_trials, num_active) -> (proposals, tell)`,
      or `None`: those of `ask`, and `rewards[N] -> (state, metrics)`, which
      tells what `tell` does of them, to rounding, but reuses what `ask` has
      computed. For a program that both asks and tells; who replaces either of
      these replaces this as well.
  """

  init: Callable[[jax.Array], Any]
  ask: Callable[..., Proposals]
  tell: Callable[
    [Any, Proposals, jax.typing.ArrayLike],
    tuple[Any, Mapping[str, jax.Array]],
  ]
  probabilities: Callable[..., jax.Array] | None = None
  ask_and_teller: (
    Callable[
      ...,
      tuple[
        Proposals,
        Callable[[jax.typing.ArrayLike], tuple[Any, Mapping[str, jax.Array]]],
      ],
    ]
    | None
  ) = None


class Status(enum.IntEnum):
  """How the evaluation of one architecture ended.

  The four from `FAILED` on occur only where functions run in processes of their
  own.

  Attributes:
    OK: the trial has a reward.
    DIVERGED: the child's training, or its reward, was not finite.
    OUT_OF_MEMORY: the child did not fit into memory.
    FAILED: the function raised an exception.
    CRASHED: the function's process died.
    TIMED_OUT: the function took too long.
    NOT_FINITE: the function did not return a finite number.
    INFEASIBLE: the architecture exceeds a limit, so nothing was trained, and
      nothing failed.
  """

  OK = 0
  DIVERGED = 1
  OUT_OF_MEMORY = 2
  FAILED = 3
  CRASHED = 4
  TIMED_OUT = 5
  NOT_FINITE = 6
  INFEASIBLE = 7


@dataclasses.dataclass(frozen=True)
class Reward:
  """What a child is worth to a strategy; higher is better, either sign is fine.

  Attributes:
    function: `(architectures, metrics) -> rewards [N]`, a pure function of `N`
      children, where metrics are arrays `[N]`. Its value for a child that
      failed is ignored; a value that is not finite makes a trial fail.
    floor: the reward of a trial that failed, for whatever reason. Choose about
      what the worst child would get, negative where rewards are: a reward below
      the floor is raised to it, so that failing never pays.
  """

  function: Callable[[Sequence[Any], Mapping[str, np.ndarray]], Any]
  floor: float = 0.0

  def __post_init__(self):
    if not callable(self.function):
      raise ValueError(f'A reward needs a function, got {self.function!r}.')
    if isinstance(self.floor, str) or not abs(self.floor) <= float(
      np.finfo(np.float32).max
    ):
      raise ValueError(
        'The floor of a reward must be finite as a float32, got '
        f'{self.floor!r}.'
      )


class Cost(Protocol):
  """The cost of an architecture: any pure function `architecture -> number`.

  Costs given to `jaxnas.run` by name stand among the metrics of each trial, so
  that a reward can weigh them: `costs={'size': lambda cell: cell['width']}`.
  The number of parameters is one: `FlaxTrainer.num_params`.
  """

  def __call__(self, architecture: Any, /) -> float:
    """Returns the cost of an architecture."""


class Evaluation(NamedTuple):
  """What an evaluator found out about `N` architectures.

  Attributes:
    rewards: `float32[N]`, always finite; the floor reward where a trial failed.
    metrics: a dict of arrays `[N]`, which may hold NaN where a trial failed.
    status: how each trial ended, `int32[N]`, values of `Status`.
    reasons: why each trial failed, as in `Trained`.
  """

  rewards: np.ndarray
  metrics: Mapping[str, np.ndarray]
  status: np.ndarray
  reasons: Sequence[str] = ()


class Evaluator(NamedTuple):
  """Judges architectures: tokens in, rewards out.

  A trial's result depends only on its own key and tokens: neither on the trials
  beside it nor on its position.

  Attributes:
    evaluate: `(keys[N], tokens int32[N, T]) -> Evaluation`.
    block_size: the number of children that a caller should evaluate at a time.
    floor_reward: the reward of a trial that failed.
    task: what decides results, by its `records.fingerprint`; or `evaluate`.
    open_queue: `() -> queues.EvaluationQueue`, if several blocks run at a time.
    stages: `evaluators.stages.Stages`, if children can be trained on.
    screen: `tokens int32[T] -> Evaluation | None`: that of one architecture
      that must not be trained, found without training; `None` for any other. A
      caller asks before it evaluates.
  """

  evaluate: Callable[[jax.Array, np.ndarray], Evaluation]
  block_size: int
  floor_reward: float
  task: Any = None
  open_queue: Callable[[], Any] | None = None
  stages: Any = None
  screen: Callable[[np.ndarray], Evaluation | None] | None = None

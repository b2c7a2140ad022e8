# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The nouns of jaxnas: what a search is made of, and what flows between.

A `SearchSpace` turns integer *tokens* into an *architecture* and back. A
`Controller` is a distribution over tokens. A `Strategy` proposes tokens and
learns from rewards; an `Evaluator` turns tokens into rewards.

Shape letters, used in every docstring of the package: `N` architectures, `T`
tokens of one architecture (or time steps of a sequence), `B` batch, `D`
features, `K` choices of a decision, `L` leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
import dataclasses
import enum
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

# Spaces need numpy alone, and whoever decodes an architecture need not wait.
if TYPE_CHECKING:
  import jax


class Architecture(Hashable, Protocol):
  """A frozen dataclass that describes a network; holds no arrays."""

  def to_json(self) -> dict[str, Any]:
    """Returns it as a dict that `json.dumps` accepts."""


Params = Any
"""A pytree of arrays."""


@dataclasses.dataclass(frozen=True, init=False)
class Choice:
  """A decision between a few values: one token, the index of the value.

  Attributes:
    values: what can be chosen, in the order of the tokens.
    name: names the decision in errors and logs, as `'node_1/combiner'`; empty
      where a mapping of names to decisions says it.
  """

  values: tuple[Any, ...]
  name: str

  def __init__(self, values: Sequence[Any] | np.ndarray, name: str = ''):
    """Makes the decision.

    Args:
      values: distinct hashable values. NumPy's scalars become Python's, and
        lists tuples.
      name: the decision's name.

    Raises:
      ValueError: there are no values, equal ones, ones that cannot be hashed,
        or no order of them.
    """
    object.__setattr__(self, 'name', name)
    given = values.tolist() if isinstance(values, np.ndarray) else values
    # The order of a set of strings is another one in every process.
    if isinstance(given, str | bytes) or not isinstance(given, Sequence):
      raise ValueError(
        f'{_spell(self)} needs a tuple or a list of values, got {given!r}.'
      )
    object.__setattr__(self, 'values', tuple(map(_plain, given)))
    if not self.values:
      raise ValueError(f'{_spell(self)} needs at least one value.')
    try:
      num_distinct = len(set(self.values))
    except TypeError:
      # The arrays of many libraries spell themselves on several lines.
      shown = ' '.join(repr(self.values).split())
      raise ValueError(
        f'{_spell(self)} needs values that can be hashed, got {shown}.'
      ) from None
    if num_distinct != len(self.values):
      raise ValueError(
        f'{_spell(self)} needs distinct values, got {self.values}.'
      )

  @property
  def num_tokens(self) -> int:
    """How many tokens the decision takes."""
    return 1

  @property
  def num_choices(self) -> int:
    """How many values each of its tokens can take."""
    return len(self.values)


@dataclasses.dataclass(frozen=True)
class AnchorPoint:
  """Which earlier layers feed a layer: one 0/1 token for each of them.

  Attributes:
    num_previous: how many earlier layers there are; any subset may be chosen.
    name: names the decision in errors and logs.
  """

  num_previous: int
  name: str = ''

  def __post_init__(self):
    if not isinstance(self.num_previous, int | np.integer):
      raise ValueError(
        f'{_spell(self)} needs a number of earlier layers, got '
        f'{self.num_previous!r}.'
      )
    if self.num_previous < 0:
      raise ValueError(
        f'{_spell(self)} needs num_previous >= 0, got {self.num_previous}.'
      )

  @property
  def num_tokens(self) -> int:
    """How many tokens the decision takes."""
    return self.num_previous

  @property
  def num_choices(self) -> int:
    """How many values each of its tokens can take."""
    return 2


@dataclasses.dataclass(frozen=True)
class Range:
  """A number between two bounds: one token on an ordered grid.

  A range of real numbers has `num_levels` values, evenly spaced or evenly
  spaced in the logarithm. A range of integers has every integer, each by one
  level, if it is linear and there are at most `num_levels` of them; otherwise
  the levels' values are rounded to the nearest integer, so that a logarithmic
  range gives a small integer several levels: its share of the logarithm.

  Attributes:
    low: the smallest value, that of token 0.
    high: the largest value, that of the last token.
    log: whether the levels are spaced evenly in the logarithm.
    num_levels: how many levels the grid has, at most.
    integer: whether the values are integers; otherwise they are floats.
    name: names the decision in errors and logs; empty where a mapping of names
      to decisions says it.
  """

  low: float
  high: float
  log: bool = False
  num_levels: int = 256
  integer: bool = False
  name: str = ''

  def __post_init__(self):
    for field in ('low', 'high', 'num_levels'):
      object.__setattr__(self, field, _plain(getattr(self, field)))
    for bound in (self.low, self.high):
      if isinstance(bound, bool) or not isinstance(bound, int | float):
        raise ValueError(f'{_spell(self)} has numbers only, got {bound!r}.')
    if not isinstance(self.num_levels, int):
      raise ValueError(
        f'num_levels of {_spell(self)} must be an integer, got '
        f'{self.num_levels!r}.'
      )
    bounds = f'{self.low} and {self.high}'
    if not self.low < self.high:
      raise ValueError(f'{_spell(self)} needs low < high, got {bounds}.')
    if not max(abs(self.low), abs(self.high)) <= sys.float_info.max:
      raise ValueError(f'{_spell(self)} needs finite bounds, got {bounds}.')
    if self.log and self.low <= 0:
      raise ValueError(
        f'{_spell(self)} is logarithmic and needs low > 0, got {self.low}.'
      )
    if self.num_levels < 2:
      raise ValueError(
        f'{_spell(self)} needs at least 2 levels, got {self.num_levels}.'
      )
    if self.integer and not (
      self.low == int(self.low) and self.high == int(self.high)
    ):
      raise ValueError(
        f'{_spell(self)} has integers and needs bounds that are, got {bounds}.'
      )

  @property
  def num_tokens(self) -> int:
    """How many tokens the decision takes."""
    return 1

  @property
  def num_choices(self) -> int:
    """How many values its token can take."""
    if self.integer and not self.log:
      return min(self.num_levels, int(self.high) - int(self.low) + 1)
    return self.num_levels

  def value(self, token: int) -> float:
    """Returns the number that `token` stands for."""
    fraction = token / (self.num_choices - 1)
    # In a form that is exact at both ends.
    if self.log:
      value = self.low ** (1 - fraction) * self.high**fraction
    else:
      value = (1 - fraction) * self.low + fraction * self.high
    return round(value) if self.integer else value


def _spell(decision: Choice | AnchorPoint | Range) -> str:
  """Returns what an error calls a decision, which may have no name yet."""
  kind = type(decision).__name__
  return f'{kind} {decision.name!r}' if decision.name else kind


def _plain(value: Any) -> Any:
  """Returns NumPy's scalars as Python's, and lists as tuples."""
  if isinstance(value, np.generic):
    return value.item()
  if isinstance(value, list | tuple):
    return tuple(map(_plain, value))
  return value


Decision = Choice | AnchorPoint | Range


@dataclasses.dataclass(frozen=True)
class SearchSpace:
  """What can be searched: decisions, and what their tokens mean.

  Attributes:
    name: the space's name in configs and logs.
    decisions: in the order in which a controller makes them.
    decode: `tokens int32[T] -> architecture`; raises `ValueError`, naming the
      decision, for tokens of the wrong length or out of range.
    encode: `architecture -> tokens int32[T]`, the inverse of `decode`.
    canonical: `tokens int32[T] -> tokens int32[T]`, equal for architectures
      that are equal as functions of freely chosen parameters.
    size: the number of token sequences, exact.
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


def check_decisions(decisions: Sequence[Decision]) -> None:
  """Checks that decisions were given, and not something that has them.

  Args:
    decisions: what a controller or a strategy was given as such.

  Raises:
    ValueError: it is no sequence of decisions.
  """
  if isinstance(decisions, SearchSpace):
    raise ValueError(
      f'Decisions were expected, got the SearchSpace {decisions.name!r}; give '
      'its decisions, as space.decisions.'
    )
  if not isinstance(decisions, Sequence) or not all(
    isinstance(each, Choice | AnchorPoint | Range) for each in decisions
  ):
    raise ValueError(
      'Decisions must be a tuple of Choice, AnchorPoint and Range, got '
      f'{decisions!r}.'
    )


class Controller(NamedTuple):
  """A distribution over the tokens of some decisions.

  `num_active` counts decisions and may be traced; tokens of later decisions
  are -1 and add nothing. `None` means all of them.

  Attributes:
    init: `key -> params`.
    sample_and_log_prob: `(params, key, num_active) -> (tokens int32[T],
      log_prob[decisions])`: one architecture; many are a `jax.vmap` over keys.
    log_prob: `(params, tokens int32[..., T], num_active) -> (log_prob[...,
      decisions], entropy[..., decisions])`, in nats: the log-probability of
      each decision given the ones before it, and the entropy of the
      distribution it was drawn from.
  """

  init: Callable[[jax.Array], Params]
  sample_and_log_prob: Callable[..., tuple[jax.Array, jax.Array]]
  log_prob: Callable[..., tuple[jax.Array, jax.Array]]

  def sample(
    self,
    params: Params,
    key: jax.Array,
    num_active: jax.Array | int | None = None,
  ) -> jax.Array:
    """Returns the tokens of one architecture, `int32[T]`."""
    return self.sample_and_log_prob(params, key, num_active)[0]


class Proposals(NamedTuple):
  """Architectures that a strategy wants evaluated.

  Attributes:
    tokens: `int32[N, T]`.
    log_prob: log-probability of each under the proposing policy, `[N]`, nats.
  """

  tokens: jax.Array
  log_prob: jax.Array


class Strategy(NamedTuple):
  """Who proposes: a search method behind ask and tell.

  Calls alternate, and `tell` gets the proposals of the last `ask` unchanged.

  Attributes:
    init: `key -> state`, a pytree of arrays.
    ask: `(state, key, num_trials, num_active) -> Proposals`; `num_trials` is
      static, `num_active` as for a `Controller`.
    tell: `(state, proposals, rewards[N]) -> (state, metrics)`; the metrics are
      a dict of scalars. Raises `ValueError` for a reward that is not finite,
      unless it is traced.
  """

  init: Callable[[jax.Array], Any]
  ask: Callable[..., Proposals]
  tell: Callable[
    [Any, Proposals, jax.typing.ArrayLike],
    tuple[Any, Mapping[str, jax.Array]],
  ]


class Span(NamedTuple):
  """Which steps of a training are taken.

  Attributes:
    start: how many steps the child has had.
    stop: how many it has had afterwards.
    num_steps: how long the whole training is, which a schedule may depend on.
  """

  start: jax.typing.ArrayLike
  stop: jax.typing.ArrayLike
  num_steps: jax.typing.ArrayLike


class Task(NamedTuple):
  """How one child is made, trained and measured: pure functions of one child.

  A training that is cut into spans, each begun from the state in which the one
  before it ended, is bit for bit the training in one.

  Attributes:
    init: `(program, key, learning_rate) -> state`, an untrained child; a pytree
      of arrays.
    train: `(data, program, state, key, learning_rate, span) -> state`.
    train_metrics: `state -> metrics`, what the training itself tells: a dict
      with `is_alive` among them, false where the child failed. Metrics are
      scalars; who only trains may have arrays too, as a learning curve.
    measure: `(split, program, state) -> metrics`, a dict likewise.
    train_data: what `train` gets first; the same for all children.
    splits: what `measure` can get, by name, as `'validation'`; those of one
      shape share a program.
    assemble: makes a batch of `N` programs of `N` architectures, where an
      architecture is data; `None` where it is fixed, and the program is `None`.
    program_axes: the axes of a batch of programs for `jax.vmap`.
  """

  init: Callable[[Any, jax.Array, jax.Array], Any]
  train: Callable[[Any, Any, Any, jax.Array, jax.Array, Span], Any]
  train_metrics: Callable[[Any], Mapping[str, jax.Array]]
  measure: Callable[[Any, Any, Any], Mapping[str, jax.Array]]
  train_data: Any
  splits: Mapping[str, Any]
  assemble: Callable[[Sequence[Any]], Any] | None = None
  program_axes: Any = None


class Kept(NamedTuple):
  """Children that a trainer kept, to be trained on by the same trainer.

  Attributes:
    architectures: of the children, `N`.
    keys: `[N]`.
    learning_rates: `float32[N]`.
    num_steps: how long their whole training is.
    num_trained: how many steps of it they have had.
    states: one for each child, in a form of the trainer's own.
  """

  architectures: Sequence[Any]
  keys: jax.Array
  learning_rates: np.ndarray
  num_steps: int
  num_trained: int
  states: Sequence[Any]

  def select(self, rows: Sequence[int]) -> Kept:
    """Returns some of the children."""
    indices = np.asarray(rows, np.int32)
    return self._replace(
      architectures=[self.architectures[row] for row in rows],
      keys=self.keys[indices],
      learning_rates=self.learning_rates[indices],
      states=[self.states[row] for row in rows],
    )


class Trained(NamedTuple):
  """What came of training `N` children.

  Attributes:
    metrics: a dict of arrays `[N]`; what was measured on a split is named after
      it, as `'validation_perplexity'`. NaN, or 0 in whole numbers, where a
      child was not trained.
    status: how each training ended, `int32[N]`, values of `Status`.
    reasons: of each a line that says why it failed, empty where it did not or
      nobody knows; none at all where nobody knows of any.
    kept: the children, where they were to be kept.
  """

  metrics: Mapping[str, np.ndarray]
  status: np.ndarray
  reasons: Sequence[str] = ()
  kept: Kept | None = None


class Trainer(Protocol):
  """Who trains many children and measures them.

  A child's result depends on its own architecture, key, learning rate and steps
  alone, not on what is trained beside it nor on its place.
  """

  @property
  def block_size(self) -> int:
    """How many children share a call.

    A caller that records results as they come trains this many at a time.
    """

  @property
  def num_devices(self) -> int:
    """Over how many devices children are spread."""

  @property
  def compile_seconds(self) -> float:
    """Time spent compiling so far."""

  @property
  def run_seconds(self) -> float:
    """Time spent running so far."""

  def run(
    self,
    architectures: Sequence[Any],
    keys: jax.Array,
    learning_rates: np.ndarray | Sequence[float],
    num_steps: int,
    *,
    splits: Sequence[str] = ('validation',),
    durations: Sequence[float] | None = None,
    stop: int | None = None,
    keep: bool = False,
  ) -> Trained:
    """Trains and measures `N` children.

    Args:
      architectures: `N` of them.
      keys: one random key a child, `[N]`.
      learning_rates: `[N]`.
      num_steps: how long each child's training is.
      splits: what each child is measured on.
      durations: how long each child takes in relation to the others, so that
        devices get equal shares; results do not depend on it.
      stop: after how many of the steps the training is paused; not at all by
        default.
      keep: whether the children are kept, to be trained on.
    """

  def resume(
    self,
    kept: Kept,
    *,
    splits: Sequence[str] = ('validation',),
    stop: int | None = None,
    keep: bool = False,
  ) -> Trained:
    """Trains children on that were kept by `run` or by `resume`.

    Args:
      kept: the children.
      splits: what each child is measured on.
      stop: after how many steps of the whole training it is paused; at its end
        by default.
      keep: whether the children are kept again.
    """


class Status(enum.IntEnum):
  """How the evaluation of one architecture ended.

  The last four are of functions that run in processes of their own.

  Attributes:
    OK: there is a reward.
    DIVERGED: a child's training, or its reward, was not finite.
    OUT_OF_MEMORY: a child did not fit into memory.
    FAILED: the function raised an exception.
    CRASHED: the function's process ended.
    TIMED_OUT: the function took too long.
    NOT_FINITE: what the function returned is not a finite number.
  """

  OK = 0
  DIVERGED = 1
  OUT_OF_MEMORY = 2
  FAILED = 3
  CRASHED = 4
  TIMED_OUT = 5
  NOT_FINITE = 6


@dataclasses.dataclass(frozen=True)
class Reward:
  """What children are worth to a strategy, of either sign; more is better.

  Attributes:
    function: `(architectures, metrics) -> rewards [N]`, a pure function of `N`
      children, the metrics arrays `[N]`; not finite where the metrics are of a
      child that failed.
    floor: what a child that failed is given, whatever it failed by: what the
      worst child would get, negative where rewards are. A lower reward counts
      as this one, so that no failure is worth more than a child.
  """

  function: Callable[[Sequence[Any], Mapping[str, np.ndarray]], Any]
  floor: float = 0.0

  def __post_init__(self):
    if not abs(self.floor) <= float(np.finfo(np.float32).max):
      raise ValueError(
        f'The floor of a reward must be finite as a float32, got {self.floor}.'
      )


Cost = Callable[[Any], float]
"""`architecture -> cost`, a pure function, as of the number of parameters."""


class Evaluation(NamedTuple):
  """What an evaluator found out about `N` architectures.

  Attributes:
    rewards: `float32[N]`, always finite; the floor reward where a child failed.
    metrics: a dict of arrays `[N]`; may hold NaN where a child failed.
    status: `int32[N]`, values of `Status`.
    reasons: of each a line that says why it failed, empty where it did not or
      nobody knows; none at all where nobody knows of any.
  """

  rewards: np.ndarray
  metrics: Mapping[str, np.ndarray]
  status: np.ndarray
  reasons: Sequence[str] = ()


class Evaluator(NamedTuple):
  """Who judges: tokens in, rewards out.

  A trial's result depends on its own key and tokens alone, not on what is
  evaluated beside it nor on its place.

  Attributes:
    evaluate: `(keys[N], tokens int32[N, T]) -> Evaluation`.
    block_size: how many children share one call of the program; a caller that
      records results as they come evaluates this many at a time.
    floor_reward: what a child that failed is given.
    task: what decides a trial's result, as the function that is called; a
      resumed search compares its fingerprint, see `records.fingerprint`.
      `evaluate` itself by default.
  """

  evaluate: Callable[[jax.Array, np.ndarray], Evaluation]
  block_size: int
  floor_reward: float
  task: Any = None

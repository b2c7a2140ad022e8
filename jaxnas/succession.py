# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Controllers whose cells were found by their predecessors.

A search for recurrent cells is itself carried out by a recurrent network. In a
*lineage*, generation 0 searches with an LSTM controller, and every later
generation with the best cell that the one before it found. A control shows
whether this helps: it searches as often, with the same keys, and always with
the LSTM. `generations` holds what they find and compares the two.

Lineages whose cells differ run side by side in one compiled program, in which
the cells are data; see `children.recurrent_interpreter`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas import generations, pure_search
from jaxnas.children import recurrent_cell, recurrent_interpreter
from jaxnas.controllers import recurrent
from jaxnas.strategies import reinforce
from jaxnas.types import SearchSpace, Strategy

CONTROL, SUCCESSION = generations.CONTROL, generations.SUCCESSION
Generation = generations.Generation

Evaluate = Callable[[np.ndarray], np.ndarray]
"""`tokens int32[N, T] -> rewards float32[N]`, finite; a cell must get the same
reward every time."""


@dataclasses.dataclass(frozen=True)
class Succession:
  """The settings that all lineages search with; made once.

  Attributes:
    space: the recurrent cells of one base number.
    num_lineages: the number of lineages, each with its own key.
    num_generations: the number of searches of a lineage.
    num_rounds: the number of updates of a search's controller.
    batch_size: the number of trials of a round.
    key: the run's random key.
    learning_rate: Adam's learning rate for the controller.
    baseline_decay: the decay of the moving average of rewards.
    features: the units of a controller layer, whatever its cell. A cell of base
      number `L` has `L` blocks of weights per layer; the LSTM has four.
    num_layers: the number of layers of the controller.
    init_scale: the bound of the uniform distribution that every parameter of a
      controller is drawn from, including biases.
    use_bias: whether a found cell gets a bias at each leaf, on the recurrent
      half, as the LSTM has at each gate. Products of small numbers are nearly
      silent: without biases, a leaf that multiplies starts at zero; with them,
      it starts small. A cell made only of products is silent either way, so its
      controller is left with the biases of its softmaxes, that is, with
      decisions that do not depend on each other.
    num_candidates: the number of a generation's best cells that may be tried in
      the next one, should the better ones make the controller diverge.
  """

  space: SearchSpace
  num_lineages: int
  num_generations: int
  num_rounds: int
  batch_size: int
  key: jax.Array
  learning_rate: float = 0.01
  baseline_decay: float = 0.9
  features: int = 35
  num_layers: int = 2
  init_scale: float = 0.08
  use_bias: bool = True
  num_candidates: int = 5

  def __post_init__(self):
    for name in (
      'num_lineages',
      'num_generations',
      'num_rounds',
      'batch_size',
      'num_candidates',
    ):
      if getattr(self, name) < 1:
        raise ValueError(
          f'{name} must be at least 1, got {getattr(self, name)}.'
        )
    try:
      _make_strategy(self, None)
    except ValueError as error:
      raise ValueError(f"The controller's {error}") from None


def run(
  succession: Succession,
  evaluate: Evaluate,
  done: Sequence[Generation] = (),
  on_round: Callable[[str, int, int], None] | None = None,
) -> Iterator[Generation]:
  """Yields the remaining generations, in order.

  Generation 0 would search with an LSTM in either branch, so only the control
  has one. Generation `g` has the same keys in both branches.

  Args:
    succession: the settings of the search.
    evaluate: the function that gives cells their rewards.
    done: the generations yielded so far, in an earlier run.
    on_round: a callback that gets branch, generation and round before each
      round. After a cell is replaced, the rounds of its generation start over.

  Raises:
    ValueError: `evaluate` gives a reward that is not finite.
  """
  past = {(each.branch, each.number): each for each in done}
  searcher = _Searcher(succession)
  for number in range(succession.num_generations):
    for branch in (CONTROL, SUCCESSION)[: 1 + (number > 0)]:
      if (branch, number) in past:
        continue
      report = functools.partial(on_round or _ignore, branch, number)
      parent = None
      if branch == SUCCESSION:
        parent = past[SUCCESSION if number > 1 else CONTROL, number - 1]
      generation = _generation(
        succession, searcher, evaluate, branch, number, parent, report
      )
      past[branch, number] = generation
      yield generation


def _ignore(branch: str, number: int, round_index: int) -> None:
  del branch, number, round_index


def _generation(
  succession, searcher, evaluate, branch, number, parent, report
) -> Generation:
  """Searches with each lineage's cell, or the next best one if it fails."""
  keys = jax.random.split(
    jax.random.fold_in(succession.key, number), succession.num_lineages
  )
  turns = [0] * succession.num_lineages
  while True:
    cells: list[tuple[int, ...] | None] = [None] * len(turns)
    if parent is not None:
      cells = [
        mine[turn] for mine, turn in zip(parent.candidates, turns, strict=True)
      ]
    trials = searcher.search(cells, keys, evaluate, report)
    again = [
      lineage
      for lineage, is_finite in enumerate(trials.is_finite)
      if not is_finite
      and parent is not None
      and turns[lineage] + 1 < len(parent.candidates[lineage])
    ]
    if not again:
      break
    # All lineages search again, in one program; those that keep their cell
    # repeat their search exactly.
    for lineage in again:
      turns[lineage] += 1
  late = trials.rewards[:, -max(1, trials.rewards.shape[1] // 4) :]
  return Generation(
    branch=branch,
    number=number,
    cells=tuple(cells),
    candidates=tuple(
      best_cells(succession.space, tokens, rewards, succession.num_candidates)
      for tokens, rewards in zip(trials.tokens, trials.rewards, strict=True)
    ),
    rewards=tuple(trials.rewards.max(1).tolist()),
    areas=tuple(area(trials.rewards).tolist()),
    late_means=tuple(late.mean(1).tolist()),
    num_replaced=tuple(turns),
    is_finite=tuple(trials.is_finite.tolist()),
  )


def area(rewards: np.ndarray) -> np.ndarray:
  """Returns the mean, over `M` trials, of the best reward so far, `[G]`.

  Args:
    rewards: the rewards of `G` searches, trial by trial, `[G, M]`.
  """
  best = np.maximum.accumulate(np.asarray(rewards, np.float64), 1)
  return best.mean(1)


def best_cells(
  space: SearchSpace, tokens: np.ndarray, rewards: np.ndarray, num_cells: int
) -> tuple[tuple[int, ...], ...]:
  """Returns the best distinct cells as canonical tokens, best first.

  Args:
    space: the search space, whose canonical form decides which cells are equal.
    tokens: the trials of a search, `int32[M, T]`.
    rewards: the trials' rewards, `[M]`.
    num_cells: the number of cells to return; fewer if there are no more.
  """
  found: dict[tuple[int, ...], None] = {}
  for row in np.argsort(-np.asarray(rewards), kind='stable'):
    found.setdefault(tuple(space.canonical(tokens[row]).tolist()))
    if len(found) == num_cells:
      break
  return tuple(found)


class _Trials(NamedTuple):
  """The searches of `G` lineages, `M` trials each.

  Attributes:
    tokens: the proposals, `int32[G, M, T]`.
    rewards: the rewards of the proposals, `float32[G, M]`.
    is_finite: whether each controller stayed finite, `bool[G]`.
  """

  tokens: np.ndarray
  rewards: np.ndarray
  is_finite: np.ndarray


class _Searcher:
  """Searches with one controller per lineage, all of them in one program."""

  def __init__(self, succession: Succession):
    self._succession = succession
    self._programs: dict[bool, tuple[Any, ...]] = {}

  def search(self, cells, keys, evaluate, report) -> _Trials:
    """Runs the searches of all lineages side by side.

    Args:
      cells: the tokens of each controller's cell, or `None` for LSTMs.
      keys: one random key per lineage, `[G]`.
      evaluate: the function that gives cells their rewards.
      report: a callback that gets the number of each round before it starts.
    """
    succession, program = self._succession, None
    if cells[0] is not None:
      program = recurrent_interpreter.assemble(
        [succession.space.decode(np.asarray(cell)) for cell in cells]  # type: ignore[misc]
      )
    init, ask, tell = self._compiled(program is not None)
    state = init(program, keys)
    is_finite = np.ones(len(cells), bool)
    tokens, rewards = [], []
    for index in range(succession.num_rounds):
      report(index)
      proposals = ask(program, state, keys, index)
      # What a controller proposes once it is no longer finite is meaningless,
      # and may even be out of range.
      is_drawn = np.isfinite(proposals.log_prob).all(1)
      proposed = np.where(is_drawn[:, None, None], proposals.tokens, 0)
      judged = evaluate(proposed.reshape(-1, proposed.shape[-1]))
      judged = np.asarray(judged, np.float32).reshape(proposed.shape[:2])
      if not np.isfinite(judged).all():
        raise ValueError(
          'evaluate must return finite rewards, got '
          f'{judged[~np.isfinite(judged)][0]}.'
        )
      state, is_state_finite = tell(program, state, proposals, judged)
      is_finite &= is_drawn & np.asarray(is_state_finite)
      tokens.append(proposed)
      rewards.append(judged)
    return _Trials(
      np.concatenate(tokens, 1), np.concatenate(rewards, 1), is_finite
    )

  def _compiled(self, is_found: bool):
    """Returns init, ask and tell, mapped over lineages."""
    if is_found in self._programs:
      return self._programs[is_found]
    succession = self._succession
    axes = recurrent_interpreter.BATCH_AXES if is_found else None

    make_strategy = functools.partial(_make_strategy, succession)

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(axes, 0))
    def init(program, key):
      return make_strategy(program).init(pure_search.init_key(key))

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(axes, 0, 0, None))
    def ask(program, state, key, index):
      return make_strategy(program).ask(
        state, pure_search.round_key(key, index), succession.batch_size
      )

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(axes, 0, 0, 0))
    def tell(program, state, proposals, rewards):
      state, _ = make_strategy(program).tell(state, proposals, rewards)
      is_finite = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(state)]
      return state, functools.reduce(jnp.logical_and, is_finite)

    self._programs[is_found] = init, ask, tell
    return self._programs[is_found]


def _make_strategy(succession: Succession, program: Any) -> Strategy:
  """Makes the strategy of a controller with a cell, or an LSTM for `None`."""
  make_cell: Callable[..., Any] = recurrent_cell.LSTMCell
  if program is not None:
    make_cell = functools.partial(
      recurrent_interpreter.InterpretedCell,
      program=program,
      use_bias=succession.use_bias,
    )
  return reinforce.make_reinforce(
    recurrent.make_controller(
      succession.space.decisions,
      lambda features: make_cell(features=features),
      succession.num_layers,
      succession.features,
      succession.init_scale,
    ),
    succession.learning_rate,
    succession.baseline_decay,
  )

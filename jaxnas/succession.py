# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Controllers whose cell was found by the controller before them.

A search for recurrent cells is itself done by a recurrent network. In a
*lineage* generation 0 searches with an LSTM controller, and every later one
with the best cell that the generation before it found. Whether that goes
anywhere is told by a control, which searches as often, by the same keys, and
always with the LSTM.

Lineages whose cells differ run side by side in one compiled program: the cells
are data, see `children.recurrent_interpreter`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas import pure_search, statistics
from jaxnas.children import recurrent_cell, recurrent_interpreter
from jaxnas.controllers import recurrent
from jaxnas.strategies import reinforce
from jaxnas.types import SearchSpace, Strategy

CONTROL = 'control'
SUCCESSION = 'succession'

Evaluate = Callable[[np.ndarray], np.ndarray]
"""`tokens int32[N, T] -> rewards float32[N]`, finite; a cell's reward is the
same whenever it is asked for."""


@dataclasses.dataclass(frozen=True)
class Succession:
  """What lineages search with; made once.

  Attributes:
    space: recurrent cells of one base.
    num_lineages: how many there are, each by its own key.
    num_generations: how many searches a lineage has.
    num_rounds: how often a search's controller learns.
    batch_size: trials of a round.
    key: the run's random key.
    learning_rate: of Adam, for the controller.
    baseline_decay: of the moving average of rewards.
    features: units of a controller layer, whatever its cell. A cell of base `L`
      has `L` blocks of weights a layer, the LSTM four.
    num_layers: layers of the controller.
    init_scale: every parameter of a controller starts uniform in +- this,
      biases too.
    use_bias: whether a found cell gets a bias at each leaf, on the recurrent
      half, as the LSTM has at each gate. At small scales products are nearly
      silent: without biases a leaf that multiplies starts at zero, with them it
      is small. A cell of products alone is silent in either case, and leaves
      its controller the biases of the softmaxes: decisions that do not depend
      on each other.
    num_candidates: how many of a generation's best cells may be tried as the
      next one's, should those before them make the controller diverge.
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


@dataclasses.dataclass(frozen=True)
class Generation:
  """What the searches of one generation found, lineage by lineage, `G` of them.

  A controller that has diverged proposes cells of first choices from then on.
  Where a next best cell takes its place the search starts anew and nothing of
  it counts; where there is none left, the lineage is lost and all of it counts.

  Attributes:
    branch: `CONTROL` or `SUCCESSION`.
    number: which generation, from 0 on.
    cells: the tokens of each controller's cell; `None` for the LSTM.
    candidates: the best cells found, canonical and different, best first.
    rewards: of the best cell found.
    areas: under the anytime curve: the mean, over trials, of the best reward so
      far.
    late_means: mean reward of the last quarter of the trials.
    num_replaced: how many cells before made the controller diverge.
    is_finite: whether the controller stayed finite with the cell it has; if
      not, the lineage is lost.
  """

  branch: str
  number: int
  cells: tuple[tuple[int, ...] | None, ...]
  candidates: tuple[tuple[tuple[int, ...], ...], ...]
  rewards: tuple[float, ...]
  areas: tuple[float, ...]
  late_means: tuple[float, ...]
  num_replaced: tuple[int, ...]
  is_finite: tuple[bool, ...]

  @property
  def found(self) -> tuple[tuple[int, ...], ...]:
    """The best cell of each lineage, canonical."""
    return tuple(cells[0] for cells in self.candidates)

  def to_json(self) -> dict[str, Any]:
    """Returns it as a dict that `json.dumps` accepts."""
    return dataclasses.asdict(self)

  @classmethod
  def from_json(cls, fields: Mapping[str, Any]) -> Generation:
    """Returns what `to_json` gave; raises `ValueError` otherwise."""
    names = [field.name for field in dataclasses.fields(cls)]
    if sorted(fields) != sorted(names):
      raise ValueError(
        f'A generation has the fields {", ".join(names)}; got '
        f'{", ".join(sorted(fields))}.'
      )
    return cls(**{name: _to_tuples(fields[name]) for name in names})


def _to_tuples(value: Any) -> Any:
  if isinstance(value, list | tuple):
    return tuple(_to_tuples(each) for each in value)
  return value


def run(
  succession: Succession,
  evaluate: Evaluate,
  done: Sequence[Generation] = (),
  on_round: Callable[[str, int, int], None] | None = None,
) -> Iterator[Generation]:
  """Yields the generations that are left, in their order.

  Generation 0 searches with an LSTM in either branch, so there is only the
  control's. Generation `g` of both branches has the same keys.

  Args:
    succession: what the lineages search with.
    evaluate: judges cells.
    done: the generations that were yielded before.
    on_round: told of branch, generation and round, before each round. Where a
      cell is replaced, the rounds of its generation start anew.

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
  """Searches with each lineage's cell, or with the next best where it fails."""
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
    # A lineage that is run again with the same cell does the same again.
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
  """Returns the mean of the best reward so far, `[G, M] -> [G]`."""
  best = np.maximum.accumulate(np.asarray(rewards, np.float64), 1)
  return best.mean(1)


def best_cells(
  space: SearchSpace, tokens: np.ndarray, rewards: np.ndarray, num_cells: int
) -> tuple[tuple[int, ...], ...]:
  """Returns the best different cells, canonical, best first.

  Args:
    space: tells which cells are equal.
    tokens: the trials of a search, `int32[M, T]`.
    rewards: theirs, `[M]`.
    num_cells: how many to return; fewer if there are no more.
  """
  found: dict[tuple[int, ...], None] = {}
  for row in np.argsort(-np.asarray(rewards), kind='stable'):
    found.setdefault(tuple(space.canonical(tokens[row]).tolist()))
    if len(found) == num_cells:
      break
  return tuple(found)


class _Trials(NamedTuple):
  """The searches of all lineages: `[G, M, T]`, `[G, M]` and `[G]`."""

  tokens: np.ndarray
  rewards: np.ndarray
  is_finite: np.ndarray


class _Searcher:
  """Searches with one controller a lineage, all of them in one program."""

  def __init__(self, succession: Succession):
    self._succession = succession
    self._programs: dict[bool, tuple[Any, ...]] = {}

  def search(self, cells, keys, evaluate, report) -> _Trials:
    """Runs the searches of all lineages side by side.

    Args:
      cells: the tokens of each controller's cell, or `None` for LSTMs.
      keys: one for each lineage.
      evaluate: judges cells.
      report: told of each round before it starts.
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
      # A controller that is no longer finite proposes nothing that makes sense.
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
  """Makes the search of a controller with a cell, an LSTM for `None`."""
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


_AREA = statistics.Measure('anytime area', is_higher_better=True, is_ratio=True)


class Verdict(NamedTuple):
  """What a succession came to.

  Attributes:
    kind: `'improved'`, `'worse'`, `'converged'`, `'no difference'` or, of a
      single lineage, `'undecided'`.
    area_ratio: of the last generation's anytime area to the control's, as
      `against_control` has it.
    repeats: in which part of the lineages the last two generations found the
      same cell.
    control_repeats: the same of the control. Cells that it finds again as often
      are found again because they are easy to find.
  """

  kind: str
  area_ratio: statistics.Comparison
  repeats: statistics.Interval
  control_repeats: statistics.Interval


def judge(generations: Sequence[Generation]) -> Verdict:
  """Returns what came of a succession, compared with its control.

  It has improved, or is worse, if that can be told by the anytime areas of the
  last generation; see `against_control`. Otherwise it has converged if the
  last two generations found the same cell in most lineages, by the lower end of
  that share's interval of 95 %; and if not, no difference can be told. Of a
  single lineage nothing can.

  Args:
    generations: all of both branches.

  Raises:
    ValueError: there is only one generation, so nothing was succeeded.
  """
  by_place = {(each.branch, each.number): each for each in generations}
  last = max(number for _, number in by_place)
  if not last:
    raise ValueError(
      'num_generations must be at least 2 for a comparison, got 1.'
    )
  area_ratio = against_control(generations)[last]
  before = by_place[SUCCESSION if last > 1 else CONTROL, last - 1]
  repeats = statistics.share_interval(
    repeats_of(by_place[SUCCESSION, last], before)
  )
  control_repeats = statistics.share_interval(
    repeats_of(by_place[CONTROL, last], by_place[CONTROL, last - 1])
  )
  kind = 'no difference'
  if len(by_place[SUCCESSION, last].areas) < 2:
    kind = 'undecided'
  elif area_ratio.is_better is not None:
    kind = 'improved' if area_ratio.is_better else 'worse'
  elif repeats.low > 0.5:
    kind = 'converged'
  return Verdict(kind, area_ratio, repeats, control_repeats)


def against_control(
  generations: Sequence[Generation],
) -> dict[int, statistics.Comparison]:
  """Compares every later generation with the control of its number.

  By the ratio of their anytime areas, lineage by lineage, for both branches of
  a lineage begin with the same search and have the same keys. All generations
  are told together, so they share one correction; see `statistics.compare`.

  Args:
    generations: all of both branches.
  """
  by_place = {(each.branch, each.number): each for each in generations}
  numbers = sorted(
    each.number for each in generations if each.branch == SUCCESSION
  )
  comparisons = statistics.compare(
    _AREA,
    [
      (by_place[SUCCESSION, number].areas, by_place[CONTROL, number].areas)
      for number in numbers
    ],
    is_paired=True,
  )
  return dict(zip(numbers, comparisons, strict=True))


def repeats_of(generation: Generation, before: Generation) -> np.ndarray:
  """Returns which lineages found the cell that they had found, `bool[G]`."""
  return np.array(
    [a == b for a, b in zip(generation.found, before.found, strict=True)]
  )

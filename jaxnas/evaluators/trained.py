# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Evaluators made of a trainer and a reward.

The shortest way to one is a Python function `(value, seed) -> reward`:

    with evaluators.of_function(space, train, floor=0.0) as evaluator:
      ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import contextlib
import functools
import math
from typing import Any
import weakref

from absl import logging
import numpy as np

from jaxnas import errors
from jaxnas.costs import limits as limits_lib
from jaxnas.evaluators import queues, stages
from jaxnas.trainers import functions
from jaxnas.types import (
  Cost,
  Evaluation,
  Evaluator,
  Reward,
  SearchSpace,
  Status,
  Trained,
  Trainer,
)

_warned: weakref.WeakValueDictionary[int, Reward] = (
  weakref.WeakValueDictionary()
)
"""The rewards whose floor a warning has been about, by their `id`."""


def make_evaluator(
  space: SearchSpace,
  trainer: Trainer,
  reward: Reward,
  learning_rate: float | Callable[[Any], float] | None = None,
  num_steps: int = 1,
  *,
  costs: Mapping[str, Cost] | None = None,
  duration: Cost | None = None,
  limits: limits_lib.Limits | None = None,
) -> Evaluator:
  """Makes an evaluator of a trainer and a reward.

  Args:
    space: the search space, which decodes tokens.
    trainer: the trainer, which measures children on `'validation'`.
    reward: the reward of architectures and metrics.
    learning_rate: the learning rate of every child, or a function
      `architecture -> learning rate` if the architecture decides; `None` for a
      trainer that uses none, such as one of Python functions.
    num_steps: the number of steps that every child trains.
    costs: the costs of an architecture, by name; the reward sees them among the
      metrics.
    duration: the expected duration of an architecture's training relative to
      others; all equal by default.
    limits: the most that an architecture may cost; what exceeds them is
      infeasible, and not trained. None by default.

  Raises:
    ValueError: the learning rate is not positive; when architectures are
      evaluated, also that one of them has no positive learning rate, or that
      the trainer needs one.
  """
  if learning_rate is not None and not callable(learning_rate):
    check_rate(learning_rate)
  # It must not change the fingerprint of a run whether it was told.
  given = 1.0 if learning_rate is None else learning_rate
  is_checked = learning_rate is not None

  def prepare(tokens):
    nonlocal is_checked
    architectures = [space.decode(row) for row in np.asarray(tokens)]
    if not is_checked:
      check_needs_no_rate(trainer, architectures)
      is_checked = True
    return queues.Block(
      architectures,
      [rate_of(given, each) for each in architectures],
      num_steps,
      None if duration is None else [duration(each) for each in architectures],
    )

  def finish(architectures, trained):
    return judge(
      architectures, add_costs(trained, architectures, costs), reward
    )

  def evaluate(keys, tokens):
    block = prepare(tokens)
    trained = trainer.run(
      block.architectures,
      keys,
      block.learning_rates,
      num_steps,
      durations=block.durations,
    )
    return finish(block.architectures, trained)

  def open_queue():
    return queues.OfTrainer(trainer.queue, prepare, finish)  # type: ignore[attr-defined]

  task = {
    'task': getattr(trainer, 'task', trainer),
    'reward': reward,
    'learning_rate': given,
    'num_steps': num_steps,
    'costs': costs,
    # Runs without limits are told by what they always were.
    **({'limits': dict(limits.most)} if limits is not None else {}),
  }
  has_queue = getattr(trainer, 'queue', None) is not None
  return Evaluator(
    evaluate,
    trainer.block_size,
    reward.floor,
    task,
    open_queue if has_queue else None,
    stages.make_stages(trainer, num_steps, prepare, finish),
    None if limits is None else limits.screen(space, reward.floor),
  )


def rate_of(
  learning_rate: float | Callable[[Any], float], architecture: Any
) -> float:
  """Returns the learning rate of a child.

  Args:
    learning_rate: the learning rate, or `architecture -> learning rate`.
    architecture: the child's architecture.

  Raises:
    ValueError: it is not positive.
  """
  if not callable(learning_rate):
    return learning_rate
  with errors.calling('The function of learning rates'):
    rate = learning_rate(architecture)
  check_rate(rate, architecture)
  return rate


def check_rate(rate: Any, architecture: Any = None) -> None:
  """Checks that a learning rate is a positive number.

  Args:
    rate: the learning rate.
    architecture: the architecture that it is of, if it is of one.

  Raises:
    ValueError: it is not.
  """
  try:
    is_good = 0 < rate < math.inf
  except TypeError:
    is_good = False
  if not is_good:
    whose = ''
    if architecture is not None:
      value = architecture
      if isinstance(value, Mapping):
        value = dict(value)
      whose = f' for {errors.shorten(repr(value))}'
    raise ValueError(
      f'A learning rate must be a positive number, got {rate!r}{whose}.'
    )


def check_needs_no_rate(trainer: Trainer, architectures: Sequence[Any]) -> None:
  """Checks that a trainer trains without a learning rate.

  Args:
    trainer: the trainer; one without dry runs is trusted.
    architectures: architectures to be trained.

  Raises:
    ValueError: the training of children depends on a learning rate.
  """
  dry_run = getattr(trainer, 'dry_run', None)
  found = dry_run(architectures, ()) if dry_run is not None else None
  if found is not None and found.uses_learning_rate:
    raise ValueError(NEEDS_RATE)


NEEDS_RATE = (
  'The trainer uses a learning rate, but none is given: give one (for '
  'jaxnas.run a grid, learning_rates=(0.001, 0.01)), or a function of an '
  "architecture, such as lambda each: each['rate']."
)


@contextlib.contextmanager
def of_function(
  space: SearchSpace,
  function: Callable[..., Any],
  floor: float,
  **settings: Any,
) -> Iterator[Evaluator]:
  """Makes an evaluator that calls a Python function in worker processes.

  Args:
    space: the search space, which decodes tokens.
    function: `(value, seed) -> reward`; see `functions.FunctionTrainer`.
    floor: the reward of a trial that failed, about that of the worst choice. A
      lower reward is raised to it.
    **settings: the settings of the trainer, such as `num_workers` and
      `timeout_seconds`.

  Yields:
    The evaluator. What the function returns besides its reward becomes the
    trial's metrics.

  Raises:
    ValueError: an argument is out of range, or the function cannot be called in
      another process.
  """
  reward = Reward(lambda _, metrics: metrics['validation_reward'], floor)
  with functions.FunctionTrainer(function, **settings) as trainer:
    judged = make_evaluator(space, trainer, reward)
    yield judged._replace(
      evaluate=lambda keys, tokens: _without_reward(
        judged.evaluate(keys, tokens)
      ),
      task=function,
      open_queue=judged.open_queue
      and functools.partial(_QueueWithoutReward, judged.open_queue),
    )


def _without_reward(evaluation: Evaluation) -> Evaluation:
  """Drops the metric that is the reward itself."""
  metrics = dict(evaluation.metrics)
  metrics.pop('validation_reward', None)
  return evaluation._replace(metrics=metrics)


class _QueueWithoutReward:
  """A queue whose evaluations lack the metric that is the reward itself."""

  def __init__(self, open_queue: Callable[[], Any]):
    self._queue = open_queue()
    self.submit = self._queue.submit
    self.tell_lag = self._queue.tell_lag

  @property
  def block_size(self) -> int:
    return self._queue.block_size

  @property
  def num_wanted(self) -> int:
    return self._queue.num_wanted

  def collect(self) -> list[tuple[int, Evaluation]]:
    return [
      (number, _without_reward(evaluation))
      for number, evaluation in self._queue.collect()
    ]


def add_costs(
  trained: Trained,
  architectures: Sequence[Any],
  costs: Mapping[str, Cost] | None,
) -> Trained:
  """Adds the costs of the architectures to the metrics of their trainings.

  Args:
    trained: the outcome of training `N` children.
    architectures: the children's architectures, `N` of them.
    costs: the costs of an architecture, by name.

  Raises:
    ValueError: a cost failed, or is not a number, or has a metric's name.
  """
  if not costs:
    return trained
  check_cost_names(costs, trained.metrics)
  values = {
    name: np.array([cost_of(name, cost, each) for each in architectures])
    for name, cost in costs.items()
  }
  return trained._replace(metrics={**trained.metrics, **values})


def check_cost_names(costs: Iterable[str], metrics: Iterable[str]) -> None:
  """Checks that no cost has the name of a metric.

  Args:
    costs: the names of the costs.
    metrics: the names of the metrics.

  Raises:
    ValueError: one has.
  """
  twice = sorted(set(costs) & set(metrics))
  if twice:
    raise ValueError(
      f'A cost and a metric are both called {twice[0]!r}; give the cost '
      'another name.'
    )


def cost_of(name: str, cost: Cost, architecture: Any) -> np.ndarray:
  """Returns a cost of an architecture, an array without axes.

  Args:
    name: the cost's name.
    cost: the cost.
    architecture: the architecture.

  Raises:
    ValueError: the cost failed, or is not a number.
  """
  with errors.calling(f'The cost {name!r}'):
    given = cost(architecture)
    value = np.asarray(given)
  if value.dtype.kind not in 'biuf' or value.ndim:
    shown = errors.in_one_line(given)
    raise ValueError(f'The cost {name!r} must be a number; got {shown}.')
  return value


def judge(
  architectures: Sequence[Any], trained: Trained, reward: Reward
) -> Evaluation:
  """Turns the outcome of trainings into an evaluation.

  A trial fails because its child failed or because its reward is not finite,
  never because its reward is low.

  Args:
    architectures: the children's architectures, `N` of them.
    trained: the outcome of their training.
    reward: the reward.

  Raises:
    ValueError: a metric or the reward does not have the shape `[N]`.
  """
  status = np.array(trained.status, np.int32)
  for name, values in trained.metrics.items():
    if np.shape(values) != status.shape:
      raise ValueError(
        f'The metric {name!r} of a child must be a scalar, got the shape '
        f'{np.shape(values)[1:]}.'
      )
  rewards = np.full(status.shape, reward.floor, np.float32)
  # If no child was trained there may be no metrics to compute a reward from.
  if (status == Status.OK).any():
    with np.errstate(all='ignore'):
      rewards = call_reward(reward, architectures, trained.metrics)
  is_undefined = (status == Status.OK) & ~np.isfinite(rewards)
  status[is_undefined] = Status.DIVERGED
  reasons = list(trained.reasons)
  if is_undefined.any():
    reasons = reasons or [''] * len(status)
    for row in np.flatnonzero(is_undefined):
      reasons[row] = _why_undefined(
        float(rewards[row]), trained.metrics, int(row)
      )
  is_ok, floor = status == Status.OK, np.float32(reward.floor)
  is_low = is_ok & (rewards < floor)
  if is_low.any() and id(reward) not in _warned:
    _warned[id(reward)] = reward
    logging.warning(
      '%d of %d rewards, the lowest %g, are below the floor of the reward, %g, '
      'and are raised to it, as all such will be; choose a floor that no child '
      'falls below.',
      is_low.sum(),
      is_ok.size,
      rewards[is_low].min(),
      floor,
    )
  return Evaluation(
    rewards=np.where(is_ok & ~is_low, rewards, floor),
    metrics=trained.metrics,
    status=status,
    reasons=tuple(reasons),
  )


def call_reward(
  reward: Reward, architectures: Sequence[Any], metrics: Mapping[str, Any]
) -> np.ndarray:
  """Returns rewards as they come from the user's function, `float32[N]`.

  Args:
    reward: the reward.
    architectures: the children's architectures, `N` of them.
    metrics: the metrics of the children, arrays `[N]`.

  Raises:
    ValueError: the function failed, or its result has another shape.
  """
  with errors.calling('The reward'):
    rewards = _to_float32(
      reward.function(architectures, errors.Named('metric', metrics))
    )
  if rewards.shape != (len(architectures),):
    raise ValueError(
      f'The reward must return one number for each of {len(architectures)} '
      f'children, got the shape {rewards.shape}.'
    )
  return rewards


def _why_undefined(reward: float, metrics: Mapping[str, Any], row: int) -> str:
  """Says why a child that was trained has no reward."""
  broken = [
    f'{name} is {float(values[row]):g}'
    for name, values in metrics.items()
    if not np.isfinite(values[row])
  ]
  return f'the reward was {reward:g}' + (
    f' ({", ".join(broken)})' if broken else ''
  )


def _to_float32(rewards: Any) -> np.ndarray:
  try:
    return np.asarray(rewards, np.float32)
  except OverflowError:  # An integer beyond the range of a float.
    bound = float(np.finfo(np.float32).max)
    return np.array(
      [np.nan if abs(each) > bound else each for each in rewards], np.float32
    )

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A trainer and a reward become an evaluator.

    with evaluators.of_function(space, train, floor=0.0) as evaluator:
      ...

is the shortest way to one, by a Python function `(value, seed) -> reward`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
from typing import Any

from absl import logging
import numpy as np

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


def make_evaluator(
  space: SearchSpace,
  trainer: Trainer,
  reward: Reward,
  learning_rate: float | Callable[[Any], float] = 1.0,
  num_steps: int = 1,
  *,
  costs: Mapping[str, Cost] | None = None,
  duration: Cost | None = None,
) -> Evaluator:
  """Makes an evaluator of who trains children, and of what they are worth.

  Args:
    space: what the tokens mean.
    trainer: trains the children and measures them on `'validation'`.
    reward: what architectures and metrics are worth.
    learning_rate: of every child, or `architecture -> learning rate` where it
      is part of the architecture.
    num_steps: how long every child trains.
    costs: of an architecture, by name; they stand among the metrics, for the
      reward to see.
    duration: how long an architecture's training takes in relation to others;
      all alike by default.
  """

  def evaluate(keys, tokens):
    architectures = [space.decode(row) for row in np.asarray(tokens)]
    trained = trainer.run(
      architectures,
      keys,
      [
        learning_rate(each) if callable(learning_rate) else learning_rate
        for each in architectures
      ],
      num_steps,
      durations=(
        None if duration is None else [duration(each) for each in architectures]
      ),
    )
    trained = add_costs(trained, architectures, costs)
    return judge(architectures, trained, reward)

  task = {
    'task': getattr(trainer, 'task', trainer),
    'reward': reward,
    'learning_rate': learning_rate,
    'num_steps': num_steps,
    'costs': costs,
  }
  return Evaluator(evaluate, trainer.block_size, reward.floor, task)


@contextlib.contextmanager
def of_function(
  space: SearchSpace,
  function: Callable[..., Any],
  floor: float,
  **settings: Any,
) -> Iterator[Evaluator]:
  """Makes an evaluator that calls a Python function in worker processes.

  Args:
    space: what the tokens mean.
    function: `(value, seed) -> reward`; see `functions.FunctionTrainer`.
    floor: what a trial that failed is given; what the worst choice would get. A
      lower reward counts as this one.
    **settings: of the trainer, as `num_workers` and `timeout_seconds`.

  Yields:
    The evaluator. The metrics of its trials are what else the function gives.

  Raises:
    ValueError: an argument is out of range, or the function can not be called
      in another process.
  """
  reward = Reward(lambda _, metrics: metrics['validation_reward'], floor)
  with functions.FunctionTrainer(function, **settings) as trainer:
    judged = make_evaluator(space, trainer, reward)

    def evaluate(keys, tokens):
      evaluation = judged.evaluate(keys, tokens)
      metrics = dict(evaluation.metrics)
      metrics.pop('validation_reward', None)  # It is the reward itself.
      return evaluation._replace(metrics=metrics)

    yield judged._replace(evaluate=evaluate, task=function)


def add_costs(
  trained: Trained,
  architectures: Sequence[Any],
  costs: Mapping[str, Cost] | None,
) -> Trained:
  """Returns results whose metrics have the costs of the architectures too.

  Raises:
    ValueError: a cost has the name of a metric.
  """
  if not costs:
    return trained
  twice = sorted(set(costs) & set(trained.metrics))
  if twice:
    raise ValueError(f'A cost and a metric are both called {twice[0]!r}.')
  values = {
    name: np.array([cost(each) for each in architectures])
    for name, cost in costs.items()
  }
  return trained._replace(metrics={**trained.metrics, **values})


def judge(
  architectures: Sequence[Any], trained: Trained, reward: Reward
) -> Evaluation:
  """Turns what came of a training into an evaluation.

  A trial fails because its child did, or because its reward is not finite, and
  never because its reward is low.

  Args:
    architectures: of the children, `N`.
    trained: how their training went.
    reward: what they are worth.
  """
  status = np.array(trained.status, np.int32)
  for name, values in trained.metrics.items():
    if np.shape(values) != status.shape:
      raise ValueError(
        f'The metric {name!r} of a child must be a scalar, got the shape '
        f'{np.shape(values)[1:]}.'
      )
  rewards = np.full(status.shape, reward.floor, np.float32)
  # Where no child was trained there may be no measures.
  if (status == Status.OK).any():
    with np.errstate(all='ignore'):
      rewards = _to_float32(reward.function(architectures, trained.metrics))
  if rewards.shape != status.shape:
    raise ValueError(
      f'The reward must return one number for each of {len(status)} children, '
      f'got the shape {rewards.shape}.'
    )
  status[(status == Status.OK) & ~np.isfinite(rewards)] = Status.DIVERGED
  is_ok, floor = status == Status.OK, np.float32(reward.floor)
  is_low = is_ok & (rewards < floor)
  if is_low.any():
    logging.warning(
      '%d of %d rewards, the lowest %g, are below the floor of the reward, %g, '
      'and count as that; give a floor that no child falls below.',
      is_low.sum(),
      is_ok.size,
      rewards[is_low].min(),
      floor,
    )
  return Evaluation(
    rewards=np.where(is_ok & ~is_low, rewards, floor),
    metrics=trained.metrics,
    status=status,
    reasons=trained.reasons,
  )


def _to_float32(rewards: Any) -> np.ndarray:
  try:
    return np.asarray(rewards, np.float32)
  except OverflowError:  # An integer of more digits than a float can have.
    bound = float(np.finfo(np.float32).max)
    return np.array(
      [np.nan if abs(each) > bound else each for each in rewards], np.float32
    )

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""All recurrent cells of base 2 with shared weights, as codes and as mixtures.

Leaves have their weights in the order of the tokens, not in canonical form, so
that a cell drawn from a policy and the mixture of a relaxation use the same
weights. The reward is that of a single minibatch, `80 / perplexity^2`, the same
for all: with the weights and the minibatch fixed, it is a function of the
tokens, or of probabilities in their place, and its expectation can be computed
exactly.

Letters: `A` cells, `R` estimates, `V` outcomes of all decisions.
"""

from __future__ import annotations

from collections.abc import Callable
import functools
import itertools
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.children import soft_program
from jaxnas.controllers import factorized
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.strategies import estimators
from jaxnas.trainers import mapping
from jaxnas.trainers import shared as shared_trainer
from jaxnas.training import dataset_tasks, text_task

BASE = 2
# From the paper, section 4.2.
_SCALE = 80.0
_SPLIT = 'validation'
_STEPS_A_CALL = 32


class SharedCells:
  """Trains the shared weights, and judges cells and mixtures with them.

  Attributes:
    space: the search space of base 2.
    policy: the factorized policy of its decisions.
    num_children: the number of cells that a step of training takes.
  """

  def __init__(
    self,
    tasks: dataset_tasks.TextTasks,
    recipe: text_task.Recipe,
    *,
    learning_rate: float,
    num_children: int,
    block_size: int,
    num_devices: int | None = None,
    combiners: tuple[str, ...] = spaces.COMBINERS,
    activations: tuple[str, ...] = spaces.ACTIVATIONS,
  ):
    """Makes the task; nothing is compiled yet.

    Args:
      tasks: the text, whose first validation segment is the minibatch.
      recipe: the recipe by which the weights are made and trained.
      learning_rate: the learning rate of the weights.
      num_children: the number of cells of a step of training.
      block_size: the number of cells, or mixtures, per call.
      num_devices: the number of local devices to use; all by default.
      combiners: the combiners to choose from.
      activations: the activations to choose from.

    Raises:
      ValueError: a number is out of range.
    """
    self.space = spaces.make_space(BASE, combiners, activations)
    self.policy = factorized.FactorizedPolicy(self.space.decisions)
    self.num_children = num_children
    self._task = tasks.make_shared_cells(
      recipe,
      self.space,
      learning_rate,
      is_relaxed=True,
      combiners=combiners,
      activations=activations,
    )
    self._soften = functools.partial(
      soft_program.soften,
      base=BASE,
      num_combiners=len(combiners),
      num_activations=len(activations),
    )
    self._trainer = shared_trainer.SharedTrainer(
      self._task, num_children, block_size, num_devices
    )
    self._blocks = mapping.BlockMapping(block_size, num_devices)
    self._programs: dict[str, jax.stages.Wrapped] = {}

  def train(
    self,
    num_steps: int,
    seed: int,
    follow: Callable[[int], None] = lambda num_done: None,
  ) -> tuple[Any, int]:
    """Trains the weights on cells drawn uniformly.

    Args:
      num_steps: the number of steps, each on `num_children` cells.
      seed: decides the initial weights and the cells.
      follow: a function that is called with the number of steps done so far.

    Returns:
      The weights, and the number of gradients that were dropped since a cell
      was dead.
    """
    rng = np.random.default_rng(seed)
    limits = [decision.num_choices for decision in self.space.decisions]
    shape = num_steps, self.num_children, len(limits)
    cells = [
      [self.space.decode(tokens) for tokens in children]
      for children in rng.integers(limits, size=shape)
    ]
    state = self._trainer.init(jax.random.key(seed))
    for start in range(0, num_steps, _STEPS_A_CALL):
      some = cells[start : start + _STEPS_A_CALL]
      state = self._trainer.train(state, some)
      follow(start + len(some))
    return state.params, int(state.num_dropped)

  def untrained(self, seed: int) -> Any:
    """Returns the weights before any training."""
    return self._trainer.init(jax.random.key(seed)).params

  def rewards(
    self,
    params: Any,
    follow: Callable[[int], None] = lambda num_done: None,
  ) -> tuple[np.ndarray, float]:
    """Returns the reward of every cell, and the core-seconds that all took.

    Args:
      params: the weights.
      follow: a function that is called with the number of cells done so far.

    Returns:
      `float32[A]`, ordered as in a `reward_table.Table`; 0 where the loss is
      not finite.
    """
    limits = [range(each.num_choices) for each in self.space.decisions]
    cells = [
      self.space.decode(np.array(tokens, np.int32))
      for tokens in itertools.product(*limits)
    ]
    # The first call compiles, which is not part of the cost of each cell.
    self._trainer.losses(params, cells[:1], _SPLIT)
    before = time.process_time()
    losses = self._trainer.losses(params, cells, _SPLIT, follow=follow)
    seconds = time.process_time() - before
    return np.asarray(reward_of(losses)), seconds

  def gradients(
    self,
    estimator: str,
    params: Any,
    logits: np.ndarray,
    temperature: float,
    seed: int,
    count: int,
  ) -> tuple[np.ndarray, float]:
    """Returns estimates through a relaxation, of one draw each.

    Args:
      estimator: the relaxation, one of `estimators.RELAXATIONS`.
      params: the weights.
      logits: the policy's logits, `[V]`.
      temperature: the relaxation's temperature.
      seed: decides the noise, the same for every relaxation and temperature.
      count: the number of estimates, `R`.

    Returns:
      The estimates, `float32[R, V]`, and the core-seconds that all took.
    """
    program = self._program(estimator)
    keys = jax.random.split(jax.random.key(seed), count)
    data = self._trainer.task.splits[_SPLIT]
    shared = mapping.place((params, jnp.asarray(logits)))
    size = self._blocks.block_size
    found: list[np.ndarray] = []
    seconds = 0.0
    for start in range(0, count, size):
      rows = np.minimum(np.arange(start, start + size), count - 1)
      given = keys[rows], *shared, np.float32(temperature), data
      if not start:
        self._blocks.compile(program, *given)
      before = time.process_time()
      found.append(np.asarray(self._blocks.call(program, *given)))
      seconds += time.process_time() - before
    # The rows that fill the last block cost as much as others.
    seconds *= count / (size * len(found))
    return np.concatenate(found)[:count], seconds

  def _program(self, estimator: str) -> jax.stages.Wrapped:
    if estimator not in self._programs:
      self._programs[estimator] = self._blocks.shard(
        jax.vmap(
          functools.partial(self._estimate, estimator),
          (0, None, None, None, None),
        ),
        (0, None, None, None, None),
      )
    return self._programs[estimator]

  def _estimate(self, estimator, key, params, logits, temperature, data):
    """Returns one estimate of one draw, `[V]`."""

    def objective(probabilities):
      return self._reward(params, probabilities[0], data)[None]

    return estimators.pathwise(
      estimators.RELAXATIONS[estimator],
      self.policy,
      logits,
      key,
      objective,
      temperature=temperature,
    ).gradient

  def reward(self, params: Any, probabilities: jax.Array) -> jax.Array:
    """Returns the reward of a mixture of cells, a differentiable scalar.

    Args:
      params: the weights.
      probabilities: the probabilities of all outcomes, `[V]`.
    """
    data = self._trainer.task.splits[_SPLIT]
    return self._reward(params, probabilities, data)

  def _reward(self, params, probabilities, data):
    program = self._soften(probabilities)
    return reward_of(self._task.judge(data, program, params, 0)['loss'])


def reward_of(losses: jax.typing.ArrayLike) -> jax.Array:
  """Returns `80 / perplexity^2` of losses in nats; 0 where it is not finite."""
  losses = jnp.asarray(losses)
  return jnp.where(jnp.isfinite(losses), _SCALE * jnp.exp(-2 * losses), 0.0)

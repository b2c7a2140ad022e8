# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Estimates of a policy's gradient on cells with shared weights, kept in files.

What takes long is saved as soon as it is made: the weights, the rewards of all
cells, and the estimates through each relaxation. Estimates by REINFORCE look
rewards up and take no time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import functools
import math
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas import npz
from jaxnas.datasets import reward_table
from jaxnas.runs import estimator_report, gradient_errors, shared_cells
from jaxnas.strategies import estimators
from jaxnas.visualize import progress

# REINFORCE's estimates are made in parts, to bound the memory.
_PART = 4096


class Comparison:
  """Makes what is compared, or reads it where it was made before."""

  def __init__(
    self,
    cells: shared_cells.SharedCells,
    folder: pathlib.Path,
    *,
    num_steps: int,
    num_estimates: int,
    seed: int,
  ):
    """Makes nothing yet.

    Args:
      cells: the cells, and the weights that they share.
      folder: the folder of the run.
      num_steps: the number of steps that the weights are trained.
      num_estimates: the number of draws through each relaxation, and of updates
        of REINFORCE.
      seed: decides weights, cells, policies and estimates.
    """
    self._cells, self._folder = cells, folder
    self._num_steps, self._num_estimates = num_steps, num_estimates
    self._seed = seed

  def rows(
    self,
    scales: Sequence[float],
    temperatures: Sequence[float],
    num_draws: Sequence[int],
  ) -> list[estimator_report.Row]:
    """Makes all estimates, and judges them.

    Args:
      scales: the standard deviation of the logits of each policy; 0: uniform.
        The logits of two policies differ in their scale alone.
      temperatures: the temperatures of relaxations that have one.
      num_draws: the numbers of draws of an update, ascending.

    Raises:
      ValueError: a saved file is damaged, or an exact gradient is zero.
    """
    params = self._params()
    rewards, cell_seconds = self._rewards(params)
    made = {
      (scale, estimator, temperature): self._relaxed(
        params, scale, estimator, temperature
      )
      for scale, estimator, temperature in self._told(scales, temperatures)
    }
    rows = []
    for scale in scales:
      logits = self._logits(scale)
      value, gradient = estimators.exact(
        self._cells.policy, jnp.asarray(logits), jnp.asarray(rewards)
      )
      exact = np.asarray(gradient)
      policy = estimator_report.Policy(
        f'logits of scale {scale:g}' if scale else 'uniform',
        scale,
        float(value),
        float(np.linalg.norm(exact)),
      )
      for estimator in ('reinforce', 'leave_one_out'):
        by_draws = self._reinforced(estimator, logits, rewards, num_draws)
        if by_draws:
          errors = gradient_errors.judge(by_draws, exact, num_draws)
          rows.append(
            estimator_report.Row(policy, estimator, None, errors, cell_seconds)
          )
      for (own, estimator, temperature), (found, seconds) in made.items():
        if own != scale:
          continue
        kinds = {estimator: found}
        if temperature is not None:
          kinds[f'{estimator}_clipped'] = np.asarray(
            estimators.clip_draws(jnp.asarray(found))
          )
        for name, each in kinds.items():
          errors = gradient_errors.judge({1: each}, exact, num_draws)
          rows.append(
            estimator_report.Row(policy, name, temperature, errors, seconds)
          )
    order = list(estimator_report.LABELS)
    # Stable, so that temperatures stay in their order.
    rows.sort(
      key=lambda row: (
        scales.index(row.policy.scale),
        order.index(row.estimator),
      )
    )
    return rows

  def _logits(self, scale: float) -> np.ndarray:
    rng = np.random.default_rng(self._seed)
    normal = rng.standard_normal(self._cells.policy.num_outcomes)
    return (scale * normal).astype(np.float32)

  def _params(self) -> Any:
    """Returns the shared weights."""
    like = self._cells.untrained(self._seed)
    leaves, structure = jax.tree.flatten(like)
    names = [f'weights_{number}' for number in range(len(leaves))]

    def make():
      print('Training the shared weights:', flush=True)
      with progress.Progress(self._num_steps, unit='step') as bar:
        params, num_dropped = self._cells.train(
          self._num_steps, self._seed, bar.update
        )
      return {
        **dict(zip(names, jax.tree.leaves(params), strict=True)),
        'num_dropped': np.array(num_dropped),
      }

    shapes = {
      **{name: leaf.shape for name, leaf in zip(names, leaves, strict=True)},
      'num_dropped': (),
    }
    arrays = self._saved('weights', shapes, make)
    num_dropped = int(arrays['num_dropped'])
    if num_dropped:
      total = self._num_steps * self._cells.num_children
      print(
        f'{num_dropped:,} of {total:,} gradients of the weights were not '
        'finite, and left out.'
      )
    return jax.tree.unflatten(structure, [arrays[name] for name in names])

  def _rewards(self, params: Any) -> tuple[np.ndarray, float]:
    """Returns the rewards of all cells, and the core-seconds of one."""
    size = self._cells.space.size

    def make():
      print('Evaluating all cells:', flush=True)
      with progress.Progress(size, unit='cell') as bar:
        rewards, seconds = self._cells.rewards(params, bar.update)
      return {'rewards': rewards, 'seconds': np.array(seconds)}

    arrays = self._saved('rewards', {'rewards': (size,), 'seconds': ()}, make)
    return arrays['rewards'], float(arrays['seconds']) / size

  def _told(self, scales, temperatures):
    """Yields the settings of all relaxed estimates, and shows how many."""
    settings = [
      (scale, estimator, temperature)
      for scale in scales
      for estimator in estimators.RELAXATIONS
      for temperature in ((None,) if estimator == 'darts' else temperatures)
    ]
    print('Estimating through relaxations:', flush=True)
    with progress.Progress(len(settings), unit='setting') as bar:
      for number, each in enumerate(settings):
        bar.update(number)
        yield each
      bar.update(len(settings))

  def _relaxed(
    self, params, scale, estimator, temperature
  ) -> tuple[np.ndarray, float]:
    """Returns estimates through a relaxation, and the core-seconds of one."""
    # Without noise all are equal.
    count = 1 if temperature is None else self._num_estimates
    name = f'estimates/{estimator}_{scale:g}'
    if temperature is not None:
      name += f'_{temperature:g}'

    def make():
      found, seconds = self._cells.gradients(
        estimator,
        params,
        self._logits(scale),
        1.0 if temperature is None else temperature,
        self._seed,
        count,
      )
      return {'estimates': found, 'seconds': np.array(seconds)}

    shape = count, self._cells.policy.num_outcomes
    arrays = self._saved(name, {'estimates': shape, 'seconds': ()}, make)
    # Equal estimates of a block are computed once, which tells no cost of one.
    seconds = math.nan if temperature is None else float(arrays['seconds'])
    return arrays['estimates'], seconds / count

  def _reinforced(
    self, estimator, logits, rewards, num_draws
  ) -> dict[int, np.ndarray]:
    """Returns estimates by REINFORCE, by the number of draws of each."""
    policy = self._cells.policy
    sizes = tuple(each.num_choices for each in self._cells.space.decisions)
    look_up = functools.partial(
      reward_table.look_up, sizes, jnp.asarray(rewards)
    )
    counts = {1: self._num_estimates * max(num_draws)}
    if estimator == 'leave_one_out':
      counts = {each: self._num_estimates for each in num_draws if each > 1}
    found = {}
    for each, count in counts.items():

      @jax.jit
      def estimate(keys, each=each):
        return jax.lax.map(
          lambda key: (
            estimators.score_function(
              policy,
              jnp.asarray(logits),
              key,
              look_up,
              each,
              None if estimator == 'leave_one_out' else 0.0,
            ).gradient
          ),
          keys,
          batch_size=max(1, min(_PART, count) // each),  # noqa: B023  # Called immediately.
        )

      keys = jax.random.split(jax.random.key(self._seed), count)
      found[each] = np.asarray(estimate(keys))
    return found

  def _saved(
    self,
    name: str,
    shapes: dict[str, tuple[int, ...]],
    make: Callable[[], dict[str, Any]],
  ) -> dict[str, np.ndarray]:
    """Returns arrays from their file; makes them if there is none."""
    file = self._folder / f'{name}.npz'
    if not file.exists():
      file.parent.mkdir(exist_ok=True)
      npz.write(file, make())
    hint = 'delete it, and the same command makes it again'
    try:
      arrays = npz.read(file, tuple(shapes))
    except npz.NpzError as error:
      raise ValueError(f'{file} is damaged ({error.reason}); {hint}.') from None
    for key, shape in shapes.items():
      if arrays[key].shape != shape or arrays[key].dtype.kind not in 'if':
        raise ValueError(
          f'{file} has {key} of shape {arrays[key].shape} and not {shape}; '
          f'{hint}.'
        )
    return arrays

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Judges of a succession's cells: a table, or trainings cached in a file."""

from __future__ import annotations

import hashlib
import os

import numpy as np

from jaxnas import rewards
from jaxnas.datasets import base2_bench
from jaxnas.records import trial_log
from jaxnas.trainers import cell_trainer
from jaxnas.types import SearchSpace

_REWARD = rewards.make_perplexity_reward(metric='perplexity')


class TableJudge:
  """Looks rewards up in Base2Bench.

  Attributes:
    fingerprint: a hash of the rewards.
  """

  def __init__(self, table: base2_bench.Base2Bench):
    """Reads the rewards.

    Raises:
      ValueError: the table is not complete.
    """
    self._rewards = table.rewards()
    self.fingerprint = hashlib.sha256(self._rewards.tobytes()).hexdigest()[:16]

  def __call__(self, tokens: np.ndarray) -> np.ndarray:
    """Returns rewards, `int32[N, T] -> float32[N]`."""
    return self._rewards[base2_bench.ranks_of(tokens)]


class TrainJudge:
  """Trains each cell once, and caches its reward in a file."""

  def __init__(
    self,
    space: SearchSpace,
    trainer: cell_trainer.CellTrainer,
    num_steps: int,
    path: str | os.PathLike[str],
  ):
    """Reads the file.

    Args:
      space: the search space of the cells.
      trainer: the trainer of the cells.
      num_steps: the number of steps of each training.
      path: the file, created if needed.

    Raises:
      ValueError: a line of the file is damaged.
    """
    self._space, self._trainer = space, trainer
    self._num_steps = num_steps
    self._lines = trial_log.JsonLines(path)
    try:
      trial_log.check_fields(path, self._lines.lines, tokens=list, reward=float)
      self._known = {
        tuple(line['tokens']): line['reward'] for line in self._lines.lines
      }
    except (KeyError, TypeError, ValueError):
      self._lines.close()
      raise ValueError(
        f'{path} does not hold rewards of cells; remove it, and the cells will '
        'be trained again.'
      ) from None

  def __call__(self, tokens: np.ndarray) -> np.ndarray:
    """Returns rewards, `int32[N, T] -> float32[N]`; 0 where a child failed."""
    canonical = [
      tuple(self._space.canonical(row).tolist()) for row in np.asarray(tokens)
    ]
    new = [cell for cell in dict.fromkeys(canonical) if cell not in self._known]
    if new:
      self._train(new)
    return np.array([self._known[cell] for cell in canonical], np.float32)

  def _train(self, cells: list[tuple[int, ...]]) -> None:
    for rows, measured in self._trainer.train_each(
      np.array(cells, np.int32), [0] * len(cells), self._num_steps
    ):
      values = judge(measured['validation'][:, -1]).tolist()
      done = [cells[row] for row in rows]
      self._known.update(zip(done, values, strict=True))
      self._lines.append(
        [{'tokens': cell, 'reward': self._known[cell]} for cell in done]
      )

  def close(self) -> None:
    """Closes the file."""
    self._lines.close()


def judge(perplexities: np.ndarray) -> np.ndarray:
  """Returns the rewards of perplexities; 0 where not finite."""
  with np.errstate(all='ignore'):
    values = _REWARD.function((), {'perplexity': perplexities})
  return np.where(np.isfinite(values), values, 0).astype(np.float32)

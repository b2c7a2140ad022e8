# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The common part of trainers that treat new and kept children alike."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxnas.trainers import outcomes
from jaxnas.types import Kept, Span, Trained


class ResumableTrainer(abc.ABC):
  """A `types.Trainer` that trains any children over a span of their steps.

  A subclass defines `_train_all`; the arguments of `run` and `resume` are
  checked before it is called.
  """

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
    """Trains and measures `N` children; see `types.Trainer`.

    Raises:
      ValueError: there is no child, the arguments have different lengths, or
        `stop` is out of range.
    """
    rates = outcomes.check(architectures, keys, learning_rates)
    states = [None] * len(rates)
    return self._train_all(
      Kept(architectures, keys, rates, num_steps, 0, states),
      outcomes.span(0, stop, num_steps),
      splits,
      durations,
      keep,
    )

  def resume(
    self,
    kept: Kept,
    *,
    splits: Sequence[str] = ('validation',),
    stop: int | None = None,
    keep: bool = False,
  ) -> Trained:
    """Continues the training of kept children; see `types.Trainer`.

    Raises:
      ValueError: there is no child, or `stop` is out of range.
    """
    outcomes.check(kept.architectures, kept.keys, kept.learning_rates)
    span = outcomes.span(kept.num_trained, stop, kept.num_steps)
    return self._train_all(kept, span, splits, None, keep)

  @abc.abstractmethod
  def _train_all(
    self,
    children: Kept,
    span: Span,
    splits: Sequence[str],
    durations: Sequence[float] | None,
    keep: bool,
  ) -> Trained:
    """Trains children from the start of the span, and measures them.

    Args:
      children: the children; a span that starts at 0 makes their states anew.
      span: the steps to train.
      splits: the names of the splits that each child is measured on.
      durations: the expected duration of each training relative to the others,
        if known.
      keep: whether to keep the children.
    """

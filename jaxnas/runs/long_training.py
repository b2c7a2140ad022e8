# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The description of a long training, which `training_run` runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
import dataclasses
from typing import Any

import jax

from jaxnas.runs import training_terms
from jaxnas.types import Task


@dataclasses.dataclass(frozen=True, eq=False)
class Training:
  """Everything that `training_run.run` needs to know about a training.

  A model is the part of a child's state that is measured and kept.

  Attributes:
    label: a line that says what is trained.
    terms: the words and units that the training is described in.
    settings: the settings, and values derived from them, that a resumption must
      share.
    free: the names of the settings that may change.
    num_epochs: the length of the training, in epochs.
    epoch_steps: the number of steps in an epoch.
    architecture: the child's architecture.
    task: the task by which the child is made, trained and measured on the
      splits `'validation'` and `'report'`.
    key: the child's random key.
    initial_learning_rate: the child's learning rate, before its schedule.
    learning_rate: the schedule, `step -> rate`.
    model: the function that takes the model from a state, `state -> model`.
    with_model: the function that replaces the model in a state, `(state, model)
      -> state`.
    train_value: the function `metrics -> value` that returns the training's own
      metric over the epoch that has just ended.
    load_test: the function `() -> (split, size)` that loads the test split and
      counts its elements, such as tokens or images.
    write_weights: the function `(path, model, **facts)` that writes a model.
    load: the public function that loads the weights, `path -> trained model`.
    evaluate_test: whether the test split is measured at the end.
    checkpoint_seconds: the longest time between two checkpoints, approximately.
    facts: further entries of the manifest; with a `seen_hash`, a run that was
      started without a test split continues with one.
    defaults: the values of settings that older versions did not have.
    log_to: the names of the sinks that scalars go to; see `records.sinks`.
  """

  label: str
  terms: training_terms.Terms
  settings: Mapping[str, Any]
  free: Collection[str]
  num_epochs: int
  epoch_steps: int
  architecture: Any
  task: Task
  key: jax.Array
  initial_learning_rate: float
  learning_rate: Callable[[int], Any]
  model: Callable[[Any], Any]
  with_model: Callable[[Any, Any], Any]
  train_value: Callable[[Mapping[str, Any]], float]
  load_test: Callable[[], tuple[Any, int]]
  write_weights: Callable[..., None]
  load: Callable[[str], Any]
  evaluate_test: bool
  checkpoint_seconds: float
  facts: Mapping[str, Any]
  defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  log_to: Sequence[str] = ()

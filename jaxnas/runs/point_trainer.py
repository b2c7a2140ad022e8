# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Trains the points of a tuning, each by a long training of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import contextlib
import io
import pathlib
import time
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnas.records import workdir
from jaxnas.runs import long_training, training_run, tuning_page
from jaxnas.trainers import memory
from jaxnas.types import Kept, Status, Trained

BUSY_SECONDS = 90.0
"""The longest time that a worker waits for a lost one to leave a folder.

A machine that is cut off from the network keeps training for up to a minute.
"""


class Point(NamedTuple):
  """A point of the grid of a tuning.

  Attributes:
    folder: the folder of the tuning.
    values: the value of each tuned setting, by name.
  """

  folder: str
  values: Mapping[str, Any]


class PointTrainer:
  """Trains points to the end; see `types.Trainer`.

  Each training has a folder of its own in that of the tuning. A killed training
  continues there, and a finished one is not trained again.

  Attributes:
    block_size: the number of points that a caller should request at a time.
    num_devices: the number of devices that a point is trained on.
    compile_seconds: the time spent compiling: always 0, since `run_seconds`
      includes it.
    run_seconds: the time spent in trainings so far, in seconds.
    can_pause: false, since a training keeps its own checkpoints.
  """

  block_size = 1
  num_devices = 1
  compile_seconds = 0.0
  can_pause = False

  def __init__(
    self,
    make_training: Callable[[Mapping[str, Any]], long_training.Training],
    is_remote: bool = False,
  ):
    """Makes a trainer.

    Args:
      make_training: the function that makes the training of a point,
        `values -> training`.
      is_remote: whether this process is a worker, whose trainings do not show
        their progress.
    """
    self._make_training, self._is_remote = make_training, is_remote
    self.run_seconds = 0.0

  def run(
    self,
    architectures: Sequence[Point],
    keys: jax.Array,
    learning_rates: np.ndarray | Sequence[float],
    num_steps: int,
    *,
    splits: Sequence[str] = ('validation',),
    durations: Sequence[float] | None = None,
    stop: int | None = None,
    keep: bool = False,
  ) -> Trained:
    """Trains a point.

    Args:
      architectures: a sequence of one point.
      keys: ignored, since the seed is a setting of the training.
      learning_rates: ignored, since the learning rate is a setting.
      num_steps: ignored, since the length is a setting.
      splits: ignored, since a training chooses its own splits.
      durations: ignored.
      stop: ignored, since a training cannot be paused.
      keep: ignored, since a training keeps its own checkpoints.

    Returns:
      The numbers of the training's `result.json`.

    Raises:
      ValueError: the folder of the tuning is missing, the folder of the
        training holds another run, or `log_to` names a sink that is not
        installed.
      OSError: a file cannot be read or written.
    """
    del keys, learning_rates, num_steps, splits, durations, stop, keep
    (point,) = architectures
    if not pathlib.Path(point.folder, 'config.json').exists():
      raise ValueError(
        f'{point.folder} is not there; all machines that train for a tuning '
        'must find its folder at the same path'
      )
    started = time.perf_counter()
    shown = io.StringIO()
    with (
      contextlib.redirect_stdout(shown)
      if self._is_remote
      else contextlib.nullcontext()
    ):
      trained = self._train(point)
    self.run_seconds += time.perf_counter() - started
    return trained

  def resume(self, kept: Kept, **settings: Any) -> Trained:
    """Raises `ValueError`, since no child can be kept."""
    del kept, settings
    raise ValueError('A long training keeps its own checkpoints.')

  def _train(self, point: Point) -> Trained:
    """Returns a point's outcome: a result, or the reason why it has none."""
    training = self._make_training(point.values)
    folder = str(tuning_page.training_folder(point.folder, point.values))
    try:
      result = self._run(training, folder)
    except training_run.DivergedError as error:
      status, reason = Status.DIVERGED, error.what
    except memory.NotEnoughMemoryError as error:
      status, reason = Status.OUT_OF_MEMORY, str(error)
    else:
      metrics = {
        name: np.array([value])
        for name, value in sorted(result.items())
        if isinstance(value, float) or name == 'epoch'
      }
      return Trained(metrics, np.array([Status.OK], np.int32))
    return Trained({}, np.array([status], np.int32), (reason,))

  def _run(
    self, training: long_training.Training, folder: str
  ) -> Mapping[str, Any]:
    deadline = time.monotonic() + BUSY_SECONDS * self._is_remote
    while True:
      try:
        return training_run.run(training, folder, is_shown=False)
      except workdir.WorkdirBusyError:
        if time.monotonic() >= deadline:
          raise
        time.sleep(1.0)

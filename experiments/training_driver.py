# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Drives a long training from its start or resumption to its tables and files.

Files beside those of every run: `epochs.jsonl` (a line for each epoch, added
to only), `weights.npz` (the parameters of the best epoch), `result.json` and,
once the test split was looked at, `test.json`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
import dataclasses
import math
import pathlib
import time
from typing import Any, NamedTuple

from absl import logging
import jax
import jax.numpy as jnp

from jaxnas.children import long_training, text_training
from jaxnas.records import checkpoints as checkpoints_lib
from jaxnas.records import trial_log, workdir
from jaxnas.visualize import progress


@dataclasses.dataclass(frozen=True, eq=False)
class Training:
  """What a training experiment hands to the driver.

  Attributes:
    label: says in a line what is trained.
    settings: the settings, with what they led to, that a resumption must share.
    free: those of them that may change.
    num_epochs: how long the training is.
    num_segments: how many steps an epoch has.
    init: `() -> state`.
    train: `(state, segments, num_steps) -> state`, jitted; the state is given
      away.
    segments: what is trained on.
    learning_rate: `step -> rate`.
    measure: `(params, split) -> (perplexity, number of tokens)`; the split
      `'test'` is loaded by the call.
    write_weights: `(path, params, **facts)`.
    load_lines: Python that loads the weights, with `{path!r}` in it.
    evaluate_test: whether the test split is measured at the end.
    checkpoint_seconds: at most about so long between two checkpoints.
    facts: what the manifest should say besides.
  """

  label: str
  settings: Mapping[str, Any]
  free: Collection[str]
  num_epochs: int
  num_segments: int
  init: Callable[[], long_training.TrainState]
  train: Callable[..., long_training.TrainState]
  segments: text_training.Segments
  learning_rate: Callable[[int], Any]
  measure: Callable[[Any, str], tuple[float, int]]
  write_weights: Callable[..., None]
  load_lines: str
  evaluate_test: bool
  checkpoint_seconds: float
  facts: Mapping[str, Any]


def run(training: Training, folder: str) -> None:
  """Trains, resumes or shows a training.

  Args:
    training: what to run.
    folder: the run's folder, its `--workdir`.
  """
  with workdir.lock(folder) as path:
    _check_num_epochs(training.num_epochs, path)
    workdir.check_config(path, training.settings, training.free)
    with (
      checkpoints_lib.Checkpoints(path / 'checkpoints') as checkpoints,
      trial_log.JsonLines(path / 'epochs.jsonl') as epochs,
      trial_log.JsonLines(path / 'timings.jsonl') as timings,
    ):
      _Run(training, path, checkpoints, epochs, timings).run()


def _check_num_epochs(num_epochs: int, path: pathlib.Path) -> None:
  """Refuses a length that the files of the run rule out."""
  epochs, test = path / 'epochs.jsonl', path / 'test.json'
  num_done = len(trial_log.read_json_lines(epochs)) if epochs.exists() else 0
  if num_done > num_epochs:
    raise ValueError(
      f'num_epochs is {num_epochs}, but {path} has trained {num_done} '
      f'already; give --num_epochs={num_done} or more, or another --workdir.'
    )
  if test.exists():
    tested = workdir.read_json(test).get('num_epochs')
    if tested != num_epochs:
      raise ValueError(
        f'num_epochs is {num_epochs}, but {path} was measured on the '
        f'test split after {tested} and is final; start with another '
        '--workdir.'
      )


class _Best(NamedTuple):
  """The parameters with the lowest validation perplexity so far.

  Attributes:
    params: the parameters.
    perplexity: theirs on the validation split.
    epoch: after how many epochs; 0 if none is finished.
  """

  params: Any
  perplexity: jax.Array
  epoch: jax.Array


class _Run:
  """One start of a training, from its start or its newest checkpoint."""

  def __init__(
    self,
    training: Training,
    path: pathlib.Path,
    checkpoints: checkpoints_lib.Checkpoints,
    epochs: trial_log.JsonLines,
    timings: trial_log.JsonLines,
  ):
    self._training, self._path = training, path
    self._checkpoints, self._epochs = checkpoints, epochs
    self._clock = _Clock(timings, training.checkpoint_seconds)
    self._num_saved = 0
    self._state, self._best = self._restore()

  def run(self) -> None:
    training, path = self._training, self._path
    must_train = self._num_done < training.num_epochs
    must_test = training.evaluate_test and not (path / 'test.json').exists()
    if must_train or must_test:
      workdir.write_manifest(path, **training.facts)
    print(training.label)
    if must_train:
      if self._num_saved:
        print(f'Resuming the training in {path} after {self._num_saved} steps.')
      self._train()
    else:
      print(f'Found the finished training in {path}; nothing is left to train.')
    result = self._finish()
    if must_test:
      self._test()
    self._show(result)

  @property
  def _num_trained(self) -> int:
    return int(self._state.num_trained)

  @property
  def _num_done(self) -> int:
    return self._num_trained // self._training.num_segments

  def _restore(self):
    def start():
      state = jax.jit(self._training.init)()
      nothing = jnp.array(jnp.inf, jnp.float32), jnp.array(0, jnp.int32)
      # A copy, because the state is given away at every step.
      return state, _Best(jax.tree.map(jnp.copy, state.params), *nothing)

    restored = self._checkpoints.restore_newest(jax.eval_shape(start))
    if restored is None:
      return start()
    self._num_saved, (state, best) = restored
    lines = self._epochs.lines
    num_done = self._num_saved // self._training.num_segments
    numbers = [line.get('epoch') for line in lines]
    if numbers != [*range(1, len(lines) + 1)] or len(lines) < num_done:
      raise ValueError(
        f'{self._epochs.path} does not hold the {num_done} epochs that the '
        'checkpoint has; restore it from a copy or use another --workdir.'
      )
    return state, best

  def _train(self):
    num_segments = self._training.num_segments
    total = self._training.num_epochs * num_segments
    self._state = self._clock.time_steps(
      self._training.train, self._state, self._training.segments, 0
    )
    with progress.Progress(total, unit='step') as bar:
      self._show_place(bar)
      while (num_trained := self._num_trained) < total:
        self._train_some(num_segments - num_trained % num_segments)
        if self._num_trained % num_segments == 0:
          bar.print(self._finish_epoch())
          self._save()
        elif self._clock.is_save_due:
          self._save()
        self._show_place(bar)
        if self._clock.is_first_estimate:
          left = total - self._num_trained
          seconds = self._clock.estimate(left)
          bar.print(
            f'Estimated cost: {progress.duration(seconds)} for {left:,} steps.'
          )
    print(f'Real cost: {progress.duration(self._clock.total)}.')

  def _train_some(self, most: int):
    training, num_steps = self._training, min(most, self._clock.num_steps)
    before = self._num_trained
    self._state = self._clock.time_steps(
      training.train, self._state, training.segments, num_steps
    )
    if not self._state.is_alive:
      raise self._diverged(
        f'the loss or its gradient was not finite between steps {before:,} and '
        f'{before + num_steps:,}'
      )

  def _show_place(self, bar):
    best = {}
    if self._best.epoch:
      best[f'epoch {self._best.epoch}'] = float(self._best.perplexity)
    bar.update(self._num_trained, best, 'validation perplexity' if best else '')

  def _finish_epoch(self) -> str:
    """Measures the validation split; returns a line about the epoch."""
    training, state = self._training, self._state
    validation, _ = training.measure(state.params, 'validation')
    if not math.isfinite(validation):
      raise self._diverged('the validation perplexity is not finite')
    epoch = self._num_done
    is_best = validation < float(self._best.perplexity)
    if is_best:
      self._best = _Best(
        jax.tree.map(jnp.copy, state.params),
        jnp.array(validation, jnp.float32),
        jnp.array(epoch, jnp.int32),
      )
    nats = float(state.nats) / training.num_segments
    line = {
      'epoch': epoch,
      'learning_rate': float(training.learning_rate(self._num_trained - 1)),
      'train_perplexity': math.exp(min(nats, 700.0)),
      'validation_perplexity': validation,
    }
    self._record(line)
    return (
      f'Epoch {epoch}: perplexity {line["train_perplexity"]:.2f} in training, '
      f'{validation:.2f} on validation{" (best)" if is_best else ""}; '
      f'learning rate {line["learning_rate"]:.4g}.'
    )

  def _record(self, line):
    """Writes the line of an epoch, or finds that it stands there."""
    number, lines = line['epoch'], self._epochs.lines
    if len(lines) < number:
      self._epochs.append([line])
    elif lines[number - 1] != line:
      raise ValueError(
        f'{self._epochs.path}: epoch {number}, trained again, came out '
        'unlike its line: the machine or a version has changed. Cut the file '
        f'before line {number} to go on as it is now.'
      )

  def _save(self):
    self._checkpoints.save(self._num_trained, (self._state, self._best))
    self._num_saved = self._num_trained
    self._clock.lap(self._num_saved)

  def _diverged(self, reason: str) -> ValueError:
    num_lines = len(self._epochs.lines)
    way_out = (
      f', or with --num_epochs={num_lines} and this one to keep what there is'
      if num_lines and 'num_epochs' in self._training.free
      else ''
    )
    return ValueError(
      f'The training diverged: {reason}. Start with another --workdir and a '
      f'smaller --learning_rate or --max_grad_norm{way_out}. The checkpoint '
      f'after {self._num_saved} steps stays as it is.'
    )

  def _finish(self) -> Mapping[str, Any]:
    """Writes the best parameters, unless that is done; returns the result."""
    training, path = self._training, self._path
    weights = path / 'weights.npz'
    if (path / 'result.json').exists() and weights.exists():
      result = workdir.read_json(path / 'result.json')
      if result.get('num_epochs') == self._training.num_epochs:
        return result
    report, _ = training.measure(self._best.params, 'report')
    result = {
      'num_epochs': training.num_epochs,
      'epoch': int(self._best.epoch),
      'validation_perplexity': float(self._best.perplexity),
      'report_perplexity': report,
    }
    training.write_weights(weights, self._best.params, **result)
    workdir.write_json(path / 'result.json', result)
    return result

  def _test(self):
    perplexity, num_tokens = self._training.measure(self._best.params, 'test')
    logging.info('Test perplexity: %.4f.', perplexity)
    workdir.write_json(
      self._path / 'test.json',
      {
        'test_perplexity': perplexity,
        'num_tokens': num_tokens,
        'epoch': int(self._best.epoch),
        'num_epochs': self._training.num_epochs,
        'validation_perplexity': float(self._best.perplexity),
        'data_hash': self._training.facts['data_hash'],
      },
    )

  def _show(self, result):
    path, best = self._path, result['epoch']
    lines = self._epochs.lines
    shown = {best - 1, *range(max(0, len(lines) - 10), len(lines))}
    progress.table(
      f'Perplexity after each epoch: the last {len(shown)} and the best'
      if len(shown) < len(lines)
      else 'Perplexity after each epoch',
      ['epoch', 'training', 'validation', 'learning rate'],
      [
        [
          f'{lines[index]["epoch"]}{" (best)" if index == best - 1 else ""}',
          f'{lines[index]["train_perplexity"]:.2f}',
          f'{lines[index]["validation_perplexity"]:.2f}',
          f'{lines[index]["learning_rate"]:.4g}',
        ]
        for index in sorted(shown)
      ],
    )
    print(
      f'Best: epoch {best}, perplexity {result["validation_perplexity"]:.2f} '
      f'on validation and {result["report_perplexity"]:.2f} on report.'
    )
    if (path / 'test.json').exists():
      test = workdir.read_json(path / 'test.json')
      print(
        f'Test perplexity: {test["test_perplexity"]:.2f} '
        f'({test["num_tokens"]:,} tokens).'
      )
    weights = str(path / 'weights.npz')
    print(f'Wrote {weights}; these lines of Python load it:\n')
    print(self._training.load_lines.format(path=weights))


class _Clock:
  """Decides how much is done at once, and writes what the time went to.

  The training comes out the same however it is cut into calls.
  """

  _CALL_SECONDS = 1.0

  def __init__(self, timings: trial_log.JsonLines, save_seconds: float):
    self._timings = timings
    self._save_seconds = save_seconds
    self._started = self._last = time.perf_counter()
    self._compile_seconds = self._train_seconds = 0.0
    self._step_seconds = 0.0
    self._num_calls = 0

  @property
  def total(self) -> float:
    return time.perf_counter() - self._started

  @property
  def is_save_due(self) -> bool:
    return time.perf_counter() - self._last >= self._save_seconds

  @property
  def is_first_estimate(self) -> bool:
    return self._num_calls == 3

  @property
  def num_steps(self) -> int:
    # A short call warms up, and another gives the estimate.
    if self._num_calls < 3:
      return (0, 1, 4)[self._num_calls]
    return max(1, int(self._CALL_SECONDS / self._step_seconds))

  def estimate(self, num_steps: int) -> float:
    return num_steps * self._step_seconds

  def time_steps(self, train, state, segments, num_steps: int):
    """Trains; a first call, of no steps, does nothing but compile."""
    started = time.perf_counter()
    state = jax.block_until_ready(train(state, segments, jnp.int32(num_steps)))
    seconds = time.perf_counter() - started
    if self._num_calls:
      self._train_seconds += seconds
      self._step_seconds = seconds / num_steps
    else:
      self._compile_seconds = seconds
    self._num_calls += 1
    return state

  def lap(self, num_trained: int) -> None:
    now = time.perf_counter()
    self._timings.append(
      [
        {
          'phase': 'train',
          'num_trained': num_trained,
          'wall_seconds': now - self._last,
          'compile_seconds': self._compile_seconds,
          'train_seconds': self._train_seconds,
        }
      ]
    )
    self._last = now
    self._compile_seconds = self._train_seconds = 0.0

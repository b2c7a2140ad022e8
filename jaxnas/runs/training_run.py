# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Runs a long training from its start or resumption to its tables and files.

The files beside those of every run: `epochs.jsonl` (append-only, one line per
epoch), `weights.npz` (the model of the best epoch), `result.json` and, once the
test split has been looked at, `test.json`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import math
import pathlib
from typing import Any, NamedTuple

from absl import logging
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.records import checkpoints as checkpoints_lib
from jaxnas.records import heads, sinks, trial_log, workdir
from jaxnas.runs import (
  long_training,
  scalars,
  training_child,
  training_clock,
  training_results,
)
from jaxnas.visualize import progress

_MAX_STEPS = np.iinfo(np.int32).max


class DivergedError(ValueError):
  """A training whose loss, gradient or validation measure was not finite.

  Attributes:
    what: the message without the advice.
  """

  def __init__(self, what: str, advice: str):
    super().__init__(f'{what} {advice}')
    self.what = what


def run(
  training: long_training.Training, folder: str, is_shown: bool = True
) -> Mapping[str, Any]:
  """Trains, resumes or shows a training.

  Args:
    training: the training to run.
    folder: the run's folder, its `--workdir`.
    is_shown: whether tables and the result are printed at the end.

  Returns:
    The contents of `result.json`.

  Raises:
    DivergedError: the training diverged.
    ValueError: the folder holds another run, or `log_to` names a sink that
      is unknown or not installed.
    OSError: a file cannot be read or written.
  """
  sinks.check(training.log_to)
  _check_num_steps(training)
  with workdir.lock(folder) as path:
    _check_num_epochs(training.num_epochs, path)
    workdir.check_config(
      path,
      _known_settings(training, path),
      training.free,
      training.defaults,
    )
    with (
      checkpoints_lib.Checkpoints(path / 'checkpoints') as checkpoints,
      trial_log.JsonLines(path / 'epochs.jsonl') as epochs,
      trial_log.JsonLines(path / 'timings.jsonl') as timings,
      heads.guard(path, lambda: heads.of(epochs, timings)),
    ):
      this = _Run(training, path, checkpoints, epochs, timings)
      take = scalars.OfEpochs(epochs.lines, this.results).take
      with sinks.Sinks(path, training.log_to, take) as outlets:
        result = this.run(outlets.update)
      if is_shown:
        this.show(result)
      return result


def _known_settings(
  training: long_training.Training, path: pathlib.Path
) -> Mapping[str, Any]:
  """Returns the settings, with the hash by which the run knows its data."""
  config, seen_hash = path / 'config.json', training.facts.get('seen_hash')
  if seen_hash is None or not config.exists():
    return training.settings
  if workdir.read_config(config.parent).get('data_hash') != seen_hash:
    return training.settings
  return {**training.settings, 'data_hash': seen_hash}


def _check_num_steps(training: long_training.Training) -> None:
  """Refuses a length that programs cannot count."""
  most = _MAX_STEPS // training.epoch_steps
  if training.num_epochs > most:
    raise ValueError(
      f'num_epochs must be at most {most:,} with {training.epoch_steps:,} '
      f'steps in an epoch, got {training.num_epochs:,}.'
    )


def _check_num_epochs(num_epochs: int, path: pathlib.Path) -> None:
  """Refuses a length that the files of the run rule out."""
  epochs, test = path / 'epochs.jsonl', path / 'test.json'
  num_done = len(trial_log.read_json_lines(epochs)) if epochs.exists() else 0
  if num_done > num_epochs:
    raise ValueError(
      f'num_epochs is {num_epochs}, but {path} has already trained {num_done}; '
      f'give --num_epochs={num_done} or more, or another --workdir.'
    )
  if test.exists():
    tested = workdir.read_json(test).get('num_epochs')
    if tested != num_epochs:
      raise ValueError(
        f'num_epochs is {num_epochs}, but {path} was measured on the test '
        f'split after {tested} and is final; start with another --workdir.'
      )


class _Best(NamedTuple):
  """The best model so far, by the validation split.

  Attributes:
    model: the model.
    value: the model's measure on the validation split.
    epoch: the number of epochs that it was trained for; 0 before the first one
      is finished.
  """

  model: Any
  value: jax.Array
  epoch: jax.Array


class _Run:
  """One start of a training, from its start or its newest checkpoint.

  Attributes:
    results: the contents of `result.json` and `test.json`, once they are there.
  """

  def __init__(
    self,
    training: long_training.Training,
    path: pathlib.Path,
    checkpoints: checkpoints_lib.Checkpoints,
    epochs: trial_log.JsonLines,
    timings: trial_log.JsonLines,
  ):
    self._training, self._path = training, path
    self._terms = training.terms
    self._checkpoints, self._epochs = checkpoints, epochs
    self._child = training_child.Child(
      training.task,
      training.architecture,
      training.key,
      training.initial_learning_rate,
      training.num_epochs * training.epoch_steps,
    )
    self._clock = training_clock.Clock(
      timings, training.checkpoint_seconds, lambda: self._child.spent
    )
    self._num_saved = 0
    self.results: list[Mapping[str, Any]] = []
    # Large networks take a while to start.
    print(training.label, flush=True)
    trial_log.check_fields(
      epochs.path,
      epochs.lines,
      **{'epoch': int, 'learning_rate': float},
      **{self._terms.train_field: (float, type(None))},
      **{self._terms.field('validation'): float},
    )
    self._best = self._restore()

  def run(self, publish: Callable[[], None]) -> Mapping[str, Any]:
    """Does what is left of training and testing; returns the result.

    Args:
      publish: a function to call after each recorded epoch and at the end.
    """
    training, path = self._training, self._path
    must_train = self._num_done < training.num_epochs
    must_test = training.evaluate_test and not (path / 'test.json').exists()
    if must_train or must_test:
      workdir.write_manifest(path, **training.facts)
    if must_train:
      if self._num_saved:
        print(
          f'Resuming the training in {path} after {self._num_saved:,} steps.'
        )
      self._train(publish)
    else:
      print(f'Found the finished training in {path}; nothing is left to train.')
    result = self._finish()
    if must_test:
      self._test()
    self.results += [
      result,
      *training_results.read_test(self._path, result, self._terms),
    ]
    publish()
    return result

  @property
  def _num_trained(self) -> int:
    return self._child.num_trained

  @property
  def _num_done(self) -> int:
    return self._num_trained // self._training.epoch_steps

  def _restore(self) -> _Best:
    """Restores the child from its newest checkpoint; returns the best model."""
    best = _Best(
      jax.eval_shape(self._training.model, self._child.state),
      jnp.array(self._terms.measure.worst, jnp.float32),
      jnp.array(0, jnp.int32),
    )
    restored = self._checkpoints.restore_newest((self._child.state, best))
    if restored is None:
      return best
    self._num_saved, (state, best) = restored
    self._child.restore(self._num_saved, state)
    lines = self._epochs.lines
    num_done = self._num_saved // self._training.epoch_steps
    numbers = [line.get('epoch') for line in lines]
    epoch, name = int(best.epoch), self._terms.field('validation')
    if (
      numbers != [*range(1, len(lines) + 1)]
      or len(lines) < num_done
      or (
        epoch
        and not training_results.is_close(
          lines[epoch - 1][name], float(best.value)
        )
      )
    ):
      raise ValueError(
        f'{self._epochs.path} does not hold the {num_done} epochs of the '
        'checkpoint; restore it from a copy or use another --workdir.'
      )
    return best

  def _train(self, publish):
    epoch_steps = self._training.epoch_steps
    total = self._training.num_epochs * epoch_steps
    self._child.train(0)
    if not int(self._best.epoch):
      # Until an epoch is finished, the untrained model is the best one.
      model = self._training.model(self._child.state)
      self._best = self._best._replace(model=model)
    with progress.Progress(total, unit='step') as bar:
      self._show_place(bar)
      while (num_trained := self._num_trained) < total:
        self._train_some(epoch_steps - num_trained % epoch_steps)
        if self._num_trained % epoch_steps == 0:
          bar.print(self._finish_epoch())
          publish()
          self._save()
        elif self._clock.is_save_due:
          self._save()
        self._show_place(bar)
        left = total - self._num_trained
        if left and self._clock.is_first_estimate:
          seconds = self._clock.total + self._clock.estimate(left)
          bar.print(
            f'Estimated cost: {progress.duration(seconds)} for {left:,} steps.'
          )
    print(f'Real cost: {progress.duration(self._clock.total)}.')

  def _train_some(self, most: int):
    num_steps = min(most, self._clock.num_steps)
    before = self._num_trained
    is_alive = self._clock.time(lambda: self._child.train(num_steps), num_steps)
    if not is_alive:
      raise self._diverged(
        f'the loss or its gradient was not finite between steps {before:,} and '
        f'{before + num_steps:,}'
      )

  def _show_place(self, bar):
    epoch, value = int(self._best.epoch), float(self._best.value)
    bar.update(self._num_trained, *self._terms.place(epoch, value))

  def _finish_epoch(self) -> str:
    """Measures the validation split; returns a line about the epoch."""
    training, terms = self._training, self._terms
    model = training.model(self._child.state)
    value = self._measure(model, 'validation')
    if not math.isfinite(value):
      raise self._diverged(f'the validation {terms.measure.name} is not finite')
    epoch = self._num_done
    is_best = terms.measure.is_better(value, float(self._best.value))
    if is_best:
      self._best = _Best(
        model, jnp.array(value, jnp.float32), jnp.array(epoch, jnp.int32)
      )
    line = {
      'epoch': epoch,
      'learning_rate': float(training.learning_rate(self._num_trained - 1)),
      terms.train_field: training.train_value(self._child.metrics),
      terms.field('validation'): value,
    }
    self._record(line)
    return terms.epoch_line(line, is_best)

  def _record(self, line):
    """Writes the line of an epoch, or checks the one that is there."""
    number, lines = line['epoch'], self._epochs.lines
    if len(lines) < number:
      self._epochs.append([line])
    elif lines[number - 1] != line:
      raise ValueError(
        f'{self._epochs.path}: epoch {number}, trained again, does not match '
        'its line: the machine or a version has changed. Cut the file before '
        f'line {number} to continue as things are now.'
      )

  def _save(self):
    self._checkpoints.save(self._num_trained, (self._child.state, self._best))
    self._num_saved = self._num_trained
    self._clock.lap(self._num_saved)

  def _diverged(self, reason: str) -> DivergedError:
    # The time of a diverged training is part of the cost all the same.
    self._clock.lap(self._num_saved)
    num_lines = len(self._epochs.lines)
    way_out = (
      f', or with this one and --num_epochs={num_lines} to keep what there is'
      if num_lines and 'num_epochs' in self._training.free
      else ''
    )
    return DivergedError(
      f'The training diverged: {reason}.',
      f'Start with another --workdir and a smaller '
      f'{self._terms.remedy}{way_out}. The checkpoint '
      f'after {self._num_saved:,} steps stays as it is.',
    )

  def _finish(self) -> Mapping[str, Any]:
    """Writes the best model, unless that is done; returns the result."""
    training, path = self._training, self._path
    weights = path / 'weights.npz'
    if (path / 'result.json').exists() and weights.exists():
      result = workdir.read_json(path / 'result.json')
      if result.get('num_epochs') == self._training.num_epochs:
        training_results.check(path, result, self._terms, self._epochs)
        return result
    report = self._measure(self._best.model, 'report')
    result = {
      'num_epochs': training.num_epochs,
      'epoch': int(self._best.epoch),
      self._terms.field('validation'): float(self._best.value),
      self._terms.field('report'): report,
    }
    training.write_weights(weights, self._best.model, **result)
    result[training_results.WEIGHTS_HASH] = training_results.hash_of(weights)
    workdir.write_json(path / 'result.json', result, sealed=True)
    return result

  def _measure(self, model, split) -> float:
    """Returns the measure of a model on a split."""
    state = self._training.with_model(self._child.state, model)
    return self._child.measure(state, split)[self._terms.measure.name]

  def _test(self):
    training, terms = self._training, self._terms
    data, count = training.load_test()
    state = training.with_model(self._child.state, self._best.model)
    measured = jax.jit(training.task.measure)(data, None, state)
    value = float(measured[terms.measure.name])
    logging.info('Test %s: %.4f.', terms.measure.name, value)
    workdir.write_json(
      self._path / 'test.json',
      {
        terms.field('test'): value,
        f'num_{terms.counted}': count,
        'epoch': int(self._best.epoch),
        'num_epochs': self._training.num_epochs,
        terms.field('validation'): float(self._best.value),
        'data_hash': self._training.facts['data_hash'],
        training_results.WEIGHTS_HASH: training_results.hash_of(
          self._path / 'weights.npz'
        ),
      },
      sealed=True,
    )

  def show(self, result: Mapping[str, Any]) -> None:
    path, terms = self._path, self._terms
    terms.show_epochs(self._epochs.lines, result['epoch'])
    print(terms.result_line(result))
    for test in self.results[1:]:
      print(terms.test_line(test))
    weights = str(path / 'weights.npz')
    load = self._training.load
    print(f'Wrote {weights}; these lines of Python load it:\n')
    print(f'from {load.__module__} import {load.__name__}')
    print(f'trained = {load.__name__}({weights!r})')

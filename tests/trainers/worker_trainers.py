# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Trainers that workers make in the tests, and children that break them."""

import dataclasses
import os
import pathlib
import signal
import time

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from jaxnas.trainers import blocks, training_servant
from jaxnas.types import Task


@dataclasses.dataclass(frozen=True)
class Child:
  """A child whose training may do something else besides."""

  value: float
  deed: str = ''
  place: str = ''


def make_task():
  def init(program, key, learning_rate):
    weights = program * jax.random.normal(key, (4,))
    return {'weights': weights, 'key': key, 'rate': learning_rate}

  def train(data, program, state, key, learning_rate, span):
    def step(number, weights):
      noise = jax.random.normal(jax.random.fold_in(state['key'], number), (4,))
      return weights - learning_rate * (weights - data + 0.1 * noise)

    weights = lax.fori_loop(span.start, span.stop, step, state['weights'])
    return {**state, 'weights': weights}

  def measure(split, program, state):
    return {'loss': jnp.sum((state['weights'] - split) ** 2)}

  return Task(
    init=init,
    train=train,
    train_metrics=lambda state: {
      'is_alive': jnp.isfinite(state['weights']).all(),
      'sum': state['weights'].sum(),
    },
    measure=measure,
    train_data=jnp.arange(4.0),
    splits={'validation': jnp.ones(4), 'report': jnp.zeros(4)},
    assemble=lambda children: np.array(
      [each.value for each in children], np.float32
    ),
    program_axes=0,
  )


def make_trainer():
  return blocks.BlockTrainer(make_task(), block_size=4, num_devices=2)


class Acting:
  """A trainer whose children act before they are trained."""

  def __init__(self, trainer):
    self._trainer = trainer

  def __getattr__(self, name):
    return getattr(self._trainer, name)

  def run(self, architectures, *arguments, **settings):
    for each in architectures:
      act(each)
    return self._trainer.run(architectures, *arguments, **settings)


def act(child):
  path = pathlib.Path(child.place)
  if child.deed == 'raise':
    raise RuntimeError('no such child')
  if child.deed == 'sleep':
    time.sleep(0.2)
  is_first = child.deed.endswith('once') and not path.exists()
  if is_first:
    path.write_text(str(os.getpid()))
  if child.deed == 'die' or (child.deed == 'die once' and is_first):
    os.kill(os.getpid(), signal.SIGKILL)
  if child.deed == 'halt once' and is_first:
    os.kill(os.getpid(), signal.SIGSTOP)
  if child.deed == 'wait once' and is_first:
    time.sleep(60)


def make_trainers(data_hash='1'):
  trainer = Acting(make_trainer())
  return training_servant.Trainers(lambda name: trainer, {'data': data_hash})


def fail_to_make():
  raise FileNotFoundError('no data here')

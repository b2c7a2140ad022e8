# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A process of a pod, for the tests: trains children in rounds, with a log.

pod_program.py '{"process_id": 0, "num_processes": 2, ...}'
"""

import dataclasses
import functools
import json
import os
import pathlib
import sys

if __name__ == '__main__':
  SETTINGS = json.loads(sys.argv[1])
  os.environ['JAX_PLATFORMS'] = 'cpu'
  # What XLA says of a machine that has no time for it.
  os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
  os.environ['XLA_FLAGS'] = ' '.join(
    (
      f'--xla_force_host_platform_device_count={SETTINGS["num_devices"]}',
      '--xla_backend_optimization_level=0',
    )
  )

from absl import logging
import jax
import numpy as np
import worker_trainers

from jaxnas.trainers import blocks, training_servant
from jaxnas.trainers import pod as pod_trainers
from jaxnas.workers import pod as pod_lib

NUM_ROUNDS, NUM_CHILDREN = 4, 9


# More than is sent at a time.
LONG = b'x' * 200_000


def make_trainers(num_children_at_once, data_hash='1', long=LONG):
  assert long == LONG
  count = jax.local_device_count()
  task = worker_trainers.make_task()
  trainer = blocks.BlockTrainer(task, num_children_at_once * count, count)
  acting = worker_trainers.Acting(trainer)
  return training_servant.Trainers(lambda name: acting, {'data': data_hash})


def fail_to_make():
  if jax.process_index():
    raise FileNotFoundError('no data here')
  return make_trainers(2)


def make_children(settings, number):
  """Returns the children of a round; one of them may do something."""
  children = [
    worker_trainers.Child(0.5 * index + number) for index in range(NUM_CHILDREN)
  ]
  if number == 2 and settings.get('deed'):
    # Process 0 has the children of even indices.
    index = settings['doer']
    children[index] = dataclasses.replace(
      children[index],
      deed=settings['deed'],
      place=str(pathlib.Path(settings['folder'], 'mark')),
    )
  return children


def lead(settings, pod):
  """Trains the rounds that the log does not have yet."""
  make = functools.partial(make_trainers, 2, long=LONG)
  if settings.get('fails_to_make'):
    make = fail_to_make
  facts = {'data': settings.get('data_hash', '1')}
  local = make_trainers(2).get('toy')
  path = pathlib.Path(settings['folder'], 'log.jsonl')
  with pod_trainers.PodTrainers(make, pod, facts=facts) as trainers:
    trainer = trainers.wrap('toy', local)
    assert trainer.block_size == 2 * trainer.num_devices
    done = len(path.read_text().splitlines()) if path.exists() else 0
    with path.open('a') as log:
      for number in range(done, NUM_ROUNDS):
        log.write(f'{json.dumps(train(settings, trainer, number))}\n')
        log.flush()
        os.fsync(log.fileno())


def train(settings, trainer, number):
  """Returns the bits of a round's results."""
  children = make_children(settings, number)
  keys = jax.random.split(jax.random.key(number), NUM_CHILDREN)
  rates = np.linspace(0.01, 0.1, NUM_CHILDREN)
  # The last rounds pause, and train only some of the children on.
  is_cut = number == NUM_ROUNDS - 1
  trained = trainer.run(
    children,
    keys,
    rates,
    20,
    durations=list(range(NUM_CHILDREN)) if number == 1 else None,
    stop=8 if is_cut else None,
    keep=is_cut,
  )
  if is_cut:
    kept = trained.kept.select([7, 2, 5])
    trained = trainer.resume(kept)
    few = trainer.resume(kept.select([1]))
    assert few.metrics['sum'] == trained.metrics['sum'][1]
  return {
    name: np.asarray(values).tobytes().hex()
    for name, values in {**trained.metrics, 'status': trained.status}.items()
  }


def main(settings):
  """Runs one process of the pod."""
  # Only errors are looked at, and not how long something compiles.
  logging.set_verbosity(logging.ERROR)
  pod = pod_lib.join(
    pod_lib.Place(
      f'127.0.0.1:{settings["port"]}',
      settings['num_processes'],
      settings['process_id'],
    ),
    settings['patience'],
  )
  if pod.process_id:
    pod_trainers.follow(pod)
  else:
    lead(settings, pod)


if __name__ == '__main__':
  try:
    main(SETTINGS)
  except (ValueError, OSError) as error:
    print(f'error: {error}', file=sys.stderr)
    sys.exit(1)

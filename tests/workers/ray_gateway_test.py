# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What Ray's errors mean; `ray_engine_test` has the rest of the gateway."""

import pathlib
import sys
import types

import pytest

from jaxnas.workers import ray_gateway
from jaxnas.workers.engine import Kind

sys.path.append(str(pathlib.Path(__file__).parent))

import ray_engine_test

# Whoever imports Ray first decides for the tests of its clusters too.
with ray_engine_test.ray_environment():
  exceptions = pytest.importorskip('ray.exceptions')

NODES = [{'NodeID': 'here', 'Alive': True}, {'NodeID': 'gone', 'Alive': False}]
RAY = types.SimpleNamespace(exceptions=exceptions, nodes=lambda: NODES)
# As of Ray 2.60, whose last line is advice.
NO_MEMORY = (
  'Task was killed due to the node running low on memory.\n'
  'Memory on the node was 14.9GB / 15.0GB (0.99).\n'
  'Set the environment variable `RAY_memory_monitor_refresh_ms` to zero.'
)


DIED = exceptions.ActorDiedError()


@pytest.mark.parametrize(
  ('error', 'node', 'kind', 'reason'),
  [
    (DIED, 'here', Kind.DIED, 'its actor died (The actor died unexp'),
    (DIED, 'gone', Kind.LOST, 'its machine left (The actor died unexp'),
    (
      exceptions.ActorUnavailableError('no answer', b'1' * 16),
      'here',
      Kind.LOST,
      'its machine left (The actor',
    ),
    (
      exceptions.OutOfMemoryError(NO_MEMORY),
      'here',
      Kind.DIED,
      'Ray ended it for lack of memory on its machine',
    ),
    (
      exceptions.RaySystemError('no more'),
      'here',
      Kind.DIED,
      'its actor died (',
    ),
  ],
)
def test_an_actor_that_has_gone_was_lost_or_died(error, node, kind, reason):
  found, line = ray_gateway.fate(RAY, error, True, node)
  assert found is kind
  assert line.startswith(reason)
  assert len(line.splitlines()) == 1


def test_an_actor_that_never_was_ready_is_refused():
  for error in (DIED, exceptions.OutOfMemoryError(NO_MEMORY)):
    kind, reason = ray_gateway.fate(RAY, error, False, 'here')
    assert kind is Kind.REFUSED
    assert reason
  assert ray_gateway.fate(RAY, DIED, False, 'gone')[0] is Kind.LOST

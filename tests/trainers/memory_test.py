# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import jax.numpy as jnp
import pytest

from jaxnas.trainers import memory


@pytest.fixture(scope='module')
def program():
  values = jnp.zeros(1000)
  return jax.jit(lambda x: jnp.sort(x) + 1).lower(values).compile()


def test_arguments_and_results_are_counted(program):
  # Both are a thousand numbers of four bytes.
  assert 8000 <= memory.needed(program) < 100_000


def test_a_cpu_has_the_memory_of_the_machine():
  assert memory.available(jax.devices('cpu')[0]) > 2**28


def test_a_container_has_no_more_than_its_limit(tmp_path, monkeypatch):
  device = jax.devices('cpu')[0]
  monkeypatch.setattr(memory, '_LIMITS', ())
  machine = memory.available(device)
  limits = tmp_path / 'new', tmp_path / 'old'
  monkeypatch.setattr(memory, '_LIMITS', limits)
  assert memory.available(device) == machine
  for text, expected in (
    ('max\n', machine),
    (f'{2**62}\n', machine),
    (f'{2**28}\n', 2**28),
  ):
    limits[1].write_text(text)
    assert memory.available(device) == expected


def test_what_does_not_fit_is_refused_with_the_estimate(program, monkeypatch):
  devices = jax.devices('cpu')[:2]
  memory.check(program, devices, 'A child', 'make it smaller')
  monkeypatch.setattr(memory, 'needed', lambda program: 3 * 2**30)
  monkeypatch.setattr(memory, 'available', lambda device: 5 * 2**30)
  memory.check(program, devices[:1], 'A child', 'make it smaller')
  with pytest.raises(
    ValueError,
    match=r'about 6\.0 GiB of memory, but only 5\.0 GiB are available; make',
  ) as raised:
    memory.check(program, devices, 'A child', 'make it smaller')
  assert memory.is_exhausted(raised.value)


def test_nothing_is_refused_where_the_platform_does_not_tell(
  program, monkeypatch
):
  monkeypatch.setattr(memory, 'available', lambda device: None)
  memory.check(program, jax.devices('cpu')[:1], 'A child', 'x')


def test_errors_of_memory_are_told_from_others():
  error = jax.errors.JaxRuntimeError
  assert memory.is_exhausted(error('RESOURCE_EXHAUSTED: Out of memory'))
  assert memory.is_exhausted(MemoryError())
  assert not memory.is_exhausted(error('INVALID_ARGUMENT: no'))
  assert not memory.is_exhausted(ValueError('RESOURCE_EXHAUSTED'))

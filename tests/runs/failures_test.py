# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import pytest

from jaxnas.runs import failures
from jaxnas.trainers import memory


@pytest.mark.parametrize(
  ('error', 'line'),
  [
    (ValueError('rate is\n  too high'), 'rate is too high'),
    (memory.NotEnoughMemoryError('8 TiB'), '8 TiB'),
    (OSError(28, 'No space left', 'a.json'), 'No space left: a.json'),
    (MemoryError(), 'there is not enough memory; make batches, blocks'),
    (
      jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory.'),
      'there is not enough memory (RESOURCE_EXHAUSTED: Out of memory); make',
    ),
    (
      jax.errors.JaxRuntimeError('INTERNAL: no cuDNN'),
      'the device failed: INTERNAL: no cuDNN (--debug shows where).',
    ),
  ],
)
def test_what_a_user_or_the_machine_did_is_a_line(error, line):
  assert failures.describe(error).startswith(line)


@pytest.mark.parametrize(
  'error', [TypeError('a'), KeyError('a'), RuntimeError('a'), AssertionError()]
)
def test_a_bug_is_none(error):
  assert failures.describe(error) is None

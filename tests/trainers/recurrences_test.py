# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import pytest

from jaxnas.children import platforms
from jaxnas.trainers import memory, recurrences, routes


def choose(measure, asked='auto', kept=None):
  return recurrences.choose(measure, asked, kept, 100, 80)


def never(name):
  raise AssertionError(f'{name} was measured')


def costs(**seconds):
  def measure(name):
    if isinstance(seconds[name], Exception):
      raise seconds[name]
    return routes.Timing(1.0, 0.0, seconds[name])

  return measure


@pytest.fixture(name='accelerator')
def fixture_accelerator(monkeypatch):
  monkeypatch.setattr(platforms, 'default', lambda: 'gpu')


def test_a_cpu_scans_unmeasured():
  assert choose(never) == 'scan'
  assert choose(never, 'kernel') == 'kernel'


@pytest.mark.usefixtures('accelerator')
def test_what_was_asked_for_or_chosen_before_is_not_measured():
  assert choose(never, 'kernel', 'scan') == 'kernel'
  assert choose(never, 'auto', 'kernel') == 'kernel'


@pytest.mark.usefixtures('accelerator')
def test_the_faster_is_taken(capsys):
  assert choose(costs(scan=0.02, kernel=0.01)) == 'kernel'
  assert capsys.readouterr().out.startswith(
    'Recurrence kernel: the least time for 100 children of 80 steps: scan 161 s'
  )
  assert choose(costs(scan=0.01, kernel=0.02)) == 'scan'


@pytest.mark.usefixtures('accelerator')
def test_what_does_not_fit_or_compile_is_left(capsys):
  too_large = memory.NotEnoughMemoryError('No room.')
  assert choose(costs(scan=too_large, kernel=0.02)) == 'kernel'
  assert (
    choose(costs(scan=0.02, kernel=NotImplementedError('sin\nx'))) == 'scan'
  )
  assert capsys.readouterr().out.endswith(
    'Recurrence scan: the kernel was refused: sin\n'
  )
  # What is refused decides alone.
  never_scan = RuntimeError('measured')
  assert choose(costs(scan=never_scan, kernel=ValueError('wide'))) == 'scan'
  capsys.readouterr()
  # Blocks may be narrower later.
  assert choose(costs(scan=too_large, kernel=too_large)) == 'scan'
  assert 'do not fit into memory: No room.' in capsys.readouterr().out
  with pytest.raises(RuntimeError, match='broken'):
    choose(costs(scan=RuntimeError('broken'), kernel=0.02))

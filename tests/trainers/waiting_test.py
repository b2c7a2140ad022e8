# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import time

from absl import logging
import pytest

from jaxnas.trainers import waiting


@pytest.fixture
def logged(monkeypatch):
  lines = []
  monkeypatch.setattr(
    logging, 'warning', lambda text, *values: lines.append(text % values)
  )
  return lines


def test_what_takes_long_is_told_less_and_less_often(logged, monkeypatch):
  monkeypatch.setattr(waiting, 'FIRST_SECONDS', 0.2)
  with waiting.told('compiling'):
    time.sleep(1.2)  # Told after 0.2, 0.4 and 0.8 seconds.
  count = len(logged)
  assert 1 <= count <= 3
  assert all(line.startswith('Still compiling, for ') for line in logged)
  time.sleep(0.5)
  assert len(logged) == count


def test_what_is_quick_or_fails_is_not_told(logged, monkeypatch):
  monkeypatch.setattr(waiting, 'FIRST_SECONDS', 0.2)
  with waiting.told('compiling'):
    pass
  with pytest.raises(KeyError), waiting.told('compiling'):
    raise KeyError
  time.sleep(0.4)
  assert not logged

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import importlib.util

import pytest

from jaxnas import errors
from jaxnas.workers import engines, processes


def test_an_engine_is_chosen_by_name():
  engine = engines.make_engine('processes', 3)
  assert isinstance(engine, processes.ProcessEngine)
  assert engine.num_workers == 3


def test_what_can_not_be_is_told(monkeypatch):
  with pytest.raises(ValueError, match="'processes' or 'ray', got 'dask'"):
    engines.make_engine('dask', 1)
  with (
    errors.naming_flags(),
    pytest.raises(
      ValueError, match=r"--ray_address is 'auto', which needs --workers=ray\."
    ),
  ):
    engines.make_engine('processes', 1, ray_address='auto')
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(ValueError, match=r"pip install 'jaxnas\[ray\]'"):
    engines.make_engine('ray', 1)

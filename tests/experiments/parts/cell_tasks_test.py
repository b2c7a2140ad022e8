# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import pytest

from experiments import search_recurrent_cell
from experiments.parts import cell_tasks
from jaxnas.children import platforms
from jaxnas.trainers import blocks, memory

ROUND = {'trials_per_update': 6, 'num_trials': 12, 'strategies': ('random',)}


@pytest.fixture
def config():
  return search_recurrent_cell.Config(base=2, features=4, **ROUND)


def test_a_cpu_has_small_blocks_and_compiles_nothing(config):
  # The tasks are not even looked at.
  assert cell_tasks.choose_block_size(config, None, 2) == 6
  wide = search_recurrent_cell.Config(**ROUND | {'trials_per_update': 12})
  each = blocks.default_block_size(1)
  assert cell_tasks.choose_block_size(wide, None, 2) == min(2 * each, 12)


@pytest.mark.parametrize(
  # Of 100 bytes 80 may be used by the 3 children of each device.
  ('each', 'expected'),
  [(1, 6), (50, 2)],
  ids=['all fit', 'one fits'],
)
def test_an_accelerator_has_blocks_by_its_memory(
  config, each, expected, monkeypatch, capsys
):
  monkeypatch.setattr(platforms, 'default', lambda: 'gpu')
  monkeypatch.setattr(memory, 'available', lambda device: 100)
  monkeypatch.setattr(cell_tasks, 'make_task', lambda *arguments: 'task')
  asked = []

  class Trainer:
    def __init__(self, task, block_size, num_devices):
      assert (task, num_devices) == ('task', 2)
      self._width = block_size // num_devices

    def needed_bytes(self, architecture):
      asked.append((architecture.base, self._width))
      return each * self._width

  monkeypatch.setattr(blocks, 'BlockTrainer', Trainer)
  assert cell_tasks.choose_block_size(config, None, 2) == expected
  assert {base for base, _ in asked} == {2}
  assert 'on each device.\n' in capsys.readouterr().out


def test_children_too_wide_for_the_kernel_are_refused_first():
  wide = search_recurrent_cell.Config(features=538, recurrence='kernel')
  with pytest.raises(ValueError, match='at most 128 hidden units, got 538'):
    # The tasks are not even looked at.
    cell_tasks.choose_recurrence(wide, None, 1, None)

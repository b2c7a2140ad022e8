# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from jaxnas.datasets import text
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.trainers import cell_trainer
from jaxnas.training import dataset_tasks, text_task
from jaxnas.types import Status, Trained

SPACE = spaces.make_space(2)


def make_trainer(**changes):
  settings = {
    'learning_rate': 0.01, 'fractions': (0.5, 1.0), 'block_size': 4,
  } | changes  # fmt: skip
  return cell_trainer.CellTrainer(
    SPACE,
    dataset_tasks.TextTasks(text.load('pydoc', vocab_size=20), 20, 35),
    text_task.Recipe(features=2),
    **settings,
  )


@pytest.mark.slow
def test_a_child_follows_from_its_cell_and_seed_alone():
  trainer = make_trainer()
  tokens = np.zeros((6, SPACE.num_tokens), np.int32)
  tokens[:, 8:] = 2
  tokens[1, 1] = tokens[2, 3] = 1  # Equal up to a swap of the leaves.
  tokens[3:] = SPACE.encode(spaces.KNOWN_CELLS['paper_example'])
  measured = trainer.train(tokens, [0, 0, 0, 0, 1, 0], 4)
  assert measured['num_trained'].tolist() == [4] * 6
  for split in cell_trainer.SPLITS:
    curve = measured[split]
    assert curve.shape == (6, 2)
    assert np.isfinite(curve).all()
    np.testing.assert_array_equal(curve[1], curve[2])
    np.testing.assert_array_equal(curve[3], curve[5])
    assert (curve[3] != curve[4]).all()
    assert (curve[0] != curve[1]).all()
  alone = trainer.train(tokens[5:], [0], 4)
  np.testing.assert_array_equal(alone['report'][0], measured['report'][5])
  blocks = list(trainer.train_each(tokens, [0, 0, 0, 0, 1, 0], 4))
  assert [rows.tolist() for rows, _ in blocks] == [[0, 1, 2, 3], [4, 5]]
  for name, values in measured.items():
    joined = np.concatenate([block[name] for _, block in blocks])
    np.testing.assert_array_equal(joined, values)
  assert not list(trainer.train_each(tokens[:0], [], 4))


class _Lost:
  """A trainer whose worker dies with every block."""

  block_size = 2

  def run(self, architectures, *args, **settings):
    del args, settings
    count = len(architectures)
    status = np.full(count, Status.CRASHED, np.int32)
    return Trained({}, status, ('the worker died',) * count)


def test_cells_of_a_lost_worker_are_no_failures():
  trainer = make_trainer()
  trainer.trainer = _Lost()
  tokens = np.zeros((3, SPACE.num_tokens), np.int32)
  message = r'2 of 2 cells could not be trained \(the worker died\); start'
  with pytest.raises(ValueError, match=message):
    next(trainer.train_each(tokens, [0] * 3, 4))


def test_all_children_are_of_one_size():
  # Embedding, softmax with biases, and two kernels for each of two leaves.
  assert make_trainer().num_params == 20 * 2 + (20 * 2 + 20) + 2 * 2 * (2 * 2)


def test_settings_out_of_range():
  with pytest.raises(ValueError, match='learning_rate must be positive, got 0'):
    make_trainer(learning_rate=0.0)

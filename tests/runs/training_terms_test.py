# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import pytest

from jaxnas import statistics
from jaxnas.runs import training_terms

TERMS = training_terms.Terms(statistics.ACCURACY, 'loss', 'images', '--rate')


def _lines(count):
  return [
    {
      'epoch': number,
      'train_loss': 1 / number,
      'validation_accuracy': 0.5,
      'learning_rate': 0.1,
    }
    for number in range(1, count + 1)
  ]


@pytest.mark.parametrize(
  ('count', 'best', 'title', 'epochs'),
  [
    (20, 2, 'the last 10 and the best', [2, *range(11, 21)]),
    (20, 15, 'the last 10 and the best', [*range(11, 21)]),
    (11, 1, 'After each epoch\n', [*range(1, 12)]),
    (3, 2, 'After each epoch\n', [1, 2, 3]),
  ],
)
def test_the_last_epochs_and_the_best_are_shown(
  capsys, count, best, title, epochs
):
  TERMS.show_epochs(_lines(count), best)
  shown = capsys.readouterr().out
  assert title in shown
  rows = [line.split() for line in shown.splitlines() if '50.00 %' in line]
  assert [int(row[0]) for row in rows] == epochs
  assert [int(row[0]) for row in rows if '(best)' in row] == [best]

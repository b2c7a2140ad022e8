# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses

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


def test_validation_is_not_told_twice_where_there_is_no_report_split():
  result = {'epoch': 3, 'validation_accuracy': 0.5, 'report_accuracy': 0.5}
  assert 'on validation and 50.00 % on report.' in TERMS.result_line(result)
  terms = dataclasses.replace(TERMS, has_report=False)
  assert terms.result_line(result) == (
    'Best: epoch 3, accuracy 50.00 % on validation.'
  )


def test_perplexities_of_characters_are_told_in_bits():
  terms = training_terms.Terms(
    statistics.PERPLEXITY, 'perplexity', 'tokens', '--rate',
    is_by_character=True,
  )  # fmt: skip
  result = {'epoch': 1, 'validation_perplexity': 4, 'report_perplexity': 8}
  assert '4.00 (2.000 bits per character) on' in terms.result_line(result)
  assert '8.00 (3.000 bits per character) on' in terms.result_line(result)
  test = {'test_perplexity': 2**1.228, 'num_tokens': 7}
  assert '2.34 (1.228 bits per character) (7' in terms.test_line(test)

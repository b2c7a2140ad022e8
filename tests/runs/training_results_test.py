# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of the checks of a long training's result and test."""

import pytest

from jaxnas import statistics
from jaxnas.records import trial_log, workdir
from jaxnas.runs import training_results, training_terms

TERMS = training_terms.Terms(statistics.ACCURACY, 'loss', 'images', 'rate')
RESULT = {
  'num_epochs': 2,
  'epoch': 1,
  'validation_accuracy': 0.75,
  'report_accuracy': 0.5,
}


@pytest.fixture(name='epochs')
def fixture_epochs(tmp_path):
  (tmp_path / 'weights.npz').write_bytes(b'weights')
  with trial_log.JsonLines(tmp_path / 'epochs.jsonl') as lines:
    lines.append(
      [
        {'epoch': 1, 'validation_accuracy': 0.75},
        {'epoch': 2, 'validation_accuracy': 0.5},
      ]
    )
    yield lines


def check(folder, epochs, **changes):
  training_results.check(folder, {**RESULT, **changes}, TERMS, epochs)


def test_a_result_belongs_to_its_epochs(tmp_path, epochs):
  check(tmp_path, epochs)
  check(tmp_path, epochs, validation_accuracy=0.75 * (1 + 1e-7))
  for changes in ({'epoch': 2}, {'validation_accuracy': 0.5}):
    with pytest.raises(ValueError, match='does not agree with'):
      check(tmp_path, epochs, **changes)
  with pytest.raises(ValueError, match="report_accuracy is 'x'"):
    check(tmp_path, epochs, report_accuracy='x')


def test_a_result_belongs_to_its_weights(tmp_path, epochs):
  digest = training_results.hash_of(tmp_path / 'weights.npz')
  check(tmp_path, epochs, weights_sha256=digest)
  with pytest.raises(ValueError, match='is not what this training wrote'):
    check(tmp_path, epochs, weights_sha256='ab')


def test_a_test_belongs_to_its_result(tmp_path):
  def read(**changes):
    test = {
      'num_epochs': 2,
      'epoch': 1,
      'validation_accuracy': 0.75,
      'test_accuracy': 0.25,
      'num_images': 9,
    }
    workdir.write_json(tmp_path / 'test.json', {**test, **changes}, sealed=True)
    return training_results.read_test(
      tmp_path, {**RESULT, 'weights_sha256': 'ab'}, TERMS
    )

  assert training_results.read_test(tmp_path, RESULT, TERMS) == []
  (test,) = read(weights_sha256='ab')
  assert test['test_accuracy'] == 0.25
  assert len(read()) == 1
  for changes in (
    {'epoch': 2},
    {'validation_accuracy': 0.5},
    {'weights_sha256': 'cd'},
  ):
    with pytest.raises(ValueError, match='belongs to another model'):
      read(**changes)
  with pytest.raises(ValueError, match="num_images is 'many'"):
    read(num_images='many')

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import copy
import json
import pathlib

import jax
import numpy as np
import pytest

from experiments import launch
from experiments import verify_recurrent_cell as experiment
from jaxnas.children import recurrent_cell as cells

VECTORS = pathlib.Path(__file__).parents[1] / 'data' / 'cell_vectors.json'


@pytest.fixture(autouse=True, scope='module')
def quick_compilation():
  # XLA's optimizations do not change what is tested here, and they are most of
  # the time that it takes.
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', False)


@pytest.fixture
def content():
  """Returns vectors with one case only, the smallest."""
  content = json.loads(VECTORS.read_text())
  cases = {case['name']: case for case in content['cases']}
  return content | {'cases': [cases['ext_base2_02']]}


@pytest.fixture
def verify(tmp_path, capsys):
  """Returns a function from a file's content to exit code, stdout, stderr."""

  def verify(content):
    path = tmp_path / 'vectors.json'
    path.write_text(
      content if isinstance(content, str) else json.dumps(content)
    )
    config = experiment.Config(str(path))
    code = launch.report_errors(lambda: experiment.run(config))
    captured = capsys.readouterr()
    return code, captured.out, captured.err

  return verify


@pytest.mark.slow
def test_all_vectors_hold(capsys):
  experiment.run(experiment.Config(str(VECTORS)))
  *groups, last = capsys.readouterr().out.splitlines()
  assert last == 'All 16 cases pass on both routes.'
  assert len(groups) == 8
  assert groups[1].startswith('base  2  paper     x [1, 2, 3]  h [2, 4]    6')
  assert jax.numpy.ones(()).dtype == np.float32


def test_vectors_cover_the_grammar():
  with jax.enable_x64(True):
    cases = experiment.load_cases(str(VECTORS))
  assert {(case.architecture.base, case.space) for case in cases} == {
    (base, space) for base in (2, 4, 8) for space in ('paper', 'extended')
  }
  kinds = {
    case.name.split('_', 2)[2]
    for case in cases
    if case.name.startswith('edge_')
  }
  assert kinds == {
    'inject_root_read_root',
    'inject_root_read_leaf',
    'inject_leaf_read_same',
    'inject_internal_read_root',
    'inject_leaf0_read_parent',
  }
  assert {case.expected[0].shape[0] for case in cases} == {1, 3}


def test_failing_cases_are_named_with_route_and_difference(content, verify):
  (good,) = content['cases']
  wrong = copy.deepcopy(good) | {'name': 'wrong'}
  wrong['c'][0][1][2] += 1e-6
  lenient = wrong | {'name': 'lenient', 'tol': 1e-5}
  content['cases'] += [wrong, lenient]
  code, out, err = verify(content)
  assert code == 1
  assert (
    'FAIL wrong: compiled differs by 1.0e-06, interpreted differs by 1.0e-06; '
    '1.0e-10 is allowed'
  ) in out
  assert out.count('FAIL') == 1
  assert err.startswith('error: 1 of 3 cases of ')
  assert len(err.splitlines()) == 1


def test_a_route_that_fails_alone_is_named(content, verify, monkeypatch):
  # The interpreter does not read this table.
  monkeypatch.setitem(cells.ACTIVATIONS, 'sin', lambda x: x + 1e-3)
  code, out, _ = verify(content)
  assert code == 1
  assert 'FAIL ext_base2_02: compiled differs by' in out
  assert 'interpreted differs' not in out


def test_results_that_are_not_finite_fail(content, verify):
  (case,) = content['cases']
  # The infinity is made from finite numbers.
  case['Wx'] = np.full_like(case['Wx'], 1e308).tolist()
  case['x'] = np.full_like(case['x'], 1e308).tolist()
  code, out, _ = verify(content)
  assert code == 1
  assert 'compiled differs by inf, interpreted differs by inf' in out


def without(name):
  def change(case):
    del case[name]

  return change


def replaced(name, value):
  return lambda case: case.update({name: value})


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (without('Wh'), 'case ext_base2_02: fields are missing: Wh.'),
    (without('name'), 'case 0: fields are missing: name.'),
    (replaced('base', 4), 'base is 4, but tokens are of 2.'),
    (replaced('space', 'huge'), "space must be paper or extended, got 'huge'."),
    (replaced('space', 'paper'), "'max' is not a value of decision"),
    (replaced('space', ['paper']), "space must be paper or extended, got ['p"),
    (replaced('tokens', 7), 'tokens must be a list, got 7.'),
    (replaced('tokens', ['add'] * 9), 'has 4L + 2 tokens'),
    (replaced('tokens', ['ad'] * 8 + [0, 0]), "Unknown combiner 'ad'"),
    (replaced('tol', 'small'), 'the tolerance must be a number >= 0, got'),
    (replaced('x', []), 'x must have the shape [T, B, inputs] = [T, B, inputs'),
    (replaced('x', [[['a']]]), 'x must be nested lists of numbers'),
    (replaced('x', [[[1.0], []]]), 'x must be nested lists of numbers'),
    (replaced('x', [[[float('nan')] * 3] * 2]), 'x holds a number that is not'),
    (
      replaced('Wx', [[[0.0] * 4] * 3]),
      'Wx must have the shape [L, inputs, D] = [2, 3, 4], got [1, 3, 4].',
    ),
    (
      replaced('h', [[[0.0] * 4] * 3]),
      'h must have the shape [T, B, D] = [1, 2, 4], got [1, 3, 4].',
    ),
  ],
)
def test_a_bad_case_is_one_line_that_names_it(content, verify, change, message):
  change(content['cases'][0])
  code, _, err = verify(content)
  assert code == 1
  assert message in err
  assert 'case ext_base2_02: ' in err or 'case 0: ' in err
  assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('{"cases": [', 'is not a JSON file'),
    ('[]', 'must hold a JSON object'),
    ('{"tolerance": 1e-10}', 'must hold a JSON object'),
    ('{"tolerance": 1e-10, "cases": []}', 'holds no cases'),
    ('{"tolerance": 1e-10, "cases": [3]}', 'case 0: expected a JSON object'),
    ('{"cases": [{}]}', 'case 0: fields are missing: name, base'),
  ],
)
def test_a_bad_file_is_one_line(verify, text, message):
  code, _, err = verify(text)
  assert code == 1
  assert message in err
  assert len(err.splitlines()) == 1


def test_a_missing_tolerance_or_file_is_one_line(content, verify, capsys):
  del content['tolerance']
  code, _, err = verify(content)
  assert (code, 'tolerance must be a number' in err) == (1, True)
  config = experiment.Config('no/such/vectors.json')
  assert launch.report_errors(lambda: experiment.run(config)) == 1
  err = capsys.readouterr().err
  assert err == 'error: No such file or directory: no/such/vectors.json\n'

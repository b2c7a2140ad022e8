# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import contextlib
import importlib.util
import itertools
import json
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import benchmark_recurrent as benchmark
from experiments.benchmarks import frameworks as frameworks_lib
from experiments.benchmarks import recurrent_jax, recurrent_rows, step_shares
from experiments.benchmarks import table as table
from experiments.benchmarks import worker as worker_lib
from jaxnas.children import recurrent_cell as cells
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.training import text_task

TINY = {
  'num_children': 2,
  'base': 2,
  'features': 8,
  'num_unrolled': 3,
  'batch_size': 2,
  'vocab_sizes': (20,),
  'num_repeats': 2,
  'num_burst_steps': 2,
  'num_total_steps': 2,
  'num_sampled': 1,
  'num_shared': 3,
  'shared_block_size': 2,
  'lstm_features': (8,),
  'lstm_calls': 2,
  'controller_bases': (2,),
  'controller_batches': 2,
  'peak_sizes': (32,),
}
HAS_TORCH = importlib.util.find_spec('torch') is not None


def random_cells(count, base):
  return [
    spaces.RecurrentCell.from_json(fields)
    for fields in recurrent_rows.random_cells(count, base)
  ]


@pytest.mark.slow
def test_every_row_is_measured_and_written(tmp_path, capfd, monkeypatch):
  # The workers compile about twenty programs, which need not be fast ones.
  flags = f'{os.environ["XLA_FLAGS"]} --xla_backend_optimization_level=0'
  monkeypatch.setenv('XLA_FLAGS', flags)
  output = tmp_path / 'new' / 'table.json'
  benchmark.run(benchmark.Config(output=str(output), **TINY))
  printed = capfd.readouterr().out
  written = json.loads(output.read_text())
  assert set(written) == {'about', 'config', 'rows', 'left_out', 'seconds'}
  assert written['config']['vocab_sizes'] == [20]
  assert {'machine', 'devices', 'jax', 'shapes'} <= set(written['about'])
  expected = ['peak', 'compile', 'memory', 'per_architecture', 'switch', 'lstm']
  expected += ['shares'] * len(step_shares.PARTS)
  expected += ['shared', 'controller']
  if HAS_TORCH:
    assert not written['left_out']
    expected = ['eager', 'processes', 'shared', *expected, 'lstm']
  assert sorted(row['row'] for row in written['rows']) == sorted(expected)
  for row in written['rows']:
    assert row['ours'] > 0
    assert (row['theirs'] is None) == (row['ratio'] is None)
    assert row['ratio'] is None or row['ratio'] > 0
    # The bounds are for the default shapes.
    assert (row['floor'], row['goal'], row['met']) == (None, None, '-')
    assert row['name'] in printed
    parts = {'per_architecture': ['ours', 'theirs'], 'shared': ['theirs']}
    is_compared = row['theirs'] is not None
    assert row['extrapolated'] == (
      parts.get(row['row'], []) if is_compared else []
    )
  assert '| ~' in printed
  shares = [row['ours'] for row in written['rows'] if row['row'] == 'shares']
  assert sum(shares) == pytest.approx(100)
  by_row = {row['row']: row for row in written['rows']}
  assert by_row['memory']['ours'] < 8


def test_rows_of_pytorch_are_left_out_without_it(tmp_path, capsys, monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  output = tmp_path / 'table.json'
  config = benchmark.Config(
    rows=('eager', 'processes'), output=str(output), **TINY
  )
  assert benchmark.run(config) == []
  assert set(json.loads(output.read_text())['left_out']) == {
    'eager', 'processes'
  }  # fmt: skip
  printed = capsys.readouterr().out
  assert 'eager: left out, PyTorch is missing: `make bench-rec' in printed


class FakeFrameworks:
  """What an accelerator would be, without one."""

  is_cpu = False

  def __init__(self, why=None):
    self._why = why

  def why_no_torch(self):
    return self._why


@pytest.mark.parametrize(
  ('why', 'left_out'),
  [
    (None, {'processes', 'shares'}),
    (
      'no',
      {'eager', 'processes', 'shares', 'shared, PyTorch', 'lstm, PyTorch'},
    ),
  ],
)
def test_rows_without_sense_on_an_accelerator_are_left_out(why, left_out):
  measuring = recurrent_rows.Benchmark(benchmark.Config(), FakeFrameworks(why))
  measuring._leave_out()
  assert set(measuring.left_out) == left_out
  assert measuring._has('lstm')
  assert measuring._bounds('switch', None) == {}


def test_bounds_hold_for_the_default_shapes_on_a_cpu():
  frameworks = FakeFrameworks()
  frameworks.is_cpu = True
  measuring = recurrent_rows.Benchmark(benchmark.Config(), frameworks)
  assert measuring._bounds('eager', 1_000) == {'floor': 3, 'goal': 5}
  assert measuring._bounds('eager', 500) == {'floor': None, 'goal': None}
  measuring = recurrent_rows.Benchmark(
    benchmark.Config(features=32), frameworks
  )
  assert measuring._bounds('eager', 1_000) == {}


@pytest.mark.parametrize(
  ('fields', 'met'),
  [
    ({'ratio': 3.0, 'floor': 3.0, 'goal': 5.0}, 'floor'),
    ({'ratio': 5.0, 'floor': 3.0, 'goal': 5.0}, 'goal'),
    ({'ratio': 2.9, 'floor': 3.0, 'goal': 5.0}, 'no'),
    ({'ratio': 2.9, 'floor': 3.0}, 'no'),
    ({'floor': 3.0, 'is_limit': True}, 'floor'),
    ({'floor': 1.9, 'is_limit': True}, 'no'),
    ({'floor': 1.9}, 'floor'),
    ({'ratio': 2.9}, '-'),
  ],
)
def test_a_row_says_what_it_reached(fields, met):
  assert table.Row('row', 'name', 's', 2.0, **fields).met == met


def test_the_table_marks_what_is_extrapolated():
  rows = [
    table.Row(
      'a', 'first', 's', 1234.5, 2.0, 0.5, 3, note='why', extrapolated=('ours',)
    ),
    table.Row('b', 'second', 'GB', 1.5, floor=2, is_limit=True),
  ]
  text = table.format_table(rows, {'jax': {'jax': '1'}}, {'c': 'none'}, 2.4)
  lines = text.splitlines()
  assert lines[0] == 'jax: jax 1'
  cells = [
    [cell.strip() for cell in line.strip('|').split('|')]
    for line in lines
    if line.startswith('|')
  ]
  assert cells[2] == [
    'first [a]', '~1,234', '2', 's', '0.5', '3', '', 'no'
  ]  # fmt: skip
  assert cells[3] == [
    'second [b]', '1.5', '', 'GB', '', '<= 2', '', 'floor'
  ]  # fmt: skip
  assert len({len(line) for line in lines if line.startswith('|')}) == 1
  assert lines[-4:] == [
    '~: measured in part and extrapolated linearly.',
    'a: why',
    'c: left out, none.',
    'Measured in 2 s.',
  ]


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'rows': ('eagre',)}, "Unknown row 'eagre' in rows; expected some of eag"),
    ({'num_children': 0}, 'num_children must be from 1 to 100,000, got 0'),
    (
      {'vocab_sizes': (20, -1)},
      'vocab_sizes must be from 1 to 100,000, got -1',
    ),
    ({'lstm_features': ()}, 'lstm_features needs at least one value'),
  ],
)
def test_a_bad_setting_is_refused(fields, message):
  with pytest.raises(ValueError, match=message):
    benchmark.Config(**fields)


def test_a_bad_base_is_refused_before_anything_is_measured(tmp_path):
  config = benchmark.Config(base=3, output=str(tmp_path / 'table.json'))
  with pytest.raises(ValueError, match='base number must be a power of two'):
    benchmark.run(config)


def test_an_output_that_is_a_folder_is_refused_at_once(tmp_path):
  config = benchmark.Config(output=str(tmp_path))
  with pytest.raises(OSError, match='output must be a file'):
    benchmark.run(config)


def test_an_error_of_a_worker_is_raised_and_leaves_it_usable():
  with contextlib.ExitStack() as stack:
    worker = frameworks_lib.Frameworks(stack, 'recurrent_').jax()
    assert worker.facts['num_devices'] == 1
    with pytest.raises(ChildProcessError, match=r'recurrent_jax failed: KeyEr'):
      worker.make('recurrence', kind='no', architectures=[], **{
        'features': 1, 'num_unrolled': 1, 'batch_size': 1
      })  # fmt: skip
    peak = worker.make('peak', sizes=(8,))
    assert peak.burst()['flops'] > 0
    worker._process.kill()
    with pytest.raises(ChildProcessError, match='ended with code'):
      peak.burst()


def test_a_worker_that_cannot_start_is_an_error():
  with (
    worker_lib.Worker('experiments.no_such', dict(os.environ)) as worker,
    pytest.raises(ChildProcessError, match='no_such failed: it ended with'),
  ):
    worker.make('peak', sizes=(8,))


def test_bursts_alternate():
  order = []
  results = worker_lib.alternate(
    {'a': lambda: order.append('a'), 'b': lambda: order.append('b') or 1}, 2
  )
  assert order == ['a', 'b', 'a', 'b']
  assert results == {'a': [None, None], 'b': [1, 1]}


@pytest.mark.slow
def test_the_plain_switch_equals_the_interpreter():
  inputs = recurrent_jax.recurrence_inputs(
    random_cells(12, 4), 5, 3, 2, jax.random.key(1)
  )
  # Larger than the benchmark's, so that every node matters.
  inputs = inputs[0], *(8 * x for x in inputs[1:])
  ours, plain = (
    jax.jit(
      recurrent_jax.recurrence_gradients(run),
      compiler_options={'xla_backend_optimization_level': 0},
    )(*inputs)
    for run in (
      recurrent_jax.jaxnas_recurrence,
      recurrent_jax.switch_recurrence,
    )
  )
  assert float(jnp.abs(ours[1][0]).max()) > 0.1
  for our, other in zip(
    jax.tree.leaves(ours), jax.tree.leaves(plain), strict=True
  ):
    scale = float(jnp.abs(other).max())
    np.testing.assert_allclose(our, other, rtol=2e-4, atol=2e-5 * scale)


@pytest.mark.slow
@pytest.mark.skipif(not HAS_TORCH, reason='PyTorch is not installed')
@pytest.mark.parametrize(
  'architecture', [*random_cells(1, 4), spaces.KNOWN_CELLS['nascell']]
)
def test_the_child_of_pytorch_is_that_of_jaxnas(architecture):
  import torch

  from experiments.benchmarks import recurrent_torch

  vocab_size, features, length, batch_size = 20, 8, 5, 3
  recipe = text_task.Recipe(
    features=features,
    optimizer='sgd',
    max_grad_norm=0.25,
    cell_scale=1.0,
    embedding_scale=1.0,
  )
  child = text_task.make_model(
    recipe,
    vocab_size,
    lambda width, **inits: cells.GrammarCell(
      width, architecture=architecture, **inits
    ),
  )
  state = text_task.init(child, recipe, jax.random.key(0), batch_size)
  model = recurrent_torch.LanguageModel(architecture, vocab_size, features)
  base, order = architecture.base, cells.leaf_order(architecture)

  def from_jax(params):
    """Returns jaxnas's parameters in PyTorch's names and orders."""
    params = jax.tree.map(np.asarray, params)['params']
    layer = params['layers_0']

    def leaves(kernel):
      blocks = np.split(kernel, base, -1)
      return np.concatenate(
        [blocks[order.index(leaf)] for leaf in range(base)], -1
      )

    return {
      'embedding.weight': params['embedding'],
      'cell.kernel': leaves(layer['input_projection']['kernel']),
      'cell.recurrent_kernel': leaves(layer['recurrent_kernel']),
      'output.weight': params['output_kernel'].T,
      'output.bias': params['output_bias'],
    }

  model.load_state_dict(
    {name: torch.tensor(x) for name, x in from_jax(state.params).items()}
  )
  step = recurrent_torch.make_step(model)
  tokens = np.random.default_rng(0).integers(
    vocab_size, size=(3, length, batch_size)
  )
  hidden = memory = torch.zeros(batch_size, features)
  # With the learning rate of the benchmark.
  jax_step = jax.jit(
    lambda *arguments: text_task.step(child, recipe, *arguments, 1.0)
  )
  for inputs, targets in itertools.pairwise(tokens):
    state, loss = jax_step(state, jnp.asarray(inputs), jnp.asarray(targets))
    torch_loss, hidden, memory = step(
      torch.tensor(inputs), torch.tensor(targets), hidden, memory
    )
    np.testing.assert_allclose(torch_loss.item(), loss, rtol=1e-4)
  assert bool(state.is_alive)
  trained = model.state_dict()
  for name, expected in from_jax(state.params).items():
    np.testing.assert_allclose(
      trained[name].numpy(), expected, rtol=1e-3, atol=1e-4, err_msg=name
    )

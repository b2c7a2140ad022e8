# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import pytest

from experiments.benchmarks import kernels, recurrent_rows, step_shares

SIZES = {
  'vocab_size': 12,
  'features': 4,
  'num_unrolled': 3,
  'batch_size': 2,
  'num_segments': 2,
}
STEP = 'jit(train)/shard_map/vmap()/while/body'
CELL = 'LanguageModel.encode/LanguageModel.read/layers_0.unroll'


@pytest.mark.parametrize(
  ('origin', 'is_matmul', 'part'),
  [
    (f'{STEP}/jvp(LanguageModel)/{CELL}/while/body/dot_general', True, 0),
    (f'{STEP}/transpose(jvp(LanguageModel))/{CELL}/while/body/mul', False, 1),
    (f'{STEP}/jvp(LanguageModel)/while/body/dot_general', True, 2),
    (f'{STEP}/jvp(LanguageModel)/while/body/exp', False, 3),
    (f'{STEP}/transpose(jvp(LanguageModel))/mul', False, 3),
    (f'{STEP}/sqrt', False, 4),
    (f'{STEP}/jvp(LanguageModel)/LanguageModel.encode/gather', False, 5),
    ('jit(train)/shard_map/broadcast', False, 5),
    ('', False, 5),
  ],
)
def test_operations_belong_to_what_they_were_compiled_from(
  origin, is_matmul, part
):
  launch = kernels.Launch('fusion', origin, is_matmul, ())
  assert step_shares.part_of(launch) == step_shares.PARTS[part]


def test_a_step_is_split_into_all_of_its_parts(monkeypatch):
  seen = []
  of_steps = kernels.of_steps
  monkeypatch.setattr(
    kernels, 'of_steps', lambda text: seen.extend(of_steps(text)) or seen
  )
  cells = recurrent_rows.random_cells(2, base=2)
  facts, burst = step_shares.make_shares(cells, **SIZES)
  assert facts['block_size'] % len(jax.local_devices()) == 0
  # None of the parts is a name that the program no longer has.
  parts = set(map(step_shares.part_of, seen))
  assert parts == set(step_shares.PARTS) - {'between operations'}
  seconds = burst(num_steps=2)
  assert tuple(seconds) == step_shares.PARTS
  assert all(seconds[part] > 0 for part in parts)
  # A device of one thread runs one operation at a time.
  assert 0 < seconds['between operations'] < sum(seconds.values())


def test_a_matmul_goes_on_until_its_result_is_taken():
  launches = {
    'dot': kernels.Launch('dot', '', True, ('x', 'y')),
    'add': kernels.Launch('add', '', False, ('x', 'x')),
    'exp': kernels.Launch('exp', '', False, ('add', 'dot')),
  }
  events = [
    step_shares._Event(*event, 0)
    for event in [
      (0, 1, 'dot'), (1, 3, 'add'), (7, 8, 'exp'), (10, 11, 'add'),
      (12, 13, 'outside'),
    ]
  ]  # fmt: skip
  spent, total = step_shares._spent(events, launches)
  assert spent == {'dot': 1 + 4, 'add': 2 + 1, 'exp': 1}
  assert total == 11

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import itertools
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.datasets import reward_table as tables
from jaxnas.spaces import recurrent_cell
from jaxnas.types import Status

CARDINALITIES = (2, 1, 4, 3)
REWARDS = np.random.default_rng(0).normal(size=24).astype(np.float32)
TABLE = tables.Table(CARDINALITIES, REWARDS)
ALL_TOKENS = np.array(
  list(itertools.product(*map(range, CARDINALITIES))), np.int32
)


def test_sequences_stand_in_mixed_radix_the_first_decision_most_significant():
  by_token = REWARDS.reshape(CARDINALITIES)
  expected = [by_token[tuple(tokens)] for tokens in ALL_TOKENS]
  np.testing.assert_array_equal(
    TABLE.look_up(jnp.asarray(ALL_TOKENS)), expected
  )
  np.testing.assert_array_equal(expected, REWARDS)
  np.testing.assert_array_equal(
    tables.index(CARDINALITIES, jnp.asarray(ALL_TOKENS)), np.arange(24)
  )
  assert TABLE.size == 24


def test_look_up_takes_any_leading_shape_under_jit_and_vmap():
  tokens = jnp.asarray(ALL_TOKENS).reshape(2, 3, 4, 4)
  expected = REWARDS.reshape(2, 3, 4)
  for function in (TABLE.look_up, jax.jit(TABLE.look_up)):
    result = function(tokens)
    np.testing.assert_array_equal(result, expected)
    assert result.dtype == jnp.float32
  np.testing.assert_array_equal(jax.vmap(TABLE.look_up)(tokens), expected)
  assert TABLE.look_up(tokens[0, 0, 0]).shape == ()


def test_rewards_can_be_mapped_too():
  tokens = jnp.asarray(ALL_TOKENS[:3])
  many = jnp.asarray(np.stack([REWARDS, -REWARDS]))
  result = jax.vmap(
    lambda rewards: tables.look_up(CARDINALITIES, rewards, tokens)
  )(many)
  np.testing.assert_array_equal(result, [REWARDS[:3], -REWARDS[:3]])


OUTSIDE = [
  ([1, 0, 2, -1], "Token -1 .* 'decision_3', which has 3"),
  ([-1, -1, -1, -1], "Token -1 .* 'decision_0', which has 2"),
  ([0, 1, 0, 0], "Token 1 .* 'decision_1', which has 1"),
  ([0, 0, 4, 0], "Token 4 .* 'decision_2', which has 4"),
]


@pytest.mark.parametrize(('tokens', 'message'), OUTSIDE)
def test_what_is_not_in_the_table_is_nan_or_an_error(tokens, message):
  tokens = np.array([[0, 0, 0, 0], tokens], np.int32)
  np.testing.assert_array_equal(
    tables.index(CARDINALITIES, jnp.asarray(tokens)), [0, -1]
  )
  np.testing.assert_array_equal(
    TABLE.look_up(jnp.asarray(tokens)), [REWARDS[0], np.nan]
  )
  with pytest.raises(ValueError, match=message):
    tables.make_evaluator(TABLE).evaluate(None, tokens)
  with pytest.raises(ValueError, match=message):
    tables.make_space(TABLE).decode(tokens[1])


def test_evaluator_looks_up():
  evaluator = tables.make_evaluator(TABLE)
  evaluation = evaluator.evaluate(None, ALL_TOKENS[::-1])
  np.testing.assert_array_equal(evaluation.rewards, REWARDS[::-1])
  assert evaluation.rewards.dtype == np.float32
  assert not evaluation.metrics
  assert set(evaluation.status) == {Status.OK}
  assert evaluator.floor_reward == REWARDS.min()


def test_a_table_brings_its_space():
  space = tables.make_space(TABLE, 'mine')
  assert (space.name, space.size, space.num_tokens) == ('mine', 24, 4)
  assert [each.num_choices for each in space.decisions] == list(CARDINALITIES)
  assert len({each.name for each in space.decisions}) == 4
  entries = [space.decode(tokens) for tokens in ALL_TOKENS]
  assert len(set(entries)) == 24
  for tokens, entry in zip(ALL_TOKENS, entries, strict=True):
    assert json.loads(json.dumps(entry.to_json())) == {
      'tokens': tokens.tolist()
    }
    for again in (space.encode(entry), space.canonical(tokens)):
      np.testing.assert_array_equal(again, tokens)
      assert again.dtype == np.int32
  with pytest.raises(ValueError, match=r'4 tokens, got an array of shape \(3'):
    space.decode(ALL_TOKENS[0, :3])
  with pytest.raises(ValueError, match='integers, got float'):
    space.decode(np.zeros(4))


def test_the_order_is_that_of_the_space_of_base_2_cells():
  decisions = recurrent_cell.make_space(2).decisions
  cardinalities = tuple(decision.num_choices for decision in decisions)
  assert cardinalities == (2, 4, 2, 4, 2, 4, 2, 4, 3, 3)
  size = np.prod(cardinalities)
  assert size == 36_864
  table = tables.Table(cardinalities, np.arange(size))
  numbers = np.array([0, 1, 3, 9, 17, 4_711, 36_863])
  tokens = np.stack(np.unravel_index(numbers, cardinalities), axis=-1)
  np.testing.assert_array_equal(table.look_up(jnp.asarray(tokens)), numbers)


def test_a_table_does_not_change_with_the_arrays_it_was_made_of():
  rewards = np.arange(6, dtype=np.float32)
  table = tables.Table((2, 3), rewards)
  rewards[0] = 7
  assert table.rewards[0] == 0
  with pytest.raises(ValueError, match='read-only'):
    table.rewards[0] = 7


BAD = [
  ((2, 3), np.zeros(5), r'shape \(6,\), .* \[2, 3\]; got \(5,\)'),
  ((2, 3), np.zeros((2, 3)), r'shape \(6,\), .*; got \(2, 3\)'),
  ((2, 3), [0, 1, np.nan, 3, np.inf, 5], 'finite .* nan at place 2 .2 in all'),
  ((2, 3), np.full(6, 1e300), 'finite in float32, got inf at place 0'),
  ((2, 3), np.zeros(6, complex), 'real numbers, got complex128'),
  ((2, 3), ['a'] * 6, 'real numbers, got <U1'),
  ((2, 0), [], 'at least 1, got 0 at place 1'),
  ((), [1.0], r'at least one integer, got float64 of shape \(0,\)'),
  (((2, 3),), np.zeros(6), r'int64 of shape \(1, 2\)'),
  ((2.0, 3.0), np.zeros(6), 'integer, got float64'),
  ((2**16, 2**16), np.zeros(1), '2,147,483,647, got 4,294,967,296'),
]


@pytest.mark.parametrize(('cardinalities', 'rewards', 'message'), BAD)
def test_bad_tables_are_refused(cardinalities, rewards, message, tmp_path):
  with pytest.raises(ValueError, match=message) as caught:
    tables.Table(cardinalities, rewards)
  path = tmp_path / 'table.npz'
  np.savez(path, cardinalities=np.asarray(cardinalities), rewards=rewards)
  with pytest.raises(ValueError, match=re.escape(f'{path}: {caught.value}')):
    tables.load(path)


def test_a_file_is_read(tmp_path):
  path = tmp_path / 'table.npz'
  np.savez_compressed(
    path,
    cardinalities=np.array(CARDINALITIES, np.uint8),
    rewards=REWARDS.astype(np.float64),
    other=1,
  )
  table = tables.load(path)
  assert table.cardinalities == CARDINALITIES
  np.testing.assert_array_equal(table.rewards, REWARDS)


def test_files_that_are_no_tables_are_refused(tmp_path):
  with pytest.raises(FileNotFoundError, match='no such table; expected an NPZ'):
    tables.load(tmp_path / 'missing.npz')
  (tmp_path / 'text.npz').write_text('cardinalities')
  with pytest.raises(ValueError, match=r'text\.npz is not an NPZ file'):
    tables.load(tmp_path / 'text.npz')
  (tmp_path / 'empty.npz').touch()
  with pytest.raises(ValueError, match=r'empty\.npz is not an NPZ file'):
    tables.load(tmp_path / 'empty.npz')
  np.save(tmp_path / 'single.npy', REWARDS)
  with pytest.raises(ValueError, match='it holds a single array'):
    tables.load(tmp_path / 'single.npy')
  np.savez(tmp_path / 'part.npz', rewards=REWARDS, seeds=0)
  with pytest.raises(ValueError, match='no cardinalities; it holds rewards,'):
    tables.load(tmp_path / 'part.npz')
  np.savez(tmp_path / 'none.npz')
  with pytest.raises(ValueError, match='it holds nothing'):
    tables.load(tmp_path / 'none.npz')
  objects = np.array([None] * 24)
  np.savez(
    tmp_path / 'objects.npz', cardinalities=CARDINALITIES, rewards=objects
  )
  with pytest.raises(ValueError, match=r'objects.npz is not .*pickle'):
    tables.load(tmp_path / 'objects.npz')
  whole = tmp_path / 'whole.npz'
  np.savez(whole, cardinalities=CARDINALITIES, rewards=REWARDS)
  (tmp_path / 'cut.npz').write_bytes(whole.read_bytes()[:300])
  with pytest.raises(ValueError, match=r'cut\.npz is not an NPZ file'):
    tables.load(tmp_path / 'cut.npz')


@pytest.mark.parametrize('save', [np.savez, np.savez_compressed])
def test_a_file_that_was_damaged_anywhere_is_told_by_its_name(tmp_path, save):
  path = tmp_path / 'damaged.npz'
  save(path, cardinalities=CARDINALITIES, rewards=REWARDS)
  whole = path.read_bytes()
  told = []
  for place in range(len(whole)):
    damaged = bytearray(whole)
    damaged[place] ^= 0xFF
    path.write_bytes(damaged)
    try:
      tables.load(path)
    except ValueError as error:
      told.append(str(error))
  assert len(told) > len(whole) / 2
  assert all('damaged.npz' in each for each in told)


CURVES = np.random.default_rng(1).normal(size=(24, 3)).astype(np.float32)


def test_curves_stand_in_the_order_of_the_table():
  curves = tables.Curves(CARDINALITIES, [2, 4, 8], CURVES)
  tokens = jnp.asarray(ALL_TOKENS)
  np.testing.assert_array_equal(curves.look_up(tokens), CURVES)
  np.testing.assert_array_equal(
    jax.jit(curves.look_up)(tokens.reshape(4, 6, 4)), CURVES.reshape(4, 6, 3)
  )
  assert np.isnan(curves.look_up(jnp.array([0, 0, 4, 0]))).all()
  some = curves.at((2, 8))
  assert some.points == (2, 8)
  np.testing.assert_array_equal(some.look_up(tokens), CURVES[:, [0, 2]])
  assert (
    some.fingerprint != curves.fingerprint == curves.at((2, 4, 8)).fingerprint
  )
  with pytest.raises(ValueError, match='after 2, 4, 8 steps, and none after 3'):
    curves.at((3, 8))


@pytest.mark.parametrize(
  ('points', 'curves', 'message'),
  [
    ([2, 4], CURVES, r'shape \(24, 2\), .* got \(24, 3\)'),
    ([2, 4, 4], CURVES, r'points must grow, from 1 or more, got \(2, 4, 4\)'),
    ([0, 4, 5], CURVES, 'points must grow, from 1 or more'),
    ([0.5, 4, 5], CURVES, 'points must be a list of integers, got float64'),
    ([], CURVES[:, :0], 'points must be a list of integers'),
  ],
)
def test_curves_that_are_none_are_refused(points, curves, message):
  with pytest.raises(ValueError, match=message):
    tables.Curves(CARDINALITIES, points, curves)


def test_a_file_may_have_curves(tmp_path):
  arrays = {'cardinalities': CARDINALITIES, 'rewards': REWARDS}
  path = tmp_path / 'table.npz'
  np.savez(path, **arrays)
  assert tables.load_curves(path) is None
  np.savez(path, **arrays, points=[1, 2, 3], curves=CURVES)
  found = tables.load_curves(path)
  assert found.points == (1, 2, 3)
  np.testing.assert_array_equal(found.rewards, CURVES)
  np.savez(path, **arrays, points=[1, 2], curves=CURVES)
  with pytest.raises(
    ValueError, match=r'table\.npz: curves must have the shap'
  ):
    tables.load_curves(path)

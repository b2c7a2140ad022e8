# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.trainers import mapping


def test_devices_are_the_first_ones():
  devices = jax.local_devices()
  assert mapping.choose_devices(None) == devices
  assert mapping.choose_devices(1) == devices[:1]
  for num_devices in (0, len(devices) + 1):
    with pytest.raises(ValueError, match='num_devices must be from 1 to'):
      mapping.choose_devices(num_devices)


def test_placed_data_is_on_every_device_once():
  placed = mapping.place({'x': np.arange(3)}, 2)
  assert placed['x'].devices() == set(mapping.choose_devices(2))
  assert placed['x'].is_fully_replicated
  again = mapping.place(placed, 2)
  pointers = [
    {shard.data.unsafe_buffer_pointer() for shard in x.addressable_shards}
    for x in (placed['x'], again['x'])
  ]
  assert pointers[0] == pointers[1]


@pytest.mark.parametrize('block_size', [0, -2, 3])
def test_a_block_divides_over_devices(block_size):
  with pytest.raises(ValueError, match=r'multiple of num_devices \(2\), got'):
    mapping.BlockMapping(block_size, 2)


def test_rows_are_mapped_and_the_rest_is_shared():
  blocks = mapping.BlockMapping(4, 2)
  traced, checked = [], []

  def add(rows, both):
    traced.append(rows.shape)
    return rows + both['shared'] * both['each']

  program = blocks.shard(
    jax.vmap(add, (0, {'shared': None, 'each': 0})),
    (0, {'shared': None, 'each': 0}),
  )
  for offset in (0, 10):
    rows = jnp.arange(4) + offset
    result = blocks.call(
      program, rows, {'shared': 2, 'each': rows}, check=checked.append
    )
    np.testing.assert_array_equal(result, 3 * rows)
    assert len(result.addressable_shards) == 2
  # Compiled, and checked, once.
  assert len(traced) == len(checked) == 1
  assert blocks.compile_seconds > 0
  assert blocks.run_seconds > 0


def test_a_program_that_fails_the_check_is_not_run():
  blocks = mapping.BlockMapping(2, 1)
  program = blocks.shard(jnp.negative, (0,))

  def refuse(compiled):
    raise MemoryError

  with pytest.raises(MemoryError):
    blocks.call(program, jnp.arange(2), check=refuse)
  np.testing.assert_array_equal(blocks.call(program, jnp.arange(2)), [0, -1])


def test_one_axis_may_stand_for_many_arrays():
  result = mapping.map_axes(
    lambda axis, part: (axis, len(part)), (0, None), ({'a': 1, 'b': 2}, (3,))
  )
  assert result == ((0, 2), (None, 1))


def test_shapes_and_types_tell_programs_apart():
  x = np.zeros((2, 3), np.float32)
  assert mapping.shapes_of({'x': x}) == mapping.shapes_of({'x': x + 1})
  for other in ({'y': x}, {'x': x.T}, {'x': x.astype(np.int32)}):
    assert mapping.shapes_of({'x': x}) != mapping.shapes_of(other)

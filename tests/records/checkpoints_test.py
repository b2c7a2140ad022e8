# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import json
import logging as standard_logging
import random
import shutil
import subprocess
import sys
from typing import NamedTuple

from absl import logging
import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnas.records import checkpoints


class State(NamedTuple):
  params: dict
  opt_state: tuple
  key: jax.Array
  extra: dict


@pytest.fixture
def messages():
  """All that absl logs, Orbax's share included."""
  records: list[str] = []

  class Handler(standard_logging.Handler):
    def emit(self, record):
      records.append(record.getMessage())

  logger, handler = logging.get_absl_logger(), Handler()
  level = logger.level
  logger.addHandler(handler)
  logger.setLevel(standard_logging.DEBUG)
  yield records
  logger.setLevel(level)
  logger.removeHandler(handler)


def make_state(seed=0, size=2000):
  key, params_key, other_key = jax.random.split(jax.random.key(seed), 3)
  params = {
    'w': jax.random.normal(params_key, (3, size)),
    'b': jnp.full(2, -0.0),
  }
  optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3))
  _, opt_state = optimizer.update(params, optimizer.init(params))
  return State(
    params,
    opt_state,
    key,
    {
      'keys': jax.random.split(other_key, 3),
      'other keys': jax.random.key(seed, impl='rbg'),
      'nans': jnp.asarray(
        np.asarray([0x7FC00001, 0xFFC12345], np.uint32).view(np.float32)
      ),
      'half': jnp.arange(3, dtype=jnp.bfloat16),
      'flags': jnp.asarray([True, False]),
      'empty': jnp.zeros((0, 4)),
      'numpy': np.arange(3, dtype=np.int64),
      'numpy scalar': np.float64(0.1),
      'int': 2**40 + seed,
      'float': 0.1,
      'bool': True,
      'none': None,
      'nothing': (),
    },
  )


def restore(saved, like):
  restored = saved.restore_newest(like)
  assert restored is not None
  return restored


def assert_same(state, expected):
  chex.assert_trees_all_equal_structs(state, expected)
  for leaf, other in zip(
    jax.tree.leaves(state), jax.tree.leaves(expected), strict=True
  ):
    if not isinstance(other, jax.Array):
      assert type(leaf) is type(other)
    elif jax.dtypes.issubdtype(other.dtype, jax.dtypes.prng_key):
      assert leaf.dtype == other.dtype
      leaf, other = jax.random.key_data(leaf), jax.random.key_data(other)
    leaf, other = np.asarray(leaf), np.asarray(other)
    assert leaf.dtype == other.dtype
    assert leaf.shape == other.shape
    assert leaf.tobytes() == other.tobytes()


def save_all(folder, steps, **options):
  with checkpoints.Checkpoints(folder, **options) as saved:
    for step in steps:
      saved.save(step, make_state(step))


def step_names(folder):
  return sorted(path.name for path in folder.iterdir())


def content_files(folder, step):
  """Files without which the checkpoint cannot be read, the largest first."""
  files = [
    path for path in (folder / str(step) / 'state').rglob('*') if path.is_file()
  ]
  return sorted(files, key=lambda path: -path.stat().st_size)


def test_a_state_comes_back_bit_for_bit(tmp_path, messages):
  save_all(tmp_path / 'checkpoints', [4, 5])
  with checkpoints.Checkpoints(tmp_path / 'checkpoints') as saved:
    step, state = restore(saved, make_state(99))
  assert step == 5
  assert_same(state, make_state(5))
  assert messages == []


def test_the_state_asked_for_may_be_abstract(tmp_path):
  state = {'key': jax.random.key(3), 'w': jnp.arange(3.0), 'n': jnp.int32(4)}
  with checkpoints.Checkpoints(tmp_path) as saved:
    assert saved.restore_newest(state) is None
    saved.save(0, state)
    step, restored = restore(saved, jax.eval_shape(lambda: state))
  assert step == 0
  assert_same(restored, state)


def test_a_restored_state_continues_as_the_saved_one(tmp_path):
  optimizer = optax.adam(0.1)
  params = {'w': jnp.arange(4.0)}

  num_traces = 0

  @jax.jit
  def advance(state):
    nonlocal num_traces
    num_traces += 1
    params, opt_state, key = state
    key, noise_key = jax.random.split(key)
    grads = jax.tree.map(
      lambda w: w + jax.random.normal(noise_key, w.shape), params
    )
    updates, opt_state = optimizer.update(grads, opt_state)
    return optax.apply_updates(params, updates), opt_state, key

  state = advance((params, optimizer.init(params), jax.random.key(0)))
  with checkpoints.Checkpoints(tmp_path) as saved:
    saved.save(1, state)
    _, restored = restore(saved, state)
  assert_same(advance(restored), advance(state))
  assert num_traces == 1


def test_the_newest_few_stay(tmp_path):
  save_all(tmp_path, range(5), max_to_keep=2)
  assert step_names(tmp_path) == ['3', '4']
  with pytest.raises(ValueError, match='max_to_keep must be at least 1, got 0'):
    checkpoints.Checkpoints(tmp_path, max_to_keep=0)


def delete(path):
  path.unlink()


def truncate(path):
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def scramble(path):
  path.write_bytes(random.Random(0).randbytes(path.stat().st_size))


def flip_one_byte(path):
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 0xFF
  path.write_bytes(content)


@pytest.mark.parametrize('damage', [delete, truncate, scramble, flip_one_byte])
def test_a_damaged_newest_is_skipped_with_a_warning(
  tmp_path, damage, messages, capfd
):
  folder = tmp_path / 'checkpoints'
  save_all(folder, [1, 2])
  shutil.copytree(folder, tmp_path / 'copy')
  for path in (
    content_files(folder, 2)[0],
    folder / '2' / 'state' / '_METADATA',
    folder / '2' / 'state' / 'manifest.ocdbt',
    folder / '2' / '_CHECKPOINT_METADATA',
  ):
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / 'copy', folder)
    damage(path)
    messages.clear()
    with checkpoints.Checkpoints(folder) as saved:
      step, state = restore(saved, make_state())
    assert step == 1
    assert_same(state, make_state(1))
    assert len(messages) == 1
    assert f'Checkpoint {folder / "2"} is damaged and skipped' in messages[0]
  assert 'Traceback' not in capfd.readouterr().err


def test_an_emptied_checkpoint_is_damaged_too(tmp_path, messages):
  save_all(tmp_path, [1, 2])
  for path in (tmp_path / '2').iterdir():
    shutil.rmtree(path) if path.is_dir() else path.unlink()
  with checkpoints.Checkpoints(tmp_path) as saved:
    assert restore(saved, make_state())[0] == 1
  assert len(messages) == 1


def test_if_all_are_damaged_there_is_none(tmp_path, messages):
  save_all(tmp_path, [1, 2, 3])
  for step in (1, 2, 3):
    content_files(tmp_path, step)[0].unlink()
  with checkpoints.Checkpoints(tmp_path) as saved:
    assert saved.restore_newest(make_state()) is None
    assert len(messages) == 3
    saved.save(1, make_state(1))
    assert restore(saved, make_state())[0] == 1
  assert step_names(tmp_path) == ['1']


@pytest.mark.parametrize('step', [1, 2])
def test_a_run_that_fell_back_overwrites_what_it_overtakes(
  tmp_path, step, messages
):
  save_all(tmp_path, [0, 2])
  content_files(tmp_path, 2)[0].unlink()
  with checkpoints.Checkpoints(tmp_path) as saved:
    assert restore(saved, make_state())[0] == 0
    saved.save(step, make_state(50))
  messages.clear()
  with checkpoints.Checkpoints(tmp_path) as saved:
    newest, state = restore(saved, make_state())
  assert newest == step
  assert_same(state, make_state(50))
  assert messages == []


def test_an_undamaged_step_is_overwritten(tmp_path):
  save_all(tmp_path, [1, 2])
  with checkpoints.Checkpoints(tmp_path) as saved:
    saved.save(2, make_state(9))
    step, state = restore(saved, make_state())
  assert step == 2
  assert_same(state, make_state(9))


@pytest.mark.parametrize(
  ('saved_state', 'like', 'message'),
  [
    (
      {'a': jnp.zeros((3, 2))},
      {'a': jnp.zeros((3, 4))},
      r"state\['a'\] as float32\[3,2\], expected float32\[3,4\]",
    ),
    (
      {'a': jnp.zeros(3)},
      {'a': jnp.zeros(3, jnp.int32)},
      r'as float32\[3\], expected int32\[3\]',
    ),
    (
      {'a': jnp.zeros(3)},
      {'b': jnp.zeros(3)},
      r"state\['b'\] as nothing, expected float32\[3\]",
    ),
    (
      {'a': jnp.zeros(3), 'b': 2},
      {'a': jnp.zeros(3)},
      r"state\['b'\] as int, expected nothing",
    ),
    (
      {'a': jax.random.key(0)},
      {'a': jax.random.key(0, impl='rbg')},
      r'as key<fry>\[\], expected key<rbg>\[\]',
    ),
  ],
)
def test_another_state_is_refused_and_not_called_damaged(
  tmp_path, saved_state, like, message, messages
):
  with checkpoints.Checkpoints(tmp_path) as saved:
    saved.save(3, saved_state)
    with pytest.raises(ValueError, match=message) as error:
      saved.restore_newest(like)
  assert str(tmp_path / '3') in str(error.value)
  assert 'another folder' in str(error.value)
  assert messages == []


def test_a_leaf_that_is_no_number_is_refused(tmp_path):
  with (
    checkpoints.Checkpoints(tmp_path) as saved,
    pytest.raises(ValueError, match=r"state\['name'\] is a str; a checkpoint"),
  ):
    saved.save(0, {'name': 'x'})


def test_an_unfinished_save_is_cleared_away(tmp_path):
  save_all(tmp_path, [1])
  shutil.copytree(tmp_path / '1', tmp_path / '2.orbax-checkpoint-tmp')
  with checkpoints.Checkpoints(tmp_path) as saved:
    assert restore(saved, make_state())[0] == 1
  assert step_names(tmp_path) == ['1']


@pytest.mark.parametrize('name', ['run[1]', 'a\\b', 'what?*', 'é %20#'])
def test_any_path_can_be_read_back(tmp_path, name, messages):
  folder = tmp_path / name / 'checkpoints'
  save_all(folder, [1, 2])
  with checkpoints.Checkpoints(folder) as saved:
    assert restore(saved, make_state())[0] == 2
  assert step_names(folder) == ['1', '2']
  assert messages == []


def test_what_is_saved_first_is_read_back_at_once(tmp_path, monkeypatch):
  reads = []
  read = checkpoints.Checkpoints._read

  def damaged(self, step):
    reads.append(step)
    (tmp_path / str(step) / 'state' / 'manifest.ocdbt').unlink()
    return read(self, step)

  with checkpoints.Checkpoints(tmp_path) as saved:
    monkeypatch.setattr(checkpoints.Checkpoints, '_read', damaged)
    with pytest.raises(OSError, match='1 was saved, but it cannot be read'):
      saved.save(1, make_state())
    monkeypatch.setattr(
      checkpoints.Checkpoints,
      '_read',
      lambda self, step: [reads.append(step), read(self, step)][1],
    )
    saved.save(2, make_state())
    saved.save(3, make_state())
  assert reads == [1, 2]


def test_unknown_metadata_of_one_does_not_hide_an_older_one(tmp_path, messages):
  save_all(tmp_path, [1, 2])
  path = tmp_path / '2' / '_CHECKPOINT_METADATA'
  metadata = json.loads(path.read_text())
  path.write_text(json.dumps(metadata | {'unknown': 1}))
  with checkpoints.Checkpoints(tmp_path) as saved:
    assert restore(saved, make_state())[0] == 1
  assert len(messages) == 1


def test_a_folder_is_open_once(tmp_path):
  with (
    checkpoints.Checkpoints(tmp_path),
    pytest.raises(ValueError, match='is in use by another process, or already'),
  ):
    checkpoints.Checkpoints(tmp_path)
  checkpoints.Checkpoints(tmp_path).close()


WRITER = """
import sys
import numpy as np
from jaxnas.records import checkpoints

like = {'w': np.zeros(10**6, np.int32)}
with checkpoints.Checkpoints(sys.argv[1]) as saved:
  newest = saved.restore_newest(like)
  for step in range(newest[0] + 1 if newest else 0, 10**6):
    saved.save(step, {'w': like['w'] + step})
    print(step, flush=True)
"""


def test_a_writer_killed_twice_loses_nothing_it_reported(tmp_path, messages):
  last = -1
  for num_lines in (3, 4):
    with subprocess.Popen(
      [sys.executable, '-c', WRITER, str(tmp_path)], stdout=subprocess.PIPE
    ) as process:
      assert process.stdout
      for _ in range(num_lines):
        assert int(process.stdout.readline()) > last
      process.kill()
      last = [last, *map(int, process.stdout.read().split())][-1]
    with checkpoints.Checkpoints(tmp_path) as saved:
      step, state = restore(saved, {'w': np.zeros(10**6, np.int32)})
    assert step >= last
    assert (state['w'] == step).all()
    last = step
  assert messages == []

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import io
import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from jaxnas import npz

ARRAYS = {
  'a': np.arange(12, dtype=np.float32).reshape(3, 4),
  'b/c': np.asfortranarray(np.arange(6, dtype=np.int64).reshape(2, 3)),
  'text': np.array('some text'),
  'empty': np.zeros((0, 3), np.uint8),
  'scalar': np.float64(1.5),
}


def header(shape, descr='|u1'):
  file = io.BytesIO()
  np.lib.format.write_array_header_1_0(
    file, {'descr': descr, 'fortran_order': False, 'shape': shape}
  )
  return file.getvalue()


def write_members(path, members, compression=zipfile.ZIP_STORED):
  with zipfile.ZipFile(path, 'w', compression) as archive:
    for name, content in members:
      archive.writestr(name, content)


@pytest.mark.parametrize('compressed', [False, True])
def test_what_was_written_is_read(tmp_path, compressed):
  path = tmp_path / 'a.npz'
  npz.write(path, ARRAYS, compressed)
  found = npz.read(path)
  assert found.keys() == ARRAYS.keys()
  for name, array in ARRAYS.items():
    assert found[name].dtype == array.dtype
    np.testing.assert_array_equal(found[name], array)
    assert found[name].flags.writeable
  assert npz.read(path, ['text']).keys() == {'text'}
  assert [entry.name for entry in tmp_path.iterdir()] == ['a.npz']


def test_missing_array_is_named_beside_those_there(tmp_path):
  npz.write(tmp_path / 'a.npz', {'x': np.zeros(3), 'y': np.zeros(3)})
  with pytest.raises(
    ValueError, match=r'a\.npz .*no x_train, z; it holds x, y\); go away\.'
  ):
    npz.read(tmp_path / 'a.npz', ['x_train', 'x', 'z'], hint='go away')


def test_no_file_is_an_error_of_its_own(tmp_path):
  with pytest.raises(FileNotFoundError):
    npz.read(tmp_path / 'a.npz')


@pytest.mark.parametrize(
  ('shape', 'descr'),
  [((10**10, 128, 128, 3), '|u1'), ((2**50,), '<f8'), ((2**62, 2**62), '|u1')],
)
def test_declared_sizes_are_checked_before_memory_is_taken(
  tmp_path, shape, descr
):
  path = tmp_path / 'huge.npz'
  write_members(path, [('a.npy', header(shape, descr) + bytes(64))])
  with pytest.raises(ValueError, match=r'huge\.npz .*declares the shape'):
    npz.read(path)


def test_bomb_is_refused_without_unpacking_it(tmp_path):
  path = tmp_path / 'bomb.npz'
  count = 600 << 20
  with (
    zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive,
    archive.open('a.npy', 'w') as file,
  ):
    file.write(header((count,)))
    for _ in range(count >> 20):
      file.write(bytes(1 << 20))
  assert path.stat().st_size < 1 << 20
  code = (
    'import resource\n'
    f'limit = 1 << 32\n'
    'resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n'
    'from jaxnas import npz\n'
    'try:\n'
    f'  npz.read({str(path)!r})\n'
    'except npz.NpzError as error:\n'
    '  print("NpzError", error)\n'
    'print(open("/proc/self/status").read())\n'
  )
  ended = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True
  )
  assert 'NpzError' in ended.stdout
  assert 'when unpacked' in ended.stdout
  # What `resource` tells of a child has its parent's memory in it.
  (peak,) = re.findall(r'VmHWM:\s+(\d+) kB', ended.stdout)
  assert int(peak) < 500 << 10


def test_limit_is_kept(tmp_path):
  npz.write(tmp_path / 'a.npz', {'a': np.zeros(1000)})
  npz.read(tmp_path / 'a.npz', max_bytes=9000)
  with pytest.raises(ValueError, match='7,000 may be taken'):
    npz.read(tmp_path / 'a.npz', max_bytes=7000)


@pytest.mark.filterwarnings('ignore:Duplicate name')
@pytest.mark.parametrize(
  ('members', 'reason'),
  [
    ([('a.npy', b'')], 'magic'),
    ([('a.npy', header((64,)) + bytes(65))], 'declares the shape'),
    ([('a.npy', header((-1, -64)) + bytes(64))], 'has the shape'),
    ([('a.npy', header((2,), '|O') + bytes(64))], 'pickle'),
    ([('a.npy', header((2**40,), '|V0'))], 'is of type'),
    ([('a.txt', b'text')], 'is not an array'),
    ([('a.npy', header((0,)))] * 2, 'two arrays named a'),
    ([('a.npy', b'\x93NUMPY\1\0\xff\xff' + b'[' * 65535)], ''),
  ],
)
def test_strange_archives_are_refused(tmp_path, members, reason):
  path = tmp_path / 'a.npz'
  write_members(path, members)
  with pytest.raises(ValueError, match=rf'a\.npz cannot be read .*{reason}'):
    npz.read(path)


@pytest.mark.parametrize('compressed', [False, True])
def test_no_changed_byte_is_read_as_something_else(tmp_path, compressed):
  path = tmp_path / 'a.npz'
  npz.write(path, ARRAYS, compressed)
  sound = path.read_bytes()
  random = np.random.default_rng(0)
  num_refused = 0
  for place in random.choice(len(sound), 300, replace=False):
    content = bytearray(sound)
    content[place] ^= int(random.integers(1, 256))
    path.write_bytes(content)
    try:
      found = npz.read(path)
    except ValueError:
      num_refused += 1
      continue
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
      assert found[name].dtype == array.dtype
      np.testing.assert_array_equal(found[name], array)
  assert num_refused > 150


def test_names_are_told_without_reading(tmp_path):
  path = tmp_path / 'a.npz'
  npz.write(path, {'x': np.zeros(3), 'y': np.ones(2)})
  assert npz.read_names(path) == ['x', 'y']
  path.write_bytes(path.read_bytes()[:-40])
  with pytest.raises(npz.NpzError, match=r'cannot be read as an .npz file'):
    npz.read_names(path)

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import errno
import os

from absl import logging
import pytest

from jaxnas import files


def test_file_is_replaced_whole(tmp_path):
  path = tmp_path / 'a'
  path.write_bytes(b'old')
  with files.replacing(path) as file:
    file.write(b'new')
    assert path.read_bytes() == b'old'
  assert path.read_bytes() == b'new'


@pytest.mark.parametrize('error', [ValueError('no'), KeyboardInterrupt()])
def test_old_file_stays_where_writing_fails(tmp_path, error):
  path = tmp_path / 'a'
  path.write_bytes(b'old')

  def write():
    with files.replacing(path) as file:
      file.write(b'new')
      raise error

  with pytest.raises(type(error)):
    write()
  assert path.read_bytes() == b'old'
  assert list(tmp_path.iterdir()) == [path]


def test_error_names_the_file(tmp_path):
  with (
    pytest.raises(OSError, match=r"'.*/none/a'"),
    files.replacing(tmp_path / 'none/a'),
  ):
    pass


def test_error_of_another_file_names_that_one(tmp_path):
  with (
    pytest.raises(OSError, match=r"'.*/none/b'"),
    files.replacing(tmp_path / 'a'),
    files.replacing(tmp_path / 'none/b'),
  ):
    pass
  assert not list(tmp_path.iterdir())


def test_file_system_without_fsync_is_warned_of_once(tmp_path, monkeypatch):
  warnings = []
  monkeypatch.setattr(logging, 'warning', lambda *args: warnings.append(args))

  def fsync(descriptor):
    raise OSError(errno.EINVAL, 'Invalid argument')

  monkeypatch.setattr(os, 'fsync', fsync)
  for name in 'ab':
    with files.replacing(tmp_path / name) as file:
      file.write(b'content')
    assert (tmp_path / name).read_bytes() == b'content'
  assert len(warnings) == 1


def test_full_disk_is_an_error(tmp_path, monkeypatch):
  def fsync(descriptor):
    raise OSError(errno.ENOSPC, 'No space left on device')

  monkeypatch.setattr(os, 'fsync', fsync)
  with (
    pytest.raises(OSError, match='No space left'),
    files.replacing(tmp_path / 'a'),
  ):
    pass
  assert not list(tmp_path.iterdir())

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Archives of arrays, `.npz`: read without trust, written atomically.

A stranger's archive cannot run code, and it cannot take more memory than was
checked first: the size in an array's header must agree with what the archive
holds, and no compression may be out of all proportion.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import math
import os
import struct
from typing import IO, Any
import zipfile

import numpy as np

from jaxnas import files

_SUFFIX = '.npy'
_SINGLE = b'\x93NUMPY'
_MAX_LISTED = 8
# The last record of an archive: signature, two numbers of disks, the count of
# members on this one and in all, size and place of the directory, and the
# length of a comment.
_END = struct.Struct('<4s4H2LH')
# Real arrays seldom compress to less than a hundredth, but a zip bomb does to a
# thousandth. Small files may compress as they like.
_MAX_RATIO = 200
_SMALL_BYTES = 1 << 28
_MAX_HEADER_BYTES = 10_000
_CHUNK_BYTES = 1 << 20


class NpzError(ValueError):
  """A file that is not a sound archive of the wanted arrays.

  Attributes:
    reason: what is wrong with the file, without its name.
  """

  def __init__(self, message: str, reason: str):
    super().__init__(message)
    self.reason = reason


def read(
  path: str | os.PathLike[str],
  names: Sequence[str] | None = None,
  *,
  optional: Sequence[str] = (),
  hint: str = 'restore it from a copy',
  max_bytes: int | None = None,
) -> dict[str, np.ndarray]:
  """Returns arrays of an `.npz` file, each checked against its checksum.

  Args:
    path: the file.
    names: the names of the arrays to read; all by default.
    optional: the names of arrays to read if the file has them.
    hint: advice about a damaged file, for the message.
    max_bytes: the most memory that the arrays may take, in bytes; the free
      memory by default.

  Raises:
    NpzError: the file is not such an archive, is damaged, lacks an array, holds
      Python objects, or needs too much memory. The message is one line, names
      the file and ends with the hint.
    OSError: the file cannot be opened.
  """
  with _opened(path, hint) as (file, archive):
    members = _members(archive)
    _check_end(file, len(members))
    missing = [name for name in names or () if name not in members]
    if missing:
      raise ValueError(
        f'it has no {", ".join(missing)}; it holds {listing(members)}'
      )
    more = [name for name in optional if name in members]
    wanted = {name: members[name] for name in (*(names or members), *more)}
    _check_sizes(
      list(wanted.values()), os.fstat(file.fileno()).st_size, max_bytes
    )
    return {
      name: _read_array(archive, name, member)
      for name, member in wanted.items()
    }


def read_names(
  path: str | os.PathLike[str], *, hint: str = 'restore it from a copy'
) -> list[str]:
  """Returns the names of the arrays in an `.npz` file, which are not read.

  Args:
    path: the file.
    hint: advice about a damaged file, for the message.

  Raises:
    NpzError: the file is not such an archive, or is damaged.
    OSError: the file cannot be opened.
  """
  with _opened(path, hint) as (file, archive):
    members = _members(archive)
    _check_end(file, len(members))
    return list(members)


@contextlib.contextmanager
def _opened(
  path: str | os.PathLike[str], hint: str
) -> Iterator[tuple[IO[bytes], zipfile.ZipFile]]:
  """Opens an archive; what damage causes in the context is an `NpzError`."""
  with open(path, 'rb') as file:
    try:
      if file.read(len(_SINGLE)) == _SINGLE:
        raise ValueError('it holds a single array')
      with zipfile.ZipFile(file) as archive:
        yield file, archive
    # The errors that damaged bytes cause in zipfile, zlib, tokenize and numpy
    # have no common type; MemoryError is among them.
    except Exception as error:
      reason = ' '.join(str(error).split()).rstrip('.:')
      reason = reason or type(error).__name__
      raise NpzError(
        f'{os.fspath(path)} cannot be read as an .npz file ({reason}); {hint}.',
        reason,
      ) from None


def write(
  path: str | os.PathLike[str],
  arrays: Mapping[str, Any],
  compressed: bool = False,
) -> None:
  """Writes an `.npz` file; the same arrays give the same bytes.

  Args:
    path: the file; an older one is replaced atomically.
    arrays: the arrays, by name.
    compressed: whether to compress them.

  Raises:
    OSError: the file cannot be written; an older one stays.
  """
  save = np.savez_compressed if compressed else np.savez
  with files.replacing(path) as file:
    save(file, **arrays)


def listing(names: Sequence[str] | Mapping[str, Any]) -> str:
  """Returns the names of arrays as text, cut after the first few.

  Args:
    names: the names.
  """
  first = ', '.join(list(names)[:_MAX_LISTED]) or 'nothing'
  rest = len(names) - _MAX_LISTED
  return f'{first} and {rest} more' if rest > 0 else first


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
  """Returns the archive's entries for the arrays, by name."""
  members: dict[str, zipfile.ZipInfo] = {}
  for member in archive.infolist():
    name = member.filename.removesuffix(_SUFFIX)
    if name == member.filename:
      raise ValueError(f'its member {name!r} is not an array')
    if name in members:
      raise ValueError(f'it has two arrays named {name}')
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
      raise ValueError(
        f'{name} is packed by compression method {member.compress_type}, which '
        'is not read here'
      )
    members[name] = member
  return members


def _check_end(file: IO[bytes], num_members: int) -> None:
  """Checks that an archive ends with the right count of its members.

  `zipfile` silently skips an entry that a damaged length in the one before it
  hides.
  """
  file.seek(-_END.size, os.SEEK_END)
  signature, *_, count, _, _, num_comment = _END.unpack(file.read(_END.size))
  if (signature, count, num_comment) != (b'PK\5\6', num_members, 0):
    raise ValueError('its directory is damaged, or has a comment')


def _check_sizes(
  members: Sequence[zipfile.ZipInfo], num_bytes: int, max_bytes: int | None
) -> None:
  """Checks the memory that arrays will take against the size of the file."""
  packed = sum(member.compress_size for member in members)
  unpacked = sum(member.file_size for member in members)
  if packed > num_bytes:
    raise ValueError('its members overlap or are cut short')
  if unpacked > max(_SMALL_BYTES, _MAX_RATIO * packed):
    raise ValueError(
      f'its {packed:,} bytes claim to be {unpacked:,} when unpacked, which no '
      'real arrays are'
    )
  limit = free_memory() if max_bytes is None else max_bytes
  if limit is not None and unpacked > limit:
    raise ValueError(
      f'its arrays take {unpacked:,} bytes, and {limit:,} may be taken'
    )


def _read_array(
  archive: zipfile.ZipFile, name: str, member: zipfile.ZipInfo
) -> np.ndarray:
  with archive.open(member) as file:
    version = np.lib.format.read_magic(file)
    read_header = {
      (1, 0): np.lib.format.read_array_header_1_0,
      (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
      raise ValueError(f'{name} has a header of version {version}')
    shape, is_fortran, dtype = read_header(
      file, max_header_size=_MAX_HEADER_BYTES
    )
    if dtype.hasobject:
      raise ValueError(f'{name} holds Python objects, which need pickle')
    if dtype.kind not in 'biufcSU' or not dtype.itemsize:
      raise ValueError(f'{name} is of type {dtype}, which is not read here')
    if any(size < 0 for size in shape):
      raise ValueError(f'{name} has the shape {shape}')
    # Computed with Python integers, which do not overflow.
    num_bytes = math.prod(shape) * dtype.itemsize
    if num_bytes != member.file_size - file.tell():
      raise ValueError(
        f'{name} declares the shape {shape} of {dtype}, {num_bytes:,} bytes, '
        f'but {member.file_size - file.tell():,} are there'
      )
    array = np.empty(math.prod(shape), dtype)
    content = array.view(np.uint8).data
    while content:
      count = file.readinto(content[:_CHUNK_BYTES])  # type: ignore[attr-defined]
      if not count:
        raise ValueError(f'{name} is cut short')
      content = content[count:]
    # zipfile compares the checksum only when the end is read.
    if file.read(1):
      raise ValueError(f'{name} has too many bytes')
  return array.reshape(shape, order='F' if is_fortran else 'C')


def free_memory() -> int | None:
  """Returns the free memory in bytes, or `None` if the system does not say."""
  try:
    with open('/proc/meminfo', encoding='ascii') as lines:
      for line in lines:
        if line.startswith('MemAvailable:'):
          return 1024 * int(line.split()[1])
  except (OSError, ValueError, IndexError):
    pass
  return None

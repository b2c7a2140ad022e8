# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import gzip
import io
import pathlib
import tarfile

import numpy as np

from jaxnas.datasets import image_archives, image_sources


def test_published_archives_have_a_size_and_a_checksum():
  for dataset in image_archives.ARCHIVED.values():
    assert dataset.address.startswith('http')
    assert dataset.address.endswith('/')
    for archive in dataset.archives:
      assert archive.size > 0
      assert len(bytes.fromhex(archive.sha256)) == 32


def test_cifar_records_become_images(tmp_path):
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (6, 32, 32, 3), np.uint8)
  path = tmp_path / 'cifar-10-binary.tar.gz'
  with tarfile.open(path, 'w:gz') as archive:
    # The second batch comes first: names decide the order, not places.
    for name, rows in (
      ('data_batch_2.bin', (2, 3)),
      ('data_batch_1.bin', (0, 1)),
      ('test_batch.bin', (4, 5)),
      ('readme.html', ()),
    ):
      content = b''.join(
        bytes([row]) + images[row].transpose(2, 0, 1).tobytes() for row in rows
      )
      member = tarfile.TarInfo(f'cifar-10-batches-bin/{name}')
      member.size = len(content)
      archive.addfile(member, io.BytesIO(content))
  arrays = image_archives.ARCHIVED['cifar10'].parse([path])
  np.testing.assert_array_equal(arrays['x_train'], images[:4])
  np.testing.assert_array_equal(arrays['x_test'], images[4:])
  assert arrays['y_train'].tolist() == [0, 1, 2, 3]
  assert arrays['y_test'].tolist() == [4, 5]


def test_idx_files_become_arrays(tmp_path):
  given = {
    'x_train': np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
    'y_train': np.array([1, 0], np.uint8),
    'x_test': np.full((1, 3, 4), 9, np.uint8),
    'y_test': np.array([1], np.uint8),
  }
  paths = []
  for name in image_sources.ARRAYS:
    values = given[name]
    header = bytes([0, 0, 8, values.ndim])
    header += np.array(values.shape, '>i4').tobytes()
    paths.append(tmp_path / f'{name}.gz')
    paths[-1].write_bytes(gzip.compress(header + values.tobytes()))
  arrays = image_archives.ARCHIVED['mnist'].parse(paths)
  for name, values in given.items():
    np.testing.assert_array_equal(arrays[name], values)


def test_what_is_missing_is_named_with_its_place():
  archives = image_archives.ARCHIVED['fashion_mnist'].archives[:2]
  error = image_archives.missing_error(
    'fashion_mnist', archives, pathlib.Path('data/manual'), 'HTTP code 404'
  )
  assert isinstance(error, FileNotFoundError)
  for part in (
    'train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz',
    'HTTP code 404',
    str(pathlib.Path('data/manual')),
    image_archives.ARCHIVED['fashion_mnist'].address,
  ):
    assert part in str(error)


def test_an_address_that_does_not_answer_is_unreachable():
  # Nothing listens on the port, so the refusal is immediate.
  assert image_archives.why_unreachable('http://127.0.0.1:9/file')

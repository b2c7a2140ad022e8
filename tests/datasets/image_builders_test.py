# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import functools
import gzip
import hashlib
import http.server
import io
import shutil
import socket
import tarfile
import threading
import time

import numpy as np
import pytest
import requests

from jaxnas.datasets import (
  image_archives,
  image_builders,
  image_sources,
  prepared,
)
from jaxnas.datasets.image_archives import ARCHIVED, Archive

# Ports below 1024 that no service has: refused at once.
NOWHERE = 'http://127.0.0.1:9/'


def _arrays(name):
  rng = np.random.default_rng(0)
  shape = (32, 32, 3) if name == 'cifar10' else (28, 28, 1)
  arrays = {}
  for part, size in (('train', 50), ('test', 10)):
    arrays[f'x_{part}'] = rng.integers(0, 256, (size, *shape)).astype(np.uint8)
    arrays[f'y_{part}'] = (np.arange(size) % 10).astype(np.uint8)
  return arrays


def _cifar10_archive(arrays):
  """Returns the bytes of an archive in the form of CIFAR-10's."""
  buffer = io.BytesIO()
  parts = {'test_batch.bin': ('test', slice(None)), 'readme.html': None}
  # Not in the order of their numbers.
  for number in (3, 1, 2, 5, 4):
    stretch = slice(10 * (number - 1), 10 * number)
    parts[f'data_batch_{number}.bin'] = ('train', stretch)
  with tarfile.open(fileobj=buffer, mode='w:gz') as archive:
    for name, wanted in parts.items():
      content = b'<html>'
      if wanted:
        part, stretch = wanted
        planes = arrays[f'x_{part}'][stretch].transpose(0, 3, 1, 2)
        labels = arrays[f'y_{part}'][stretch, None]
        content = np.hstack([labels, planes.reshape(len(labels), -1)]).tobytes()
      info = tarfile.TarInfo(f'cifar-10-batches-bin/{name}')
      info.size = len(content)
      archive.addfile(info, io.BytesIO(content))
  return [buffer.getvalue()]


def _idx_archives(arrays):
  """Returns the bytes of files in the form of MNIST's."""
  contents = []
  for name in image_sources.ARRAYS:
    values = arrays[name][..., 0] if name[0] == 'x' else arrays[name]
    header = bytes([0, 0, 8, values.ndim])
    header += np.array(values.shape, '>i4').tobytes()
    contents.append(gzip.compress(header + values.tobytes()))
  return contents


def _use(monkeypatch, name, address=NOWHERE):
  """Replaces a dataset by a small one; returns the archives' contents."""
  make = _cifar10_archive if name == 'cifar10' else _idx_archives
  contents = make(_arrays(name))
  published = ARCHIVED[name]
  archives = tuple(
    Archive(archive.filename, len(content), hashlib.sha256(content).hexdigest())
    for archive, content in zip(published.archives, contents, strict=True)
  )
  monkeypatch.setitem(
    ARCHIVED, name, published._replace(address=address, archives=archives)
  )
  monkeypatch.setenv('NO_PROXY', '127.0.0.1')
  return {
    archive.filename: content
    for archive, content in zip(archives, contents, strict=True)
  }


def _put(folder, contents):
  folder.mkdir(parents=True)
  for filename, content in contents.items():
    (folder / filename).write_bytes(content)


@pytest.fixture
def server(tmp_path):
  """Yields the address and the folder of a server of files."""
  folder = tmp_path / 'served'
  folder.mkdir()

  class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
      pass

  with http.server.ThreadingHTTPServer(
    ('127.0.0.1', 0), functools.partial(Handler, directory=folder)
  ) as served:
    thread = threading.Thread(target=served.serve_forever)
    thread.start()
    yield f'http://127.0.0.1:{served.server_port}/', folder
    served.shutdown()
    thread.join()


def _assert_are(part, name, which):
  arrays = _arrays(name)
  images, labels = part
  assert (images.dtype, labels.dtype) == (np.uint8, np.int32)
  np.testing.assert_array_equal(images, arrays[f'x_{which}'])
  np.testing.assert_array_equal(labels, arrays[f'y_{which}'])


def _assert_is(source, name):
  _assert_are(source.train, name, 'train')
  expected = image_sources.check('Here', _arrays(name)).source
  assert source.content_hash == expected.content_hash
  assert source.tenth == expected.tenth == 5


@pytest.mark.parametrize('name', list(ARCHIVED))
def test_archives_in_the_manual_folder_are_read(tmp_path, monkeypatch, name):
  _put(tmp_path / 'manual' / name, _use(monkeypatch, name))
  monkeypatch.setattr(image_builders, '_RECORD_IMAGES', 7)
  source = image_builders.read_archived(name, tmp_path)
  _assert_is(source, name)
  # Once prepared, no archive is needed.
  for path in (tmp_path / 'manual' / name).iterdir():
    path.unlink()
  _assert_is(image_builders.read_archived(name, tmp_path), name)
  test = image_builders.read_archived_test(name, tmp_path)
  _assert_are(test, name, 'test')
  (folder,) = (tmp_path / f'jaxnas_{name}').iterdir()
  assert folder.name.endswith(image_builders.VERSION)


def test_archives_are_downloaded_and_kept(tmp_path, monkeypatch, server):
  address, served = server
  for filename, content in _use(monkeypatch, 'mnist', address).items():
    (served / filename).write_bytes(content)
  source = image_builders.read_archived('mnist', tmp_path / 'data')
  _assert_is(source, 'mnist')
  # Prepared again from what was downloaded.
  shutil.rmtree(tmp_path / 'data' / 'jaxnas_mnist')
  monkeypatch.setattr(
    image_archives, 'why_unreachable', lambda _: pytest.fail('Asked again.')
  )
  for path in served.iterdir():
    path.unlink()
  source = image_builders.read_archived('mnist', tmp_path / 'data')
  _assert_is(source, 'mnist')


def test_images_are_prepared_without_array_record(tmp_path, monkeypatch):
  _put(tmp_path / 'manual' / 'cifar10', _use(monkeypatch, 'cifar10'))
  monkeypatch.setattr(prepared, 'has_array_record', lambda: False)
  for _ in range(2):
    test = image_builders.read_archived_test('cifar10', tmp_path)
    _assert_are(test, 'cifar10', 'test')
    _assert_is(image_builders.read_archived('cifar10', tmp_path), 'cifar10')


def test_test_images_are_not_even_opened(tmp_path, monkeypatch):
  _put(tmp_path / 'manual' / 'mnist', _use(monkeypatch, 'mnist'))
  image_builders.read_archived('mnist', tmp_path)
  (file,) = tmp_path.rglob('jaxnas_mnist-test.*')
  file.unlink()
  source = image_builders.read_archived('mnist', tmp_path)
  _assert_is(source, 'mnist')


def test_damaged_images_are_prepared_again(tmp_path, monkeypatch, caplog):
  _put(tmp_path / 'manual' / 'mnist', _use(monkeypatch, 'mnist'))
  image_builders.read_archived('mnist', tmp_path)
  (file,) = tmp_path.rglob('jaxnas_mnist-train.*')
  file.write_bytes(file.read_bytes()[:40])
  source = image_builders.read_archived('mnist', tmp_path)
  _assert_is(source, 'mnist')
  assert 'cannot be read' in caplog.text


def test_damaged_images_stay_where_no_archive_is_left(tmp_path, monkeypatch):
  _put(tmp_path / 'manual' / 'mnist', _use(monkeypatch, 'mnist'))
  image_builders.read_archived('mnist', tmp_path)
  shutil.rmtree(tmp_path / 'manual')
  (file,) = tmp_path.rglob('jaxnas_mnist-test.*')
  file.write_bytes(file.read_bytes()[:40])
  with pytest.raises(FileNotFoundError, match="'mnist' needs"):
    image_builders.read_archived_test('mnist', tmp_path)
  source = image_builders.read_archived('mnist', tmp_path)
  _assert_is(source, 'mnist')


@pytest.mark.parametrize('name', list(ARCHIVED))
def test_missing_archives_are_named_with_their_folder(
  tmp_path, monkeypatch, name
):
  contents = _use(monkeypatch, name)
  first, *rest = contents
  _put(tmp_path / 'manual' / name, {file: contents[file] for file in rest})
  start = time.monotonic()
  with pytest.raises(FileNotFoundError) as error:
    image_builders.read_archived(name, tmp_path)
  assert time.monotonic() - start < 5
  assert str(error.value) == (
    f'Dataset {name!r} needs {first}, which cannot be downloaded from '
    f'{NOWHERE} (ConnectionError); put these files into the folder '
    f"'{tmp_path / 'manual' / name}'."
  )
  assert not list(tmp_path.rglob('jaxnas_*'))


def test_all_missing_archives_are_named(tmp_path, monkeypatch):
  contents = _use(monkeypatch, 'fashion_mnist')
  with pytest.raises(FileNotFoundError, match=', '.join(contents)):
    image_builders.read_archived('fashion_mnist', tmp_path)


def test_server_without_the_archive_is_told(tmp_path, monkeypatch, server):
  _use(monkeypatch, 'cifar10', server[0])
  with pytest.raises(
    FileNotFoundError, match=r'cifar-10-binary\.tar\.gz.*\(HTTP code 404\)'
  ):
    image_builders.read_archived('cifar10', tmp_path)


def test_server_that_is_silent_is_given_up(monkeypatch):
  monkeypatch.setattr(image_archives, 'ANSWER_SECONDS', 0.2)
  monkeypatch.setenv('NO_PROXY', '127.0.0.1')
  with socket.create_server(('127.0.0.1', 0)) as listening:
    url = f'http://127.0.0.1:{listening.getsockname()[1]}/file'
    start = time.monotonic()
    assert image_archives.why_unreachable(url)
    assert time.monotonic() - start < 2


def test_name_that_is_looked_up_for_ever_is_given_up(monkeypatch):
  monkeypatch.setattr(image_archives, 'ANSWER_SECONDS', 0.1)
  release = threading.Event()

  def look_up(*_, **__):
    release.wait(60)
    raise requests.exceptions.ConnectionError

  monkeypatch.setattr(requests, 'get', look_up)
  reason = image_archives.why_unreachable('http://host/file')
  release.set()
  assert reason == 'no answer within 0.1 seconds'


def test_time_for_an_answer_leaves_time_to_fail_within_5_seconds():
  assert image_archives.ANSWER_SECONDS <= 4


def test_archive_with_another_content_is_named(tmp_path, monkeypatch):
  contents = _use(monkeypatch, 'cifar10')
  ((filename, content),) = contents.items()
  folder = tmp_path / 'manual' / 'cifar10'
  _put(folder, {filename: content[:-9]})
  with pytest.raises(ValueError, match='has wrong checksum; put') as error:
    image_builders.read_archived('cifar10', tmp_path)
  assert str(folder / filename) in str(error.value)
  assert '\n' not in str(error.value)
  assert not list((tmp_path / 'jaxnas_cifar10').iterdir())


def test_download_that_breaks_off_is_named(tmp_path, monkeypatch, server):
  address, served = server
  first, *rest = _use(monkeypatch, 'mnist', address).items()
  # The first archive shows that the server answers; the others are not there.
  (served / first[0]).write_bytes(first[1])
  assert rest
  with pytest.raises(
    FileNotFoundError, match=r"'mnist' needs .*HTTP code: 404.*into the folder"
  ) as error:
    image_builders.read_archived('mnist', tmp_path)
  assert '\n' not in str(error.value)


def test_file_as_data_dir_is_refused(tmp_path):
  (tmp_path / 'a.npz').write_bytes(b'')
  with pytest.raises(
    NotADirectoryError, match=r"is a file; .* \(dataset 'npz'"
  ):
    image_builders.read_archived('cifar10', tmp_path / 'a.npz')


def test_preparing_prints_nothing(tmp_path, monkeypatch, capfd):
  _put(tmp_path / 'manual' / 'mnist', _use(monkeypatch, 'mnist'))
  for _ in range(2):
    image_builders.read_archived('mnist', tmp_path)
  assert capfd.readouterr() == ('', '')


def test_published_archives_are_those_that_tfds_knows():
  from tensorflow_datasets.core.download import checksums

  known = checksums.get_all_url_infos()
  for dataset in ARCHIVED.values():
    for archive in dataset.archives:
      info = known[dataset.address + archive.filename]
      assert tuple(archive) == (info.filename, int(info.size), info.checksum)

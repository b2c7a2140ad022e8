# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Image datasets published as archives: their addresses and formats.

Addresses, sizes and checksums are those of tensorflow-datasets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import gzip
import pathlib
import tarfile
import threading
from typing import NamedTuple

import numpy as np

from jaxnas.datasets import image_sources

ANSWER_SECONDS = 3.0
"""The time after which an address without an answer counts as unreachable."""


class Archive(NamedTuple):
  """A file that a dataset is made of.

  Attributes:
    filename: the name of the file, also in the manual folder.
    size: the size of the file, in bytes.
    sha256: the checksum of the file, 64 hexadecimal digits.
  """

  filename: str
  size: int
  sha256: str


class ArchivedDataset(NamedTuple):
  """A dataset that is published as archives.

  Attributes:
    address: the URL of the archives' folder, with a slash at the end.
    archives: the archives.
    parse: the function from the archives' paths, in order, to the arrays named
      in `image_sources.ARRAYS`.
  """

  address: str
  archives: tuple[Archive, ...]
  parse: Callable[[list[pathlib.Path]], Mapping[str, np.ndarray]]


def why_unreachable(url: str) -> str:
  """Returns a short reason why a file cannot be downloaded; `''` if it can.

  Requests the file without reading it, because the download manager would retry
  for minutes.

  Args:
    url: the address of the file.
  """
  import requests

  reasons = [f'no answer within {ANSWER_SECONDS:g} seconds']

  def ask():
    try:
      with requests.get(url, stream=True, timeout=ANSWER_SECONDS) as response:
        is_ok = response.status_code == 200
        reasons.append('' if is_ok else f'HTTP code {response.status_code}')
    except requests.exceptions.RequestException as error:
      reasons.append(type(error).__name__)

  # A request's timeout does not cover the look-up of the host name.
  thread = threading.Thread(target=ask, daemon=True)
  thread.start()
  thread.join(ANSWER_SECONDS)
  return reasons[-1]


def missing_error(
  name: str,
  archives: Sequence[Archive],
  folder: pathlib.Path,
  reason: str,
) -> FileNotFoundError:
  """Returns the error for archives that are missing and not downloadable.

  Args:
    name: the dataset's name.
    archives: the missing archives.
    folder: the folder where the user can put them.
    reason: the reason why they cannot be downloaded.
  """
  filenames = ', '.join(archive.filename for archive in archives)
  return FileNotFoundError(
    f'Dataset {name!r} needs {filenames}, which cannot be downloaded from '
    f'{ARCHIVED[name].address} ({reason}); put these files into the folder '
    f'{str(folder)!r}.'
  )


def _parse_cifar10(paths: list[pathlib.Path]) -> dict[str, np.ndarray]:
  """Reads records of one byte of label and 3 planes of 32x32 bytes."""
  arrays = {}
  with tarfile.open(paths[0]) as archive:
    files = {
      pathlib.PurePath(member.name).name: file.read()
      for member in archive
      if member.name.endswith('.bin') and (file := archive.extractfile(member))
    }
  for part, prefix in (('train', 'data_batch_'), ('test', 'test_batch')):
    content = b''.join(
      files[file] for file in sorted(files) if file.startswith(prefix)
    )
    records = np.frombuffer(content, np.uint8).reshape(-1, 1 + 3 * 32 * 32)
    planes = records[:, 1:].reshape(-1, 3, 32, 32)
    arrays[f'x_{part}'] = planes.transpose(0, 2, 3, 1)
    arrays[f'y_{part}'] = records[:, 0]
  return arrays


def _parse_idx(paths: list[pathlib.Path]) -> dict[str, np.ndarray]:
  """Reads files of the IDX format, in the order of `image_sources.ARRAYS`."""
  arrays = {}
  for name, path in zip(image_sources.ARRAYS, paths, strict=True):
    content = gzip.decompress(path.read_bytes())
    num_dims = content[3]
    shape = np.frombuffer(content, '>i4', num_dims, offset=4)
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * num_dims)
    arrays[name] = values.reshape(shape)
  return arrays


ARCHIVED: dict[str, ArchivedDataset] = {
  'cifar10': ArchivedDataset(
    'https://www.cs.toronto.edu/~kriz/',
    (
      Archive(
        'cifar-10-binary.tar.gz',
        170052171,
        'c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd',
      ),
    ),
    _parse_cifar10,
  ),
  'fashion_mnist': ArchivedDataset(
    'http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/',
    (
      Archive(
        'train-images-idx3-ubyte.gz',
        26421880,
        '3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84',
      ),
      Archive(
        'train-labels-idx1-ubyte.gz',
        29515,
        'a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845',
      ),
      Archive(
        't10k-images-idx3-ubyte.gz',
        4422102,
        '346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073',
      ),
      Archive(
        't10k-labels-idx1-ubyte.gz',
        5148,
        '67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5',
      ),
    ),
    _parse_idx,
  ),
  'mnist': ArchivedDataset(
    'https://storage.googleapis.com/cvdf-datasets/mnist/',
    (
      Archive(
        'train-images-idx3-ubyte.gz',
        9912422,
        '440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609',
      ),
      Archive(
        'train-labels-idx1-ubyte.gz',
        28881,
        '3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c',
      ),
      Archive(
        't10k-images-idx3-ubyte.gz',
        1648877,
        '8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6',
      ),
      Archive(
        't10k-labels-idx1-ubyte.gz',
        4542,
        'f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6',
      ),
    ),
    _parse_idx,
  ),
}

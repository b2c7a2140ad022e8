# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Files that people give to runs or take from them, and how they are read."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import hashlib
import io
from unittest import mock

import jax
import numpy as np

from experiments import (
  build_base2_table,
  compare_strategies,
  train_conv_net,
  train_recurrent_cell,
  verify_recurrent_cell,
)
from jaxnas import npz
from jaxnas.children import conv_net as conv_children
from jaxnas.datasets import (
  base2_bench,
  image_archives,
  image_builders,
  image_preprocessing,
  images,
  named_tables,
  text,
  text_builders,
  text_sources,
)
from jaxnas.export import (
  architecture,
  exporting,
  image_weights,
  weights,
)
from jaxnas.records import (
  workdir,
)
from jaxnas.runs import cell_judges, many_searches
from jaxnas.spaces import hyperparameters, known_conv_nets, recurrent_cell
from jaxnas.trainers import cell_trainer
from jaxnas.training import long_images
from jaxnas.types import Range
from tests.export import exported_files
from tests.fuzz import readers, toys

_CELL = recurrent_cell.KNOWN_CELLS['paper_example']
_NET = known_conv_nets.make_dense(2, 2, merge='add')


def _cell(folder):
  path = folder / 'best.json'
  architecture.write_architecture(path, _CELL, reward=0.5, tokens=[1, 2])
  return readers.Subject(
    folder, lambda: train_recurrent_cell.read_architecture(str(path))
  )


def _net(folder):
  path = folder / 'best.json'
  architecture.write_architecture(path, _NET, label='x', num_params=80)
  return readers.Subject(
    folder,
    lambda: train_conv_net.read_architecture(str(path), 2, (2,), None),
  )


def _values(folder):
  path = folder / 'best.json'
  space = hyperparameters.make_space(
    {'rate': Range(0.1, 1.0, num_levels=10), 'width': Range(2, 8, integer=True)}
  )
  value = space.decode(np.array([1, 2]))
  architecture.write_architecture(path, value, reward=0.25)
  return readers.Subject(
    folder,
    lambda: architecture.load_architecture(
      path, 'hyperparameters', space
    ).to_json(),
  )


def _text_weights(folder):
  path = folder / 'weights.npz'
  params = {'params': {'a': {'b': np.arange(6, dtype=np.float32)}, 'c': {
    'd': np.ones((2, 3), np.float32)}}}  # fmt: skip
  weights.write_weights(path, params, ['a', 'b'], _CELL, perplexity=3.5)
  return readers.Subject(folder, lambda: weights.load_weights(path))


def _image_weights(folder):
  path = folder / 'weights.npz'
  pixels = np.arange(90).reshape(3, 5, 3, 2).astype(np.uint8)
  network = conv_children.make_network(_NET, (5, 3, 2), 3)
  params, batch_stats = jax.jit(network.init)(jax.random.key(0))
  image_weights.write_weights(
    path,
    image_weights.ImageWeights(
      params=params,
      batch_stats=batch_stats,
      architecture=_NET,
      image_shape=(5, 3, 2),
      num_classes=3,
      statistics=image_preprocessing.measure(pixels, 'whiten'),
      recipe=long_images.Recipe(),
      facts={'epoch': 3},
    ),
  )
  return readers.Subject(folder, lambda: image_weights.load_weights(path))


def _exported(write, architecture):
  def make(folder):
    weights_path = folder.with_name('weights.npz')
    write(weights_path, architecture)
    source, arrays = exporting.export_architecture(
      architecture, folder / 'my.py', weights=weights_path
    )
    exported = exported_files.load(source)

    def read():
      # What the file says when it is run as a program.
      told = io.StringIO()
      before = jax.config.jax_enable_x64
      try:
        with contextlib.redirect_stdout(told):
          code = exported.check()
      finally:
        # The check changes the settings of its process.
        jax.config.update('jax_enable_x64', before)
      if code:
        raise ValueError(told.getvalue().strip())
      found, about = exported.read_arrays(arrays)
      return [about, *sorted(found.items())]

    return readers.Subject(folder, read, files='*.npz')

  return make


def _base2_table(folder):
  path = folder / 'base2_bench.npz'
  rng = np.random.default_rng(0)
  num_cells = np.prod(base2_bench.CARDINALITIES)
  table = base2_bench.Base2Bench(
    cell_of=(np.arange(num_cells) % 8).astype(np.int32),
    validation=rng.uniform(2, 9, (8, 2, 3)).astype(np.float32),
    report=rng.uniform(2, 9, (8, 2, 3)).astype(np.float32),
    num_trained=np.full((8, 2), 4, np.int32),
    points=(1, 2, 4),
    facts={'num_params': 30, 'content_hash': 'abc'},
  )
  base2_bench.save(table, path)

  def read():
    table = base2_bench.load(path)
    return table, cell_judges.TableJudge(table).fingerprint

  return readers.Subject(folder, read)


def _reward_table(folder):
  path = folder / 'table.npz'
  np.savez(path, cardinalities=[2, 3, 4], rewards=np.arange(24) / 24)

  def read():
    named = named_tables.load(str(path))
    return named.table.cardinalities, named.table.rewards, named.fingerprint

  return readers.Subject(folder, read)


def _shards(folder):
  path = folder / '0001.npz'
  jobs = build_base2_table.Jobs(*np.arange(8, dtype=np.int32).reshape(2, 4))
  curves = np.arange(12, dtype=np.float32).reshape(4, 3)
  npz.write(
    path,
    {
      **jobs._asdict(),
      'core_seconds': np.array(1.5, np.float32),
      'num_trained': np.full(4, 9, np.int32),
      **dict.fromkeys(cell_trainer.SPLITS, curves),
    },
    compressed=True,
  )
  return readers.Subject(
    folder, lambda: build_base2_table.read_shard(path, jobs)
  )


def _searches(folder):
  config = dataclasses.replace(
    compare_strategies.Config(), num_seeds=2, num_trials=8
  )
  path = folder / 'random.npz'
  entries = np.arange(16, dtype=np.int32).reshape(2, 8)
  shape = config.num_seeds, config.num_trials
  many_searches.Searches(entries, 1.5).save(path, 'a')
  return readers.Subject(
    folder, lambda: many_searches.Searches.load(path, shape, 'a')
  )


def _text(folder):
  toys.write_data(folder / 'data')
  (folder / 'cache').mkdir()
  (folder / 'run').mkdir()
  workdir.write_manifest(
    folder / 'run',
    data_hash=text.load('text', folder / 'data/text').content_hash,
  )

  def read():
    dataset = text.load(
      'text', folder / 'data/text', cache_dir=folder / 'cache'
    )
    workdir.check_data(folder / 'run', dataset.content_hash)
    return dataset

  return readers.Subject(folder, read, files='data/text/*')


def _prepared_text(file_format):
  def make(folder):
    encoded = text_sources.EncodedText(
      ('<unk>', 'one', 'two'),
      {
        'train': np.arange(40, dtype=np.int32) % 3,
        'validation': np.arange(9, dtype=np.int32) % 2,
      },
    )

    def read():
      return text_builders.load_encoded(
        'text', 'key', ('train', 'validation'), lambda: encoded, folder,
        file_format,
      )  # fmt: skip

    return readers.Subject(folder, read)

  return make


def _prepared_images(folder):
  rng = np.random.default_rng(0)
  arrays = {}
  for part, size in (('train', 50), ('test', 10)):
    shape = size, 28, 28, 1
    arrays[f'x_{part}'] = rng.integers(0, 256, shape).astype(np.uint8)
    arrays[f'y_{part}'] = (np.arange(size) % 10).astype(np.uint8)
  manual = folder / 'manual' / 'mnist'
  manual.mkdir(parents=True)
  archives = []
  published = image_archives.ARCHIVED['mnist']
  for archive, array in zip(published.archives, arrays.values(), strict=True):
    header = (
      bytes([0, 0, 8, array.ndim]) + np.array(array.shape, '>i4').tobytes()
    )
    content = gzip.compress(header + array.tobytes())
    (manual / archive.filename).write_bytes(content)
    archives.append(
      image_archives.Archive(
        archive.filename, len(content), hashlib.sha256(content).hexdigest()
      )
    )
  small = published._replace(
    address='http://127.0.0.1:9/', archives=tuple(archives)
  )

  def read():
    with mock.patch.dict(image_archives.ARCHIVED, mnist=small):
      source = image_builders.read_archived('mnist', folder)
      return source, image_builders.read_archived_test('mnist', folder)

  return readers.Subject(folder, read)


def _images(folder):
  toys.write_data(folder)
  path = folder / 'images.npz'
  sound = images.load('npz', path)
  (folder / 'run').mkdir()
  workdir.write_manifest(
    folder / 'run', data_hash=sound.content_hash, seen_hash=sound.seen_hash
  )

  def read():
    dataset = images.load('npz', path)
    workdir.check_data(folder / 'run', dataset.content_hash, dataset.seen_hash)
    return dataset

  return readers.Subject(folder, read, files='images.npz')


def _vectors(folder):
  source = toys.VECTORS.read_bytes()
  path = folder / 'vectors.json'
  path.write_bytes(source)
  return readers.Subject(
    folder,
    lambda: verify_recurrent_cell.load_cases(str(path)),
    is_loud=True,
  )


SUBJECTS = (
  {
    make.__name__.strip('_'): make
    for make in (
      *(_cell, _net, _values, _text_weights, _image_weights, _base2_table),
      *(_reward_table, _shards, _searches, _text, _images, _prepared_images),
      _vectors,
    )
  }
  | {
    f'prepared_text_{name}': _prepared_text(name)
    for name in ('npz', 'array_record')
  }
  | {
    'exported_text': _exported(exported_files.write_text, _CELL),
    'exported_images': _exported(exported_files.write_images, _NET),
  }
)
"""By name, `folder -> Subject`: writes sound files into an empty folder."""

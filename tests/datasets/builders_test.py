# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

from types import MappingProxyType

import numpy as np
import pytest

from jaxnas.datasets import builders, prepared

pytestmark = pytest.mark.skipif(
  not prepared.has_array_record(), reason='array_record is not installed'
)


def make_class(name, records):
  import tensorflow_datasets as tfds

  class Builder(builders.base_class(), skip_registration=True):
    VERSION = tfds.core.Version('1.0.0')
    FIELDS = MappingProxyType(
      {
        'pixels': builders.Field((None, 2), np.uint8),
        'labels': builders.Field((None,), np.int32),
      }
    )

    def facts(self):
      return {'hash': 'abc'}

    def _split_generators(self, dl_manager):
      del dl_manager
      return {'train': self._generate_examples()}

    def _generate_examples(self):
      yield from enumerate(records)

  Builder.name = name
  return Builder


def test_records_and_facts_come_back(tmp_path):
  records = [
    {
      'pixels': np.arange(6, dtype=np.uint8).reshape(3, 2),
      'labels': np.array([1, 0, 2], np.int32),
    },
    {
      'pixels': np.full((1, 2), 255, np.uint8),
      'labels': np.array([-1], np.int32),
    },
  ]
  with prepared.quiet_tfds() as tfds:
    builder = make_class('pairs', records)(
      data_dir=tmp_path, file_format='array_record'
    )
    builder.download_and_prepare()
    read = tfds.builder_from_directory(builder.data_dir)
    (source,) = read.as_data_source(['train'])
    assert read.info.metadata['hash'] == 'abc'
    for record, expected in zip(source, records, strict=True):
      for name, values in expected.items():
        assert record[name].dtype == values.dtype
        np.testing.assert_array_equal(record[name], values)


def test_a_name_may_be_defined_twice():
  assert make_class('twice', []) is not make_class('twice', [])

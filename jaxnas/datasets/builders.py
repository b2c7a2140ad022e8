# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The base of this package's tensorflow-datasets builders.

They store arrays in a few large records and need no TensorFlow. They are not
registered: builder names are global in a process, and a second definition, for
example by importing a module twice, would be an error.
"""

from __future__ import annotations

from collections.abc import Mapping
import functools
from typing import Any, NamedTuple

import numpy as np


class Field(NamedTuple):
  """An array in every record.

  Attributes:
    shape: the array's shape, `None` for a size that varies.
    dtype: the type of the array's values.
  """

  shape: tuple[int | None, ...]
  dtype: type[np.generic]


@functools.cache
def base_class() -> Any:
  """Returns the base class of builders; imports tensorflow-datasets.

  A subclass is made with `skip_registration=True` and sets `VERSION`, `name`
  and `FIELDS`, a mapping from names to `Field`s.
  """
  import tensorflow_datasets as tfds

  class Info(tfds.core.DatasetInfo):
    """Dataset information that is empty until the dataset is prepared."""

    def initialize_from_bucket(self):
      """Skips the look-up, which would leave a temporary folder behind."""

  class Builder(  # type: ignore[call-arg]  # The base is untyped.
    tfds.core.GeneratorBasedBuilder, skip_registration=True
  ):
    """Writes arrays in a few large records."""

    FIELDS: Mapping[str, Field] = {}

    def facts(self) -> Mapping[str, Any]:
      """Returns the JSON metadata to store with the records."""
      return {}

    def _info(self):
      features = {
        name: tfds.features.Tensor(
          shape=field.shape, dtype=field.dtype, encoding='bytes'
        )
        for name, field in self.FIELDS.items()
      }
      return Info(
        builder=self,
        features=tfds.features.FeaturesDict(features),
        metadata=tfds.core.MetadataDict(**self.facts()),
        disable_shuffling=True,
      )

  return Builder

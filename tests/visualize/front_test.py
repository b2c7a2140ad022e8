# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from jaxnas.visualize import front


def test_fronts_are_drawn(tmp_path):
  path = tmp_path / 'front.png'
  fronts = {
    'evolution': [np.array([[3.0, 0.9], [1.0, 0.5]]), np.zeros((0, 2))],
    'random search': [np.array([[2.0, 0.6]])],
  }
  front.plot_fronts(path, fronts, 'num_params')
  assert path.read_bytes().startswith(b'\x89PNG')
  with pytest.raises(ValueError, match='at least one front'):
    front.plot_fronts(path, {'evolution': []}, 'num_params')

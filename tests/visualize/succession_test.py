# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of the figure of a succession."""

from matplotlib import image
import numpy as np
import pytest

from jaxnas import succession as lib
from jaxnas.visualize import succession

BLUE, ORANGE = (0, 114, 178), (213, 94, 0)


def make_generation(branch, number, values):
  return lib.Generation(
    branch, number, cells=(None,) * len(values),
    candidates=((((0,),),) * len(values)), rewards=values, areas=values,
    late_means=values, num_replaced=(0,) * len(values),
    is_finite=(True,) * len(values),
  )  # fmt: skip


@pytest.mark.parametrize('num_lineages', [1, 3])
def test_both_panels_have_both_branches(tmp_path, num_lineages):
  path = tmp_path / 'succession.png'
  counts = []
  for values in ((0.5, 0.6, 0.4), (0.9, 0.8, 1.0)):
    succession.plot_succession(
      path,
      [
        make_generation('control', 0, (0.5, 0.6, 0.4)[:num_lineages]),
        make_generation('control', 1, (0.5, 0.4, 0.6)[:num_lineages]),
        make_generation('succession', 1, values[:num_lineages]),
      ],
    )
    pixels = np.round(255 * image.imread(path)[..., :3])
    # Above the legend.
    for half in np.array_split(pixels[:460], 2, axis=1):
      for color in (BLUE, ORANGE):
        counts.append(np.all(np.abs(half - color) <= 2, axis=-1).sum())
  assert min(counts) > 100

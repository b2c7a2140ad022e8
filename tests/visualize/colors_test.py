# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import re

from jaxnas.visualize import colors


def test_every_color_is_one_that_svg_and_matplotlib_know():
  named = {
    name: value for name, value in vars(colors).items() if name.isupper()
  }
  assert named
  for value in named.values():
    for color in (value,) if isinstance(value, str) else value:
      assert re.fullmatch('#[0-9a-fA-F]{6}', color)

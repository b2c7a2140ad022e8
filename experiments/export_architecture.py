# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

r"""Writes a found architecture as one stand-alone Python file.

    python -m experiments.export_architecture \
        --architecture=runs/recurrent_cell/best.json --out=my_cell.py
    python my_cell.py

The file needs Flax, or PyTorch with `--framework=torch`, but not jaxnas. Its
docstring has the formulas, and it checks itself when it is run. With the
`--weights` of a long training, it is the whole trained model, and its weights
are written beside it, as `my_cell.npz`.
"""

from __future__ import annotations

import dataclasses
import os
import shlex
from typing import Any

from experiments import launch, settings
from jaxnas.datasets import prepared
from jaxnas.export import exporting, listing
from jaxnas.spaces import known_conv_nets
from jaxnas.spaces import recurrent_cell as spaces


@dataclasses.dataclass(frozen=True)
class Config(settings.Bounded):
  """Settings of an export."""

  architecture: str | None = settings.data(
    None,
    'Path of a best.json or of the folder of a run, or a known architecture: '
    f'{", ".join(spaces.KNOWN_CELLS)} or figure_7. None: that of the weights.',
    is_common=True,
  )
  out: str | None = settings.data(
    None,
    'Path of the file to write, which ends in .py, or in .json for '
    'hyperparameters.',
    is_common=True,
    required=True,
  )
  weights: str | None = settings.data(
    None, 'Path of the weights.npz of a long training.', is_common=True
  )
  framework: str = settings.data(
    'flax',
    'Framework of the code.',
    is_common=True,
    choices=listing.FRAMEWORKS,
  )


def run(config: Config) -> None:
  """Writes an architecture, and its weights if they are given.

  Args:
    config: the settings.

  Raises:
    ValueError: the architecture or the weights are damaged, do not belong
      together or cannot be exported.
    OSError: a file cannot be read or written.
  """
  out = prepared.expand(config.out or '')
  written = exporting.export_architecture(
    _read(config.architecture),
    out,
    weights=prepared.expand(config.weights) if config.weights else None,
    framework=config.framework,
  )
  line = f'Wrote {" and ".join(map(str, written))}'
  if out.suffix == '.py':
    line += f'; python {shlex.quote(str(out))} checks the code'
  print(f'{line}.')


def _read(name: str | None) -> Any:
  """Returns a known architecture or the path of an architecture."""
  if name is None:
    return None
  path = prepared.expand(name)
  is_path = name.endswith('.json') or os.path.basename(name) != name
  if is_path or path.exists():
    return path
  if name == 'figure_7':
    return known_conv_nets.FIGURE_7
  try:
    return spaces.known_cell(name)
  except ValueError as error:
    raise ValueError(
      f'{error} A file must end in .json, and a folder must exist.'
    ) from None


if __name__ == '__main__':
  launch.launch(Config, run, has_workdir=False)

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Pictures of results; failing to draw one does not end a run."""

from __future__ import annotations

from collections.abc import Callable
import os
import pathlib
import typing
from typing import Any

from absl import logging

if typing.TYPE_CHECKING:
  from matplotlib.figure import Figure


def figure(width: float, height: float) -> Figure:
  """Returns an empty Matplotlib figure.

  Matplotlib is imported only here: a run needs it only for pictures, and a
  broken or misconfigured installation should affect nothing else.

  Args:
    width: the width in inches.
    height: the height in inches.
  """
  from matplotlib import figure

  return figure.Figure(figsize=(width, height), layout='constrained')


def draw(
  plot: Callable[..., None],
  path: str | os.PathLike[str],
  *args: Any,
  **kwargs: Any,
) -> None:
  """Draws a picture to a file; if that fails, logs the reason as a warning.

  The file is replaced atomically.

  Args:
    plot: a function `(path, *args, **kwargs)` that writes the file.
    path: the file to write.
    *args: positional arguments of `plot`.
    **kwargs: keyword arguments of `plot`.
  """
  path = pathlib.Path(path)
  unfinished = path.with_name(f'.{path.name}.tmp')
  try:
    plot(unfinished, *args, **kwargs)
    os.replace(unfinished, path)
  # The errors caused by a style, a font, missing LaTeX or an incompatible
  # installation have no common type.
  except Exception as error:
    reason = ' '.join(str(error).split())[:300]
    logging.warning(
      '%s is not drawn: %s: %s', path, type(error).__name__, reason
    )
  finally:
    unfinished.unlink(missing_ok=True)

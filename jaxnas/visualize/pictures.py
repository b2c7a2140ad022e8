# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Pictures beside results: one that cannot be drawn ends no run."""

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
  """Returns an empty figure of matplotlib.

  That is imported now: a run needs it for its pictures alone, and a broken one
  or one with a setting that it refuses is to spoil nothing else.

  Args:
    width: in inches.
    height: in inches.
  """
  from matplotlib import figure

  return figure.Figure(figsize=(width, height), layout='constrained')


def draw(
  plot: Callable[..., None],
  path: str | os.PathLike[str],
  *args: Any,
  **kwargs: Any,
) -> None:
  """Draws a picture into a file; where that fails, a warning says why.

  A reader sees the old picture or the new one, whole.

  Args:
    plot: `(path, *args, **kwargs)`, writes the file.
    path: the file.
    *args: what is drawn.
    **kwargs: how.
  """
  path = pathlib.Path(path)
  unfinished = path.with_name(f'.{path.name}.tmp')
  try:
    plot(unfinished, *args, **kwargs)
    os.replace(unfinished, path)
  # What a style, a font or a system without LaTeX makes of a picture, or an
  # installation that does not go with its libraries, has no common type.
  except Exception as error:
    reason = ' '.join(str(error).split())[:300]
    logging.warning(
      '%s is not drawn: %s: %s', path, type(error).__name__, reason
    )
  finally:
    unfinished.unlink(missing_ok=True)

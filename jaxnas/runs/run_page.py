# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The web page of a run of any kind: `report.html`."""

from __future__ import annotations

import os
import pathlib

from jaxnas.records import folder as folder_lib
from jaxnas.runs import (
  regret_page,
  succession_page,
  succession_records,
  tuning_page,
)
from jaxnas.visualize import pictures, report, web_page


def write(folder: str | os.PathLike[str]) -> pathlib.Path:
  """Writes the page of a run into its folder; returns the file's path.

  Args:
    folder: the folder of the run, which may still be in progress.

  Raises:
    ValueError: the folder holds no run, or a file of the run is damaged.
    OSError: a file cannot be read or written.
  """
  path = pathlib.Path(folder).expanduser()
  page = path / web_page.FILE
  web_page.write(page, _render(path))
  return page


def draw(folder: pathlib.Path) -> None:
  """Writes the page of a run that has ended; if that fails, logs a warning.

  Args:
    folder: the folder of the run.
  """
  pictures.draw(
    lambda path: web_page.write(path, _render(folder)), folder / web_page.FILE
  )


def is_search(folder: str | os.PathLike[str]) -> bool:
  """Returns whether a folder is that of a search or a tuning.

  Args:
    folder: the folder of a run.
  """
  path = pathlib.Path(folder).expanduser()
  names = succession_records.GENERATIONS, *regret_page.FILES
  return not any((path / name).exists() for name in names)


def _render(folder: pathlib.Path) -> str:
  if is_search(folder):
    run = folder_lib.read(folder)
    if run.summary and run.summary.space.startswith(tuning_page.SPACE):
      return tuning_page.render(run)
    return report.render(run)
  if (folder / succession_records.GENERATIONS).exists():
    return succession_page.render(folder)
  return regret_page.render(folder)

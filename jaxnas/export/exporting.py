# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A found architecture as a file that stands alone.

    export_architecture('runs/recurrent_cell', 'my_cell.py')

writes one Python file that needs Flax or PyTorch, and nothing of jaxnas. What
kinds of architectures there are is said by their `Exporter`s, of which a space
of your own brings its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import os
import pathlib
import reprlib
from typing import Any, NamedTuple

from jaxnas import files
from jaxnas.export import architecture as architecture_file
from jaxnas.export import (
  cell_source,
  conv_source,
  image_source,
  listing,
  text_source,
  weights_file,
)
from jaxnas.records import workdir
from jaxnas.spaces import conv_net, hyperparameters, recurrent_cell
from jaxnas.types import Architecture

_FORMAT = 'jaxnas exported weights 1'


class Exporter(NamedTuple):
  """How the architectures of one class are exported.

  Attributes:
    architecture_class: the class; it has a `kind` and a `from_json`, see
      `jaxnas.export.architecture.CLASSES`.
    make_listing: `(architecture, framework) -> listing.Listing`, the file's
      source, see `jaxnas.export.listing`.
    make_trained: `(path, architecture or None, framework) -> listing.Listing`,
      likewise, with the weights in a file; `None` where there are none.
    weights_format: what such a file has as its `format`.
  """

  architecture_class: Any
  make_listing: Callable[[Any, str], listing.Listing]
  make_trained: Callable[[Any, Any, str], listing.Listing] | None = None
  weights_format: str = ''


EXPORTERS = (
  Exporter(
    recurrent_cell.RecurrentCell,
    cell_source.make_listing,
    text_source.make_listing,
    weights_file.LANGUAGE_MODEL,
  ),
  Exporter(
    conv_net.ConvNet,
    conv_source.make_listing,
    image_source.make_listing,
    weights_file.CLASSIFIER,
  ),
)
"""Those of the spaces of this package."""


def export_architecture(
  architecture: Architecture | str | os.PathLike[str] | None,
  out: str | os.PathLike[str],
  *,
  weights: str | os.PathLike[str] | None = None,
  framework: str = 'flax',
  exporters: Sequence[Exporter] = (),
) -> list[pathlib.Path]:
  """Writes an architecture as one Python file that needs nothing of jaxnas.

  The file has a docstring that says what it computes, and a module that reads
  as if written by hand. Run as a program, it checks itself against outputs that
  were recorded here. Hyperparameters become a JSON file of the settings alone.

  Args:
    architecture: an architecture; or the path of its file, such as the
      `best.json` of a run, or of the run's folder; or `None`, for that of the
      weights.
    out: the path of the file to write, which ends in `.py`; an older one is
      replaced.
    weights: the path of the `weights.npz` of a long training. The file then has
      the whole trained model, and its weights are written beside it, as
      `.npz`.
    framework: `'flax'` or `'torch'`, which need not be installed.
    exporters: those of kinds of architectures of your own.

  Returns:
    The paths of the files that were written.

  Raises:
    ValueError: the architecture or the weights are damaged, do not belong to
      each other or cannot be exported.
    OSError: a file cannot be read or written.
  """
  out = pathlib.Path(out)
  listing.check_framework(framework)
  known = (*exporters, *EXPORTERS)
  if isinstance(architecture, str | os.PathLike):
    architecture = _load(pathlib.Path(architecture), known)
  if isinstance(architecture, hyperparameters.Hyperparameters):
    return [_write_settings(out, architecture, weights)]
  exporter = _find(architecture, weights, known)
  if out.suffix != '.py':
    raise ValueError(f'The file to write must end in .py, got {out}.')
  if weights is None:
    made = exporter.make_listing(architecture, framework)
  elif exporter.make_trained is None:
    raise ValueError(
      f'Architectures of kind {_kind(exporter)!r} are exported without '
      'weights; leave them out.'
    )
  else:
    made = exporter.make_trained(weights, architecture, framework)
  return _write(out, made, weights)


def _load(path: pathlib.Path, known: Sequence[Exporter]) -> Architecture:
  """Returns the architecture in a file, or that which a run has found."""
  if path.is_dir():
    if not (path / 'best.json').exists():
      raise ValueError(
        f'{path} has no best.json, which a search writes at its end; let it '
        'finish, or name the file of an architecture.'
      )
    path = path / 'best.json'
  classes = [exporter.architecture_class for exporter in known]
  return architecture_file.load_architecture(
    path, classes=[*classes, hyperparameters.Hyperparameters]
  )


def _find(
  architecture: Architecture | None,
  weights: str | os.PathLike[str] | None,
  known: Sequence[Exporter],
) -> Exporter:
  """Returns the exporter of an architecture, or of weights without one."""
  if architecture is None:
    if weights is None:
      raise ValueError('Give an architecture, weights or both.')
    found = weights_file.read_format(weights)
    for exporter in known:
      if exporter.weights_format and exporter.weights_format == found:
        return exporter
    raise ValueError(
      f'{weights} is of the format {reprlib.repr(found)}, which is not '
      'exported; give the weights.npz of a long training.'
    )
  for exporter in known:
    if isinstance(architecture, exporter.architecture_class):
      return exporter
  raise ValueError(
    f'A {type(architecture).__name__} cannot be exported; it can be one of '
    f'{", ".join(map(_kind, known))}, or give an Exporter of its class.'
  )


def _kind(exporter: Exporter) -> str:
  return architecture_file.kind_of(exporter.architecture_class)


def _write_settings(
  out: pathlib.Path,
  settings: hyperparameters.Hyperparameters,
  weights: str | os.PathLike[str] | None,
) -> pathlib.Path:
  """Writes hyperparameters, which are no network, as plain JSON."""
  if weights is not None or out.suffix != '.json':
    raise ValueError(
      'Hyperparameters are settings and no network, so there is no code to '
      'write: name a file that ends in .json, for the settings alone, without '
      'weights.'
    )
  workdir.write_json(out, settings.to_json())
  return out


def _write(
  out: pathlib.Path,
  made: listing.Listing,
  weights: str | os.PathLike[str] | None,
) -> list[pathlib.Path]:
  source = listing.to_source(made).encode()
  written = [out]
  if isinstance(made.check, listing.Recorded):
    arrays = out.with_suffix('.npz')
    if (
      weights is not None
      and arrays.absolute() == pathlib.Path(weights).absolute()
    ):
      raise ValueError(
        f'{arrays} would be written over the weights that it is made of; name '
        'another file.'
      )
    about = {'format': _FORMAT, **made.check.about}
    weights_file.write(arrays, made.check.arrays, about)
    written.append(arrays)
  with files.replacing(out) as file:
    file.write(source)
  return written

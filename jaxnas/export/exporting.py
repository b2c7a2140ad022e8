# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Exports a found architecture as a stand-alone file.

    export_architecture('runs/recurrent_cell', 'my_cell.py')

writes one Python file that needs Flax or PyTorch, but not jaxnas. Each kind of
architecture has its `Exporter`; a space of your own brings one along.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import errno
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
    architecture_class: the class, with a `kind` and a `from_json`; see
      `jaxnas.export.architecture.CLASSES`.
    make_listing: `(architecture, framework) -> listing.Listing`, the file's
      source; see `jaxnas.export.listing`.
    make_trained: `(path, architecture or None, framework) -> listing.Listing`,
      the source for a trained model, whose weights are in the file at `path`;
      `None` for a kind that is exported without weights.
    weights_format: the `format` of such a file of weights.
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
"""The exporters of this package's search spaces."""


def export_architecture(
  architecture: Architecture | str | os.PathLike[str] | None,
  out: str | os.PathLike[str],
  *,
  weights: str | os.PathLike[str] | None = None,
  framework: str = 'flax',
  exporters: Sequence[Exporter] = (),
) -> list[pathlib.Path]:
  """Writes an architecture as one Python file that does not need jaxnas.

  The file has a docstring that says what it computes, and a module that reads
  as if written by hand. Run as a program, it checks itself against outputs that
  this function records. Hyperparameters become a JSON file of just the
  settings.

  Args:
    architecture: the architecture; or the path of its file, such as the
      `best.json` of a run, or of the run's folder; or `None` for the one that
      the weights belong to.
    out: the path of the file to write, which ends in `.py`, or in `.json` for
      hyperparameters; an existing file is replaced.
    weights: the path of the `weights.npz` of a long training. With it, the file
      has the whole trained model, and its weights are written beside it, as
      `.npz`.
    framework: `'flax'` or `'torch'`, which need not be installed.
    exporters: the exporters of your own kinds of architectures.

  Returns:
    The paths of the files that were written.

  Raises:
    ValueError: the architecture or the weights are damaged, do not belong
      together or cannot be exported.
    OSError: a file cannot be read or written.
  """
  out = pathlib.Path(out)
  listing.check_framework(framework)
  known = (*exporters, *EXPORTERS)
  if isinstance(architecture, str | os.PathLike):
    architecture = _load(pathlib.Path(architecture), out, known)
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
      'weights; omit the weights.'
    )
  else:
    made = exporter.make_trained(weights, architecture, framework)
  return _write(out, made, weights)


def _load(
  path: pathlib.Path, out: pathlib.Path, known: Sequence[Exporter]
) -> Architecture:
  """Returns the architecture in a file, or the one that a run found."""
  if path.is_dir():
    if not (path / 'best.json').exists():
      raise ValueError(
        f'{path} has no best.json, which a search writes when it ends; let it '
        'finish, or give the file of an architecture.'
      )
    path = path / 'best.json'
  if out.resolve() == path.resolve():
    raise ValueError(
      f'{out} would overwrite the architecture that it is made from; name '
      'another file.'
    )
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
      f'{weights} has the format {reprlib.repr(found)}, which cannot be '
      'exported; give the weights.npz of a long training.'
    )
  for exporter in known:
    if isinstance(architecture, exporter.architecture_class):
      return exporter
  raise ValueError(
    f'A {type(architecture).__name__} cannot be exported; give one of '
    f'{", ".join(map(_kind, known))}, or an Exporter for its class.'
  )


def _kind(exporter: Exporter) -> str:
  return architecture_file.kind_of(exporter.architecture_class)


def _write_settings(
  out: pathlib.Path,
  settings: hyperparameters.Hyperparameters,
  weights: str | os.PathLike[str] | None,
) -> pathlib.Path:
  """Writes hyperparameters, which are not a network, as plain JSON."""
  if weights is not None or out.suffix != '.json':
    raise ValueError(
      'Hyperparameters are settings, not a network, so there is no code to '
      'write; name a file that ends in .json for the settings, and give no '
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
  arrays = out.with_suffix('.npz')
  has_arrays = isinstance(made.check, listing.Recorded)
  if (
    has_arrays
    and weights is not None
    and arrays.resolve() == pathlib.Path(weights).resolve()
  ):
    raise ValueError(
      f'{arrays} would overwrite the weights that it is made from; name '
      'another file.'
    )
  if out.is_dir():
    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(out))
  with files.replacing(out) as file:
    file.write(source)
    # Arrays come last: new ones beside an old source would not belong to it.
    file.flush()
    files.sync(file.fileno(), out)
    if isinstance(made.check, listing.Recorded):
      about = {'format': _FORMAT, **made.check.about}
      weights_file.write(arrays, made.check.arrays, about)
  return [out, arrays] if has_arrays else [out]

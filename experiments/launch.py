# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Launches an experiment with one flag per field of its config.

An experiment is a module with a frozen dataclass `Config`, whose fields are
made by the functions of `settings`, and a function `run(config, workdir)` that
is independent of flags:

    if __name__ == '__main__':
      launch.launch(Config, run)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import contextlib
import dataclasses
import logging as standard_logging
import math
import os
import pathlib
import signal
import sys
import traceback
import types
import typing
from typing import Any

from absl import app, flags, logging

from experiments import (
  pod_settings,
  settings,
  settings_file,
  settings_help,
  worker_settings,
)
from jaxnas import errors
from jaxnas.datasets import prepared
from jaxnas.records import workdir
from jaxnas.runs import failures, host, interruption, streams

# Makes `--help` list the flags defined here under the calling module.
flags.disclaim_key_flags()


def launch(
  config_cls: type,
  run: Callable[..., Any],
  *,
  has_workdir: bool = True,
  takes_folders: bool = False,
  presets: Mapping[str, Any] | None = None,
  takes_settings: bool = False,
) -> None:
  """Reads a config from the command line and runs an experiment with it.

  Flags are defined here rather than when an experiment is imported, so that one
  process can import several. An error caused by the user or the machine, or an
  interruption, becomes one line and an exit code unless `--debug` is given.

  Args:
    config_cls: the config, a frozen dataclass whose fields were made by
      `setting`: bool, int, float, str, one of the last three or `None` (spelled
      `none` on the command line), or a tuple of any length of one of these
      three. A field `num_host_devices: int | None`, if there is one, is passed
      to `host.prepare_devices`.
    run: the experiment's function, `run(config, workdir)`, or `run(config)`
      without a workdir.
    has_workdir: whether there is a required flag `--workdir`.
    takes_folders: whether positional arguments are folders, for `run(config,
      folders)`; if so, nothing is trained and the host is not configured.
    presets: named configs, the first of which has all defaults. They define a
      flag `--preset`, whose config the other flags override.
    takes_settings: whether there is a flag `--settings`, a file that
      `settings_file.read` reads; the other flags override it.
  """
  streams.prepare()
  # Pictures are written to files; a notebook's backend, or an invalid one,
  # would only do harm.
  os.environ['MPLBACKEND'] = 'agg'
  _define_launch_flags(has_workdir, list(presets or ()), takes_settings)
  define_flags(config_cls, flags.FLAGS)

  def start(argv: Sequence[str]) -> None:
    if not flags.FLAGS.debug:
      logging.get_absl_handler().setFormatter(_WarningFormatter())
    if len(argv) > 1 and not takes_folders:
      raise ValueError(
        f'Unexpected arguments {" ".join(argv[1:])}; settings are given as '
        '--name=value.'
      )
    places: list[Any] = []
    if takes_folders:
      places.append(tuple(argv[1:]))
    if has_workdir:
      if not flags.FLAGS.workdir:
        raise ValueError('--workdir is empty; name a folder.')
      places.append(os.fspath(prepared.expand(flags.FLAGS.workdir)))
    base = presets[flags.FLAGS.preset] if presets else None
    if takes_settings and flags.FLAGS.settings is not None:
      path = prepared.expand(flags.FLAGS.settings)
      base = settings_file.read(path, base or config_cls(), flags.FLAGS)
    config = read_config(config_cls, flags.FLAGS, base)
    worker_settings.prepare_driver(config)
    _prepare_host(config, leaves_host=takes_folders)
    with pod_settings.joined(config) as pod:
      if has_workdir:
        # Without a workdir, devices are left to the processes started.
        host.check_platform()
      if pod is None or pod.process_id == 0:
        run(config, *places)

  def main(argv: Sequence[str]) -> int:
    debug = flags.FLAGS.debug
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
      # The state that `experiments/__init__.py` leaves behind.
      signal.signal(signal.SIGINT, signal.default_int_handler)
    with (
      errors.naming_flags(),
      interruption.watched(f'error: interrupted{_hint(has_workdir)}.'),
    ):
      try:
        code = report_errors(
          lambda: start(argv), debug=debug, resumes=has_workdir
        )
      except KeyboardInterrupt:
        traceback.print_exc()
        code = interruption.EXIT_CODE
      if code == interruption.EXIT_CODE:
        interruption.leave()
    return code

  def parse(argv: Sequence[str]) -> list[str]:
    # Replaces absl's own help flag, which has neither groups nor sources.
    flags.DEFINE_flag(settings_help.HelpFlag(config_cls, flags.FLAGS))
    return parse_flags(argv)

  app.run(main, flags_parser=parse)


class _WarningFormatter(standard_logging.Formatter):
  """Shows log records like errors, without time and place."""

  def format(self, record: standard_logging.LogRecord) -> str:
    return f'{record.levelname.lower()}: {super().format(record)}'


def _define_launch_flags(
  has_workdir: bool, presets: Sequence[str], takes_settings: bool
) -> None:
  """Defines the flags that are not settings of an experiment."""
  if presets:
    flags.DEFINE_enum(
      'preset',
      presets[0],
      presets,
      'Named settings, which the other flags override.',
    )
  if takes_settings:
    flags.DEFINE_string(
      'settings',
      None,
      'File of settings, such as the best_settings.json of tune_found; the '
      'other flags override them.',
    )
  flags.DEFINE_bool(
    'debug', False, 'Whether an error is shown with its traceback.'
  )
  if has_workdir:
    flags.DEFINE_string(
      'workdir',
      None,
      'Folder of the run. The same command with the same folder resumes it.',
      required=True,
    )


def _prepare_host(config: Any, leaves_host: bool) -> None:
  """Configures the host for a run with the given settings."""
  # JAX reports every platform that a machine lacks, and matplotlib its search
  # for fonts.
  for name in ('jax', 'matplotlib'):
    standard_logging.getLogger(name).setLevel(standard_logging.WARNING)
  if not leaves_host:
    host.set_aside_settings()
    host.use_compilation_cache()
    name = 'num_host_devices'
    host.prepare_devices(
      # Experiments without the setting train no children side by side.
      getattr(config, name, 1),
      is_asked=name in flags.FLAGS and flags.FLAGS[name].present > 0,
    )


def parse_flags(argv: Sequence[str]) -> list[str]:
  """Parses the flags; a mistake ends the program with one line.

  Args:
    argv: the program's name and its arguments.

  Returns:
    The arguments that are not flags, starting with the program's name.
  """
  try:
    return flags.FLAGS(argv)
  # For some mistakes absl raises a plain ValueError.
  except (flags.Error, ValueError) as error:
    line = ' '.join(str(error).split()).removesuffix('.')
    _print_error(f'{line} (--help shows all flags).')
    sys.exit(1)


def as_started(config: Any, folder: str) -> Any:
  """Returns a config with machine-dependent defaults as in an existing run.

  Another machine would choose other values, and the last bits would differ.

  Args:
    config: the config from the flags.
    folder: the run's folder, which may not contain a run yet.
  """
  path = pathlib.Path(folder, 'config.json')
  if not path.exists():
    return config
  started = workdir.read_config(folder)
  return dataclasses.replace(
    config,
    **{
      name: started[name]
      for name, left_open in (('num_host_devices', None), ('block_size', 0))
      if getattr(config, name, -1) == left_open
      and type(started.get(name)) is int
      and started[name] > 0
    },
  )


def define_flags(config_cls: type, flag_values: flags.FlagValues) -> None:
  """Defines one flag per field of a config.

  Args:
    config_cls: the config, a dataclass as in `launch`.
    flag_values: the flags to add to.

  Raises:
    TypeError: a field has a type that flags do not support.
  """
  hints = typing.get_type_hints(config_cls)
  for field in dataclasses.fields(config_cls):
    help = field.metadata.get('help', '')
    choices = field.metadata.get('choices')
    if choices:
      help = f'<{"|".join(choices)}>: {help}'
    required = field.metadata.get('required', False)
    if field.default is dataclasses.MISSING:
      default, required = None, True
    else:
      default = field.default
    if hints[field.name] is bool:
      flags.DEFINE_bool(
        field.name, default, help, flag_values, required=required
      )
      continue
    parser = _make_parser(
      hints[field.name], choices, field.metadata.get('bounds')
    )
    if parser is None:
      raise TypeError(
        f'Field {field.name!r} of {config_cls.__name__} has the type '
        f'{hints[field.name]}, which flags do not support.'
      )
    flags.DEFINE(
      parser,
      field.name,
      default,
      help,
      flag_values,
      _Serializer(),
      required=required,
    )


def read_config(
  config_cls: type, flag_values: flags.FlagValues, base: Any = None
) -> Any:
  """Returns the config given by the parsed flags.

  Args:
    config_cls: the config, a dataclass as in `launch`.
    flag_values: the parsed flags.
    base: the config whose values are used for flags that are not given; by
      default the one with all defaults.
  """
  fields = [field.name for field in dataclasses.fields(config_cls)]
  return config_cls(
    **{
      name: flag_values[name].value
      if base is None or flag_values[name].present
      else getattr(base, name)
      for name in fields
    }
  )


def report_errors(
  start: Callable[[], Any], *, debug: bool = False, resumes: bool = True
) -> int:
  """Calls a function and turns a user's error into one line on stderr.

  Args:
    start: the function to call.
    debug: whether to raise errors unchanged.
    resumes: whether the same command would continue after an interruption.

  Returns:
    The exit code: 0, 1 after an error, 130 after an interruption.
  """
  hint = _hint(resumes)
  try:
    start()
  except KeyboardInterrupt:
    if debug:
      raise
    _print_error(f'interrupted{hint}.')
    return interruption.EXIT_CODE
  except Exception as error:
    line = failures.describe(error)
    if debug or line is None:
      raise
    # The error does not tell whether standard output is what failed.
    is_unplaced = (
      isinstance(error, OSError) and error.errno and (error.filename is None)
    )
    unwritten = streams.flush('\n' if is_unplaced else '')
    _print_error(f'{unwritten}{hint}.' if unwritten else line)
    return 1
  if unwritten := streams.flush():
    _print_error(f'{unwritten}{hint}.')
    return 1
  return 0


def _hint(resumes: bool) -> str:
  return '; the same command continues the run' if resumes else ''


def _print_error(line: str) -> None:
  with contextlib.suppress(OSError):
    print(f'error: {line}', file=sys.stderr)


def _make_parser(
  hint: Any,
  choices: Sequence[str] | None,
  limits: settings.Bounds | None = None,
) -> flags.ArgumentParser | None:
  """Returns the parser of a field's type, or `None` if it has none."""
  args = typing.get_args(hint)
  if typing.get_origin(hint) is tuple and args[1:] == (Ellipsis,):
    item = _make_parser(args[0], choices, limits)
    return _TupleParser(item) if item else None
  if typing.get_origin(hint) in (types.UnionType, typing.Union):
    present = [arg for arg in args if arg is not types.NoneType]
    if len(present) != 1:
      return None
    item = _make_parser(present[0], choices, limits)
    return _OptionalParser(item) if item else None
  if hint is str and choices:
    return flags.EnumParser(list(choices))
  parsers: dict[Any, Callable[..., flags.ArgumentParser]] = {
    int: _IntegerParser,
    float: _NumberParser,
  }
  if hint is str:
    return flags.ArgumentParser()
  # By name, since absl caches parsers by their positional arguments.
  return parsers[hint](limits=limits) if hint in parsers else None


class _IntegerParser(flags.IntegerParser):
  """Parses an integer; `--help` shows the range that the config checks."""

  def __init__(self, limits: settings.Bounds | None):
    super().__init__()
    self.syntactic_help = f'{self.syntactic_help} {limits or ""}'.strip()


class _NumberParser(flags.FloatParser):
  """Parses a number, but not NaN, which would differ from itself on resume."""

  def __init__(self, limits: settings.Bounds | None):
    super().__init__()
    self.syntactic_help = f'{self.syntactic_help} {limits or ""}'.strip()

  def convert(self, argument):
    number = super().convert(argument)
    if math.isnan(number):
      raise ValueError('expected a number, got nan')
    return number


class _OptionalParser(flags.ArgumentParser):
  """Parses `none` as `None`, and everything else with another parser."""

  def __init__(self, item: flags.ArgumentParser):
    self.item = item
    self.syntactic_help = ', or '.join(
      filter(None, (item.syntactic_help, 'none'))
    )

  def parse(self, argument):
    is_none = isinstance(argument, str) and argument.lower() == 'none'
    return None if is_none else self.item.parse(argument)


class _TupleParser(flags.ArgumentParser):
  """Parses comma-separated values."""

  def __init__(self, item: flags.ArgumentParser):
    self.item = item
    self.syntactic_help = 'a comma-separated list' + (
      f', each {item.syntactic_help}' if item.syntactic_help else ''
    )

  def parse(self, argument):
    if isinstance(argument, str):
      argument = [part.strip() for part in argument.split(',') if part.strip()]
    return tuple(self.item.parse(part) for part in argument)


class _Serializer(flags.ArgumentSerializer):
  """Writes a value in the form that its parser reads."""

  def serialize(self, value):
    if isinstance(value, tuple):
      return ','.join(map(str, value))
    return str(value)

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import dataclasses
import errno
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

from absl import flags
import pytest

from experiments import launch, settings

ROOT = pathlib.Path(__file__).resolve().parents[2]

EXPERIMENT = """
'''Trains a toy.

    python -m toy --workdir=runs/toy
'''
from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import signal
import threading
import time

from absl import logging
import jax

from experiments import launch, settings


@dataclasses.dataclass(frozen=True)
class Config:
  steps: int = settings.setting(3, 'How many steps.')
  task: str = settings.setting(
    'text', 'What to do.', choices=('text', 'stop', 'block', 'stay', 'say')
  )
  num_host_devices: int | None = settings.setting(2, 'How many CPU devices.')

  def __post_init__(self):
    if self.steps < 1:
      raise ValueError(f'steps must be positive,\\n  got {self.steps}.')


def train():
  return jax.jit(
    lambda x: jax.lax.fori_loop(0, 2**31 - 1, lambda _, x: x * 1.1 - 0.1, x)
  )(1.0).block_until_ready()


def run(config, workdir):
  # A shell starts what runs in its background without this handler.
  signal.signal(signal.SIGINT, signal.default_int_handler)
  if config.task == 'stop':
    os.kill(os.getpid(), signal.SIGINT)
  if config.task == 'block':
    print('blocks', flush=True)
    train()
  if config.task == 'stay':
    threading.Thread(target=train).start()
    time.sleep(1)
    print('stays', flush=True)
    time.sleep(60)
  if config.task == 'say':
    if config.steps == 1:
      logging.warning('%d is few', config.steps)
    for _ in range(config.steps):
      print('J\\u00fcrgen \\udcff')
    return
  pathlib.Path(workdir).mkdir(parents=True)
  jax.jit(lambda x: x + 1)(1.0)
  print(json.dumps(dataclasses.asdict(config) | {
    'workdir': workdir,
    'devices': jax.device_count(),
    'cache': jax.config.jax_compilation_cache_dir,
  }))


if __name__ == '__main__':
  launch.launch(Config, run)
"""


@dataclasses.dataclass(frozen=True)
class Config:
  count: int = settings.setting(3, 'A count.')
  rate: float = settings.setting(1, 'A rate.')
  shuffle: bool = settings.setting(True, 'A switch.')
  name: str = settings.setting('a', 'A name.', choices=('a', 'b'))
  limit: int | None = settings.setting(5, 'A limit.')
  decay: float | None = settings.setting(None, 'A decay.')
  path: str | None = settings.setting(None, 'A path.')
  rates: tuple[float, ...] = settings.setting((0.1, 1.0), 'Rates.')
  cells: tuple[str, ...] = settings.setting(('lstm',), 'Cells.')
  widths: tuple[int, ...] = settings.setting((), 'Widths.')


def read(*arguments, config_cls=Config):
  flag_values = flags.FlagValues()
  launch.define_flags(config_cls, flag_values)
  flag_values(['program', *arguments])
  return launch.read_config(config_cls, flag_values)


def test_defaults_come_from_the_config():
  config = read()
  assert config == Config()
  assert isinstance(config.rate, float)


@pytest.mark.parametrize(
  ('argument', 'field', 'value'),
  [
    ('--count=7', 'count', 7),
    ('--rate=2', 'rate', 2.0),
    ('--rate=inf', 'rate', float('inf')),
    ('--noshuffle', 'shuffle', False),
    ('--shuffle=false', 'shuffle', False),
    ('--name=b', 'name', 'b'),
    ('--limit=none', 'limit', None),
    ('--limit=6', 'limit', 6),
    ('--decay=0.5', 'decay', 0.5),
    ('--path=some/where', 'path', 'some/where'),
    ('--rates=1,2.5', 'rates', (1.0, 2.5)),
    ('--cells=gru, lstm', 'cells', ('gru', 'lstm')),
    ('--cells=', 'cells', ()),
    ('--widths=8', 'widths', (8,)),
  ],
)
def test_a_flag_sets_its_field_and_no_other(argument, field, value):
  config = read(argument)
  assert config == dataclasses.replace(Config(), **{field: value})
  assert type(getattr(config, field)) is type(value)
  hash(config)


@pytest.mark.parametrize(
  ('argument', 'message'),
  [
    ('--count=2.5', 'flag --count=2.5'),
    ('--rate=fast', 'flag --rate=fast'),
    ('--rate=nan', 'flag --rate=nan: expected a number, got nan'),
    ('--rates=1,nan', 'expected a number, got nan'),
    ('--rates=1,x', 'flag --rates=1,x'),
    ('--decay=nan', 'expected a number, got nan'),
    ('--name=c', 'flag --name=c: value should be one of <a|b>'),
    ('--limit=few', 'flag --limit=few'),
    ('--cuont=3', "Unknown command line flag 'cuont'. Did you mean: count"),
  ],
)
def test_a_bad_flag_is_named(argument, message):
  with pytest.raises(flags.Error) as error:
    read(argument)
  assert message in str(error.value)


def test_required_fields_must_be_given():
  @dataclasses.dataclass(frozen=True)
  class Required:
    first: int
    data: str = settings.setting(None, 'Where.', required=True)

  assert read('--first=1', '--data=x', config_cls=Required) == Required(1, 'x')
  for arguments in (['--first=1'], ['--data=x']):
    with pytest.raises(flags.Error, match='must have a value other than None'):
      read(*arguments, config_cls=Required)


@pytest.mark.parametrize('hint', ['dict', 'int | str', 'tuple[int, int]'])
def test_a_type_without_a_flag_is_refused(hint):
  unusual = dataclasses.make_dataclass(
    'Unusual', [('odd', hint, dataclasses.field(default=None))], frozen=True
  )
  with pytest.raises(TypeError, match=r"Field 'odd' of Unusual has the type"):
    read(config_cls=unusual)


def raises(error):
  def start():
    raise error

  return start


@pytest.mark.parametrize(
  ('error', 'line', 'code'),
  [
    (ValueError('rate is\n  too high'), 'error: rate is too high', 1),
    (ValueError(), 'error: ValueError', 1),
    (
      OSError(errno.ENOSPC, 'No space left on device', 'runs/trials.jsonl'),
      'error: No space left on device: runs/trials.jsonl',
      1,
    ),
    (OSError(errno.ENOSPC, 'No space left'), 'error: No space left', 1),
    (FileNotFoundError('no such cell'), 'error: no such cell', 1),
    (
      MemoryError('Unable to allocate 8 TiB.'),
      'error: there is not enough memory (Unable to allocate 8 TiB); make '
      'batches, blocks or networks smaller, or free some.',
      1,
    ),
    (
      KeyboardInterrupt(),
      'error: interrupted; the same command continues the run.',
      130,
    ),
  ],
)
def test_an_error_is_one_line_and_an_exit_code(capsys, error, line, code):
  assert launch.report_errors(raises(error)) == code
  captured = capsys.readouterr()
  assert captured.err == line + '\n'
  assert not captured.out.strip()
  with pytest.raises(type(error)):
    launch.report_errors(raises(error), debug=True)


def test_success_and_bugs_pass_through(capsys):
  assert launch.report_errors(lambda: None) == 0
  assert launch.report_errors(raises(KeyboardInterrupt()), resumes=False) == 130
  assert capsys.readouterr().err == 'error: interrupted.\n'
  for bug in (ZeroDivisionError(), AssertionError(), RuntimeError('no')):
    with pytest.raises(type(bug)):
      launch.report_errors(raises(bug))


@pytest.fixture(scope='module')
def home(tmp_path_factory):
  folder = tmp_path_factory.mktemp('home')
  (folder / 'toy.py').write_text(EXPERIMENT)
  return folder


def toy_environment(home, **changes):
  kept = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(('JAX_', 'XLA_', 'XDG_'))
  }
  return (
    kept
    | {
      'HOME': str(home),
      'JAX_PLATFORMS': 'cpu',
      'PYTHONPATH': os.pathsep.join([str(ROOT), str(home)]),
    }
    | changes
  )


def run_toy(home, *arguments, **changes):
  return subprocess.run(
    [sys.executable, '-m', 'toy', *arguments],
    cwd=home,
    env=toy_environment(home, **changes),
    capture_output=True,
    text=True,
    timeout=300,
  )


def test_the_command_line_reaches_run(home):
  result = run_toy(home, '--workdir=~/runs/toy', '--steps=5')
  assert result.returncode == 0, result.stderr
  assert json.loads(result.stdout) == {
    'steps': 5,
    'task': 'text',
    'num_host_devices': 2,
    'workdir': str(home / 'runs/toy'),
    'devices': 2,
    'cache': str(home / '.cache/jaxnas/xla'),
  }
  assert (home / 'runs/toy').is_dir()
  assert result.stderr == (
    'A CPU counts as 2 devices of one thread each; --num_host_devices changes '
    'it.\n'
  )


@pytest.mark.parametrize(
  ('arguments', 'line', 'code'),
  [
    (['--workdir=a', '--steps=0'], 'steps must be positive, got 0.', 1),
    (['--workdir=a', 'steps'], 'Unexpected arguments steps; ', 1),
    (['--workdir='], '--workdir is empty', 1),
    (
      ['--workdir=a', '--task=stop', '--num_host_devices=1'],
      'interrupted; the same command continues the run.',
      130,
    ),
  ],
)
def test_the_command_fails_in_one_line(home, arguments, line, code):
  result = run_toy(home, *arguments)
  assert result.returncode == code
  assert result.stderr.startswith(f'error: {line}')
  assert len(result.stderr.splitlines()) == 1, result.stderr


def test_the_environment_decides_where_no_flag_was_given(home):
  environment = {'XLA_FLAGS': '--xla_force_host_platform_device_count=3'}
  result = run_toy(home, '--workdir=b', **environment)
  assert result.returncode == 0, result.stderr
  assert json.loads(result.stdout)['devices'] == 3
  assert not result.stderr
  result = run_toy(home, '--workdir=b', '--num_host_devices=2', **environment)
  assert result.returncode == 1
  assert 'num_host_devices is 2, but the environment asks' in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
  ('task', 'word', 'num_signals'),
  [('block', 'blocks', 1), ('block', 'blocks', 2), ('stay', 'stays', 1)],
)
def test_an_interruption_ends_it_whatever_xla_does(
  home, task, word, num_signals
):
  process = subprocess.Popen(
    [sys.executable, '-m', 'toy', '--workdir=a', f'--task={task}'],
    cwd=home,
    env=toy_environment(home),
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )
  try:
    while process.stdout.readline().strip() != word:
      assert process.poll() is None, process.stderr.read()
    time.sleep(1)
    began = time.monotonic()
    for _ in range(num_signals):
      process.send_signal(signal.SIGINT)
      time.sleep(0.1)
    _, said = process.communicate(timeout=60)
    seconds = time.monotonic() - began
  finally:
    process.kill()
  assert process.returncode == 130
  assert said.splitlines()[1:] == [
    'error: interrupted; the same command continues the run.'
  ]
  # Less than the grace of 3 s after two; on a busy machine all takes longer.
  assert seconds < (30 if num_signals == 1 else 2.9)


def test_an_interrupted_import_is_no_traceback():
  process = subprocess.Popen(
    [sys.executable, '-X', 'importtime', '-m', 'experiments.search_conv_net'],
    cwd=ROOT,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    text=True,
    # So that the handler is Python's, whatever this one's parent has ignored.
    preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
  )
  try:
    while 'jaxlib' not in process.stderr.readline():
      assert process.poll() is None
    process.send_signal(signal.SIGINT)
    said = process.stderr.read()
  finally:
    process.kill()
  assert process.wait() == -signal.SIGINT
  assert 'Traceback' not in said
  assert 'Error' not in said


@pytest.mark.parametrize('platform', ['cuda', 'cpux'])
def test_a_platform_that_is_not_there_is_one_line(home, platform):
  result = run_toy(
    home, '--workdir=b', '--num_host_devices=1', JAX_PLATFORMS=platform
  )
  assert result.returncode == 1
  assert result.stderr.startswith(
    f"error: JAX_PLATFORMS is '{platform}', which"
  )
  assert len(result.stderr.splitlines()) == 1, result.stderr


def test_what_can_not_be_shown_is_spelled(home):
  result = run_toy(
    home, '--workdir=b', '--task=say', '--steps=1', PYTHONIOENCODING='ascii'
  )
  assert result.returncode == 0, result.stderr
  assert result.stdout == 'J\\xfcrgen \\udcff\n'
  assert result.stderr.endswith('\nwarning: 1 is few\n')


@pytest.mark.parametrize(
  ('redirection', 'code', 'line'),
  [
    ('>&-', 0, ''),
    ('<&- >&-', 0, ''),
    (
      '>/dev/full',
      1,
      'error: standard output cannot be written: No space left on device; '
      'the same command continues the run.\n',
    ),
    (
      '| head -n 1; exit ${PIPESTATUS[0]}',
      1,
      'error: the reader of standard output has gone away; the same command '
      'continues the run.\n',
    ),
  ],
)
def test_an_output_that_is_gone_is_a_line_at_most(
  home, redirection, code, line
):
  if redirection == '>/dev/full' and not os.path.exists('/dev/full'):
    pytest.skip('This system has no disk that is always full.')
  result = subprocess.run(
    [
      'bash',
      '-c',
      f'{sys.executable} -m toy --workdir=c --task=say --steps=9999 '
      f'--num_host_devices=1 {redirection}',
    ],
    cwd=home,
    env=toy_environment(home),
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert (result.returncode, result.stderr) == (code, line)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ([], 'Flag --workdir must have a value other than None'),
    (['--workdir=a', '--stesp=1'], 'Did you mean: steps'),
    (['--workdir=a', '--nodebug='], '--nodebug= does not take an argument'),
    (['--workdir=a', '--steps=3\n4'], 'error: flag --steps=3 4: invalid'),
  ],
)
def test_a_mistyped_command_shows_no_traceback(home, arguments, message):
  result = run_toy(home, *arguments)
  assert result.returncode == 1
  assert message in result.stderr
  assert len(result.stderr.splitlines()) == 1, result.stderr


def test_debug_shows_the_traceback(home):
  result = run_toy(home, '--workdir=a', '--steps=0', '--debug')
  assert result.returncode == 1
  assert 'Traceback' in result.stderr
  assert 'in __post_init__' in result.stderr


def test_help_lists_the_flags_of_the_experiment(home):
  result = run_toy(home, '--help')
  assert 'Trains a toy.' in result.stdout
  for text in ('--steps: How many steps.', 'default: 3,', '--task: <text|'):
    assert text in result.stdout
  assert '--workdir:' in result.stdout
  assert '--[no]debug:' in result.stdout


def test_a_preset_is_changed_by_the_flags_that_are_given():
  paper = Config(count=9, rate=0.5, cells=('a', 'b'))
  flag_values = flags.FlagValues()
  launch.define_flags(Config, flag_values)
  flag_values(['program', '--rate=0.25', '--cells=lstm'])
  config = launch.read_config(Config, flag_values, paper)
  # A flag counts as given even if it says what is the default without preset.
  assert config == dataclasses.replace(paper, rate=0.25, cells=('lstm',))
  assert launch.read_config(Config, flag_values).count == 3


def test_presets_make_a_flag(tmp_path):
  script = EXPERIMENT.replace(
    'launch.launch(Config, run)',
    "launch.launch(Config, run, presets={'quick': Config(), "
    "'long': Config(steps=70)})",
  )
  (tmp_path / 'toy.py').write_text(script)

  def start(*arguments):
    return subprocess.run(
      [sys.executable, '-m', 'toy', *arguments],
      cwd=tmp_path,
      env={**os.environ, 'PYTHONPATH': str(ROOT)},
      capture_output=True,
      text=True,
      check=False,
    )

  done = start('--workdir=run', '--preset=long', '--task=text')
  assert done.returncode == 0, done.stderr
  assert json.loads(done.stdout)['steps'] == 70
  unknown = start('--workdir=other', '--preset=short')
  assert unknown.returncode == 1
  assert 'quick|long' in unknown.stderr


@dataclasses.dataclass(frozen=True)
class _Machine:
  block_size: int = settings.setting(0, 'Children in one call.')
  num_host_devices: int | None = settings.setting(None, 'Devices.')


def test_what_is_left_to_the_machine_is_as_the_run_was_started(tmp_path):
  left = _Machine()
  assert launch.as_started(left, str(tmp_path)) == left
  (tmp_path / 'config.json').write_text(
    '{"block_size": 8, "num_host_devices": 2, "other": 1}'
  )
  assert launch.as_started(left, str(tmp_path)) == _Machine(8, 2)
  given = _Machine(4, 1)
  assert launch.as_started(given, str(tmp_path)) == given

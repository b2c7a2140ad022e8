# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import os
import pathlib
import subprocess
import sys

import jax
import pytest

from jaxnas.runs import host

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
  """An environment that decides nothing, restored after the test."""
  for name in list(os.environ):
    if name.startswith(('JAX_', 'XLA_')):
      monkeypatch.delenv(name)
  # So that monkeypatch also restores what the tested functions set.
  monkeypatch.setenv('XLA_FLAGS', '')
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


@pytest.fixture
def updates(monkeypatch):
  """What is set in jax's config, which itself is left alone."""
  made = {}
  monkeypatch.setattr(jax.config, 'update', made.__setitem__)
  return made


def test_devices_are_split_before_the_first_use(tmp_path):
  program = (
    'import jax\n'
    'from jaxnas.runs import host\n'
    'host.prepare_devices(2)\n'
    'print(jax.device_count())\n'
  )
  result = subprocess.run(
    [sys.executable, '-c', program],
    cwd=ROOT,
    env=os.environ | {'JAX_PLATFORMS': 'cpu'},
    capture_output=True,
    text=True,
    timeout=120,
  )
  assert result.stdout == '2\n', result.stderr


def run_program(*lines):
  return subprocess.run(
    [sys.executable, '-c', '\n'.join(lines)],
    cwd=ROOT,
    env=os.environ | {'JAX_PLATFORMS': 'cpu'},
    capture_output=True,
    text=True,
    timeout=120,
  )


def test_a_program_of_ones_own_prepares_all_by_one_call(tmp_path):
  result = run_program(
    'import jax',
    'from jaxnas.runs import host',
    'host.prepare(2)',
    'print(jax.device_count(), jax.config.jax_compilation_cache_dir)',
  )
  assert result.stdout == f'2 {tmp_path}/cache/jaxnas/xla\n', result.stderr
  (line,) = result.stderr.splitlines()
  assert 'jaxnas.prepare(num_devices) changes it' in line


def test_what_comes_too_late_is_said():
  result = run_program(
    'import jax',
    'from jaxnas.runs import host',
    'jax.numpy.ones(3)',
    'host.prepare(2)',
  )
  assert result.returncode
  assert 'has 1 instead of 2; make it the first call' in result.stderr


def test_one_line_says_what_was_set(capsys, monkeypatch):
  monkeypatch.setattr(host, '_has_accelerator_plugin', lambda: False)
  host.prepare_devices(4)
  added = (
    '--xla_force_host_platform_device_count=4 '
    '--xla_cpu_multi_thread_eigen=false --xla_backend_optimization_level=2'
  )
  assert os.environ['XLA_FLAGS'] == added
  (line,) = capsys.readouterr().err.splitlines()
  assert len(line) < 80
  assert '4 devices of one thread each; --num_host_devices' in line


def test_an_accelerators_programs_are_compiled_as_ever(monkeypatch):
  monkeypatch.setattr(host, '_has_accelerator_plugin', lambda: True)
  host.prepare_devices(4)
  assert 'optimization_level' not in os.environ['XLA_FLAGS']


def test_other_flags_of_the_user_are_kept(monkeypatch):
  monkeypatch.setenv('XLA_FLAGS', '--xla_dump_to=dump')
  host.prepare_devices(2)
  assert os.environ['XLA_FLAGS'].startswith('--xla_dump_to=dump --xla_force')


@pytest.mark.parametrize(
  ('num_cores', 'expected'),
  [(2, '=2 '), (6, '=4 '), (8, '=8 '), (96, '=8 ')],
)
def test_the_default_is_a_power_of_two_of_cores(
  monkeypatch, num_cores, expected
):
  monkeypatch.setattr(host, 'num_cores', lambda: num_cores)
  host.prepare_devices()
  assert f'device_count{expected}' in os.environ['XLA_FLAGS']


@pytest.mark.parametrize(
  ('name', 'value'),
  [
    ('XLA_FLAGS', '--xla_force_host_platform_device_count=3'),
    ('XLA_FLAGS', '--xla_cpu_multi_thread_eigen=true'),
    ('JAX_NUM_CPU_DEVICES', '3'),
    ('JAX_PLATFORMS', 'cuda'),
  ],
)
def test_the_environment_decides_first(monkeypatch, capsys, name, value):
  monkeypatch.setenv(name, value)
  before = os.environ['XLA_FLAGS']
  host.prepare_devices()
  assert os.environ['XLA_FLAGS'] == before
  assert not capsys.readouterr().err


def test_one_device_keeps_its_threads(monkeypatch):
  host.prepare_devices(1)
  monkeypatch.setattr(host, 'num_cores', lambda: 1)
  host.prepare_devices()
  assert not os.environ['XLA_FLAGS']


def test_bad_device_counts_are_named(monkeypatch):
  with pytest.raises(ValueError, match='num_devices must be at least 1'):
    host.prepare_devices(0)
  monkeypatch.setenv('JAX_NUM_CPU_DEVICES', '3')
  with pytest.raises(
    ValueError, match='num_devices is 2, but the environment asks for 3'
  ):
    host.prepare_devices(2)


def test_the_environment_may_differ_from_what_nobody_asked_for(monkeypatch):
  flags = '--xla_force_host_platform_device_count=2'
  monkeypatch.setenv('XLA_FLAGS', flags)
  assert host.prepare_devices(1, is_asked=False) is None
  assert os.environ['XLA_FLAGS'] == flags
  with pytest.raises(ValueError, match='num_devices is 1, but the env'):
    host.prepare_devices(1)


def test_cores_are_those_of_this_process():
  assert 1 <= host.num_cores() <= os.cpu_count()


def test_settings_that_no_run_can_have_are_set_aside(
  monkeypatch, capsys, updates
):
  host.set_aside_settings()
  assert not updates
  assert not capsys.readouterr().err
  for name, value in (
    ('jax_debug_nans', True),
    ('jax_enable_x64', True),
    ('jax_numpy_dtype_promotion', 'strict'),
    ('jax_transfer_guard_host_to_device', 'disallow'),
    ('jax_transfer_guard_device_to_host', 'log'),
  ):
    monkeypatch.setattr(type(jax.config), name, value, raising=False)
  host.set_aside_settings()
  assert updates == {
    'jax_debug_nans': False,
    'jax_enable_x64': False,
    'jax_numpy_dtype_promotion': 'standard',
    'jax_transfer_guard_host_to_device': 'allow',
  }
  (line,) = capsys.readouterr().err.splitlines()
  for name in (
    'DEBUG_NANS',
    'ENABLE_X64',
    'NUMPY_DTYPE_PROMOTION',
    'TRANSFER_GUARD',
  ):
    assert f'JAX_{name} (' in line


def test_all_settings_that_are_set_aside_exist():
  for name, value, _ in host._SET_ASIDE:
    assert getattr(jax.config, name) in (None, value)


@pytest.mark.parametrize('error', [RuntimeError('no such'), AssertionError()])
def test_a_platform_that_is_not_there_is_named(monkeypatch, error):
  def devices():
    raise error

  monkeypatch.setattr(jax, 'devices', devices)
  monkeypatch.setenv('JAX_PLATFORMS', 'gpux')
  with pytest.raises(
    ValueError, match="JAX_PLATFORMS is 'gpux', which jax can"
  ):
    host.check_platform()
  monkeypatch.delenv('JAX_PLATFORMS')
  with pytest.raises(ValueError, match='jax can use no device here'):
    host.check_platform()


def test_without_a_home_nothing_is_cached(monkeypatch, updates, caplog):
  monkeypatch.delenv('XDG_CACHE_HOME')
  monkeypatch.setattr(os.path, 'expanduser', lambda path: path)
  host.use_compilation_cache()
  assert updates == {'jax_compilation_cache_dir': None}
  assert 'No compilation cache: There is no home' in caplog.text
  assert not pathlib.Path('~').exists()


def test_the_cache_has_a_folder_of_its_own(tmp_path, updates):
  host.use_compilation_cache()
  folder = tmp_path / 'cache/jaxnas/xla'
  assert folder.is_dir()
  assert updates == {
    'jax_compilation_cache_dir': str(folder),
    'jax_persistent_cache_min_compile_time_secs': 0.5,
    'jax_persistent_cache_min_entry_size_bytes': -1,
  }
  assert all(hasattr(jax.config, name) for name in updates)


def test_the_environment_names_the_cache(monkeypatch, tmp_path, updates):
  monkeypatch.setenv('JAX_COMPILATION_CACHE_DIR', str(tmp_path / 'own'))
  monkeypatch.setenv('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0')
  host.use_compilation_cache()
  assert updates == {'jax_persistent_cache_min_entry_size_bytes': -1}
  assert not (tmp_path / 'cache').exists()


def test_a_run_goes_on_without_a_cache(monkeypatch, tmp_path, updates, caplog):
  (tmp_path / 'file').write_text('')
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
  host.use_compilation_cache()
  assert updates == {'jax_compilation_cache_dir': None}
  assert 'No compilation cache' in caplog.text


@pytest.mark.parametrize(
  'name', ['JAX_COMPILATION_CACHE_DIR', 'XDG_CACHE_HOME']
)
def test_a_folder_that_is_not_utf8_holds_no_cache(
  monkeypatch, tmp_path, updates, caplog, name
):
  monkeypatch.setenv(name, f'{tmp_path}/\udcff')
  host.use_compilation_cache()
  assert updates == {'jax_compilation_cache_dir': None}
  assert 'is not UTF-8' in caplog.text
  assert not os.listdir(tmp_path)

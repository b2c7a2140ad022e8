# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import copy
import subprocess

from absl import logging
import jax
import pytest

from jaxnas.records import conditions, workdir


@pytest.fixture
def warnings(monkeypatch):
  messages: list[str] = []
  monkeypatch.setattr(
    logging, 'warning', lambda text, *args: messages.append(text % args)
  )
  return messages


def git(folder, *arguments):
  subprocess.run(
    [
      *('git', '-c', 'user.name=a', '-c', 'user.email=a@b'),
      *('-c', 'commit.gpgsign=false', *arguments),
    ],
    cwd=folder,
    check=True,
    capture_output=True,
  )


def test_other_random_numbers_are_refused(tmp_path):
  workdir.write_manifest(tmp_path)
  before = (tmp_path / 'manifest.json').read_bytes()
  name = 'jax_threefry_partitionable'
  value = getattr(jax.config, name)
  jax.config.update(name, not value)
  try:
    with pytest.raises(
      ValueError,
      match=f'other random numbers .*Set {name.upper()}={str(value).lower()}, ',
    ):
      workdir.write_manifest(tmp_path)
  finally:
    jax.config.update(name, value)
  assert (tmp_path / 'manifest.json').read_bytes() == before
  workdir.write_manifest(tmp_path)


@pytest.mark.parametrize(
  ('part', 'change', 'told'),
  [
    ('versions', {'jax': '0.1'}, 'jax=0.1'),
    ('device', {'platform': 'tpu'}, 'platform=tpu'),
    (
      'jax_settings',
      {'jax_default_matmul_precision': 'high'},
      'JAX_DEFAULT_MATMUL_PRECISION=high',
    ),
  ],
)
def test_what_may_change_the_last_bits_is_one_line(
  warnings, part, change, told
):
  now = conditions.now()
  before = copy.deepcopy(now)
  before[part] |= change
  conditions.check(before, now)
  assert len(warnings) == 1
  assert f'started with {told}, which has changed' in warnings[0]


def test_flags_of_the_compiler_are_compared_without_the_device_count(
  warnings, monkeypatch
):
  count = '--xla_force_host_platform_device_count'
  monkeypatch.setenv('XLA_FLAGS', f'--a=1 {count}=2')
  before = conditions.now()
  monkeypatch.setenv('XLA_FLAGS', f'{count}=8 --a=1')
  conditions.check(before, conditions.now())
  assert not warnings
  monkeypatch.delenv('XLA_FLAGS')
  conditions.check(before, conditions.now())
  assert f"XLA_FLAGS='--a=1 {count}=2'" in warnings[0]


def test_a_manifest_of_an_older_version_says_less(warnings):
  conditions.check({'jax_settings': None}, conditions.now())
  conditions.check({}, conditions.now())
  assert not warnings


def test_git_state_is_that_of_the_packages_own_checkout(tmp_path, monkeypatch):
  module = tmp_path / 'conditions.py'
  module.write_text('a = 1\n')
  monkeypatch.setattr(conditions, '__file__', str(module))
  monkeypatch.setenv('GIT_CEILING_DIRECTORIES', str(tmp_path.parent))
  assert conditions._git_state() is None
  git(tmp_path, 'init')
  # Installed into an environment inside somebody else's checkout.
  assert conditions._git_state() is None
  git(tmp_path, 'add', 'conditions.py')
  git(tmp_path, 'commit', '-m', 'first')
  (tmp_path / 'trials.jsonl').write_text('')
  state = conditions._git_state()
  assert state
  assert len(state['commit']) == 40
  assert state['dirty'] is False
  module.write_text('a = 2\n')
  assert conditions._git_state() == {**state, 'dirty': True}
  monkeypatch.setenv('PATH', str(tmp_path))
  assert conditions._git_state() is None

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import ast
import pathlib
import re
import shutil
import subprocess
import tomllib

import pytest

import jaxnas

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']

# A path of one machine: a folder at the root that only some machines have.
MACHINE_PATH = re.compile(
  rf'(?<![\w.~/-])/(?:{"|".join(("home", "root", "work", "Users"))})\b'
)


def project_files():
  """Returns the files that git tracks or would add."""
  if not shutil.which('git'):
    pytest.skip('git is not installed')
  listing = subprocess.run(
    ['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'],
    cwd=ROOT,
    capture_output=True,
    text=True,
  )
  if listing.returncode:
    pytest.skip('not a git checkout')
  paths = [ROOT / name for name in listing.stdout.split('\0') if name]
  return [path for path in paths if path.is_file()]


def test_requirements_are_those_of_the_package():
  lines = (ROOT / 'requirements.txt').read_text().splitlines()
  requirements = [line for line in lines if line and not line.startswith('#')]
  assert requirements == PROJECT['dependencies']


def test_the_version_is_written_once_more_only():
  assert PROJECT['version'] == jaxnas.__version__
  newest = re.search(
    r'^## (\S+)', (ROOT / 'CHANGELOG.md').read_text(), re.MULTILINE
  )
  assert newest
  assert newest[1] == jaxnas.__version__


def test_the_license_is_the_one_that_is_declared():
  text = (ROOT / 'LICENSE').read_text()
  assert PROJECT['license'] == 'Apache-2.0'
  assert text.split()[:4] == ['Apache', 'License', 'Version', '2.0,']
  assert 'Copyright 2026 The jaxnas Authors' in text


def test_no_file_names_a_path_of_one_machine():
  found = []
  for path in project_files():
    lines = path.read_text(errors='ignore').splitlines()
    for number, line in enumerate(lines, 1):
      if MACHINE_PATH.search(line):
        found.append(f'{path.relative_to(ROOT)}:{number}: {line.strip()}')
  assert not found, '\n'.join(found)


def test_machine_paths_are_told_from_others():
  for folder in ('home', 'root', 'work'):
    assert MACHINE_PATH.search(f"open('/{folder}/me/data')")
    assert MACHINE_PATH.search(f'see /{folder}.')
  for text in ('runs/home', 'https://site.org/work/', '~/work', './work', '/.'):
    assert not MACHINE_PATH.search(text)


def test_commands_in_docstrings_name_experiments():
  pattern = re.compile(r'python -m experiments\.(\w+)')
  for path in sorted((ROOT / 'experiments').glob('*.py')):
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ''
    for name in pattern.findall(docstring):
      assert (ROOT / f'experiments/{name}.py').is_file(), (path, name)


def test_ci_runs_the_tests():
  script = ROOT / '.ci' / 'run'
  assert script.stat().st_mode & 0o111
  lines = script.read_text().splitlines()
  assert 'make test' in lines
  assert 'make test-slow' in lines
  assert any('make pytest VENV=' in line for line in lines)

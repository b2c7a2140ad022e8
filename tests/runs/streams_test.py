# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import io
import pathlib
import subprocess
import sys

from jaxnas.runs import streams

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(tmp_path, program, redirection):
  command = f'"$0" -c "$1" "$2" {redirection}'
  return subprocess.run(
    ['bash', '-c', command, sys.executable, program, str(tmp_path / 'file')],
    cwd=ROOT,
    capture_output=True,
    text=True,
    timeout=300,
  )


def test_nothing_is_written_into_the_files_of_a_run(tmp_path):
  program = (
    'import os, sys\n'
    'from jaxnas.runs import streams\n'
    'streams.prepare()\n'
    'with open(sys.argv[1], "w") as file:\n'
    '  print("out")\n'
    '  print("err", file=sys.stderr)\n'
    '  os.write(1, b"raw out"), os.write(2, b"raw err")\n'
    '  file.write("mine")\n'
    'sys.exit(bool(streams.flush()))\n'
  )
  result = run(tmp_path, program, '<&- >&- 2>&-')
  assert result.returncode == 0
  assert (tmp_path / 'file').read_text() == 'mine'


def test_a_stream_that_stands_in_is_kept(monkeypatch):
  stand_in = io.StringIO()
  monkeypatch.setattr(sys, 'stdout', stand_in)
  streams.prepare()
  print('J\u00fcrgen')
  assert streams.flush() == ''
  assert sys.stdout is stand_in
  assert stand_in.getvalue() == 'J\u00fcrgen\n'

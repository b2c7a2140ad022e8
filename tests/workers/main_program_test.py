# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import json
import os
import subprocess
import sys

# What it defines is found by a process that has the program taken on.
MAIN = """
import pickle
import sys
from jaxnas.workers import main_program

def triple(value):
  return 3 * value

if __name__ == '__main__':
  with open(sys.argv[1], 'wb') as file:
    pickle.dump((main_program.read(), pickle.dumps(triple)), file)
"""
OTHER = """
import json, multiprocessing, os, pathlib, pickle, sys

def call(data, pipe):
  try:
    pipe.send((pickle.loads(data)(2), os.getcwd()))
  except BaseException as error:
    pipe.send(repr(error))

if __name__ == '__main__':
  from jaxnas.workers import main_program
  import spawned

  program, triple = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())
  if sys.argv[2] == 'hidden':
    main_program.take_on(program)
    with main_program.hidden():
      print(json.dumps(spawned.call(triple)))
  else:
    main_program.take_on(program._replace(path=program.path + sys.argv[2]))
  print(json.dumps(spawned.call(triple)))
"""
SPAWNED = """
import multiprocessing, os, pickle

def act(data, pipe):
  try:
    pipe.send((pickle.loads(data)(2), os.getcwd()))
  except BaseException as error:
    pipe.send(str(error))

def call(data):
  spawn = multiprocessing.get_context('spawn')
  ours, theirs = spawn.Pipe()
  process = spawn.Process(target=act, args=(data, theirs))
  process.start()
  answer = ours.recv()
  process.join()
  return answer
"""


def run(folder, *arguments):
  environment = {
    **os.environ,
    'PYTHONPATH': os.pathsep.join([*sys.path, str(folder)]),
  }
  answer = subprocess.run(
    [sys.executable, *arguments],
    cwd=folder,
    env=environment,
    capture_output=True,
    text=True,
    check=True,
  )
  return [json.loads(line) for line in answer.stdout.splitlines()]


def write(folder):
  away = folder / 'away'
  away.mkdir()
  (folder / 'spawned.py').write_text(SPAWNED)
  (folder / 'main.py').write_text(MAIN)
  (folder / 'other.py').write_text(OTHER)
  return away


def test_spawned_processes_see_the_program_that_was_taken_on(tmp_path):
  away = write(tmp_path)
  for start in (['main.py'], ['-m', 'main']):
    run(tmp_path, *start, str(tmp_path / 'program'))
    # It was started in another folder.
    (answer,) = run(
      tmp_path, '-c', f'import os; os.chdir({str(away)!r})\n{OTHER}',
      str(tmp_path / 'program'), '',
    )  # fmt: skip
    assert answer == [6, str(tmp_path)]


def test_a_program_that_is_not_there_is_left_out(tmp_path):
  write(tmp_path)
  run(tmp_path, 'main.py', str(tmp_path / 'program'))
  (answer,) = run(tmp_path, 'other.py', str(tmp_path / 'program'), 'x')
  assert 'triple' in answer


def test_a_program_is_hidden_for_a_while(tmp_path):
  write(tmp_path)
  run(tmp_path, 'main.py', str(tmp_path / 'program'))
  hidden, seen = run(tmp_path, 'other.py', str(tmp_path / 'program'), 'hidden')
  assert 'triple' in hidden
  assert seen == [6, str(tmp_path)]

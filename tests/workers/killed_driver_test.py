# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A search whose process is killed again and again, and started anew."""

import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest

from jaxnas.records import trial_log

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[2]
# More by hand: KILLS=20 python -m pytest tests/workers/killed_driver_test.py
KILLS = int(os.environ.get('KILLS', '2'))

FUNCTION = """
import os
import pathlib
import time


def train(value, seed):
  folder = pathlib.Path(__file__).parent / 'pids'
  folder.mkdir(exist_ok=True)
  (folder / str(os.getpid())).touch()
  time.sleep(0.02)
  return seed / 2**31
"""

SCRIPT = """
import sys

import my_function

if __name__ == '__main__':
  import jax
  from jaxnas import evaluators
  from jaxnas import search as search_lib
  from jaxnas.records import trial_log
  from jaxnas.spaces import hyperparameters
  from jaxnas.strategies import random_search

  space = hyperparameters.make_space(
    {'a': hyperparameters.Range(0.0, 1.0), 'b': hyperparameters.Choice((1, 2))}
  )
  arm = search_lib.Arm(
    'one', random_search.make_random_search(space.decisions), 60, 6
  )
  with (
    evaluators.of_function(
      space, my_function.train, 0.0, num_workers=2
    ) as evaluator,
    trial_log.TrialLog(sys.argv[1]) as log,
  ):
    search = search_lib.Search(space, (arm,), evaluator, jax.random.key(0))
    search_lib.run(search, log)
"""


def start(folder, name):
  return subprocess.Popen(
    [sys.executable, 'script.py', name],
    cwd=folder,
    env=os.environ | {'PYTHONPATH': str(ROOT)},
  )


def told(path):
  """What is known of each trial; the order of lines is that of finishing."""
  return {
    trial.proposal: (trial.tokens, trial.reward, trial.status)
    for trial in trial_log.read_trials(path)
  }


def is_running(folder, pid):
  """Whether a process of a folder runs; its number may be another's by now."""
  try:
    stat = pathlib.Path(f'/proc/{pid}/stat').read_text()
    place = os.readlink(f'/proc/{pid}/cwd')
  except OSError:
    return False
  return stat.rpartition(')')[2].split()[0] not in 'ZX' and place == str(folder)


@pytest.mark.skipif(not pathlib.Path('/proc/self').exists(), reason='no /proc')
def test_a_killed_search_goes_on_and_leaves_no_process(tmp_path):
  (tmp_path / 'my_function.py').write_text(FUNCTION)
  (tmp_path / 'script.py').write_text(SCRIPT)
  assert start(tmp_path, 'whole.jsonl').wait(300) == 0
  whole = told(tmp_path / 'whole.jsonl')
  assert len(whole) == 60
  path = tmp_path / 'killed.jsonl'
  generator = random.Random(KILLS)
  num_kept = 0
  for place in sorted(generator.sample(range(60), KILLS)):
    process = start(tmp_path, path.name)
    deadline = time.monotonic() + 300
    while not path.exists() or path.read_bytes().count(b'\n') <= place:
      assert process.poll() is None
      assert time.monotonic() < deadline
      time.sleep(0.002)
    time.sleep(generator.uniform(0, 0.05))
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    trials = told(path)
    assert trials.items() <= whole.items()
    assert len(trials) >= num_kept
    num_kept = len(trials)
    deadline = time.monotonic() + 60
    pids = [each.name for each in (tmp_path / 'pids').iterdir()]
    while any(is_running(tmp_path, pid) for pid in pids):
      assert time.monotonic() < deadline
      time.sleep(0.02)
  assert start(tmp_path, path.name).wait(300) == 0
  assert told(path) == whole

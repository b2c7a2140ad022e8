# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What a program of a library user needs of the package as a whole."""

import importlib.resources
import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]

# An import of anything but these raises, whoever asks for it.
FORBID = """
import sys

class Forbid:
  def find_spec(self, name, path=None, target=None):
    if name.partition('.')[0] in {names!r}:
      raise ImportError(f'{{name}} is forbidden')

sys.meta_path.insert(0, Forbid())
"""
HEAVY = (
  'absl', 'chex', 'flax', 'jax', 'jaxlib', 'matplotlib', 'optax', 'orbax',
  'rich', 'scipy', 'sklearn', 'tensorflow_datasets',
)  # fmt: skip

USER = """
import jax
import numpy as np

from jaxnas import contestants, evaluators, records, search, statistics
from jaxnas.controllers import recurrent
from jaxnas.records.trial_log import Trial, TrialLog
from jaxnas.runs import host, own_search
from jaxnas.spaces import conv_net, recurrent_cell
from jaxnas.spaces.hyperparameters import Choice, Range, make_space
from jaxnas.strategies import evolution, random_search, reinforce
from jaxnas.trainers import blocks
from jaxnas.types import Architecture, Decision, Reward, SearchSpace
from jaxnas.types import Strategy, Task, Trainer


def accuracy(value: dict[str, float | str], seed: int) -> float:
  return float(len(value)) + seed


def main() -> Trial:
  host.prepare(num_devices=2)
  ranges = {'C': Range(1e-3, 1e3, log=True), 'depth': Range(1, 8, integer=True)}
  space = make_space({**ranges, 'kernel': Choice(('rbf', 'poly'))})
  decisions: tuple[Decision, ...] = space.decisions
  controller = recurrent.make_controller(decisions)
  strategies: dict[str, Strategy] = {
    'mine': reinforce.make_reinforce(controller, learning_rate=0.01),
    'bred': evolution.make_evolution(decisions),
    'random': random_search.make_random_search(decisions),
  }
  arms = tuple(
    search.Arm(name, each, 64, 8) for name, each in strategies.items()
  )
  with evaluators.of_function(space, accuracy, floor=0) as judge:
    with TrialLog('trials.jsonl') as log:
      state = search.run(
        search.Search(space, arms, judge, jax.random.key(0)), log
      )
  print(int(state.round), contestants.top(log.trials, 'mine', 3))
  return max(log.trials, key=lambda trial: trial.reward)


def compare(task: Task, space: SearchSpace, arms: list[search.Arm]) -> str:
  trainer: Trainer = blocks.BlockTrainer(task, block_size=8)
  own_search.run(
    'runs/mine',
    space,
    arms,
    trainer,
    Reward(lambda _, metrics: -metrics['validation_loss'], floor=-9),
    statistics.Measure('loss', is_higher_better=False, is_ratio=True),
    learning_rates=(0.1, 0.2),
    num_steps=100,
    known={'usual': {'x': 0.5}},
  )
  trials = records.read('runs/mine')
  return str(records.flatten(trials)[0]['reward'])


def first(space: SearchSpace) -> Architecture:
  return space.decode(np.zeros(space.num_tokens, np.int32))


print(first(recurrent_cell.make_space(base=8)).to_json())
print(first(conv_net.make_space(num_layers=6)).to_json())
if __name__ == '__main__':
  print(main().metrics['mine'] + 1)
"""


def run_without(names, source):
  """Runs a program in which no module of these names can be imported."""
  return subprocess.run(
    [sys.executable, '-c', FORBID.format(names=set(names)) + source],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
    timeout=60,
  )


@pytest.mark.parametrize(
  'module', ['recurrent_cell', 'conv_net', 'known_conv_nets', 'hyperparameters']
)
def test_spaces_need_numpy_alone(module):
  result = run_without(HEAVY, f'import jaxnas.spaces.{module}, jaxnas.types')
  assert not result.returncode, result.stderr


def test_an_architecture_is_decoded_without_jax():
  result = run_without(
    HEAVY,
    'from jaxnas.spaces import recurrent_cell\n'
    'space = recurrent_cell.make_space(base=2)\n'
    'print(space.decode([0] * space.num_tokens).to_json())\n',
  )
  assert "'combiners'" in result.stdout, result.stderr


def test_importing_the_package_costs_nothing():
  result = run_without({*HEAVY, 'numpy'}, 'import jaxnas')
  assert not result.returncode, result.stderr


def test_what_is_forbidden_is_not_imported():
  assert run_without(HEAVY, 'import jaxnas.search').returncode


def test_the_package_says_that_it_has_types():
  assert importlib.resources.files('jaxnas').joinpath('py.typed').is_file()


@pytest.mark.skipif(
  importlib.util.find_spec('mypy') is None, reason='mypy is not installed'
)
def test_a_users_file_is_clean_for_a_strict_type_checker(tmp_path):
  (tmp_path / 'user.py').write_text(USER)
  result = subprocess.run(
    [
      sys.executable,
      '-m',
      'mypy',
      '--strict',
      # As those of an installed package: its own errors are not the user's.
      '--follow-imports=silent',
      '--config-file=',
      # Beside that of the project, whose options are others.
      f'--cache-dir={ROOT / ".mypy_cache" / "user"}',
      'user.py',
    ],
    cwd=tmp_path,
    env=os.environ | {'MYPYPATH': str(ROOT)},
    capture_output=True,
    text=True,
    check=False,
  )
  assert not result.returncode, result.stdout + result.stderr

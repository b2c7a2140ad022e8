# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What a program of a library user needs of the package as a whole."""

import ast
import importlib.resources
import importlib.util
import inspect
import os
import pathlib
import re
import subprocess
import sys

import pytest

import jaxnas

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
  print(int(state.num_trials), contestants.top(log.trials, 'mine', 3))
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

# The same, and all else that a search of one's own needs, by the public face.
USER_OF_THE_FACE = """
from collections.abc import Sequence

from flax import linen as nn
import jax
import numpy as np

import jaxnas


class Child(nn.Module):
  width: int

  @nn.compact
  def __call__(self, inputs: jax.Array) -> jax.Array:
    outputs: jax.Array = nn.Dense(self.width)(inputs)
    return outputs


def squared_error(outputs: jax.Array, targets: jax.Array) -> jax.Array:
  return (outputs - targets) ** 2


def accuracy(value: dict[str, float | str], seed: int) -> dict[str, float]:
  return {'reward': float(len(value)) + seed}


def size(architecture: dict[str, int]) -> float:
  return architecture['width'] ** 2


def arms(space: jaxnas.SearchSpace) -> Sequence[jaxnas.Arm]:
  decisions: tuple[jaxnas.Decision, ...] = space.decisions
  controller: jaxnas.Controller = jaxnas.make_controller(decisions)
  strategies: dict[str, jaxnas.Strategy] = {
    'reinforce': jaxnas.make_reinforce(controller, learning_rate=0.01),
    'ppo': jaxnas.make_ppo(controller),
    'evolution': jaxnas.make_evolution(decisions),
  }
  chance = jaxnas.make_random_search(decisions)
  return [
    *(jaxnas.Arm(name, each, 64, 8) for name, each in strategies.items()),
    jaxnas.Arm('random', chance, 64, 8, role=jaxnas.Role.BASELINE),
  ]


def trainers(task: jaxnas.Task) -> list[jaxnas.Trainer]:
  x = np.zeros((8, 2))
  data = {'train': (x, x), 'validation': (x, x)}
  return [
    jaxnas.FlaxTrainer(
      lambda shape: Child(shape),
      data,
      loss=squared_error,
      metrics={},
      shape_of=lambda each: int(each['width']),
    ),
    jaxnas.FunctionTrainer(accuracy, num_workers=2),
    jaxnas.BlockTrainer(task, block_size=8),
  ]


def search(task: jaxnas.Task) -> jaxnas.Trial:
  jaxnas.prepare(num_devices=2)
  rate = jaxnas.Range(1e-3, 1, log=True)
  space = jaxnas.make_space({'width': jaxnas.Choice((2, 4)), 'rate': rate})
  cost: jaxnas.Cost = size
  reward = jaxnas.Reward(lambda _, metrics: -metrics['validation_loss'], -9)
  for trainer in trainers(task):
    jaxnas.run(
      'runs/mine',
      space,
      arms(space),
      trainer,
      reward,
      jaxnas.Measure('loss', is_higher_better=False, is_ratio=True),
      learning_rates=lambda each: float(each['rate']),
      num_steps=100,
      known={'usual': {'width': 4, 'rate': 0.1}},
      costs={'size': cost},
    )
    evaluator: jaxnas.Evaluator = jaxnas.make_evaluator(space, trainer, reward)
    jaxnas.Search(space, tuple(arms(space)), evaluator, jax.random.key(0))
  return max(jaxnas.read('runs/mine'), key=lambda trial: trial.reward)
"""


def run_without(names, source):
  """Runs a program in which no module of these names can be imported."""
  return subprocess.run(
    [sys.executable, '-c', FORBID.format(names=set(names)) + source],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
    timeout=300,
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
  result = run_without(
    {*HEAVY, 'numpy'}, 'import jaxnas; help(jaxnas); print(dir(jaxnas))'
  )
  assert not result.returncode, result.stderr
  # What `help` shows, and what an interactive session completes.
  assert 'make_reinforce       policy gradients' in result.stdout
  assert "'make_reinforce'" in result.stdout


def test_the_package_is_imported_at_once():
  # Seconds of the processor, for the machine may be at work.
  clock = 'import time; print(time.process_time())'
  times = [
    float(
      subprocess.run(
        [sys.executable, '-c', f'{source}\n{clock}'],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
      ).stdout.split()[-1]
    )
    for source in ('', 'import jaxnas; help(jaxnas)') * 4
  ]
  assert min(times[1::2]) < min(times[::2]) + 0.3


def test_a_search_starts_without_what_it_needs_at_its_end():
  late = 'matplotlib', 'orbax', 'sklearn', 'tensorflow_datasets'
  result = run_without(
    late,
    'import sys, experiments.search_recurrent_cell\n'
    "assert not {'scipy.stats', 'jax.experimental.pallas'} & set(sys.modules)",
  )
  assert not result.returncode, result.stderr


def test_every_public_name_is_there_and_documented():
  assert list(jaxnas.__all__) == sorted(jaxnas.__all__)
  assert set(jaxnas.__all__) <= set(dir(jaxnas))
  # The map has columns of names, and what they are beside them.
  names = re.findall(r'^  (\S+(?:, \S+)?)  +\S', jaxnas.__doc__, re.MULTILINE)
  assert sorted(', '.join(names).split(', ')) == list(jaxnas.__all__)
  for name in jaxnas.__all__:
    value = getattr(jaxnas, name)
    # So that `help` shows it; an alias would show the typing module's.
    assert inspect.isclass(value) or inspect.isfunction(value), name
    assert len(inspect.getdoc(value)) > 20, name
    assert value.__name__ == name
    assert value.__module__.startswith('jaxnas.')


def test_no_public_name_is_that_of_a_module():
  folder = pathlib.Path(jaxnas.__file__).parent
  modules = {path.stem for path in folder.iterdir()}
  assert not modules & set(jaxnas.__all__)


def test_type_checkers_see_what_there_is():
  seen = {}
  for node in ast.walk(ast.parse(pathlib.Path(jaxnas.__file__).read_text())):
    if isinstance(node, ast.ImportFrom) and node.module.startswith('jaxnas.'):
      seen |= {alias.name: node.module for alias in node.names}
  assert sorted(seen) == list(jaxnas.__all__)
  for name, module in seen.items():
    assert getattr(sys.modules[module], name) is getattr(jaxnas, name)


def test_a_name_that_is_not_public_is_no_attribute():
  with pytest.raises(AttributeError, match="no attribute 'make_nothing'"):
    _ = jaxnas.make_nothing


def test_what_is_forbidden_is_not_imported():
  assert run_without(HEAVY, 'import jaxnas.search').returncode


def test_the_package_says_that_it_has_types():
  assert importlib.resources.files('jaxnas').joinpath('py.typed').is_file()


@pytest.mark.slow
@pytest.mark.skipif(
  importlib.util.find_spec('mypy') is None, reason='mypy is not installed'
)
def test_a_users_files_are_clean_for_a_strict_type_checker(tmp_path):
  sources = {'user.py': USER, 'user_of_the_face.py': USER_OF_THE_FACE}
  for name, source in sources.items():
    (tmp_path / name).write_text(source)
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
      *sources,
    ],
    cwd=tmp_path,
    env=os.environ | {'MYPYPATH': str(ROOT)},
    capture_output=True,
    text=True,
    check=False,
  )
  assert not result.returncode, result.stdout + result.stderr

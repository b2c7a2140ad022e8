# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Neural architecture search as pure functions in JAX.

    import jaxnas

    jaxnas.run('runs/mine', space, arms, trainer, reward, measure)

is a whole search: it proposes, trains, compares, records and resumes. These are
its parts; `help(jaxnas.run)`, and likewise for every other name, says more.

What is searched
  make_space           a space of named choices and ranges
  Choice, Range        a value of a few; a number between two bounds
  AnchorPoint          which earlier layers feed a layer
  Decision             any of these three
  SearchSpace          a space of your own: tokens to architectures and back
  Architecture         what a space decodes to

Who proposes
  make_reinforce       policy gradients, with a controller
  make_ppo             clipped policy gradients, with a controller
  make_evolution       regularized evolution
  make_random_search   the baseline
  make_controller      a recurrent network that samples architectures
  Strategy             a strategy of your own: ask and tell
  Controller           a controller of your own: a distribution over tokens
  Proposals            what a strategy asks for
  Arm, Role            a strategy with its budget; what it is in the comparison

Who trains
  FlaxTrainer          Flax modules on arrays
  FunctionTrainer      any Python function, in processes of its own
  BlockTrainer         a task of your own, many children in one program
  Task, Span           how one child is trained and measured; a part of that
  Trainer              a trainer of your own
  Trained, Kept        what a trainer returns; children to be trained further
  Status               how a training ended

Who judges
  Reward, Cost         what a trained child is worth; what it costs
  Measure              what architectures are compared by in the tables
  make_evaluator       a trainer and a reward, as an evaluator
  Evaluator            an evaluator of your own: rewards for tokens
  Evaluation           what an evaluator returns

Runs
  prepare              sets up jax for this machine; the first call of a program
  run                  a whole search, or the rest of one that was interrupted
  Search               the loop alone, see `jaxnas.search`
  read, Trial          the trials of a run, from its folder

What was found
  export_architecture  one file of Flax or PyTorch code that stands alone
  Exporter             how architectures of a space of your own are exported

The spaces, networks and data sets of the experiments are modules, for example
`jaxnas.spaces.recurrent_cell`. Pages in `docs/` of the repository show each
part at work.

Importing `jaxnas` imports nothing else: a name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

# What type checkers and editors see of the names below.
if TYPE_CHECKING:
  from jaxnas.arms import Arm, Role
  from jaxnas.controllers.recurrent import make_controller
  from jaxnas.evaluators import make_evaluator
  from jaxnas.export.exporting import Exporter, export_architecture
  from jaxnas.records.rows import read
  from jaxnas.records.trial_log import Trial
  from jaxnas.runs.host import prepare
  from jaxnas.runs.own_search import run
  from jaxnas.search import Search
  from jaxnas.spaces.hyperparameters import make_space
  from jaxnas.statistics import Measure
  from jaxnas.strategies.evolution import make_evolution
  from jaxnas.strategies.ppo import make_ppo
  from jaxnas.strategies.random_search import make_random_search
  from jaxnas.strategies.reinforce import make_reinforce
  from jaxnas.trainers.blocks import BlockTrainer
  from jaxnas.trainers.flax_modules import FlaxTrainer
  from jaxnas.trainers.functions import FunctionTrainer
  from jaxnas.types import (
    AnchorPoint,
    Architecture,
    Choice,
    Controller,
    Cost,
    Decision,
    Evaluation,
    Evaluator,
    Kept,
    Proposals,
    Range,
    Reward,
    SearchSpace,
    Span,
    Status,
    Strategy,
    Task,
    Trained,
    Trainer,
  )

__version__ = '0.1.0'

__all__ = (
  'AnchorPoint', 'Architecture', 'Arm', 'BlockTrainer', 'Choice', 'Controller',
  'Cost', 'Decision', 'Evaluation', 'Evaluator', 'Exporter',
  'FlaxTrainer', 'FunctionTrainer', 'Kept', 'Measure', 'Proposals', 'Range',
  'Reward', 'Role', 'Search', 'SearchSpace', 'Span', 'Status', 'Strategy',
  'Task', 'Trained', 'Trainer', 'Trial', 'export_architecture',
  'make_controller', 'make_evaluator', 'make_evolution', 'make_ppo',
  'make_random_search', 'make_reinforce', 'make_space', 'prepare', 'read',
  'run',
)  # fmt: skip

# The homes of all names that are not in `jaxnas.types`.
_HOMES = {
  'Arm': 'arms',
  'BlockTrainer': 'trainers.blocks',
  'Exporter': 'export.exporting',
  'FlaxTrainer': 'trainers.flax_modules',
  'FunctionTrainer': 'trainers.functions',
  'Measure': 'statistics',
  'Role': 'arms',
  'Search': 'search',
  'Trial': 'records.trial_log',
  'export_architecture': 'export.exporting',
  'make_controller': 'controllers.recurrent',
  'make_evaluator': 'evaluators',
  'make_evolution': 'strategies.evolution',
  'make_ppo': 'strategies.ppo',
  'make_random_search': 'strategies.random_search',
  'make_reinforce': 'strategies.reinforce',
  'make_space': 'spaces.hyperparameters',
  'prepare': 'runs.host',
  'read': 'records.rows',
  'run': 'runs.own_search',
}


def __getattr__(name: str) -> Any:
  if name not in __all__:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  home = importlib.import_module(f'{__name__}.{_HOMES.get(name, "types")}')
  # The next use of the name does not come here.
  return globals().setdefault(name, getattr(home, name))


def __dir__() -> list[str]:
  # `help` looks at every name that is listed, which would import all of jax for
  # pages of text below the map that the docstring is.
  caller = sys._getframe(1).f_globals.get('__name__')
  return sorted(globals() if caller == 'inspect' else {*globals(), *__all__})

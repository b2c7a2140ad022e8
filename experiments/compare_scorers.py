# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

r"""Compares cheap ways to judge cells on Base2Bench, where the truth is known.

    python -m experiments.compare_scorers --workdir=runs/scorers

A scorer gives every cell a number: the perplexity after 32, 64 or 128 steps of
its training, or after all steps with another seed; a training-free proxy of the
untrained child; the loss with one set of weights for all cells, trained on
cells that are drawn at random; or a cost. The table has the reward of every
cell after its whole training, so the run can say how well each scorer ranks all
cells, how well it ranks the best, and at which cost. The proxies look at the
very children that the table trained, and at their first batch; shared weights
are trained as these children were.

It also says whether scores are worth their cost in a search: regularized
evolution whose first trials are the best of a scored pool (`--pool_size`),
against evolution that starts at random, with as many trials fewer as the scores
cost.

Prints two tables and writes `scorers.json` and `scorers.png`; the scores of the
proxies and of shared weights are saved in `scores/`. The same command continues
a run, or shows the finished one. `docs/results/scorers.md` and
`docs/results/shared_weights.md` have what it printed.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import pathlib

import jax
import numpy as np

from experiments import launch, machine_settings, settings
from jaxnas import npz
from jaxnas.costs import recurrent_cell as costs
from jaxnas.datasets import base2_bench, reward_table, text
from jaxnas.records import workdir
from jaxnas.runs import scorer_report, scorers, warm_starts
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.strategies import evolution
from jaxnas.trainers import proxy_scorer, shared_scorer
from jaxnas.training import dataset_tasks, text_task
from jaxnas.visualize import progress


@dataclasses.dataclass(frozen=True)
class Config(machine_settings.Devices):
  """Settings of the comparison."""

  scorers: tuple[str, ...] = settings.measurement(
    (),
    'Scorers that are compared, by name; none: all. A wrong name is answered '
    'with the list.',
    is_common=True,
  )
  num_cells: int = settings.measurement(
    0,
    'Number of cells that are scored, drawn at random; 0: all.',
    is_common=True,
    low=0,
    high=settings.MAX_ITEMS,
  )
  pool_size: int = settings.search(
    1000,
    'Number of random cells whose best by score are the first trials of '
    'evolution; 0: no searches.',
    low=0,
    high=settings.MAX_ITEMS,
  )
  num_searches: int = settings.search(
    500,
    'Number of searches with each scorer.',
    low=2,
    high=settings.MAX_ITEMS,
  )
  num_trials: int = settings.search(
    500,
    'Number of whole trainings that a search costs.',
    low=warm_starts.EARLY,
    high=settings.MAX_COUNT,
  )
  shared_steps: int = settings.measurement(
    256,
    'Number of steps that shared weights are trained for.',
    low=1,
    high=settings.MAX_COUNT,
  )
  shared_batches: int = settings.measurement(
    1,
    'Number of minibatches of the validation split that cells are scored on by '
    'shared weights.',
    low=1,
    high=settings.MAX_COUNT,
  )
  shared_seeds: int = settings.measurement(
    5,
    'Number of times that shared weights are trained; 0: none.',
    low=0,
    high=settings.MAX_ITEMS,
  )
  seed: int = settings.machine(
    0,
    'Decides which cells are drawn, and the pools.',
    low=0,
    high=settings.MAX_SEED,
  )
  block_size: int = settings.machine(
    32,
    'Number of children in one call.',
    low=1,
    high=settings.MAX_BLOCK,
  )


def run(config: Config, folder: str) -> None:
  """Scores cells, or continues to, and judges the scores.

  Args:
    config: the settings.
    folder: the run's folder, its `--workdir`.

  Raises:
    ValueError: a setting is invalid, or the folder belongs to another run.
  """
  table = base2_bench.load()
  bench = make_bench(table, config)
  chosen = _choose(scorers.make_scorers(bench), config.scorers)
  classes = _draw_classes(table, config)
  # The first cell of each class is its canonical one or an equal one.
  _, ranks = np.unique(table.cell_of, return_index=True)
  tokens = base2_bench.tokens_of(ranks[classes])
  with workdir.lock(folder) as path:
    workdir.check_config(
      path,
      dataclasses.asdict(config),
      # No score depends on how many are computed at once, but for last bits.
      free=(
        'scorers',
        'pool_size',
        'num_searches',
        'num_trials',
        'num_host_devices',
        'block_size',
        'shared_seeds',
      ),
      defaults=dataclasses.asdict(Config()),
    )
    workdir.write_manifest(path, seed=config.seed)
    found = {
      name: (scorer, _score(path, name, scorer, tokens, bench.text_hash))
      for name, scorer in chosen.items()
    }
    rewards = table.rewards()[ranks[classes]]
    report = scorer_report.Report(table, rewards, found)
    report.show()
    searched = _search(table, config, report, found)
    if searched is not None:
      searched.show()
    report.write(path, searched.to_json() if searched is not None else None)
    report.draw(path)
    progress.files(path, ('scorers.png', 'scorers.json'))


def make_bench(table: base2_bench.Base2Bench, config: Config) -> scorers.Bench:
  """Makes what scores the children of a table.

  Args:
    table: the table, whose own settings make its children.
    config: the settings.
  """
  made = table.facts['config']
  dataset = text.load('pydoc', vocab_size=made['vocab_size'])
  if dataset.content_hash != table.facts['content_hash']:
    print(
      'The help topics of this Python differ from those that the table was '
      'trained on, so the proxies see another text.'
    )
  parts = (
    spaces.make_space(2),
    dataset_tasks.TextTasks(dataset, made['batch_size'], made['num_unrolled']),
    text_task.Recipe(features=made['features']),
  )
  return scorers.Bench(
    table,
    proxy_scorer.ProxyScorer(
      *parts,
      block_size=config.block_size,
      num_devices=config.num_host_devices,
      seed=made['seed'],
    ),
    costs.Model(dataset.vocab_size, made['features']),
    dataset.content_hash,
    shared_scorer.SharedScorer(
      *parts,
      block_size=config.block_size,
      num_devices=config.num_host_devices,
      learning_rate=made['learning_rate'],
      num_steps=config.shared_steps,
      num_batches=config.shared_batches,
    ),
    config.shared_seeds,
  )


def _choose(
  known: Mapping[str, scorers.Scorer], names: tuple[str, ...]
) -> dict[str, scorers.Scorer]:
  row_of = {name: scorer.group or name for name, scorer in known.items()}
  rows = list(dict.fromkeys(row_of.values()))
  unknown = [name for name in names if name not in rows]
  if unknown:
    raise ValueError(
      f'Unknown scorer {unknown[0]!r}; --scorers takes {",".join(rows)}.'
    )
  return {
    name: scorer
    for name, scorer in known.items()
    if not names or row_of[name] in names
  }


def _draw_classes(table: base2_bench.Base2Bench, config: Config) -> np.ndarray:
  """Returns the classes of cells that are scored, ascending."""
  if not config.num_cells:
    return np.arange(table.num_cells)
  if config.num_cells > table.num_cells:
    raise ValueError(
      f'--num_cells must be at most {table.num_cells:,}, the cells of the '
      f'table, or 0 for all; got {config.num_cells:,}.'
    )
  rng = np.random.default_rng(config.seed)
  return np.sort(rng.permutation(table.num_cells)[: config.num_cells])


_TRIALS_PER_UPDATE = 20


def _search(
  table: base2_bench.Base2Bench,
  config: Config,
  report: scorer_report.Report,
  found: Mapping[str, tuple[scorers.Scorer, scorers.Scores]],
) -> warm_starts.Report | None:
  """Returns what evolution makes of scored pools; `None` if it is not asked.

  It takes the scores of all cells, and only scorers that tell some apart.
  """
  if not config.pool_size or config.num_cells:
    return None
  print(
    f'\nSearching from the best of {config.pool_size:,} cells by score ...',
    flush=True,
  )
  # The population of the defaults, in whole batches.
  num_first = 2 * _TRIALS_PER_UPDATE
  return warm_starts.Report(
    table,
    evolution.make_evolution(reward_table.make_decisions(table.cardinalities)),
    {
      name: warm_starts.Pool(
        scorer.label,
        scores.values[table.cell_of],
        report.results[name].seconds,
      )
      for name, (scorer, scores) in found.items()
      # Equal scores choose as a random start does, and what shared weights
      # cost does not grow with the pool.
      if scorer.kind != 'shared'
      and not np.isnan(scores.values).any()
      and len(np.unique(scores.values)) > 1
    },
    num_searches=config.num_searches,
    num_trials=config.num_trials,
    batch_size=_TRIALS_PER_UPDATE,
    num_first=num_first,
    pool_size=config.pool_size,
    trial_seconds=scorers.step_seconds(table) * table.points[-1],
    block_size=8 * jax.local_device_count(),
    seed=config.seed,
  )


def _score(
  path: pathlib.Path,
  name: str,
  scorer: scorers.Scorer,
  tokens: np.ndarray,
  text_hash: str,
) -> scorers.Scores:
  """Returns the scores, from their file if there is one."""
  if not scorer.is_lasting:
    return scorer.score(tokens, lambda num_done: None)
  file = path / 'scores' / f'{name}.npz'
  if file.exists():
    return _read(file, len(tokens), text_hash)
  file.parent.mkdir(exist_ok=True)
  seed = f', {name.rpartition("_")[2]}' if scorer.group else ''
  print(f'{scorer.label}{seed}:', flush=True)
  with progress.Progress(len(tokens), unit='cell') as bar:
    scores = scorer.score(tokens, bar.update)
  npz.write(file, {**scores._asdict(), 'text_hash': np.array(text_hash)})
  return scores


def _read(file: pathlib.Path, num_cells: int, text_hash: str) -> scorers.Scores:
  hint = 'delete it, and the same command makes it again'
  try:
    arrays = npz.read(file, ('values', 'core_seconds'), optional=('text_hash',))
    scores = scorers.Scores(arrays['values'], float(arrays['core_seconds']))
  except (ValueError, TypeError) as error:
    reason = getattr(error, 'reason', error)
    raise ValueError(f'{file} is damaged ({reason}); {hint}.') from None
  if scores.values.shape != (num_cells,):
    raise ValueError(
      f'{file} holds {scores.values.shape} scores and not {num_cells}; {hint}.'
    )
  before = str(arrays.get('text_hash', 'unknown'))
  if before != text_hash:
    raise ValueError(
      f'{file} holds scores on another text, whose hash is {before}; now it is '
      f'{text_hash}. To score with this one, {hint}.'
    )
  return scores


if __name__ == '__main__':
  launch.launch(Config, run)

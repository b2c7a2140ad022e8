# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Lets each controller search for the cell of its successor.

    python -m experiments.search_controller_cell --workdir=runs/controller_cell

Generation 0 searches for a recurrent cell with an LSTM controller; every later
generation's controller is made of the best cell of the previous one. A control
repeats the searches with the LSTM and the same keys. Many lineages run at once,
on the table of Base2Bench or, with `--evaluator=train`, on real trainings; the
cells found are retrained with fresh seeds.

Every parameter of a controller is initialized uniformly in +-`init_scale` (0.08
in the paper). Found cells have biases at their leaves, as the LSTM has in its
gates: without them, at this scale, a leaf that multiplies would output almost
nothing. A cell of products alone does so even with them. A found cell has as
many units as the LSTM, but one block of weights per leaf where the LSTM has
four.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib

import jax
import numpy as np

from experiments import (
  data_settings,
  launch,
  machine_settings,
  settings,
  strategy_settings,
  worker_settings,
)
from jaxnas import succession as succession_lib
from jaxnas.datasets import base2_bench, text
from jaxnas.export import architecture as architecture_file
from jaxnas.records import heads, sinks, trial_log
from jaxnas.records import workdir as workdirs
from jaxnas.runs import (
  cell_judges,
  run_page,
  scalars,
  stopwatch,
  succession_records,
  succession_report,
)
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.trainers import cell_trainer, training_servant
from jaxnas.training import dataset_tasks, text_task
from jaxnas.visualize import pictures, progress, web_page
from jaxnas.visualize import recurrent_cell as cell_pictures
from jaxnas.visualize import succession as curves

CONTROL, SUCCESSION = succession_lib.CONTROL, succession_lib.SUCCESSION


@dataclasses.dataclass(frozen=True)
class Config(
  data_settings.TableChildren,
  strategy_settings.ControllerSettings,
  machine_settings.Machine,
  machine_settings.LogTo,
  worker_settings.Workers,
):
  """Settings of a succession."""

  evaluator: str = settings.search(
    'table',
    'What a cell is judged by. With the table, the settings of children apply '
    'to the retrainings alone.',
    is_common=True,
    choices=('table', 'train'),
  )
  num_lineages: int = settings.search(
    20,
    'Number of lineages, each with its own seed.',
    is_common=True,
    low=1,
    high=settings.MAX_ITEMS,
  )
  num_generations: int = settings.search(
    4,
    'Number of searches of a lineage, one after another.',
    is_common=True,
    low=2,
    high=settings.MAX_ITEMS,
  )
  num_trials: int = settings.search(
    500,
    'Number of trials of a search.',
    is_common=True,
    low=1,
    high=settings.MAX_COUNT,
  )
  trials_per_update: int = settings.search(
    20,
    'Number of trials between two updates of the controller.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  init_scale: float = settings.strategy(
    0.08,
    'Bound of the uniform distribution that parameters of a controller start '
    'from.',
    source=settings.PAPER_IMAGES,
    above=0.0,
  )
  cell_bias: bool = settings.strategy(
    True, 'Whether a found cell has biases as a controller.'
  )
  num_candidates: int = settings.search(
    5,
    'Number of cells that are tried before a lineage is lost.',
    low=1,
    high=settings.MAX_ITEMS,
  )
  num_seeds: int = settings.retraining(
    3,
    'Number of retrainings of a found cell; 0: none.',
    low=0,
    high=settings.MAX_ITEMS,
  )
  base: int = settings.space(
    2,
    'Number of leaves of a cell, a power of two; the table has 2.',
    low=2,
    high=spaces.MAX_BASE,
  )


def run(config: Config, workdir: str) -> None:
  """Runs, resumes or shows a succession.

  Args:
    config: the settings.
    workdir: the run's folder.

  Raises:
    ValueError: a setting is out of range, or the table is not complete.
  """
  sinks.check(config.log_to)
  succession = _make_succession(config)
  dataset = text.load('pydoc', vocab_size=config.vocab_size)
  trainer = _make_trainer(config, succession, dataset)
  table = None
  if config.evaluator == 'table':
    table = cell_judges.TableJudge(base2_bench.load())
  num_devices = trainer.trainer.num_devices
  with contextlib.ExitStack() as stack:
    team = stack.enter_context(worker_settings.Team(config, workdir))
    path = stack.enter_context(workdirs.lock(workdir))
    wrap = worker_settings.wrap(
      team, 'search_controller_cell', config, _data_facts(dataset)
    )
    trainer.trainer = wrap('cells', trainer.trainer)
    workdirs.check_config(
      path,
      {
        **dataclasses.asdict(config),
        'num_host_devices': num_devices,
        'table_fingerprint': table and table.fingerprint,
      },
      free=('num_seeds', 'log_to', *worker_settings.FREE),
      defaults=dataclasses.asdict(Config()),
    )
    workdirs.check_data(path, dataset.content_hash)
    judge = table or stack.enter_context(
      contextlib.closing(
        cell_judges.TrainJudge(
          succession.space, trainer, config.num_steps, path / 'rewards.jsonl'
        )
      )
    )
    log, retrained, timings = logs = [
      stack.enter_context(trial_log.JsonLines(path / name))
      for name in (
        succession_records.GENERATIONS,
        succession_records.RETRAININGS,
        succession_records.TIMINGS,
      )
    ]
    stack.enter_context(heads.guard(path, lambda: heads.of(*logs)))
    succession_records.check_retrainings(retrained.path, retrained.lines)
    generations = succession_records.to_generations(log.path, log.lines)
    if len(generations) < 2 * succession.num_generations - 1:
      workdirs.write_manifest(
        path, seed=config.seed, data_hash=dataset.content_hash
      )
    take = scalars.OfSuccession(generations, retrained.lines).take
    outlets = stack.enter_context(sinks.Sinks(path, config.log_to, take))
    clock = stopwatch.Stopwatch(timings, lambda: _spent(trainer))

    def publish(phase):
      outlets.update()
      clock.lap(phase)

    _search(succession, judge, generations, log, publish)
    _retrain(config, trainer, generations, retrained, publish)
    _write(succession, path, generations, retrained.lines)
    succession_report.show(
      config.num_trials, succession.space, generations, retrained.lines
    )
    _draw(succession, path, generations)
    run_page.draw(path)
    names = ('best.json', 'best_cell.svg', 'succession.png', web_page.FILE)
    progress.files(path, (*names, log.path.name))


def worker_trainers(config: Config) -> training_servant.Trainers:
  """Makes the trainer of a succession's cells in a worker.

  Args:
    config: the settings.
  """
  dataset = text.load('pydoc', vocab_size=config.vocab_size)
  cells = _make_trainer(config, _make_succession(config), dataset)
  return training_servant.Trainers(
    lambda _: cells.trainer, _data_facts(dataset)
  )


def _data_facts(dataset: text.TextDataset) -> dict[str, str]:
  """Returns what tells whether a worker reads the same text."""
  return {'data': dataset.content_hash}


def _make_succession(config: Config) -> succession_lib.Succession:
  settings.check_rounds(config)
  if config.evaluator == 'table' and config.base != 2:
    raise ValueError(
      f'The table has cells of base 2, got --base={config.base}; other bases '
      'need --evaluator=train.'
    )
  return succession_lib.Succession(
    space=spaces.make_space(config.base),
    num_lineages=config.num_lineages,
    num_generations=config.num_generations,
    num_rounds=config.num_trials // config.trials_per_update,
    batch_size=config.trials_per_update,
    key=jax.random.key(config.seed),
    learning_rate=config.controller_learning_rate,
    baseline_decay=config.baseline_decay,
    features=config.controller_features,
    num_layers=config.controller_layers,
    init_scale=config.init_scale,
    use_bias=config.cell_bias,
    num_candidates=config.num_candidates,
  )


def _make_trainer(config, succession, dataset) -> cell_trainer.CellTrainer:
  return cell_trainer.CellTrainer(
    succession.space,
    dataset_tasks.TextTasks(dataset, config.batch_size, config.num_unrolled),
    text_task.Recipe(features=config.features),
    learning_rate=config.learning_rate,
    fractions=(1.0,),
    block_size=config.block_size,
    num_devices=config.num_host_devices,
    seed=config.seed,
  )


def _spent(trainer: cell_trainer.CellTrainer) -> stopwatch.Spent:
  """Returns the time that cells, not controllers, have taken so far."""
  children = trainer.trainer
  return stopwatch.Spent(children.compile_seconds, children.run_seconds)


def _search(succession, judge, generations, log, publish) -> None:
  """Runs the remaining generations and appends them to the list and the log."""
  rounds = succession.num_rounds
  total = (2 * succession.num_generations - 1) * rounds
  done = len(generations) * rounds
  if done == total:
    print('All generations are finished.')
    return
  with progress.Progress(total, unit='round') as shown:
    shown.update(done)
    num_before = len(generations)

    def on_round(branch, number, index):
      place = (len(generations) - num_before) * rounds + done + index
      shown.update(place, note=f'{branch}, generation {number}')

    for generation in succession_lib.run(
      succession, judge, tuple(generations), on_round
    ):
      generations.append(generation)
      log.append([generation.to_json()])
      publish('search')
    shown.update(total)


def _retrain(config, trainer, generations, log, publish) -> None:
  """Trains every cell found with seeds that no reward is based on."""
  wanted = [
    (cell, seed)
    for cell in dict.fromkeys(
      cell for generation in generations for cell in generation.found
    )
    for seed in range(1000, 1000 + config.num_seeds)
  ]
  known = {(tuple(line['tokens']), line['seed']) for line in log.lines}
  jobs = [job for job in wanted if job not in known]
  if not jobs:
    return
  print(
    f'Retraining the {len(wanted) // config.num_seeds} cells found, with '
    f'{config.num_seeds} fresh seeds each:'
  )
  cells, seeds = zip(*jobs, strict=True)
  with progress.Progress(len(wanted), unit='training') as shown:
    num_done = len(wanted) - len(jobs)
    shown.update(num_done)
    for rows, measured in trainer.train_each(
      np.array(cells), seeds, config.num_steps
    ):
      log.append(
        [
          {
            'tokens': cells[row],
            'seed': seeds[row],
            **{
              name: float(measured[name][place, -1])
              for name in cell_trainer.SPLITS
            },
          }
          for place, row in enumerate(rows)
        ]
      )
      num_done += len(rows)
      publish('retrain')
      shown.update(num_done)


def _write(succession, path: pathlib.Path, generations, lines) -> None:
  last, tokens, count = succession_report.last_found(generations)
  cell = succession.space.decode(np.array(tokens))
  architecture_file.write_architecture(
    path / 'best.json',
    cell,
    tokens=tokens,
    generation=last.number,
    num_lineages=count,
    reward=last.rewards[last.found.index(tokens)],
    report_perplexity=succession_report.report_perplexities(lines).get(tokens),
  )


def _draw(succession, path: pathlib.Path, generations) -> None:
  last, tokens, count = succession_report.last_found(generations)
  pictures.draw(
    cell_pictures.write_cell,
    path / 'best_cell.svg',
    succession.space.decode(np.array(tokens)),
    f'Found most often in generation {last.number}: {count} of '
    f'{len(last.found)} lineages',
  )
  pictures.draw(curves.plot_succession, path / 'succession.png', generations)


if __name__ == '__main__':
  launch.launch(Config, run)

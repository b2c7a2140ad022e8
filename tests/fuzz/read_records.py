# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What runs record, and how they read it when they go on or are shown."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from experiments import (
  build_base2_table,
  launch,
)
from jaxnas import history, statistics, succession
from jaxnas.decisions import Choice
from jaxnas.records import (
  checkpoints,
  fingerprint,
  round_log,
  summary,
  trial_log,
  workdir,
)
from jaxnas.records import folder as folder_lib
from jaxnas.runs import cell_judges, regret_page, succession_records
from jaxnas.spaces import hyperparameters
from jaxnas.strategies import random_search
from tests.fuzz import readers
from tests.runs import regret_report_test


def _rewards(folder):
  path = folder / 'rewards.jsonl'
  with trial_log.JsonLines(path) as lines:
    for number in range(4):
      lines.append([{'tokens': [number, 1], 'reward': number / 7}])

  def read():
    judge = cell_judges.TrainJudge(None, None, 1, path)
    judge.close()
    return list(judge._known.items())

  return readers.Subject(folder, read, is_log=True)


def _generation(number, num_lineages=2):
  each = range(num_lineages)
  return succession.Generation(
    branch=succession.CONTROL,
    number=number,
    cells=tuple((1, 2) if number else None for _ in each),
    candidates=tuple(((lineage, 1), (0, 2)) for lineage in each),
    rewards=tuple(0.5 + lineage for lineage in each),
    areas=tuple(0.25 + number for _ in each),
    late_means=tuple(0.125 for _ in each),
    num_replaced=tuple(0 for _ in each),
    is_finite=tuple(True for _ in each),
  )


def _generations(folder):
  path = folder / 'generations.jsonl'
  with trial_log.JsonLines(path) as lines:
    for number in range(2):
      lines.append([_generation(number).to_json()])

  def read():
    with trial_log.JsonLines(path) as lines:
      return succession_records.to_generations(lines.path, lines.lines)

  return readers.Subject(folder, read, is_log=True)


def _one_generation(folder):
  subject = _generations(folder)
  path = folder / 'generations.jsonl'
  path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
  return subject


def _retrainings(folder):
  path = folder / 'retrainings.jsonl'
  with trial_log.JsonLines(path) as lines:
    for seed in range(3):
      lines.append(
        [{'tokens': [1, 2], 'seed': seed, 'validation': 3.5, 'report': None}]
      )

  def read():
    with trial_log.JsonLines(path) as lines:
      succession_records.check_retrainings(lines.path, lines.lines)
      return lines.lines

  return readers.Subject(folder, read, is_log=True)


def _trial(number):
  return trial_log.Trial(
    number=number,
    arm='random',
    repeat=0,
    tokens=(number, 3),
    architecture={'rate': 0.5, 'width': number},
    reward=0.5 / (number + 1),
    metrics={'perplexity': 3.5, 'accuracy': float('nan')},
    status='ok',
    settings={'seed': number},
  )


def _earlier_trials(folder):
  path = folder / 'trials.jsonl'
  with trial_log.TrialLog(path) as log:
    log.append([_trial(0), _trial(1)])
    log.begin_anew()
    log.append([_trial(0)])

  def read():
    with trial_log.TrialLog(path) as log:
      return log.earlier

  # What is missing of it is run again.
  return readers.Subject(folder, read, is_log=True, files='trials.jsonl.1')


def _trials(folder):
  path = folder / 'trials.jsonl'
  with trial_log.TrialLog(path) as log:
    for number in range(3):
      log.append([_trial(number)])

  def read():
    with trial_log.TrialLog(path) as log:
      return log.trials

  return readers.Subject(folder, read, is_log=True)


def _rounds(folder):
  path = folder / 'rounds.jsonl'
  with round_log.RoundLog(path) as log:
    for number in range(3):
      log.append(
        [
          round_log.Round(
            number, 'ppo', 0, {'entropy': 0.5, 'mean': 1.0}, (0.25, 0.75)
          )
        ]
      )

  def read():
    found = round_log.read_rounds(path)
    with round_log.RoundLog(path) as log:
      assert log.rounds == found
    return found

  return readers.Subject(folder, read, is_log=True)


_CONFIG = {'rate': 0.125, 'num_trials': 16, 'name': 'ab', 'block_size': 4}


def _settings(folder):
  workdir.check_config(folder, _CONFIG)

  def read():
    workdir.check_config(folder, _CONFIG)
    launch.as_started(build_base2_table.Config(), str(folder))
    return folder_lib.read(str(folder)).config

  subject = readers.Subject(folder, read)
  _trials(folder)
  return dataclasses.replace(subject, files='config.json')


def _shown_run(folder):
  workdir.check_config(folder, _CONFIG)
  _trials(folder)
  _rounds(folder)
  workdir.write_manifest(folder, data_hash='abc', route='compiled')

  def read():
    run = folder_lib.read(str(folder))
    manifest = {
      name: run.manifest[name] for name in ('versions', 'data_hash', 'device')
    }
    return run.config, manifest

  return readers.Subject(folder, read, files='*.json')


def _summary(folder):
  summary.write(
    folder,
    summary.Summary(
      space='cells',
      space_size='6',
      decisions=(summary.Options('x', 'choice', ('a', 'b')),),
      arms=(summary.Arm('ppo', 0, 'PPO', 'searched', 16, 4),),
      known=('lstm',),
      measure=statistics.ACCURACY,
      search_metric='validation_accuracy',
      own_reward=False,
      results=summary.Results('No.', ('None.',), (), None, '8 steps', True),
    ),
  )
  return readers.Subject(folder, lambda: summary.read(folder))


def _comparison(folder):
  workdir.check_config(folder, _CONFIG)
  regret_report_test.make('good', 'plain').write(folder)

  def read():
    return regret_page.render(folder)

  return readers.Subject(folder, read, files='results.json')


def _manifest(folder):
  workdir.write_manifest(folder, data_hash='abc', route='compiled')

  def read():
    workdir.check_data(folder, 'abc')
    manifest = workdir.write_manifest(folder, data_hash='abc', route='compiled')
    return {
      name: manifest[name]
      for name in ('versions', 'data_hash', 'route', 'jax_settings')
    }

  return readers.Subject(folder, read)


def _task(folder):
  path = folder / 'trials.task.json'
  fingerprint.check(path, (_trial, 3), False)
  return readers.Subject(
    folder, lambda: fingerprint.check(path, (_trial, 3), False)
  )


def _strategies(folder):
  path = folder / 'trials.strategies.json'
  space = hyperparameters.make_space({'x': Choice((1, 2, 3))})
  strategy = random_search.make_random_search(space.decisions)
  with trial_log.TrialLog(folder / 'trials.jsonl') as log:
    log.append([_trial(0)])
    history.check_strategies({'random': strategy}, log)

  def read():
    with trial_log.TrialLog(folder / 'trials.jsonl') as log:
      history.check_strategies({'random': strategy}, log)

  return readers.Subject(folder, read, files=path.name)


def _checkpoints(folder):
  state = {
    'key': jax.random.key(3),
    'params': jnp.arange(12.0).reshape(3, 4),
    'step': jnp.array(7, jnp.int32),
  }
  with checkpoints.Checkpoints(folder) as opened:
    for step in (4, 7):
      opened.save(step, state | {'step': jnp.array(step, jnp.int32)})

  def read():
    with checkpoints.Checkpoints(folder) as opened:
      restored = opened.restore_newest(jax.eval_shape(lambda: state))
    if restored is None:
      return []
    step, found = restored
    return [step, found | {'key': jax.random.key_data(found['key'])}]

  return readers.Subject(folder, read)


SUBJECTS = {
  make.__name__.strip('_'): make
  for make in (
    *(_rewards, _generations, _one_generation, _retrainings, _earlier_trials),
    *(
      _trials,
      _rounds,
      _settings,
      _shown_run,
      _summary,
      _comparison,
      _manifest,
      _task,
      _strategies,
      _checkpoints,
    ),
  )
}
"""By name, `folder -> Subject`: writes sound files into an empty folder."""

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Shows the records of a search, or the differences between two searches.

    python -m experiments.show_run --workdir=runs/recurrent_cell
    python -m experiments.show_run --workdir=runs/conv_net --csv=trials.csv
    python -m experiments.show_run --workdir=runs/recurrent_cell --html
    python -m experiments.show_run runs/recurrent_cell runs/other

The third command writes `report.html`, a page that stands alone, into the
folder of the run, which may also be a tuning, a succession of controllers or a
comparison of strategies. The run may still be in progress; nothing else in it
is changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import json
import pathlib
from typing import Any

import numpy as np

from experiments import launch, settings
from jaxnas import records
from jaxnas import search as search_lib
from jaxnas.records import folder as folder_lib
from jaxnas.records import standing, steps, trial_log, workdir
from jaxnas.runs import run_page
from jaxnas.visualize import progress

_MISSING = '-'
# The entries of a manifest that differ for every start of a run.
_TRIVIAL = ('command', 'resumed', 'time_started')


@dataclasses.dataclass(frozen=True)
class Config(settings.Bounded):
  """Settings of the display of one or two runs."""

  workdir: str | None = settings.data(
    None, 'Folder of the run.', is_common=True
  )
  csv: str | None = settings.data(
    None,
    'Path of a file that all trials of the run are written to.',
    is_common=True,
  )
  html: bool = settings.data(
    False,
    'Whether to write report.html, a page that stands alone, into the folder.',
    is_common=True,
  )
  num_best: int = settings.data(
    5,
    'Number of the best trials that are shown.',
    low=0,
    high=settings.MAX_ITEMS,
  )


def run(config: Config, folders: Sequence[str] = ()) -> None:
  """Shows one run, or compares two.

  Args:
    config: the settings.
    folders: the folders of the runs, in addition to that in the settings.

  Raises:
    ValueError: there are not one or two runs, or one is damaged.
  """
  named = [config.workdir] if config.workdir else []
  if len(named) + len(folders) == 1:
    (folder,) = (*named, *folders)
    if not run_page.is_search(folder):
      _write_page(folder, config)
      return
  runs = [folder_lib.read(folder) for folder in (*named, *folders)]
  if len(runs) not in (1, 2):
    raise ValueError(
      f'Name one run to see it, or two to compare them; got {len(runs)}.'
    )
  if len(runs) == 2:
    if config.csv:
      raise ValueError('--csv is for a single run; leave out the other one.')
    if config.html:
      raise ValueError('--html is for a single run; leave out the other one.')
    compare(*runs)
    return
  show(runs[0], config.num_best)
  if config.csv:
    records.write_csv(config.csv, runs[0].trials)
    print(f'Wrote {len(runs[0].trials)} trials to {config.csv}.')
  if config.html:
    _write_page(folder, config)


def _write_page(folder: str, config: Config) -> None:
  """Writes the page of a run, all that is shown of one other than a search."""
  if not config.html:
    raise ValueError(
      f'{folder} holds no trials to list; pass --html for its page, or '
      'repeat its own command for its tables.'
    )
  print(f'Wrote {run_page.write(folder)}.')


def show(run: folder_lib.Run, num_best: int) -> None:
  """Prints what was proposed, learned, found and retrained.

  Args:
    run: the run to show.
    num_best: the number of the best trials to show.
  """
  print(f'{run.folder}: {_origin(run.manifest)}')
  _show_standing(run)
  has_rungs = steps.are_known(run.searched)
  if has_rungs and isinstance(rungs := run.manifest.get('rungs'), list):
    print(f'Rungs: {", ".join(map(str, rungs))} steps.')
  progress.table(
    f'{len(run.searched)} proposals',
    [
      'proposed by',
      'proposals',
      'distinct',
      'failed',
      *(('steps', 'children ended') if has_rungs else ()),
      'best reward',
      'mean of first half',
      'of second half',
      'entropy, nats',
    ],
    [_arm_row(run, *identity) for identity in _arms(run)],
    spare=('distinct', 'entropy, nats', 'children ended'),
  )
  best = sorted(
    (
      trial
      for trial in run.searched
      if trial.duplicate_of is None and trial.is_complete
    ),
    key=lambda trial: -trial.reward,
  )
  for trial in best[:num_best]:
    metrics = ', '.join(f'{k} {v:.5g}' for k, v in trial.metrics.items())
    architecture = json.dumps(workdir.plain_json(trial.architecture))
    print(
      f'#{trial.number} by {_name(trial.arm, trial.repeat)}: reward '
      f'{trial.reward:.5g}{f" ({metrics})" if metrics else ""}: {architecture}'
    )
  _show_retrained(run)


def _show_standing(run: folder_lib.Run) -> None:
  """Prints how far a search is that has not ended."""
  arms = standing.of(run)
  if all(arm.num_trials >= (arm.budget or 0) for arm in arms):
    return
  for arm in arms:
    lag = f', {arm.lag} after the one that proposed the last trial'
    print(
      f'{_name(arm.arm, arm.repeat)}: {arm.num_trials} of {arm.budget} '
      f'proposals, version {arm.version}{lag if arm.lag is not None else ""}.'
    )
  num_workers = standing.num_workers(pathlib.Path(run.folder).expanduser())
  if num_workers is not None:
    print(f'{num_workers} workers have joined and not ended.')


def compare(first: folder_lib.Run, second: folder_lib.Run) -> None:
  """Prints how two runs differ: settings, machine, trials, rewards.

  Args:
    first: one run.
    second: the other run.
  """
  for title, one, other in (
    ('Settings that differ', first.config, second.config),
    ('What else differs', _facts(first.manifest), _facts(second.manifest)),
  ):
    rows = [
      [name, *(_show(each.get(name, _MISSING)) for each in (one, other))]
      for name in dict.fromkeys((*one, *other))
      if one.get(name) != other.get(name)
    ]
    if rows:
      progress.table(title, ['', first.folder, second.folder], rows)
    else:
      print(f'{title}: none.')
  print(_first_difference(first.searched, second.searched))
  progress.table(
    'Best reward, and mean reward of the second half of the trials; one search '
    'each, which says nothing about the strategies',
    ['', first.folder, 'mean', second.folder, 'mean'],
    [
      [_name(*arm), *_rewards(first, *arm), *_rewards(second, *arm)]
      for arm in dict.fromkeys((*_arms(first), *_arms(second)))
    ],
  )


def _first_difference(first, second) -> str:
  """Returns a sentence about where two searches first differ."""
  num_same, changed = 0, 0.0
  for one, other in zip(first, second, strict=False):
    if (one.arm, one.repeat, one.tokens) != (
      other.arm,
      other.repeat,
      other.tokens,
    ):
      break
    num_same += 1
    changed = max(changed, abs(one.reward - other.reward))
  counts = f'{len(first)} and {len(second)} proposals'
  if not num_same:
    return f'Of {counts} the first ones already differ.'
  rewards = f'rewards differ by at most {changed:.3g}'
  if num_same == len(first) == len(second):
    return f'All {num_same} proposals are the same; their {rewards}.'
  return f'Of {counts} the first {num_same} are the same; their {rewards}.'


def _arms(run: folder_lib.Run) -> list[tuple[str, int]]:
  return list(dict.fromkeys((each.arm, each.repeat) for each in run.searched))


def _of_arm(
  run: folder_lib.Run, arm: str, repeat: int
) -> list[trial_log.Trial]:
  return [
    each for each in run.searched if (each.arm, each.repeat) == (arm, repeat)
  ]


def _arm_row(run: folder_lib.Run, arm: str, repeat: int) -> list[str]:
  trials = _of_arm(run, arm, repeat)
  middle = len(trials) // 2
  entropies = [
    each.metrics['entropy']
    for each in run.rounds
    if (each.arm, each.repeat) == (arm, repeat) and 'entropy' in each.metrics
  ]
  return [
    _name(arm, repeat),
    str(len(trials)),
    str(sum(each.duplicate_of is None for each in trials)),
    str(sum(each.has_failed for each in trials)),
    *(
      [f'{steps.spent(trials):,}', steps.spell(trials)]
      if steps.are_known(run.searched)
      else []
    ),
    _best(trials),
    _mean(trials[:middle]),
    _mean(trials[middle:]),
    f'{entropies[0]:.3g} to {entropies[-1]:.3g}' if entropies else _MISSING,
  ]


def _rewards(run: folder_lib.Run, arm: str, repeat: int) -> list[str]:
  trials = _of_arm(run, arm, repeat)
  return [_best(trials), _mean(trials[len(trials) // 2 :])]


def _best(trials) -> str:
  rewards = [each.reward for each in trials if each.is_complete]
  return f'{max(rewards):.5g}' if rewards else _MISSING


def _mean(trials) -> str:
  return f'{np.mean([t.reward for t in trials]):.5g}' if trials else _MISSING


def _show_retrained(run: folder_lib.Run) -> None:
  """Prints the mean of each metric over the seeds of each retraining."""
  groups: dict[str, list[trial_log.Trial]] = {}
  for trial in run.trials:
    if trial.arm == search_lib.RETRAIN:
      settings = {
        name: value
        for name, value in trial.settings.items()
        if name not in ('label', 'seed') and value is not None
      }
      spelled = ', '.join(f'{name} {_show(v)}' for name, v in settings.items())
      label = trial.settings.get('label', 'unknown')
      groups.setdefault(f'{label}: {spelled}', []).append(trial)
  if groups:
    print('Retrained, mean +- standard deviation over seeds:')
  for label, trials in groups.items():
    values = {
      name: np.array([trial.metrics.get(name, np.nan) for trial in trials])
      for name in trials[0].metrics
    }
    spelled = ', '.join(
      f'{name} {each.mean():.5g} +- {each.std(ddof=len(each) > 1):.2g}'
      for name, each in values.items()
    )
    print(f'  {label}; {len(trials)} seeds: {spelled}')


def _name(arm: str, repeat: int) -> str:
  return f'{arm} {repeat}' if repeat else arm


def _origin(manifest: Mapping[str, Any]) -> str:
  """Returns a sentence about the environment of a run."""
  if not manifest:
    return 'no manifest says where it was run.'
  facts = _facts(manifest)
  resumed = manifest.get('resumed')
  num_resumed = len(resumed) if isinstance(resumed, list) else 0
  return (
    f'started {manifest.get("time_started")} on {facts.get("device.count")} x '
    f'{facts.get("device.kind")}, jax {facts.get("versions.jax")}, seed '
    f'{facts.get("seed")}, resumed {num_resumed} times.'
  )


def _facts(manifest: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the entries of a manifest to compare, without nesting."""
  facts: dict[str, Any] = {}
  for name, value in manifest.items():
    if name in _TRIVIAL:
      continue
    if isinstance(value, Mapping):
      facts |= {f'{name}.{part}': each for part, each in value.items()}
    else:
      facts[name] = value
  return facts


def _show(value: Any) -> str:
  return value if isinstance(value, str) else json.dumps(value)


if __name__ == '__main__':
  launch.launch(Config, run, has_workdir=False, takes_folders=True)

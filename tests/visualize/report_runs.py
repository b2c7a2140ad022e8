# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Folders of runs that never ran, for tests of their report."""

from __future__ import annotations

from collections.abc import Sequence
import math
import pathlib

import numpy as np

from jaxnas import statistics
from jaxnas.decisions import Choice, Range
from jaxnas.records import round_log, summary, trial_log, workdir
from jaxnas.spaces import conv_net, hyperparameters, recurrent_cell
from jaxnas.types import SearchSpace

CELLS = recurrent_cell.make_space(2)
NETS = conv_net.make_space(3)
SETTINGS = hyperparameters.make_space(
  {'rate': Range(1e-4, 1.0, log=True), 'kind': Choice(('a', 'b'))}
)
SPACES = {'cells': CELLS, 'nets': NETS, 'settings': SETTINGS}

ARMS = (
  ('reinforce', 'REINFORCE', 'searched'),
  ('random', 'random', 'baseline'),
)


def _trials(
  space: SearchSpace,
  names: Sequence[str],
  num_repeats: int,
  num_trials: int,
  fails: bool,
  reason: str,
) -> list[trial_log.Trial]:
  random = np.random.default_rng(0)
  trials: list[trial_log.Trial] = []
  for _ in range(num_trials):
    for arm in names:
      for repeat in range(num_repeats):
        tokens = tuple(
          int(random.integers(each.num_choices))
          for each in space.decisions
          for _ in range(each.num_tokens)
        )
        failed = fails or random.random() < 0.2
        loss = math.nan if failed else float(random.uniform(20, 90))
        trials.append(
          trial_log.Trial(
            number=len(trials),
            arm=arm,
            repeat=repeat,
            tokens=tokens,
            architecture=space.decode(np.array(tokens)).to_json(),
            reward=0.0 if failed else 80 / loss**2,
            metrics={'validation_perplexity': loss},
            status='diverged' if failed else 'ok',
            duplicate_of=len(trials) - 1 if len(trials) % 17 == 16 else None,
            reason=reason if failed else '',
          )
        )
  return trials


def _retrained(best: trial_log.Trial, number: int) -> list[trial_log.Trial]:
  return [
    trial_log.Trial(
      number=number + seed,
      arm='retrain',
      repeat=0,
      tokens=best.tokens,
      architecture=best.architecture,
      reward=0.1,
      metrics={'validation_perplexity': 30.0, 'report_perplexity': 40.0 + seed},
      status='ok',
      settings={
        'stage': 'report',
        'label': f'{best.arm} #{best.number}',
        'seed': seed,
      },
    )
    for seed in range(3)
  ]


def _results(best: trial_log.Trial | None) -> summary.Results:
  known = summary.Row(
    'LSTM',
    'LSTM',
    False,
    {},
    1,
    1234567,
    None,
    0.01,
    (50.0, 51.0, None),
    (60.0, 61.0, None),
    (0.1, 0.2, None),
  )
  if best is None:
    return summary.Results(
      'Nothing was found.', (), (known,), None, '8 steps', True
    )
  found = summary.Row(
    f'#{best.number} by {best.arm} (best of 3)',
    f'{best.arm} #{best.number}',
    True,
    best.architecture,
    3,
    7654,
    None,
    0.02,
    (30.0, 31.0, 32.0),
    (40.0, 41.0, 42.0),
    (0.3, 0.2, 0.1),
  )
  return summary.Results(
    'The best is better than LSTM.',
    ('Found against LSTM: interval 0.5 to 0.9: found is better.',),
    (known, found),
    1,
    '8 steps',
    True,
  )


def make_run(
  folder: pathlib.Path,
  space: SearchSpace = CELLS,
  *,
  name: str = 'recurrent_cell',
  arms: Sequence[tuple[str, str, str]] = ARMS,
  num_repeats: int = 2,
  num_trials: int = 24,
  fails: bool = False,
  reason: str = 'the loss is not finite',
  is_finished: bool = True,
  has_probabilities: bool = False,
) -> pathlib.Path:
  """Writes the folder of a run.

  Args:
    folder: the folder, which is made.
    space: what was searched.
    name: the space's name.
    arms: the name, label and role of each arm.
    num_repeats: searches of each arm.
    num_trials: proposals of each search.
    fails: whether all trials failed; otherwise some did.
    reason: why trials failed.
    is_finished: whether there are results.
    has_probabilities: whether the rounds have those of a policy.
  """
  folder.mkdir()
  workdir.check_config(folder, {'num_trials': num_trials, 'dataset': None})
  trials = _trials(
    space, [arm[0] for arm in arms], num_repeats, num_trials, fails, reason
  )
  good = [each for each in trials if each.status == 'ok']
  best = max(good, key=lambda each: each.reward, default=None)
  with trial_log.TrialLog(folder / 'trials.jsonl') as log:
    log.append(trials)
    if best is not None and is_finished:
      log.append(_retrained(best, len(trials)))
  probabilities = [
    1 / decision.num_outcomes
    for decision in space.decisions
    for _ in range(decision.num_outcomes)
  ]
  if not has_probabilities:
    probabilities = None
  with round_log.RoundLog(folder / 'rounds.jsonl') as rounds:
    rounds.append(
      [
        round_log.Round(
          number, arm[0], repeat, {'entropy': 9.0 - number}, probabilities
        )
        for number in range(4)
        for arm in arms
        for repeat in range(num_repeats)
      ]
    )
  with trial_log.JsonLines(folder / 'timings.jsonl') as timings:
    timings.append(
      [
        {
          'phase': phase,
          'wall_seconds': 10.0,
          'compile_seconds': 2.0,
          'train_seconds': 5.0,
        }
        for phase in ('search', 'retrain')
      ]
    )
  workdir.write_json(
    folder / 'manifest.json',
    {
      'time_started': '2026-01-02T03:04:05.678+00:00',
      'command': '/bin/python -m experiments.search_a --workdir=/tmp/a --x=1',
      'versions': {'jax': '0.10', 'jaxnas': '0.1.0'},
      'git': {'commit': 'abc', 'dirty': False},
      'device': {'kind': 'cpu', 'count': 2},
      'seed': 3,
      'resumed': [],
    },
    sealed=True,
  )
  summary.write(
    folder,
    summary.Summary(
      space=name,
      space_size=summary.spell_size(space.size),
      decisions=tuple(map(summary.Options.of, space.decisions)),
      arms=tuple(
        summary.Arm(arm, repeat, label, role, num_trials, 4)
        for arm, label, role in arms
        for repeat in range(num_repeats)
      ),
      known=(),
      measure=statistics.PERPLEXITY,
      search_metric='validation_perplexity',
      own_reward=False,
      results=_results(best) if is_finished else None,
    ),
  )
  return folder

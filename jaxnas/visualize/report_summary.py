# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The summary of a run as its report shows it."""

from __future__ import annotations

import dataclasses

from jaxnas import statistics
from jaxnas.records import folder as folder_lib
from jaxnas.records import summary as summary_lib
from jaxnas.visualize import markup


def of_run(run: folder_lib.Run) -> summary_lib.Summary:
  """Returns the summary of a run, or what the logs of an older version tell.

  Names and values that strangers chose end where they get long.

  Args:
    run: the run.
  """
  summary = run.summary or _guess_summary(run)
  return dataclasses.replace(
    summary,
    space=markup.shorten(summary.space),
    arms=tuple(
      dataclasses.replace(arm, label=markup.shorten(arm.label))
      for arm in summary.arms
    ),
    decisions=tuple(
      dataclasses.replace(
        each,
        name=markup.shorten(each.name),
        labels=tuple(map(markup.shorten, each.labels)),
      )
      for each in summary.decisions
    ),
  )


def _guess_summary(run: folder_lib.Run) -> summary_lib.Summary:
  """Returns what the logs of an older version tell of a run."""
  roles = {'random': 'baseline', 'known': 'known'}
  arms = dict.fromkeys((each.arm, each.repeat) for each in run.searched)
  return summary_lib.Summary(
    space='an unnamed space',
    space_size='',
    decisions=(),
    arms=tuple(
      summary_lib.Arm(
        name,
        repeat,
        name,
        roles.get(name, 'searched'),
        sum((t.arm, t.repeat) == (name, repeat) for t in run.searched),
        1,
      )
      for name, repeat in arms
    ),
    known=(),
    measure=statistics.REWARD,
    search_metric='',
    own_reward=True,
  )

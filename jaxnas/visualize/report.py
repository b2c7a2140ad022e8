# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A run as one web page that stands alone: `report.html`.

The page depends on nothing but the run's folder, and is the same byte for byte
whenever it is made again; see `web_page`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from jaxnas.records import folder as folder_lib
from jaxnas.records import summary as summary_lib
from jaxnas.records import trial_log
from jaxnas.visualize import (
  checklist,
  gallery,
  markup,
  policy_maps,
  progress,
  report_curves,
  report_failures,
  report_front,
  report_summary,
  report_tables,
  web_page,
)

FILE, MAX_BYTES = web_page.FILE, web_page.MAX_BYTES

_TITLES = {
  'recurrent_cell': 'Search for a recurrent cell',
  'conv_net': 'Search for a convolutional network',
  'hyperparameters': 'Search for hyperparameters',
}
_NUM_BEST = 10
_MAX_DECISIONS = 300
# The heat maps of all strategies are at most as large together.
_MAX_MAP_BYTES = 450_000
_NO_SUMMARY = (
  'The folder has no summary, like those of older versions, so it is not known '
  'what was compared.'
)


def render(run: folder_lib.Run) -> str:
  """Returns the page of a run.

  Args:
    run: the run.
  """
  return web_page.render(_Page(run, report_summary.of_run(run)))


class _Page:
  """The contents of a page; see `web_page.Page`.

  Attributes:
    charts: the page's charts.
  """

  def __init__(self, run: folder_lib.Run, summary: summary_lib.Summary):
    self._run, self._summary = run, summary
    self._searches = report_curves.split(run, summary)
    self._gallery = gallery.Gallery(summary.decisions)
    self.charts = web_page.Charts()

  @property
  def title(self) -> str:
    space = self._summary.space
    found = (words for name, words in _TITLES.items() if space.startswith(name))
    return next(found, f'Search of {space}')

  @property
  def is_done(self) -> bool:
    return self._summary.results is not None

  def lead(self) -> str:
    """Returns a line on what was searched."""
    run, summary = self._run, self._summary
    names = list(
      dict.fromkeys(a.label for a in summary.arms if a.role != 'known')
    )
    started = str(run.manifest.get('time_started', ''))[:10]
    parts = (
      f'{len(run.searched):,} proposals by {" and ".join(names) or "nobody"}',
      f'{checklist.spell_size(summary.space_size)} possible architectures'
      if summary.space_size
      else '',
      f'started {started}' if started else '',
    )
    return ' · '.join(part for part in parts if part)

  def sections(self) -> list[str]:
    """Returns the sections as HTML, in order."""
    run = self._run
    return [
      markup.section('searched', 'What was searched', self._searched()),
      markup.section('curves', 'Progress of the search', self._curves()),
      *self._front(),
      markup.section('retrained', 'Retraining', self._retrained()),
      markup.section('best', 'The best architecture', self._best()),
      markup.section('ten', 'The ten best of the search', self._ten_best()),
      markup.section('policy', 'How the policies changed', self._policy()),
      markup.section('failures', 'Failures', report_failures.draw(run.trials)),
      markup.section('duplicates', 'Duplicates', self._duplicates()),
      markup.section('cost', 'Cost', report_tables.draw_cost(run.timings)),
      markup.section(
        'settings', 'Settings', report_tables.draw_settings(run.config)
      ),
      markup.section(
        'versions',
        'Versions and hardware',
        report_tables.draw_versions(run.manifest),
      ),
      markup.section(
        'checklist',
        'Checklist of an honest report',
        checklist.draw(checklist.check(run, self._summary)),
      ),
    ]

  def verdict(self) -> str:
    """Returns the verdict in a sentence or two."""
    if self._summary.results is not None:
      return self._summary.results.headline
    if self._run.summary is None:
      return _NO_SUMMARY
    budget = sum(arm.num_trials for arm in self._summary.arms)
    return (
      f'There is no verdict yet: {len(self._run.searched):,} of {budget:,} '
      f'proposals and {len(self._run.retrained):,} retrainings are done.'
    )

  def _searched(self) -> str:
    run, summary = self._run, self._summary
    over = sum(t.status == trial_log.INFEASIBLE for t in run.searched)
    distinct = sum(
      each.duplicate_of is None and each.status != trial_log.INFEASIBLE
      for each in run.searched
    )
    failed = sum(each.has_failed for each in run.trials)
    wall = sum(line['wall_seconds'] for line in run.timings)
    tiles = {
      'possible architectures': checklist.spell_size(summary.space_size) or '–',
      'proposals': f'{len(run.searched):,}',
      'distinct, trained': f'{distinct:,}',
      'retrainings': f'{len(run.retrained):,}',
      'failed trainings': f'{failed:,}',
      'time': progress.duration(wall) if run.timings else '–',
    }
    if over:
      tiles['over a limit, not trained'] = f'{over:,}'
    told = [
      f'Architectures are compared by {summary.measure.name}: '
      f'{"higher" if summary.measure.is_higher_better else "lower"} is better.'
    ]
    if summary.search_metric and not summary.own_reward:
      metric = summary.search_metric.replace('_', ' ')
      told.append(f'The reward of a trial follows from its {metric}.')
    rungs = run.manifest.get('rungs')
    if isinstance(rungs, list) and len(rungs) > 1:
      told.append(
        f'Rungs: {", ".join(map(str, rungs))} steps. Most children stop early; '
        'the best are those that were trained fully.'
      )
    if summary.known:
      told.append(
        'Known architectures were tried in the same training: '
        f'{", ".join(summary.known)}.'
      )
    return (
      web_page.draw_tiles(tiles)
      + markup.paragraphs([' '.join(told)])
      + report_tables.draw_searches(run, summary)
      + self._draw_decisions()
    )

  def _draw_decisions(self) -> str:
    decisions = self._summary.decisions
    if not decisions:
      return ''
    rows: list[markup.Row] = [
      [
        each.name,
        {
          'choice': 'choice',
          'range': 'range',
          'anchors': 'earlier layers',
        }.get(each.kind, each.kind),
        markup.Cell(f'{len(each.labels):,}', len(each.labels)),
        _spell_labels(each),
      ]
      for each in decisions[:_MAX_DECISIONS]
    ]
    columns = ['decision', 'kind', 'values', 'which']
    return markup.unfold(
      f'The {len(decisions):,} decisions of the space'
      + ('; the first of them' if len(decisions) > len(rows) else ''),
      markup.table(columns, rows, 'Decisions'),
    )

  def _curves(self) -> str:
    if not self._searches:
      return markup.paragraphs(['The search has no trials yet.'])
    return (
      '<div class="charts">'
      + self.charts.draw(
        report_curves.best_so_far(self._searches, self._summary)
      )
      + self.charts.draw(report_curves.rewards(self._searches, self._summary))
      + '</div>'
    )

  def _front(self) -> list[str]:
    objectives = self._run.manifest.get('objectives', ())
    if not objectives:
      return []
    chart = report_front.chart(self._run, self._summary, objectives)
    drawn = self.charts.draw(chart)
    table = report_front.table(self._run, self._summary, objectives)
    return [markup.section('front', 'The front', drawn + table)]

  def _retrained(self) -> str:
    results = self._summary.results
    if results is None:
      if not self._run.retrained:
        return markup.paragraphs(['Nothing has been retrained.'])
      return markup.paragraphs(
        ['Retraining is not finished; these trainings are done.']
      ) + report_tables.draw_progress(self._run.retrained)
    return (
      report_tables.draw_retraining(self._summary)
      + '<h3>Comparisons</h3>'
      + (
        markup.bullets(results.verdicts)
        if results.verdicts
        else markup.paragraphs(['There was nothing to compare.'])
      )
    )

  def _best(self) -> str:
    results = self._summary.results
    if results is not None and results.best is not None:
      row = results.rows[results.best]
      tokens = next(
        (
          each.tokens
          for each in self._run.retrained
          if each.settings.get('label') == row.label
        ),
        None,
      )
      return self._architecture(row.name, row.architecture, tokens)
    best = gallery.best_trials(self._run.searched, 1)
    if not best:
      return markup.paragraphs(['Nothing was found.'])
    (trial,) = best
    name = f'#{trial.number}, by its reward in the search'
    return self._architecture(name, trial.architecture, trial.tokens)

  def _architecture(self, name, architecture, tokens) -> str:
    told = gallery.formulas(architecture)
    picture = self._gallery.picture(architecture, tokens)
    text = (
      markup.facts(architecture)
      if told is None
      else f'<h3>{told[0]}</h3><pre class="scroll" tabindex="0">'
      f'{markup.escape(told[1])}</pre>'
    )
    return (
      markup.paragraphs([f'{name}.'])
      + f'<div class="best"><div>{picture}</div><div>{text}</div></div>'
    )

  def _ten_best(self) -> str:
    names = report_curves.labels(self._summary)
    metric = self._summary.search_metric
    measure = self._summary.measure
    cards = []
    for trial in gallery.best_trials(self._run.searched, _NUM_BEST):
      told = f'reward {trial.reward:.4g}'
      value = trial.metrics.get(metric, np.nan)
      if np.isfinite(value):
        told += f', {metric.replace("_", " ")} {_unbroken(measure.text(value))}'
      picture = self._gallery.picture(trial.architecture, trial.tokens)
      name = names.get(trial.arm, trial.arm)
      cards.append(
        f'<figure class="card"><figcaption><strong>#{trial.number}</strong> '
        f'{markup.escape(name)}<br>{markup.escape(told)}</figcaption>'
        f'{picture}</figure>'
      )
    if not cards:
      return markup.paragraphs(['No trial of the search succeeded.'])
    note = markup.paragraphs(
      ['By the reward of a single short training, which flatters the best.'],
      'note',
    )
    # Lists need more room than drawings, which can be enlarged.
    kind = 'cards' if any('"paper"' in each for each in cards) else 'cards wide'
    return f'{note}<div class="{kind}">{"".join(cards)}</div>'

  def _policy(self) -> str:
    parts = [
      self.charts.draw(report_curves.entropy(self._run, self._summary))
      if any('entropy' in each.metrics for each in self._run.rounds)
      else markup.paragraphs(['No strategy of the run reports an entropy.'])
    ]
    roles = {arm.name: arm.role for arm in self._summary.arms}
    shown = {
      name: trials
      for name, trials in self._searches.items()
      if roles[name] == 'searched'
    }
    if not shown or not self._summary.decisions:
      return parts[0]
    parts += [
      '<h3>Each decision</h3>',
      markup.paragraphs(
        [
          'The maps show how likely each value was in the course of the '
          'search, from left to right, over all searches of a strategy. The '
          'numbers belong to the last column. Where the log has the '
          'probabilities of the policy, they are shown; otherwise, how often '
          'each value was proposed.'
        ]
      ),
      policy_maps.legend(),
    ]
    names = report_curves.labels(self._summary)
    for number, (name, trials) in enumerate(shown.items()):
      title, shares = self._shares(name, trials)
      maps = policy_maps.draw(
        self._summary.decisions,
        shares,
        max_bytes=_MAX_MAP_BYTES // len(shown),
      )
      parts.append(
        markup.unfold(f'{names[name]}: {title}', maps, is_open=not number)
      )
    return ''.join(parts)

  def _shares(
    self, name: str, trials: Sequence[Sequence[trial_log.Trial]]
  ) -> tuple[str, Iterator[np.ndarray]]:
    """Returns what is mapped of an arm, in words and as shares."""
    decisions = self._summary.decisions
    rounds = [each for each in self._run.rounds if each.arm == name]
    searches = f' of each of {len(trials)} searches' if len(trials) > 1 else ''
    if policy_maps.has_probabilities(rounds):
      count = 1 + max(each.round for each in rounds)
      title = f'probabilities over {count} rounds{searches}'
      return title, policy_maps.probabilities(decisions, rounds)
    first, last = policy_maps.windows(max(map(len, trials)), len(trials))[0]
    title = f'frequencies in windows of about {last - first} proposals'
    return title + searches, policy_maps.frequencies(decisions, trials)

  def _duplicates(self) -> str:
    searched = self._run.searched
    repeated = sum(each.duplicate_of is not None for each in searched)
    if not searched:
      return markup.paragraphs(['The search has no trials yet.'])
    return markup.paragraphs(
      [
        f'{repeated:,} of {len(searched):,} proposals '
        f'({repeated / len(searched):.1%}) repeat an architecture that the '
        'same search had proposed before, perhaps spelled otherwise. They take '
        'its result and cost nothing, unless the settings have them trained '
        'again. The first table of this page counts them for each search.'
      ]
    )


def _unbroken(text: str) -> str:
  return text.replace(' ', '\u00a0')


def _spell_labels(options: summary_lib.Options) -> str:
  labels = options.labels
  if options.kind == 'range' and labels:
    return f'{labels[0]} to {labels[-1]}'
  if options.kind == 'anchors':
    return 'any of them' if labels else 'there is none'
  shown = ', '.join(labels[:20])
  return markup.spell(f'{shown}, …' if len(labels) > 20 else shown)

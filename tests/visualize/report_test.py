# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of the report of a run as a web page."""

import dataclasses
import html.parser
import json
import re
import shutil

import numpy as np
import pytest

from jaxnas.decisions import AnchorPoint, Choice
from jaxnas.records import folder as folder_lib
from jaxnas.records import trial_log
from jaxnas.spaces import hyperparameters
from jaxnas.types import SearchSpace
from jaxnas.visualize import report
from tests.visualize import report_runs

SECTIONS = (
  'searched',
  'curves',
  'retrained',
  'best',
  'ten',
  'policy',
  'failures',
  'duplicates',
  'cost',
  'settings',
  'versions',
  'checklist',
)
# Elements that need no end.
VOID = {'meta', 'path', 'rect', 'circle', 'br', 'line'}


class Reader(html.parser.HTMLParser):
  """Checks that elements end where they should, and collects texts.

  Attributes:
    texts: the text of each section, by its id.
    data: the text of the element of JSON.
    attributes: all names and values of attributes.
  """

  def __init__(self):
    super().__init__()
    self.texts = {}
    self.data = ''
    self.attributes = []
    self._open = []
    self._section = ''

  def handle_starttag(self, tag, attrs):
    self.attributes += attrs
    if tag == 'section':
      self._section = dict(attrs)['id']
    if tag not in VOID:
      self._open.append((tag, dict(attrs)))

  def handle_startendtag(self, tag, attrs):
    self.attributes += attrs

  def handle_endtag(self, tag):
    if tag in VOID:
      return
    opened, _ = self._open.pop()
    assert opened == tag, f'{opened} ends by {tag}'
    if tag == 'section':
      self._section = ''

  def handle_data(self, data):
    if self._open and self._open[-1][1].get('type') == 'application/json':
      self.data += data
    if self._section:
      self.texts[self._section] = self.texts.get(self._section, '') + data


def read(page):
  reader = Reader()
  reader.feed(page)
  reader.close()
  assert not reader._open
  return reader


def render(folder):
  return report.render(folder_lib.read(folder))


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  return report_runs.make_run(tmp_path_factory.mktemp('runs') / 'cells')


@pytest.fixture(scope='module')
def page(folder):
  return render(folder)


def test_the_same_run_makes_the_same_bytes(folder, page, tmp_path):
  assert render(folder) == page
  # A copy at another place is the same run.
  shutil.copytree(folder, tmp_path / 'other')
  assert render(tmp_path / 'other') == page
  assert str(folder) not in page


def test_the_page_stands_alone(page):
  assert len(page.encode()) < report.MAX_BYTES
  assert '://' not in page
  assert not re.search(r'@import|url\(', page)
  for name, value in read(page).attributes:
    assert name not in ('src', 'srcset', 'action', 'data'), (name, value)
    if name == 'href':
      assert value[1:] in SECTIONS


def test_sections_come_in_order_and_links_lead_to_them(page):
  assert tuple(read(page).texts) == SECTIONS
  # The verdict is above all of them.
  assert page.index('better than LSTM.</p>') < page.index('<section')
  for name in SECTIONS:
    assert f'<a href="#{name}">' in page


@pytest.mark.parametrize('name', report_runs.SPACES)
def test_every_kind_of_architecture_is_shown(name, tmp_path):
  space = report_runs.SPACES[name]
  folder = report_runs.make_run(tmp_path / 'run', space, name=space.name)
  page = render(folder)
  texts = read(page).texts
  assert tuple(texts) == SECTIONS
  assert len(page.encode()) < report.MAX_BYTES
  words = {'cells': 'new_h = ', 'nets': 'classifier: ', 'settings': 'kind'}
  assert words[name] in texts['best']
  # Eleven drawings, or lists: the best, and the ten best of the search.
  drawn = 'class="dials"' if name == 'settings' else 'class="paper"'
  assert page.count(drawn) == 11
  assert texts['ten'].count('reward 0.') == 10


def test_numbers_are_those_of_the_log(folder, page):
  texts = read(page).texts
  run = folder_lib.read(folder)
  failed = [
    t for t in run.trials if t.status != 'ok' and t.duplicate_of is None
  ]
  assert f'{len(failed):,} of ' in texts['failures']
  assert 'the loss is not finite' in texts['failures']
  repeated = sum(t.duplicate_of is not None for t in run.searched)
  assert (
    f'{repeated:,} of {len(run.searched):,} proposals' in texts['duplicates']
  )
  assert '41.00' in texts['retrained']
  assert '1 of 3 failed' in texts['retrained']
  assert '20 s in all' in texts['cost']
  assert 'num_trials24' in texts['settings']
  assert (
    'python -m experiments.search_a \\\n  --workdir=runs/a \\\n  --x=1'
    in texts['versions']
  )
  assert 'seed3' in texts['versions']
  best = max(t.reward for t in run.searched if t.status == 'ok')
  assert f'reward {best:.4g}' in texts['ten']


def test_curves_are_there_without_and_for_the_script(page):
  data = json.loads(read(page).data)
  assert page.count('data-chart=') == len(data['charts']) == 3
  best, rewards, entropy = data['charts']
  assert [curve['name'] for curve in best['curves']] == [
    'REINFORCE (2 searches)',
    'random (2 searches)',
  ]
  assert len(best['curves'][0]['y']) == 24
  assert 'low' in best['curves'][0]
  assert entropy['curves'][0]['y'] == ['9', '8', '7', '6']
  assert rewards['curves'][0]['x'][-1] == 24
  assert page.count('class="line c0"') == 3


def test_known_architectures_of_the_search_are_named(folder):
  run = folder_lib.read(folder)
  known = dataclasses.replace(run.summary, known=('nascell', 'lstm'))
  searched = read(report.render(run._replace(summary=known))).texts['searched']
  assert 'tried in the same training: nascell, lstm.' in searched


def test_one_search_has_no_interval_over_searches(tmp_path):
  page = render(report_runs.make_run(tmp_path / 'run', num_repeats=1))
  best, rewards, _ = json.loads(read(page).data)['charts']
  assert 'low' not in best['curves'][0]
  assert 'low' in rewards['curves'][0]
  texts = read(page).texts
  assert 'no interval over searches' in texts['curves']
  assert '1 search of each strategy' in texts['checklist']


def test_a_run_in_which_all_failed(tmp_path):
  texts = read(render(report_runs.make_run(tmp_path / 'run', fails=True))).texts
  assert tuple(texts) == SECTIONS
  assert 'Nothing was found.' in texts['best']
  assert 'No trial of the search succeeded.' in texts['ten']
  assert 'nothing was measured' in texts['curves']


def test_a_run_without_retraining(tmp_path):
  folder = report_runs.make_run(tmp_path / 'run', is_finished=False)
  page = render(folder)
  texts = read(page).texts
  assert 'There is no verdict yet: 96 of 96 proposals' in page
  assert 'Nothing has been retrained.' in texts['retrained']
  assert 'by its reward in the search' in texts['best']


def test_a_folder_of_an_older_version(folder, tmp_path):
  shutil.copytree(folder, tmp_path / 'old')
  for name in ('summary', 'manifest', 'config', 'logs'):
    (tmp_path / 'old' / f'{name}.json').unlink(missing_ok=True)
  (tmp_path / 'old' / 'timings.jsonl').unlink()
  (tmp_path / 'old' / 'rounds.jsonl').unlink()
  page = render(tmp_path / 'old')
  texts = read(page).texts
  assert tuple(texts) == SECTIONS
  assert 'The folder has no summary' in page
  assert 'The run has no timings.' in texts['cost']
  assert 'report' in texts['retrained']


def test_policies_are_mapped_by_probabilities_where_a_log_has_them(tmp_path):
  old = report_runs.make_run(tmp_path / 'old')
  assert 'frequencies in windows of about' in read(render(old)).texts['policy']
  new = report_runs.make_run(tmp_path / 'new', has_probabilities=True)
  text = read(render(new)).texts['policy']
  assert 'probabilities over 4 rounds of each of 2 searches' in text
  assert 'frequencies in' not in text


def test_a_run_that_has_only_begun(tmp_path):
  with trial_log.TrialLog(tmp_path / 'trials.jsonl'):
    pass
  texts = read(render(tmp_path)).texts
  assert tuple(texts) == SECTIONS


NASTY = '</script><img src=x onerror=alert(1)>&"\'\u2028@@data'


def test_names_of_strangers_are_text(tmp_path):
  space = hyperparameters.make_space({NASTY: Choice((NASTY, 'b'))})
  folder = report_runs.make_run(
    tmp_path / 'run',
    space,
    name=NASTY,
    arms=((NASTY, NASTY, 'searched'), ('random', NASTY, 'baseline')),
    reason=NASTY,
  )
  page = render(folder)
  assert '<img' not in page
  reader = read(page)
  assert tuple(reader.texts) == SECTIONS
  assert all(not name.startswith('on') for name, _ in reader.attributes)
  curve = json.loads(reader.data)['charts'][0]['curves'][0]
  assert curve['name'] == f'{NASTY} (2 searches)'
  assert NASTY in reader.texts['failures']
  # A browser runs the one script whose hash the page names, and no other.
  assert "script-src 'sha256-" in page
  assert page.count('<script') == 2


def test_long_names_and_values_make_no_huge_page(tmp_path):
  values = tuple(f'{number}{"x" * 2000}' for number in range(12))
  space = hyperparameters.make_space(
    {f'{number}{"y" * 500}': Choice(values) for number in range(60)}
  )
  folder = report_runs.make_run(
    tmp_path / 'run',
    space,
    name='z' * 10**5,
    arms=[(each, each * 9999, 'searched') for each in 'abc'],
    reason='r' * 10**5,
  )
  assert len(render(folder).encode()) < report.MAX_BYTES


def test_a_huge_space_makes_no_huge_page(tmp_path):
  decisions = tuple(
    each
    for layer in range(400)
    for each in (
      AnchorPoint(layer, f'layer_{layer}/inputs'),
      Choice(range(50), f'layer_{layer}/filters'),
    )
  )

  class Wide:
    def __init__(self, tokens):
      self.tokens = tokens

    def to_json(self):
      return {'tokens': self.tokens[:3]}

  space = SearchSpace(
    name='wide',
    decisions=decisions,
    decode=lambda tokens: Wide(tokens.tolist()),
    encode=np.asarray,
    canonical=np.asarray,
    size=10**5000,
  )
  folder = report_runs.make_run(
    tmp_path / 'run', space, num_trials=2, num_repeats=1
  )
  page = render(folder)
  assert len(page.encode()) < report.MAX_BYTES
  assert '10⁵⁰⁰⁰ possible architectures' in page

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of live progress and tables."""

import io
import re

import pytest

from jaxnas.visualize import progress


class Terminal(io.StringIO):
  def isatty(self):
    return True


class Clock:
  def __init__(self):
    self.now = 100.0

  def __call__(self):
    return self.now


def plain(stream):
  return re.sub(r'\x1b\[[0-9;?]*[a-zA-Z]', '', stream.getvalue())


def run(stream, clock, updates, **settings):
  with progress.Progress(20, stream, clock=clock, **settings) as bar:
    for seconds, done, best in updates:
      clock.now += seconds
      bar.update(done, best, 'perplexity')


def test_plain_lines_come_at_intervals_and_at_the_end():
  stream = io.StringIO()
  updates = [(0, 0, {}), *((1, n, {'random': 40.0}) for n in range(1, 21))]
  run(stream, Clock(), updates, interval=10)
  lines = stream.getvalue().splitlines()
  assert [line.split(' | ')[0] for line in lines] == [
    'trial 0/20',
    'trial 10/20',
    'trial 20/20',
  ]
  assert lines[1] == (
    'trial 10/20 | 1.0 trials/s | 10 s left | best perplexity: random 40'
  )
  assert 'left' not in lines[2]
  assert all(character.isprintable() for line in lines for character in line)


def test_rate_counts_only_what_this_process_did():
  stream = io.StringIO()
  run(stream, Clock(), [(0, 10, {}), (20, 14, {})], interval=0)
  last = stream.getvalue().splitlines()[-1]
  assert last == 'trial 14/20 | 5.0 s/trial | 30 s left | perplexity'


def test_large_counts_are_spelled_as_everywhere():
  stream = io.StringIO()
  with progress.Progress(12_000, stream, unit='step', clock=Clock()) as bar:
    bar.update(2_397)
  assert stream.getvalue() == 'step 2,397/12,000\n'


def test_the_last_state_is_shown_once():
  stream = io.StringIO()
  run(stream, Clock(), [(0, 0, {}), (1, 1, {})], interval=10)
  assert len(stream.getvalue().splitlines()) == 2


def test_terminal_shows_a_live_line(monkeypatch):
  monkeypatch.setenv('TERM', 'xterm')
  stream = Terminal()
  clock = Clock()
  with progress.Progress(20, stream, clock=clock) as bar:
    bar.update(0)
    clock.now += 5
    bar.update(20, {'random': 33.0}, 'perplexity')
    bar.print('a line [above]')
  shown = stream.getvalue()
  assert 'trial 20/20 | 4.0 trials/s' in shown
  assert 'a line [above]' in shown
  assert '\x1b[' in shown


def test_a_narrow_terminal_cuts_nothing(monkeypatch):
  monkeypatch.setenv('TERM', 'xterm')
  monkeypatch.setenv('COLUMNS', '80')
  stream = Terminal()
  clock = Clock()
  best = {'reinforce': 123.4, 'random': 130.2, 'known': 110.1}
  with progress.Progress(512, stream, clock=clock) as bar:
    bar.update(0)
    clock.now += 64
    bar.update(128, best, 'perplexity [x]')
  shown = ' '.join(plain(stream).split())
  assert 'best perplexity [x]: reinforce 123.4, random 130.2, known' in shown
  assert '…' not in shown


def test_a_dumb_terminal_gets_plain_lines(monkeypatch):
  monkeypatch.setenv('TERM', 'dumb')
  stream = Terminal()
  run(stream, Clock(), [(0, 0, {}), (1, 1, {})], interval=10)
  assert len(stream.getvalue().splitlines()) == 2
  assert stream.getvalue().replace('\n', '').isprintable()


@pytest.mark.parametrize(
  ('seconds', 'shown'),
  [
    (0.04, '0.0 s'),
    (9.96, '10.0 s'),
    (59.6, '1 min 00 s'),
    (125, '2 min 05 s'),
    (3599.9, '1 h 00 min'),
    (7260, '2 h 01 min'),
  ],
)
def test_durations(seconds, shown):
  assert progress.duration(seconds) == shown


ROWS = [['LSTM', '33.10'], ['a very long name of a cell ' * 3, '1234567.25']]


def test_plain_table_is_aligned_and_never_cut():
  stream = io.StringIO()
  progress.table('Title', ['cell', 'perplexity'], ROWS, stream)
  title, head, rule, *rows = stream.getvalue().strip().splitlines()
  assert title == 'Title'
  assert len(head) == len(rule) == len(rows[1])
  assert rows[0].endswith('33.10')
  assert rows[1].startswith(ROWS[1][0])


def test_terminal_table_keeps_numbers_whole(monkeypatch):
  monkeypatch.setenv('TERM', 'xterm')
  monkeypatch.setenv('COLUMNS', '80')
  stream = Terminal()
  progress.table('Title', ['cell', 'perplexity'], ROWS, stream)
  shown = plain(stream)
  assert '1234567.25' in shown
  assert all(len(line) <= 80 for line in shown.splitlines())


@pytest.mark.parametrize('width', [30, 60, 80, 100, 140])
def test_terminal_table_shows_every_entry_whole(monkeypatch, width):
  monkeypatch.setenv('TERM', 'xterm')
  monkeypatch.setenv('COLUMNS', str(width))
  columns = ['cell', 'parameters', 'perplexity', 'against lstm']
  rows = [
    ['reinforce', '1,234,567', '123.45 [122.1, 124.9]', '-12.35 [-14, -10]'],
    ['lstm [bias]', '1,234,568', '135.80 [134.2, 137.4]', ''],
  ]
  stream = Terminal()
  progress.table('A [bold] title', columns, rows, stream)
  shown = plain(stream)
  assert 'A [bold] title' in shown
  # Headings may be broken between words.
  words = [word for name in columns for word in name.split()]
  for entry in (*words, *rows[0], *rows[1]):
    assert entry in shown


COLUMNS = ['architecture', 'report perplexity', '+-', 'spread', 'parameters']
RESULTS = [
  ['best by REINFORCE', '123.45', '1.25', '1.50', '1,234,567'],
  ['LSTM', '130.50', '2.75', '3.25', '1,234,568'],
]


@pytest.mark.parametrize(
  ('width', 'heading', 'left_out'),
  [
    (80, 'architecture report perplexity +- spread parameters', ''),
    (60, 'architecture perplexity +- spread parameters', ''),
    (52, 'architecture perplexity +- parameters', 'spread'),
    (42, 'architecture perplexity +-', 'spread, parameters'),
  ],
)
def test_a_narrow_terminal_spares_columns_and_says_so(
  monkeypatch, width, heading, left_out
):
  monkeypatch.setenv('TERM', 'xterm')
  monkeypatch.setenv('COLUMNS', str(width))
  stream = Terminal()
  progress.table(
    'Title', COLUMNS, RESULTS, stream, spare=('rank', 'spread', 'parameters')
  )
  lines = plain(stream).splitlines()
  assert all(len(line) <= width for line in lines)
  (row,) = [index for index, line in enumerate(lines) if 'archit' in line]
  assert lines[row].split() == heading.split()
  assert any(line.split()[:2] == ['LSTM', '130.50'] for line in lines)
  said = ' '.join(' '.join(lines).split()).partition('Not shown, ')[2]
  assert said == (left_out and f'for lack of space: {left_out}.')


def test_rows_become_columns_where_none_can_be_spared(monkeypatch):
  monkeypatch.setenv('TERM', 'xterm')
  monkeypatch.setenv('COLUMNS', '40')
  columns = ['cell', *(f'the value {index}' for index in range(9))]
  rows = [
    ['lstm [a]', *map(str, range(10, 19))],
    ['found', *map(str, range(20, 29))],
  ]
  stream = Terminal()
  progress.table('Title', columns, rows, stream)
  lines = [line.split() for line in plain(stream).splitlines()]
  assert ['cell', 'lstm', '[a]', 'found'] in lines
  for index in range(9):
    assert [
      'the',
      'value',
      str(index),
      str(10 + index),
      str(20 + index),
    ] in lines
  monkeypatch.setenv('COLUMNS', '20')
  stream = Terminal()
  progress.table('Title', columns, rows, stream)
  assert 'cell: lstm [a]\n  the value 0: 10\n' in plain(stream)


def test_a_table_without_rows_is_drawn(monkeypatch):
  monkeypatch.setenv('TERM', 'xterm')
  stream = Terminal()
  progress.table('Title', ['a', 'b'], [], stream)
  assert 'Title' in plain(stream)


def test_files_that_are_not_there_are_not_named(tmp_path, capsys):
  (tmp_path / 'a').touch()
  progress.files(tmp_path, ('a', 'b'))
  assert capsys.readouterr().out == f'Wrote:\n  {tmp_path / "a"}\n'

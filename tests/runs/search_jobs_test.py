# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from jaxnas.runs import many_searches, search_jobs


def make_job(num_seeds, origin='here'):
  def search(row):
    return row + np.arange(24, dtype=np.int32)

  rows = np.arange(num_seeds, dtype=np.int32)
  return search_jobs.Job(search, rows, 24, 'counting', origin)


def test_the_estimate_is_of_all_searches_also_where_one_block_holds_them(
  monkeypatch, capsys
):
  class Runner:
    run_seconds = 20.0

    def __init__(self, search, block_size):
      del search, block_size

    def blocks(self, rows):
      yield rows

  monkeypatch.setattr(many_searches, 'ManySearches', Runner)
  for num_seeds, cost in ((4, '20 s for 96'), (5, '40 s for 120')):
    search_jobs.start({'random': make_job(num_seeds)}, 4, 'all of them')
    printed = capsys.readouterr().out
    assert f'Estimated cost: {cost} trials: all of them; 4 sear' in printed


def test_searches_that_are_there_are_not_run_again(tmp_path, capsys):
  jobs = {'one': make_job(5), 'two': make_job(3)}
  first = search_jobs.Jobs(tmp_path, {'one': jobs['one']})
  assert list(first.left) == ['one']
  first.run(4, 'all of them')
  again = search_jobs.Jobs(tmp_path, jobs)
  assert list(again.found) == ['one']
  assert list(again.left) == ['two']
  again.run(4, 'all of them')
  assert not again.left
  printed = capsys.readouterr().out
  assert printed.count('counting:') == 2
  assert 'Real cost' in printed
  for name, num_seeds in (('one', 5), ('two', 3)):
    expected = np.arange(num_seeds)[:, None] + np.arange(24)
    np.testing.assert_array_equal(again.found[name].entries, expected)


def test_searches_of_something_else_are_refused(tmp_path):
  search_jobs.Jobs(tmp_path, {'one': make_job(4)}).run(4, 'all of them')
  with pytest.raises(ValueError, match='holds here and not elsewhere'):
    search_jobs.Jobs(tmp_path, {'one': make_job(4, 'elsewhere')})
  with pytest.raises(ValueError, match=r'\(4, 24\) trials and not \(5, 24\)'):
    search_jobs.Jobs(tmp_path, {'one': make_job(5)})

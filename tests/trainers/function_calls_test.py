# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import pathlib
import sys

import jax
import pytest

from jaxnas import evaluators
from jaxnas import search as search_lib
from jaxnas.records import trial_log
from jaxnas.spaces import hyperparameters
from jaxnas.strategies import fixed
from jaxnas.trainers import function_calls
from jaxnas.types import Status
from jaxnas.workers.tasks import Part

sys.path.append(str(pathlib.Path(__file__).parent))

import reward_functions  # Workers find it there too.


class Dispatcher:
  """A dispatcher whose three workers answer as a test says."""

  def __init__(self):
    self.requests = {}
    self.answers = []
    self.num_cancelled = 0
    self.lag = None

  @property
  def num_wanted(self):
    return max(0, 3 - len(self.requests))

  def submit(self, request):
    if request == 'interrupted':
      raise KeyboardInterrupt
    number = len(self.requests)
    self.requests[number] = request
    return number

  def collect(self):
    answer = self.answers.pop(0)
    if answer is None:
      raise KeyboardInterrupt
    return [
      (number, [Part(None, Status.OK, {'reward': self.requests[number]}, '')])
      for number in answer
    ]

  def cancel(self):
    self.num_cancelled += 1


def open_queue(block_size=2):
  dispatcher = Dispatcher()
  calls = function_calls.Calls(dispatcher)
  queue = function_calls.CallQueue(
    calls, lambda values, keys, num_steps: [*values], block_size
  )
  return dispatcher, queue


def rewards(finished):
  return {
    number: trained.metrics['validation_reward'].tolist()
    for number, trained in finished
  }


def test_blocks_are_finished_as_a_whole_and_in_any_order():
  dispatcher, queue = open_queue()
  assert queue.collect() == []
  one, two, three = (
    queue.submit(values, None, splits=()) for values in ((1, 2), (3, 4), (5,))
  )
  dispatcher.answers = [[0, 3], [2], [4, 1]]
  assert rewards(queue.collect()) == {two: [3, 4]}
  assert rewards(queue.collect()) == {one: [1, 2], three: [5]}
  assert queue.collect() == []


def test_blocks_are_wanted_while_workers_are_idle():
  _, queue = open_queue()
  wanted = [queue.num_wanted]
  for values in ([1], [2], [3, 4]):
    queue.submit(values, None)
    wanted.append(queue.num_wanted)
  assert wanted == [2, 1, 1, 0]


def test_an_interruption_drops_all_that_is_in_flight():
  dispatcher, queue = open_queue()
  queue.submit((1, 2), None)
  dispatcher.answers = [[0], None]
  with pytest.raises(KeyboardInterrupt):
    queue.collect()
  assert queue.collect() == []
  queue.submit((3,), None)
  with pytest.raises(KeyboardInterrupt):
    queue.submit((4, 'interrupted'), None)
  assert queue.collect() == []
  assert dispatcher.num_cancelled == 2
  number = queue.submit((5,), None)
  dispatcher.answers = [[len(dispatcher.requests) - 1]]
  assert rewards(queue.collect()) == {number: [5]}


def test_the_line_on_workers_says_how_far_a_search_is_behind():
  dispatcher, queue = open_queue()
  queue.tell_lag(lambda: 1.5)
  assert dispatcher.lag() == 1.5


def test_a_call_that_takes_long_holds_no_other_worker(tmp_path):
  late = tmp_path / 'late'
  cases = (str(late), 'a', 'b', 'c')
  space = hyperparameters.make_space({'case': hyperparameters.Choice(cases)})
  arm = search_lib.Arm('one', fixed.make_fixed([[0], [1], [2], [3]]), 4, 4)

  def run(name, **settings):
    with (
      trial_log.TrialLog(tmp_path / name) as log,
      evaluators.of_function(
        space, reward_functions.wait_for_a_file, -1.0, **settings
      ) as evaluator,
    ):
      search = search_lib.Search(space, (arm,), evaluator, jax.random.key(0))
      search_lib.run(
        search,
        log,
        # The first call ends when all others are in the log.
        on_trials=lambda _: len(log.trials) == 3 and late.touch(),
      )
    return [(trial.proposal, trial.reward) for trial in log.trials]

  trials = run('two.jsonl', num_workers=2, timeout_seconds=60.0)
  assert [proposal for proposal, _ in trials] == [1, 2, 3, 0]
  assert all(reward > 0 for _, reward in trials)
  # A block is recorded in order.
  assert run('four.jsonl', num_workers=2, block_size=4) == sorted(trials)

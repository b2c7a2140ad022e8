# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of children that are trained from rung to rung."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxnas import climbing, halving
from jaxnas.evaluators import stages
from jaxnas.types import Evaluation, Kept, Status

SCHEDULE = halving.Schedule((1, 2, 4), 2)


@dataclasses.dataclass(frozen=True)
class Child:
  batch: tuple[int, int]
  row: int
  rewards: tuple[float, ...]


class Trainer:
  """Looks rewards up, and counts the states that are held beside it."""

  def __init__(self, block_size):
    self.sizes: list[tuple[int, int]] = []
    self.stages = stages.Stages(self.start, self.go_on, 4, block_size)

  def start(self, keys, tokens, stop):
    states = [np.asarray(row) for row in tokens]
    rates = np.ones(len(keys), np.float32)
    return self.go_on(Kept(list(tokens), keys, rates, 4, 0, states), stop)

  def go_on(self, kept, stop):
    self.sizes.append((stop, len(kept.states)))
    at = SCHEDULE.rungs.index(stop)
    rewards = np.array([state[at] for state in kept.states], np.float32)
    failed = ~np.isfinite(rewards)
    evaluation = Evaluation(
      np.where(failed, -9, rewards).astype(np.float32),
      {},
      np.where(failed, Status.DIVERGED, Status.OK),
    )
    return evaluation, kept._replace(num_trained=stop) if stop < 4 else None


def outcome(reward, **metrics):
  return climbing.Outcome(reward, metrics, 'ok', '', 1)


def climb(children, choice, block_size=3):
  trainer = Trainer(block_size)

  def start(some):
    keys = jax.random.split(jax.random.key(0), len(some))
    return keys, np.array([child.rewards for child in some])

  found = climbing.climb(
    trainer.stages, children, SCHEDULE.rungs, choice, start
  )
  return found, trainer.sizes


NAN = np.nan
ONE = [(1, 1, 1), (4, 2, 5), (3, 4, 1), (NAN,) * 3]
OTHER = [(9, NAN, NAN), (8, 1, 0), (7, 9, 0), (8, 3, 0)]
CHILDREN = [
  Child((arm, 0), row, rewards)
  for arm, batch in enumerate((ONE, OTHER))
  for row, rewards in enumerate(batch)
]


def nothing_logged():
  return {(arm, 0): np.full((4, 3), np.nan, np.float32) for arm in range(2)}


@pytest.mark.parametrize('block_size', [1, 3, 8])
def test_the_best_of_each_batch_fill_blocks_together(block_size):
  choice = climbing.Best(SCHEDULE, nothing_logged())
  found, sizes = climb(CHILDREN, choice, block_size)
  steps = [found[child].steps for child in CHILDREN]
  # Of equals the first goes on; of one batch a child fails, the other's place
  # stays empty.
  assert steps == [1, 2, 4, 1, 2, 4, 1, 1]
  assert [found[child].is_alive for child in CHILDREN] == [
    *(True, True, True, False, False, True, True, True)
  ]
  best = found[CHILDREN[2]]
  assert (best.reward, best.curve) == (1, ((1, 3), (2, 4), (4, 1)))
  assert found[CHILDREN[4]].curve == ((1, 9),)
  trained = dict.fromkeys(SCHEDULE.rungs, 0)
  for stop, size in sizes:
    assert size <= block_size
    trained[stop] += size
  assert trained == {1: 8, 2: 4, 4: 2}


def test_what_is_logged_counts_without_being_trained():
  logged = nothing_logged()
  logged[0, 0][2] = [3, 4, 1]
  choice = climbing.Best(SCHEDULE, logged)
  left = [child for child in CHILDREN if child != CHILDREN[2]]
  found, _ = climb(left, choice)
  assert [found[child].steps for child in left] == [1, 2, 1, 2, 4, 1, 1]


def test_states_that_cannot_go_on_are_dropped_at_once():
  choice = climbing.Best(SCHEDULE, nothing_logged())
  for child in CHILDREN[:3]:
    choice.see(child, 0, outcome(child.rewards[0]))
  kept = dict.fromkeys(CHILDREN[:3])
  assert choice.surely_lost(0, kept) == [CHILDREN[0]]
  # Nobody goes on from the last rung.
  assert choice.surely_lost(2, kept) == CHILDREN[:3]


def test_equal_children_are_dropped_as_they_are_chosen():
  # Too small for a float of a processor, which takes them for zeros.
  rewards = [1e-41, 2e-41, 3e-41, 4e-41]
  children = [
    Child((0, 0), row, (each,) * 3) for row, each in enumerate(rewards)
  ]
  for block_size in (1, 3, 4):
    choice = climbing.Best(SCHEDULE, {(0, 0): nothing_logged()[0, 0]})
    found, _ = climb(children, choice, block_size)
    assert sorted(found[child].steps for child in children) == [1, 1, 2, 4]


def test_with_costs_the_best_are_those_that_few_dominate():
  rewards, sizes = (3, 2, 4, 1), (2, 2, 3, 1)
  children = [
    Child((0, 0), row, (each,) * 3) for row, each in enumerate(rewards)
  ]
  choice = climbing.Best(
    SCHEDULE,
    {(0, 0): nothing_logged()[0, 0]},
    ['size'],
    {(0, 0): np.full((4, 1), np.nan, np.float32)},
  )
  kept = dict.fromkeys(children)
  for child in children[:2]:
    size = sizes[child.row]
    choice.see(child, 0, outcome(child.rewards[0], size=size, other=0))
    assert choice.surely_lost(0, kept) == []
  for child in children[2:]:
    choice.see(child, 0, outcome(child.rewards[0], size=sizes[child.row]))
  # The ends of the front; the second is dominated by one, and two may go on.
  assert choice.surely_lost(0, kept) == []
  assert choice.going_on(0, children) == [children[2], children[3]]


def test_everyone_who_lives_is_trained_to_the_end():
  found, sizes = climb(CHILDREN, climbing.Everyone(), 8)
  assert sizes == [(1, 8), (2, 7), (4, 6)]
  assert [found[child].steps for child in CHILDREN] == [
    *(4, 4, 4, 1, 2, 4, 4, 4)
  ]

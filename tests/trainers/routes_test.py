# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0


import jax
import numpy as np
import pytest

from jaxnas.trainers import compiled, memory, routes
from jaxnas.trainers.routes import Timing
from jaxnas.types import Status, Trained


class Clock:
  """Stands for the module `time`; shows only the time that was slept."""

  def __init__(self):
    self.seconds = 0.0

  def perf_counter(self):
    return self.seconds

  def sleep(self, seconds):
    self.seconds += seconds


@pytest.fixture(autouse=True, name='clock')
def fixture_clock(monkeypatch):
  clock = Clock()
  monkeypatch.setattr(routes, 'time', clock)
  return clock


class SlowTrainer:
  """Takes known times, and twice as long for a program it has not seen."""

  block_size = 2

  def __init__(self, clock):
    self.calls, self._clock = [], clock

  def run(self, architectures, keys, learning_rates, num_steps, **settings):
    assert len(keys) == len(architectures) == len(learning_rates)
    self._clock.sleep(
      0.2 * (not self.calls) + 0.02 * len(keys) * (1 + num_steps)
    )
    self.calls.append((architectures, num_steps))
    return Trained({}, np.full(len(keys), Status.OK))


class SlowCompiledTrainer(SlowTrainer, compiled.CompiledTrainer):
  pass


def test_times_are_told_apart(clock):
  trainer = SlowTrainer(clock)
  timing = routes.measure(trainer, ('a', 'b'), 0.1)
  assert timing.once == pytest.approx(0.2)
  assert timing.step == pytest.approx(0.02)
  assert timing.child == pytest.approx(0.02)
  assert trainer.calls[0][0] == ('a', 'b')
  # 8 steps more take 0.32 s more, which is enough to compare.
  assert [num_steps for _, num_steps in trainer.calls] == [1, 1, 5, 9]


def test_compiling_counts_for_each_child_where_each_has_a_program(clock):
  trainer = SlowCompiledTrainer(clock)
  timing = routes.measure(trainer, ('a', 'b'), 0.1)
  assert timing.once == 0
  assert timing.child == pytest.approx(0.12)


class FullTrainer:
  """Has no memory for what it is given."""

  block_size = 2

  def __init__(self, error=None):
    self.error = error

  def run(self, architectures, keys, learning_rates, num_steps, **settings):
    if self.error is not None:
      raise self.error
    return Trained({}, np.array([Status.OK, Status.OUT_OF_MEMORY]))


@pytest.mark.parametrize(
  ('error', 'message'),
  [
    (None, '1 of 2 children of full size do not fit'),
    (memory.NotEnoughMemoryError('About 9 GiB.'), 'About 9 GiB'),
    (MemoryError(), 'no memory left'),
    (
      jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: 9 GiB\nAllocations:'),
      'RESOURCE_EXHAUSTED: 9 GiB$',
    ),
  ],
)
def test_a_route_that_does_not_fit_says_so(error, message):
  trainer = FullTrainer(error)
  with pytest.raises(memory.NotEnoughMemoryError, match=message):
    routes.measure(trainer, ('a', 'b'), 0.1)


def test_a_mistake_is_not_taken_for_a_lack_of_memory():
  trainer = FullTrainer(RuntimeError('a mistake'))
  with pytest.raises(RuntimeError, match='a mistake'):
    routes.measure(trainer, ('a', 'b'), 0.1)


TIMINGS = {
  'interpreted': Timing(once=10.0, child=0.1, step=0.02),
  'compiled': Timing(once=0.0, child=2.1, step=0.01),
}


@pytest.mark.parametrize(
  ('num_children', 'num_steps', 'expected'),
  [
    # 10 + 200 x 2.1 = 430 against 200 x 3.1 = 620.
    (200, 100, 'interpreted'),
    (200, 1000, 'compiled'),
    # The one compilation has to pay as well.
    (3, 100, 'compiled'),
  ],
)
def test_the_cheapest_is_chosen_and_the_figures_are_told(
  num_children, num_steps, expected
):
  name, reason = routes.choose(TIMINGS, num_children, num_steps)
  assert name == expected
  assert 'compiling each child pays off from 200 steps' in reason
  for timing, route in ((t, r) for r, t in TIMINGS.items()):
    assert f'{route} {timing.total(num_children, num_steps):.0f} s' in reason


def test_a_route_that_does_not_fit_is_not_chosen():
  full = memory.NotEnoughMemoryError('It would need 9 GiB.')
  name, reason = routes.choose(TIMINGS | {'interpreted': full}, 200, 100)
  assert name == 'compiled'
  assert 'interpreted does not fit: It would need 9 GiB.' in reason
  with pytest.raises(
    memory.NotEnoughMemoryError, match=r'No route .* vmapped: It would'
  ):
    routes.choose({'interpreted': full, 'vmapped': full}, 200, 100)


def test_there_may_be_no_break_even():
  faster = TIMINGS | {'interpreted': Timing(1.0, 0.1, 0.005)}
  assert routes.break_even(faster) is None
  assert routes.break_even({'vmapped': TIMINGS['compiled']}) is None
  name, reason = routes.choose(faster, 10, 10)
  assert name == 'interpreted'
  assert 'pays from' not in reason

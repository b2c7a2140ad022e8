# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import logging
import math
import pathlib
import pickle
import sys
import time

import pytest

from jaxnas.types import Status
from jaxnas.workers import dispatcher as dispatcher_lib
from jaxnas.workers import policies, status_line
from jaxnas.workers.engine import Event, Kind

sys.path.append(str(pathlib.Path(__file__).parent))

from worker_functions import Block

CARD = {'version of jax': '1', 'device': 'cpu'}


class FakeEngine:
  """Workers whose deeds are a function, by a clock that the test sets.

  The function is `(worker, request) -> (seconds, kind, answer or reason)`.
  """

  def __init__(self, act, num_workers=2, cards=None, start_seconds=1.0):
    self.act = act
    self.now = 0.0
    self.num_workers = num_workers
    self.cards = cards or {}
    self.start_seconds = start_seconds
    self.pending = []
    self.sent = []
    self.stopped = []
    self.dismissed = []
    self.busy = {}

  def clock(self):
    return self.now

  @property
  def num_starting(self):
    return sum(event.kind is Kind.JOINED for _, event in self.pending)

  def start(self, factory):
    for number in range(self.num_workers):
      self.join(f'worker {number}')

  def join(self, name, seconds=None):
    seconds = self.start_seconds if seconds is None else seconds
    if math.isfinite(seconds):
      card = self.cards.get(name, CARD)
      event = Event(name, Kind.JOINED, card=card)
      self.pending.append((self.now + seconds, event))

  def send(self, worker, number, request):
    assert worker not in self.busy
    self.busy[worker] = number
    request = pickle.loads(request)
    self.sent.append((worker, request.names))
    seconds, kind, what = self.act(worker, request)
    if kind is Kind.ANSWERED:
      event = Event(worker, kind, number, pickle.dumps(what), seconds=seconds)
    else:
      event = Event(worker, kind, number, reason=what)
    self.pending.append((self.now + seconds, event))

  def wait(self, timeout):
    self.pending.sort(key=lambda each: each[0])
    end = self.now + timeout
    first = self.pending[0][0] if self.pending else math.inf
    self.now = max(self.now, min(end, first))
    ready = [each for each in self.pending if each[0] <= self.now]
    self.pending = [each for each in self.pending if each[0] > self.now]
    for _, event in ready:
      if event.kind is not Kind.JOINED:
        self.busy.pop(event.worker, None)
      if event.kind in (Kind.DIED, Kind.STOPPED, Kind.LOST):
        self.join(event.worker)
    return [event for _, event in ready]

  def stop(self, worker):
    self.stopped.append(worker)
    number = self.busy.pop(worker, None)
    self.pending = [each for each in self.pending if each[1].worker != worker]
    self.pending.append((self.now, Event(worker, Kind.STOPPED, number)))

  def dismiss(self, worker):
    self.dismissed.append(worker)

  def close(self):
    self.pending.clear()


def answer(worker, request):
  return 10.0, Kind.ANSWERED, request.names.upper()


def make(engine, policy=None, **settings):
  return dispatcher_lib.Dispatcher(
    engine,
    b'factory',
    policy or policies.Blocks(),
    clock=engine.clock,
    **settings,
  )


def run(dispatcher, *requests):
  """Returns the answers of requests, by name; the parts of each in a list."""
  names = {}
  for request in requests:
    block = Block(request) if isinstance(request, str) else request
    names[dispatcher.submit(block)] = block.names
  finished = {}
  while found := dispatcher.collect():
    for number, parts in found:
      assert number not in finished
      finished[number] = parts
  assert len(finished) == len(names)
  return {names[number]: parts for number, parts in finished.items()}


def results(parts):
  return [(each.request.names, each.status, each.answer) for each in parts]


def ok(*names):
  return [(each, Status.OK, each.upper()) for each in names]


def test_requests_are_spread_over_workers():
  engine = FakeEngine(answer)
  dispatcher = make(engine)
  assert dispatcher.num_wanted == 2
  finished = run(dispatcher, 'a', 'b', 'c')
  assert {name: results(each) for name, each in finished.items()} == {
    name: ok(name) for name in 'abc'
  }
  assert engine.now == 21.0
  assert dispatcher.num_wanted == 2
  assert dispatcher.collect() == []


def test_what_is_finished_is_told_while_others_run():
  def act(worker, request):
    return {'a': 30.0, 'b': 5.0}[request.names], Kind.ANSWERED, None

  engine = FakeEngine(act)
  dispatcher = make(engine)
  first, second = (dispatcher.submit(Block(name)) for name in 'ab')
  assert [number for number, _ in dispatcher.collect()] == [second]
  assert dispatcher.num_wanted == 1
  assert [number for number, _ in dispatcher.collect()] == [first]


class Poisoned:
  """Kills the workers that get a certain child."""

  def __init__(self, poison, kind=Kind.DIED, seconds=1.0):
    self.poison = poison
    self.kind = kind
    self.seconds = seconds

  def __call__(self, worker, request):
    if self.poison in request.names:
      return self.seconds, self.kind, 'its process ended with signal SIGKILL'
    return answer(worker, request)


def test_a_block_that_kills_its_workers_is_split_until_the_child_is_found(
  caplog,
):
  engine = FakeEngine(Poisoned('f'))
  with caplog.at_level(logging.WARNING):
    finished = run(make(engine), 'abcdefgh', 'xy')
  assert results(finished['abcdefgh']) == [
    *ok('abcd', 'e'),
    ('f', Status.CRASHED, None),
    *ok('gh'),
  ]
  assert results(finished['xy']) == ok('xy')
  (part,) = [each for each in finished['abcdefgh'] if each.answer is None]
  assert part.reason == 'its process ended with signal SIGKILL'
  lines = [record.getMessage() for record in caplog.records]
  assert [line.rpartition('; ')[2] for line in lines] == [
    'it is run again.',
    'it is split.',
    'it is split.',
    'it is split.',
    'it is run again.',
    'it was run 2 times, and the trial fails.',
  ]
  assert lines[0].startswith('block 1 (abcdefgh) crashed: its process ended')


def test_one_crash_is_forgiven():
  crashed = []

  def act(worker, request):
    if request.names == 'ab' and not crashed:
      crashed.append(worker)
      return 1.0, Kind.DIED, 'it died'
    return answer(worker, request)

  engine = FakeEngine(act)
  assert results(run(make(engine), 'ab')['ab']) == ok('ab')
  assert len(engine.sent) == 2


def test_that_a_machine_leaves_is_no_fault(caplog):
  lost = []

  def act(worker, request):
    if len(lost) < 7:
      lost.append(worker)
      return 1.0, Kind.LOST, 'its machine left'
    return answer(worker, request)

  with caplog.at_level(logging.WARNING):
    finished = run(make(FakeEngine(act)), 'ab')
  assert results(finished['ab']) == ok('ab')
  assert len(caplog.records) == 7
  assert caplog.records[0].getMessage() == (
    f'{lost[0]} lost: its machine left; block 1 (ab) is run again.'
  )


def test_an_idle_worker_that_dies_is_no_fault_of_anybody():
  engine = FakeEngine(answer, num_workers=1)
  dispatcher = make(engine)
  run(dispatcher, 'a')
  engine.pending.append((engine.now, Event('worker 0', Kind.DIED)))
  assert results(run(dispatcher, 'b')['b']) == ok('b')
  assert [names for _, names in engine.sent] == ['a', 'b']


class Hanging:
  """Never answers requests with a certain name."""

  def __init__(self, *names, seconds=10.0):
    self.names = names
    self.seconds = seconds
    self.hung = []

  def __call__(self, worker, request):
    if request.names in self.names:
      self.hung.append(worker)
      return 1e9, Kind.ANSWERED, None
    return self.seconds, Kind.ANSWERED, request.names.upper()


@pytest.mark.parametrize(('seconds', 'limit'), [(10.0, 60.0), (30.0, 150.0)])
def test_a_worker_has_a_deadline(caplog, seconds, limit):
  act = Hanging('h', seconds=seconds)
  engine = FakeEngine(act, num_workers=1)
  dispatcher = make(engine)
  run(dispatcher, 'a', 'b', 'c')
  now = engine.now
  with caplog.at_level(logging.WARNING):
    finished = run(dispatcher, 'h')
  (part,) = finished['h']
  assert (part.status, part.answer) == (Status.TIMED_OUT, None)
  assert engine.stopped == ['worker 0'] * 2
  # A process that has been started again may have to compile first.
  first = limit + 3 * seconds
  assert part.reason == f'it took longer than {first:g} s'
  assert engine.now == now + limit + 1 + first
  assert 'timed out: it took longer than' in caplog.text
  assert results(run(dispatcher, 'd')['d']) == ok('d')


def test_a_first_block_that_hangs_ends_too():
  engine = FakeEngine(Hanging('ab', 'a'), num_workers=1)
  policy = policies.Blocks(first_block_timeout=100.0)
  finished = run(make(engine, policy), 'ab')
  parts = finished['ab']
  # Twice in one piece, and then each child by itself.
  assert [each.status for each in parts] == [Status.TIMED_OUT, Status.OK]
  assert 'longer than 100 s, the first_block_timeout' in parts[0].reason
  assert engine.stopped == ['worker 0'] * 4


def test_what_was_answered_meanwhile_is_in_time():
  engine = FakeEngine(answer, num_workers=1)
  dispatcher = make(engine)
  run(dispatcher, 'a', 'b')
  dispatcher.submit(Block('c'))
  # The search did something else for an hour.
  engine.now += 3600
  ((_, parts),) = dispatcher.collect()
  assert results(parts) == ok('c')
  assert engine.stopped == []


def test_kinds_have_medians_of_their_own():
  def act(worker, request):
    return (1000.0 if request.kind else 1.0), Kind.ANSWERED, request.names

  engine = FakeEngine(act, num_workers=1)
  run(make(engine), 'a', 'b', 'c', Block('d', 'long'), Block('e', 'long'))
  assert engine.stopped == []


def test_a_worker_may_compile_each_kind_of_block():
  begun = set()

  def act(worker, request):
    is_first = (worker, request.kind) not in begun
    begun.add((worker, request.kind))
    slow = is_first and request.kind == 'b' and worker == 'worker 1'
    return (300.0 if slow else 1.0), Kind.ANSWERED, request.names.upper()

  engine = FakeEngine(act)
  blocks = [Block(name, 'b') for name in 'cdefghijk']
  finished = run(make(engine), 'a', 'b', *blocks)
  assert len(finished) == 11
  assert engine.stopped == []


def test_an_idle_worker_copies_what_takes_long(caplog):
  act = Hanging('s')
  engine = FakeEngine(act)
  dispatcher = make(engine)
  run(dispatcher, *'abcdef')
  now = engine.now

  def late(worker, request):
    if request.names == 's' and worker == 'worker 0':
      return 50.0, Kind.ANSWERED, 'late'
    return answer(worker, request)

  engine.act = late
  with caplog.at_level(logging.WARNING):
    finished = run(dispatcher, 's')
  # The copy starts when twice the median has passed, by a clock of a second.
  assert results(finished['s']) == ok('s')
  assert 30.0 <= engine.now - now <= 32.0
  assert 'block 7 (s) takes 21 s on worker 0; a copy runs on worker 1.' in (
    caplog.text
  )
  # The late answer is nobody's.
  later = run(dispatcher, 't', 'u', 'v', 'w', 'x')
  assert all(results(later[name]) == ok(name) for name in 'tuvwx')


def test_a_copy_that_dies_leaves_the_other_running():
  engine = FakeEngine(answer)
  dispatcher = make(engine)
  run(dispatcher, *'abcdef')

  def act(worker, request):
    if worker == 'worker 0':
      return 40.0, Kind.ANSWERED, request.names.upper()
    return 1.0, Kind.DIED, 'it died'

  engine.act = act
  assert results(run(dispatcher, 's')['s']) == ok('s')


def test_a_copy_does_not_run_where_the_block_has_failed():
  engine = FakeEngine(answer)
  dispatcher = make(engine)
  run(dispatcher, *'abcdef')

  def act(worker, request):
    if worker == 'worker 0':
      return 1.0, Kind.RAISED, 'OSError: no space left'
    return 50.0, Kind.ANSWERED, request.names.upper()

  engine.act = act
  assert results(run(dispatcher, 's')['s']) == ok('s')
  assert engine.sent[-2:] == [('worker 0', 's'), ('worker 1', 's')]


def test_a_late_copy_is_ended_with_a_line(caplog):
  engine = FakeEngine(answer)
  dispatcher = make(engine)
  run(dispatcher, *'abcdef')
  engine.act = lambda worker, request: (
    (1e9, Kind.ANSWERED, None)
    if (worker, request.names) == ('worker 0', 's')
    else (10.0, Kind.ANSWERED, request.names.upper())
  )
  with caplog.at_level(logging.WARNING):
    run(dispatcher, 's')
    run(dispatcher, *'tuvwxyz')
  assert engine.stopped == ['worker 0']
  assert caplog.records[-1].getMessage() == (
    'worker 0 stopped: it took longer than 60 s, as a late copy.'
  )


def test_an_error_of_a_block_that_two_workers_raise_stops_the_search(caplog):
  def act(worker, request):
    return 1.0, Kind.RAISED, 'KeyError at train.py:7: 3'

  engine = FakeEngine(act)
  with (
    caplog.at_level(logging.WARNING),
    pytest.raises(
      ValueError,
      match=r'^block 1 \(ab\) failed twice, on worker 0 and worker 1: '
      r'KeyError at train\.py:7: 3$',
    ),
  ):
    run(make(engine), 'ab')
  assert (
    caplog.records[0]
    .getMessage()
    .startswith('block 1 (ab) failed: worker 0: KeyError')
  )
  engine = FakeEngine(act, num_workers=1)
  with pytest.raises(ValueError, match='failed twice, on worker 0: KeyError'):
    run(make(engine), 'ab')


def test_an_error_that_only_one_worker_raises_is_survived():
  def act(worker, request):
    if worker == 'worker 0' and request.names == 'a':
      return 1.0, Kind.RAISED, 'OSError: no space left'
    return answer(worker, request)

  engine = FakeEngine(act)
  finished = run(make(engine), 'a', 'b', 'c')
  assert results(finished['a']) == ok('a')
  assert ('worker 1', 'a') in engine.sent


def test_a_block_does_not_wait_for_a_worker_that_never_starts():
  raised = []

  def act(worker, request):
    if request.names == 'a' and not raised:
      raised.append(worker)
      return 1.0, Kind.RAISED, 'OSError: no space left'
    return answer(worker, request)

  engine = FakeEngine(act, num_workers=1)
  engine.pending.append((1e9, Event('worker 1', Kind.JOINED, card=CARD)))
  finished = run(make(engine), 'a', 'b')
  assert results(finished['a']) == ok('a')
  assert engine.now < 100


@dataclasses.dataclass(frozen=True)
class Call:
  names: str

  def __iter__(self):
    return iter((self.names, 5, {}))


def functions(num_retries=1, timeout=math.inf):
  return policies.Functions('my.train', num_retries, timeout)


def call(engine, policy, *names):
  return run(make(engine, policy), *map(Call, names))


def test_an_error_of_a_function_is_a_failure(caplog):
  def act(worker, request):
    return 1.0, Kind.RAISED, 'KeyError at train.py:7: 3'

  with caplog.at_level(logging.WARNING):
    finished = call(FakeEngine(act), functions(2), 'a')
  assert results(finished['a']) == [('a', Status.FAILED, None)]
  lines = [record.getMessage() for record in caplog.records]
  assert lines == [
    "train('a', seed=5) failed: KeyError at train.py:7: 3; it is called again.",
    "train('a', seed=5) failed: KeyError at train.py:7: 3; it is called again.",
    "train('a', seed=5) failed: KeyError at train.py:7: 3; it was called 3 "
    'times, and the trial fails.',
  ]


@pytest.mark.parametrize(
  ('kind', 'status'),
  [(Kind.DIED, Status.CRASHED), (Kind.RAISED, Status.FAILED)],
)
def test_a_function_that_failed_once_is_called_again(kind, status):
  calls = []

  def act(worker, request):
    calls.append(worker)
    if len(calls) == 1:
      return 1.0, kind, 'no'
    return 1.0, Kind.ANSWERED, {'reward': 1.0}

  finished = call(FakeEngine(act), functions(), 'a')
  assert results(finished['a']) == [('a', Status.OK, {'reward': 1.0})]
  calls.clear()
  finished = call(FakeEngine(act), functions(0), 'a')
  assert results(finished['a']) == [('a', status, None)]


def test_a_reward_that_is_not_finite_is_final(caplog):
  def act(worker, request):
    return 1.0, Kind.ANSWERED, {'reward': math.inf}

  engine = FakeEngine(act)
  with caplog.at_level(logging.WARNING):
    ((part,),) = call(engine, functions(), 'a').values()
  assert part.status is Status.NOT_FINITE
  assert part.reason == 'the reward is inf, which is not finite as a float32'
  assert len(engine.sent) == 1
  assert caplog.records[0].getMessage().endswith('; the trial fails.')


def test_a_function_has_the_time_that_the_user_gave_it_and_no_copies():
  engine = FakeEngine(lambda *_: (200.0, Kind.ANSWERED, {'reward': 1.0}))
  finished = call(engine, functions(), *'abcde')
  assert all(each[0].status is Status.OK for each in finished.values())
  assert len(engine.sent) == 5
  engine = FakeEngine(lambda *_: (200.0, Kind.ANSWERED, {'reward': 1.0}))
  ((part,),) = call(engine, functions(0, 150.0), 'a').values()
  assert part.status is Status.TIMED_OUT
  assert part.reason == 'it took longer than 150 s'
  assert engine.now == 151.0


def test_a_worker_that_differs_is_refused_by_name(caplog):
  cards = {'worker 1': CARD | {'version of jax': '2'}}
  engine = FakeEngine(answer, cards=cards)
  events = []
  with caplog.at_level(logging.WARNING):
    finished = run(make(engine, write_event=events.append), 'a', 'b')
  assert engine.dismissed == ['worker 1']
  assert set(engine.sent) == {('worker 0', 'a'), ('worker 0', 'b')}
  assert results(finished['b']) == ok('b')
  (line,) = [record.getMessage() for record in caplog.records]
  assert line == (
    'worker 1 does not take part: its version of jax is 2, not 1 as elsewhere.'
  )
  (event,) = [each for each in events if each['event'] == 'dismissed']
  assert event['reason'] == 'its version of jax is 2, not 1 as elsewhere'


def test_workers_must_be_as_the_search_expects():
  engine = FakeEngine(answer)
  with pytest.raises(
    ValueError, match=r'^No worker is left: worker 1: its version of jax is 1, '
  ):
    run(make(engine, expected={'version of jax': '3'}), 'a')
  assert engine.dismissed == ['worker 0', 'worker 1']
  engine = FakeEngine(answer)
  run(make(engine, expected={'another': '3', 'version of jax': '1'}), 'a')


def test_a_search_without_workers_ends():
  engine = FakeEngine(answer, start_seconds=math.inf)
  with pytest.raises(
    ValueError, match=r'^No worker has been ready for 600 s\. .* to go on\.$'
  ):
    run(make(engine), 'a')
  assert 600 < engine.now < 602


def test_a_search_whose_workers_are_lost_waits_for_others():
  def act(worker, request):
    engine.start_seconds = 100.0 if engine.now < 300 else math.inf
    return 1.0, Kind.LOST, 'its machine left'

  engine = FakeEngine(act)
  with pytest.raises(ValueError, match='No worker has been ready for 90 s'):
    run(make(engine, worker_timeout=90.0), 'a')
  assert 90 < engine.now < 100
  engine = FakeEngine(act)
  with pytest.raises(ValueError, match='No worker has been ready for 120 s'):
    run(make(engine, worker_timeout=120.0), 'a')
  assert engine.now > 300


def test_workers_that_end_as_soon_as_they_have_joined_are_none():
  engine = FakeEngine(answer, start_seconds=math.inf)
  wait = engine.wait

  def wait_and_end(timeout):
    return [
      event
      for each in wait(timeout)
      for event in (each, Event('worker 0', Kind.DIED, reason='it ended'))
    ]

  engine.wait = wait_and_end
  engine.pending = [
    (float(number), Event('worker 0', Kind.JOINED, card=CARD))
    for number in range(1000)
  ]
  with pytest.raises(ValueError, match='No worker has been ready for 600 s'):
    run(make(engine), 'a')
  assert 600 < engine.now < 603


def refuse(engine, *names):
  def start(factory):
    for name in names:
      event = Event(name, Kind.REFUSED, reason='KeyError at f.py:1')
      engine.pending.append((engine.now + 1, event))

  engine.start = start


def test_a_servant_that_no_worker_can_make_ends_the_search():
  engine = FakeEngine(answer)
  refuse(engine, 'worker 0', 'worker 1')
  with pytest.raises(
    ValueError, match=r'^No worker can be started: KeyError at f\.py:1\.$'
  ):
    run(make(engine), 'a')
  engine = FakeEngine(answer)
  refuse(engine, 'worker 0')
  with pytest.raises(
    ValueError, match=r'cannot import my\.train \(KeyError .* file of its own'
  ):
    call(engine, functions(), 'a')


def test_one_worker_that_does_not_start_leaves_the_others(caplog):
  engine = FakeEngine(answer)
  start = engine.start
  refuse(engine, 'worker 2')
  refusing = engine.start
  engine.start = lambda factory: (start(factory), refusing(factory))
  with caplog.at_level(logging.WARNING):
    finished = run(make(engine), 'a', 'b', 'c')
  assert len(finished) == 3
  assert 'worker 2 does not start: KeyError at f.py:1.' in caplog.text


def test_a_function_whose_worker_does_not_start_again_crashes():
  engine = FakeEngine(lambda *_: (1.0, Kind.DIED, 'it died'), num_workers=1)
  dispatcher = make(engine, functions(0))
  run(dispatcher, Call('a'))
  engine.pending = [
    (engine.now, Event('worker 0', Kind.REFUSED, reason='KeyError at f.py:1'))
  ]
  ((part,),) = run(dispatcher, Call('b')).values()
  assert part.status is Status.CRASHED
  assert 'KeyError at f.py:1' in part.reason


def test_what_is_cancelled_is_stopped_and_the_next_is_served():
  act = Hanging('h')
  engine = FakeEngine(act)
  dispatcher = make(engine)
  dispatcher.submit(Block('a'))
  dispatcher.collect()
  for name in 'hhh':
    dispatcher.submit(Block(name))
  dispatcher.cancel()
  assert sorted(engine.stopped) == ['worker 0', 'worker 1']
  assert dispatcher.collect() == []
  assert results(run(dispatcher, 'b')['b']) == ok('b')


def test_a_dispatcher_that_is_closed_takes_nothing():
  dispatcher = make(FakeEngine(answer))
  run(dispatcher, 'a')
  dispatcher.close()
  with pytest.raises(ValueError, match=r'^The workers have been ended; '):
    dispatcher.submit(Block('b'))


def test_every_event_is_recorded():
  crashed = []

  def act(worker, request):
    if not crashed:
      crashed.append(worker)
      return 1.0, Kind.DIED, 'it died'
    return answer(worker, request)

  events = []
  run(make(FakeEngine(act, 1), write_event=events.append), 'ab')
  joined = {'event': 'joined', 'worker': 'worker 0', 'device': 'cpu'}
  assert events == [
    joined,
    {
      'event': 'died',
      'worker': 'worker 0',
      'block': 1,
      'attempt': 1,
      'reason': 'it died',
      'device': 'cpu',
    },
    joined,
    {
      'event': 'answered',
      'worker': 'worker 0',
      'block': 1,
      'attempt': 2,
      'seconds': 10.0,
      'device': 'cpu',
    },
  ]


def test_a_line_is_printed_every_ten_seconds(capsys):
  engine = FakeEngine(answer, num_workers=3)
  dispatcher = make(engine)
  dispatcher.lag = lambda: 2.5
  run(dispatcher, *[f'{name}x' for name in 'abcdef'])
  lines = capsys.readouterr().err.splitlines()
  assert lines[1] == (
    'Workers: 3 ready, 0 lost, 0 starting; 3 blocks running, the oldest for '
    '9 s, median 10 s; 0.6 trials/s; utilization 100%; lag 2.5.'
  )
  assert len(lines) == 2
  assert status_line.SECONDS == 10
  # One worker has nothing to tell.
  run(make(FakeEngine(answer, num_workers=1)), *'abcdef')
  assert capsys.readouterr().err == ''


def test_a_dispatcher_is_quick():
  engine = FakeEngine(
    lambda worker, request: (1e-6, Kind.ANSWERED, None), num_workers=64
  )
  dispatcher = make(engine)
  started = time.process_time()
  for _ in range(1000):
    dispatcher.submit(Block('a'))
  num_done = 0
  while found := dispatcher.collect():
    num_done += len(found)
  assert num_done == 1000
  # At most 5 ms each are allowed; a slow machine has room here.
  assert time.process_time() - started < 5

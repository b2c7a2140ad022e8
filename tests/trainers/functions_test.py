# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import functools
import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import time
import types

import jax
import numpy as np
import pytest

from jaxnas import evaluators
from jaxnas import search as search_lib
from jaxnas.records import trial_log
from jaxnas.spaces import hyperparameters
from jaxnas.strategies import random_search
from jaxnas.trainers import functions
from jaxnas.types import Status

FOLDER = str(pathlib.Path(__file__).parent)
sys.path.append(FOLDER)

import reward_functions  # noqa: E402  # Workers find it there too.

KEY = jax.random.key(0)
SOURCE = pathlib.Path(reward_functions.__file__)
LINES = SOURCE.read_text().splitlines()
FAILS = "  raise RuntimeError('two\\nlines ' + 'x' * 10_000)"


def space_of(*cases):
  return hyperparameters.make_space({'case': hyperparameters.Choice(cases)})


def evaluate(evaluator, tokens, keys=None):
  if keys is None:
    keys = jax.random.split(KEY, len(tokens))
  return evaluator.evaluate(keys, np.array(tokens, np.int32)[:, None])


CASES = tuple(reward_functions.BEHAVIOURS)


@pytest.fixture(scope='module')
def evaluator():
  with evaluators.of_function(
    space_of(*CASES),
    reward_functions.behave,
    floor=-1.0,
    num_workers=2,
    timeout_seconds=2.0,
    num_retries=0,
  ) as evaluator:
    yield evaluator


def run(evaluator, *cases):
  return evaluate(evaluator, [CASES.index(case) for case in cases])


def test_every_end_is_a_status_and_a_line(evaluator, caplog):
  expected = {
    'raises': (
      Status.FAILED,
      f'{SOURCE.name}:{LINES.index(FAILS) + 1}: two lines xx',
    ),
    'leaves': (Status.FAILED, 'SystemExit at '),
    'exits': (Status.CRASHED, 'exit code 0'),
    'killed': (Status.CRASHED, 'signal SIGKILL'),
    'hangs': (Status.TIMED_OUT, 'longer than 2 s'),
    'nan': (Status.NOT_FINITE, 'the reward is nan'),
    'inf': (Status.NOT_FINITE, 'the reward is 1e+300'),
    'digits': (Status.NOT_FINITE, 'the reward is inf'),
    'none': (Status.FAILED, 'expected a number, got a NoneType'),
    'text': (Status.FAILED, 'expected a number, got a str'),
    'complex': (Status.FAILED, 'expected a number, got a complex'),
    'large': (Status.FAILED, 'expected a number, got a list'),
    'low': (Status.OK, 'below the floor'),
    'number': (Status.OK, ''),
  }
  with caplog.at_level('WARNING'):
    evaluation = run(evaluator, *expected)
  assert evaluation.status.tolist() == [
    status for status, _ in expected.values()
  ]
  assert evaluation.rewards.tolist() == [-1.0] * 13 + [0.5]
  assert evaluation.rewards.dtype == np.float32
  lines = [record.getMessage() for record in caplog.records]
  assert len(lines) == 13
  assert evaluation.reasons[-2:] == ('', '')
  for case, (status, text) in list(expected.items())[:-2]:
    (line,) = (each for each in lines if f"{{'case': '{case}'}}" in each)
    assert text in line
    reason = evaluation.reasons[list(expected).index(case)]
    assert text in reason
    assert reason in line
    assert status.name.lower().replace('_', ' ') in line
    assert '\n' not in line
    assert len(line) < 700


def test_a_mapping_has_more_than_a_reward():
  children = [
    {'case': case} for case in ('mapping', 'number', 'mapping', 'more')
  ]
  keys = jax.random.split(KEY, 4)
  with functions.FunctionTrainer(
    reward_functions.behave, num_workers=2, num_retries=0
  ) as trainer:
    trained = trainer.run(children, keys)
    assert trained.status.tolist() == [0, 0, 0, Status.FAILED]
    assert trained.reasons[3] == "the mapping needs a 'reward', got report"
    assert trained.metrics.keys() == {
      'validation_reward', 'report_reward', 'size',
    }  # fmt: skip
    np.testing.assert_array_equal(
      trained.metrics['validation_reward'], [-2.0, 0.5, -2.0, np.nan]
    )
    np.testing.assert_array_equal(
      trained.metrics['report_reward'], [-3.0, np.nan, -3.0, np.nan]
    )
    assert trained.metrics['size'][0] == 7
    with pytest.raises(ValueError, match='nothing can be kept'):
      trainer.run(children, keys, keep=True)
  with evaluators.of_function(
    space_of('mapping', 'number'), reward_functions.behave, -9.0
  ) as evaluator:
    evaluation = evaluate(evaluator, [0, 1])
  assert evaluation.rewards.tolist() == [-2.0, 0.5]
  assert set(evaluation.metrics) == {'report_reward', 'size'}


def test_a_function_may_ask_how_long_to_train():
  with functions.FunctionTrainer(reward_functions.train_long) as trainer:
    trained = trainer.run([{'case': 'x'}], KEY[None], num_steps=12)
  assert trained.metrics['validation_reward'] == [12.0]


def test_results_are_in_order_and_of_their_own_keys(evaluator):
  alone = [
    evaluate(evaluator, [CASES.index('seed')], keys=keys[None]).rewards[0]
    for keys in jax.random.split(KEY, 6)[:3]
  ]
  cases = ['slow', 'exits', 'seed', 'slow', 'seed', 'seed']
  rewards = run(evaluator, *cases).rewards
  assert rewards[2] == alone[2]
  assert rewards[0] == alone[0]
  assert rewards[1] == -1
  assert len(set(rewards)) == 6
  with evaluators.of_function(
    space_of(*CASES), reward_functions.behave, -1.0, num_retries=0
  ) as other:
    assert other.block_size == 1
    np.testing.assert_array_equal(run(other, *cases).rewards, rewards)


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='no fork')
@pytest.mark.parametrize(
  'case', ['fork_returns', 'fork_leaves', 'fork_raises', 'another']
)
def test_only_the_process_that_was_asked_answers(evaluator, case):
  keys = jax.random.split(KEY, 4)
  expected = evaluate(evaluator, [CASES.index('seed')] * 4, keys)
  evaluation = evaluate(evaluator, [CASES.index(case)] * 4, keys)
  assert evaluation.status.tolist() == [Status.OK] * 4
  np.testing.assert_array_equal(evaluation.rewards, expected.rewards)
  # Nobody else's answer waits for the next who asks.
  evaluation = evaluate(evaluator, [CASES.index('seed')] * 4, keys)
  np.testing.assert_array_equal(evaluation.rewards, expected.rewards)


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='no fork')
def test_a_module_that_forks_is_served_by_one_process(
  tmp_path, monkeypatch, evaluator
):
  monkeypatch.syspath_prepend(tmp_path)
  path = tmp_path / 'module_that_forks.py'
  function = 'def f(value, seed):\n  return seed / 2**31\n'
  path.write_text(function)
  module = __import__(path.stem)
  path.write_text(f'import os\nos.fork()\n{function}')
  keys = jax.random.split(KEY, 6)
  with evaluators.of_function(
    space_of('a'), module.f, -1.0, timeout_seconds=10.0
  ) as forking:
    rewards = evaluate(forking, [0] * 6, keys).rewards
  expected = evaluate(evaluator, [CASES.index('seed')] * 6, keys).rewards
  np.testing.assert_array_equal(rewards, expected)


def test_workers_stay_and_do_not_import_jax(evaluator):
  assert run(evaluator, 'modules').rewards == [0]
  processes = {*run(evaluator, *['process'] * 8).rewards}
  processes |= {*run(evaluator, *['process'] * 8).rewards}
  assert len(processes) <= 2
  assert os.getpid() not in processes


def test_a_worker_killed_while_it_waits_is_replaced(evaluator):
  for process in multiprocessing.active_children():
    process.kill()
    process.join()
  assert run(evaluator, 'seed', 'seed').status.tolist() == [Status.OK] * 2


def test_a_trial_is_tried_again_with_its_seed(tmp_path, caplog):
  folder = str(tmp_path)
  for function, reward in (
    (reward_functions.count, 1.0),
    (reward_functions.crash_at_first, 7.0),
  ):
    with (
      evaluators.of_function(space_of(folder), function, 0.0) as evaluator,
      caplog.at_level('WARNING'),
    ):
      evaluation = evaluate(evaluator, [0])
    assert evaluation.status == [Status.OK]
    assert evaluation.rewards == [reward]
    for path in tmp_path.iterdir():
      assert path.read_text() == 'x' * (1 + (reward == 7))
      path.unlink()
  (line,) = [record.getMessage() for record in caplog.records]
  assert line.startswith('crash_at_first({')
  assert ' crashed: its process ended with ' in line
  assert line.endswith('; it is called again.')


def is_running(pid):
  try:
    stat = pathlib.Path(f'/proc/{pid}/stat').read_text()
    return stat.rpartition(')')[2].split()[0] not in 'ZX'
  except OSError:
    return False


def wait_for_the_end_of(pids):
  """Gives the kernel time to end what was killed."""
  deadline = time.monotonic() + 30
  while any(map(is_running, pids)):
    assert time.monotonic() < deadline
    time.sleep(0.05)


@pytest.mark.skipif(not pathlib.Path('/proc/self').exists(), reason='no /proc')
def test_nothing_outlives_a_timeout(tmp_path):
  with evaluators.of_function(
    space_of(str(tmp_path)),
    reward_functions.leave_children,
    0.0,
    timeout_seconds=2.0,
    num_retries=0,
  ) as evaluator:
    assert evaluate(evaluator, [0]).status == [Status.TIMED_OUT]
  wait_for_the_end_of((tmp_path / 'pid').read_text().split())


@pytest.mark.skipif(sys.platform != 'linux', reason='no adoption of orphans')
@pytest.mark.parametrize(
  ('function', 'status'),
  [
    (reward_functions.leave_sessions, Status.TIMED_OUT),
    (reward_functions.leave_sessions_and_die, Status.CRASHED),
  ],
)
def test_a_session_of_its_own_does_not_outlive_its_call(
  tmp_path, function, status
):
  with evaluators.of_function(
    space_of(str(tmp_path)),
    function,
    0.0,
    timeout_seconds=1.0 if status is Status.TIMED_OUT else None,
    num_retries=0,
  ) as evaluator:
    assert evaluate(evaluator, [0]).status == [status]
    pids = (tmp_path / 'pid').read_text().split()
    assert len(pids) == 2
    wait_for_the_end_of(pids)


SCRIPT = """
import signal
import sys
sys.path.append({folder!r})
import reward_functions

if __name__ == '__main__':
  # A shell starts what runs in its background without this handler.
  signal.signal(signal.SIGINT, signal.default_int_handler)
  import jax
  import numpy as np
  from jaxnas import evaluators
  from jaxnas.spaces import hyperparameters

  space = hyperparameters.make_space(
    {{'case': hyperparameters.Choice(({place!r},))}}
  )
  with evaluators.of_function(
    space, reward_functions.{function}, 0.0, num_workers=2
  ) as evaluator:
    keys = jax.random.split(jax.random.key(0), 1)
    evaluator.evaluate(keys, np.zeros((1, 1), np.int32))
"""


@pytest.mark.skipif(not pathlib.Path('/proc/self').exists(), reason='no /proc')
@pytest.mark.parametrize(
  ('signal_name', 'function'),
  [
    ('SIGKILL', 'leave_children'),
    ('SIGINT', 'leave_children'),
    ('SIGKILL', 'leave_sessions'),
  ],
)
def test_nothing_outlives_the_run(tmp_path, signal_name, function):
  script = tmp_path / 'script.py'
  script.write_text(
    SCRIPT.format(folder=FOLDER, place=str(tmp_path), function=function)
  )
  process = subprocess.Popen(
    [sys.executable, str(script)],
    stderr=subprocess.PIPE,
    env=os.environ | {'PYTHONPATH': str(pathlib.Path(FOLDER).parents[1])},
  )
  deadline = time.monotonic() + 60
  pid_file = tmp_path / 'pid'
  while not (pid_file.exists() and len(pid_file.read_text().split()) == 2):
    assert time.monotonic() < deadline
    assert process.poll() is None
    time.sleep(0.05)
  process.send_signal(getattr(signal, signal_name))
  process.communicate(timeout=60)
  wait_for_the_end_of(pid_file.read_text().split())


def test_the_context_ends_its_workers():
  before = set(multiprocessing.active_children())
  with evaluators.of_function(
    space_of(*CASES), reward_functions.behave, 0.0
  ) as evaluator:
    run(evaluator, 'seed')
    (process,) = set(multiprocessing.active_children()) - before
  assert not process.is_alive()


@pytest.mark.skipif(not hasattr(signal, 'setitimer'), reason='no timer')
def test_an_interruption_ends_the_calls_and_the_next_are_served():
  def interrupt(*_):
    raise KeyboardInterrupt

  before = signal.signal(signal.SIGALRM, interrupt)
  keys = jax.random.split(KEY, 3)
  try:
    with functions.FunctionTrainer(
      reward_functions.behave, num_workers=2
    ) as trainer:
      signal.setitimer(signal.ITIMER_REAL, 3.0)
      with pytest.raises(KeyboardInterrupt):
        trainer.run([{'case': 'hangs'}] * 3, keys)
      trained = trainer.run([{'case': 'number'}] * 3, keys)
  finally:
    signal.signal(signal.SIGALRM, before)
  assert trained.status.tolist() == [Status.OK] * 3


def make_search(evaluator, space):
  return search_lib.Search(
    space=space,
    arms=tuple(
      search_lib.Arm(
        name, random_search.make_random_search(space.decisions), 6, 3
      )
      for name in ('one', 'two')
    ),
    evaluator=evaluator,
    key=KEY,
  )


def test_a_search_with_failures_is_resumed_to_the_same_log(tmp_path):
  cases = ('seed', 'raises', 'killed', 'none')
  space = space_of(*cases)
  path, again = tmp_path / 'one.jsonl', tmp_path / 'two.jsonl'
  with evaluators.of_function(
    space, reward_functions.behave, 0.0, num_retries=0
  ) as evaluator:
    search = make_search(evaluator, space)
    with trial_log.TrialLog(path) as log:
      search_lib.run(search, log)
    lines = path.read_bytes().splitlines(keepends=True)
    again.write_bytes(b''.join(lines[:5]) + lines[5][:9])
    with trial_log.TrialLog(again) as log:
      search_lib.run(search, log)
  assert again.read_bytes() == path.read_bytes()
  trials = trial_log.read_trials(path)
  assert len(trials) == 12
  names = dict(zip(cases, ('ok', 'failed', 'crashed', 'failed'), strict=True))
  for trial in trials:
    assert trial.status == names[cases[trial.tokens[0]]]
    assert (trial.reward > 0) == (trial.status == 'ok')


def test_a_daemonic_process_is_told_that_it_may_not_have_workers(monkeypatch):
  process = types.SimpleNamespace(daemon=True)
  monkeypatch.setattr(multiprocessing, 'current_process', lambda: process)
  with (
    pytest.raises(ValueError, match=r'daemonic, like .* multiprocessing\.Pool'),
    evaluators.of_function(space_of('a'), reward_functions.behave, 0.0),
  ):
    pass


def test_a_broken_function_is_stopped_repaired_and_run_again(
  tmp_path, monkeypatch
):
  monkeypatch.syspath_prepend(tmp_path)
  source = 'def f(value, seed):\n  return seed / 2**31\n'
  path = tmp_path / 'function_that_breaks.py'
  path.write_text(source)
  module = __import__(path.stem)
  space = space_of('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j')
  arm = search_lib.Arm(
    'one', random_search.make_random_search(space.decisions), 30, 30
  )

  def run(name, **settings):
    with (
      evaluators.of_function(space, module.f, -1.0, num_retries=0) as evaluator,
      trial_log.TrialLog(tmp_path / name) as log,
    ):
      search = search_lib.Search(space, (arm,), evaluator, KEY)
      search_lib.run(search, log, **settings)
      return log.trials

  sound = run('sound.jsonl')
  path.write_text(source.replace('return', 'return value["rate"] *'))
  with pytest.raises(
    ValueError, match=r"KeyError at .*function_that_breaks\.py:2: 'rate'\. Fix"
  ):
    run('broken.jsonl')
  trials = trial_log.read_trials(tmp_path / 'broken.jsonl')
  assert sum(trial.duplicate_of is None for trial in trials) == 8
  path.write_text(source)
  assert run('broken.jsonl', redo_failed=True) == sound


def local_function():
  return lambda value, seed: 0.0


@pytest.mark.parametrize(
  'function',
  [
    lambda value, seed: 0.0,
    local_function(),
    functools.partial(local_function()),
  ],
)
def test_a_function_that_can_not_be_pickled_is_refused(function):
  with (
    pytest.raises(
      ValueError, match='`def` at the top level of a file'
    ) as error,
    evaluators.of_function(space_of('a'), function, 0.0),
  ):
    pass
  assert '\n' not in str(error.value)


class Unwilling:
  def __call__(self, value, seed):
    return 0.0

  def __reduce__(self):
    raise NotImplementedError('no copies')


def test_whatever_keeps_a_function_from_being_pickled_is_told():
  with (
    pytest.raises(
      ValueError, match=r'NotImplementedError at .*: no copies.*`def`'
    ),
    evaluators.of_function(space_of('a'), Unwilling(), 0.0),
  ):
    pass


def test_what_can_not_be_called_is_refused():
  with (
    pytest.raises(ValueError, match=r'callable with a value and .* got 0\.5'),
    evaluators.of_function(space_of('a'), 0.5, 0.0),
  ):
    pass


def test_a_program_of_the_standard_input_is_refused(monkeypatch):
  main = types.ModuleType('__main__')
  main.__file__ = '<stdin>'
  monkeypatch.setitem(sys.modules, '__main__', main)
  with (
    pytest.raises(ValueError, match=r'standard input.* my_search\.py'),
    evaluators.of_function(space_of('a'), reward_functions.behave, 0.0),
  ):
    pass


def test_a_function_of_a_notebook_is_refused(monkeypatch):
  class Main:
    pass

  def in_notebook(value, seed):
    return 0.0

  in_notebook.__module__, in_notebook.__qualname__ = '__main__', 'in_notebook'
  main = Main()
  main.in_notebook = in_notebook
  monkeypatch.setitem(sys.modules, '__main__', main)
  with (
    pytest.raises(ValueError, match=r'notebook .* my_function\.py'),
    evaluators.of_function(space_of('a'), in_notebook, 0.0),
  ):
    pass


@pytest.mark.parametrize(
  ('source', 'message'),
  [
    (
      'raise KeyError("no")',
      r"cannot import .*KeyError at .*py:1: 'no'.*file of its own",
    ),
    ('import os; os._exit(5)', 'ended while starting .exit code 5.*__main__'),
  ],
)
def test_a_module_that_workers_can_not_import_is_told(
  tmp_path, monkeypatch, source, message
):
  monkeypatch.syspath_prepend(tmp_path)
  name = f'module_{abs(hash(source))}'
  path = tmp_path / f'{name}.py'
  path.write_text('def f(value, seed):\n  return 0.0\n')
  module = __import__(name)
  path.write_text(source)
  with (
    evaluators.of_function(space_of('a'), module.f, 0.0) as evaluator,
    pytest.raises(ValueError, match=message),
  ):
    evaluate(evaluator, [0, 0])


def test_a_worker_that_can_not_start_again_is_a_crash(tmp_path, monkeypatch):
  monkeypatch.syspath_prepend(tmp_path)
  path = tmp_path / 'module_that_changes.py'
  path.write_text('import os\ndef f(value, seed):\n  os._exit(0)\n')
  module = __import__(path.stem)
  with evaluators.of_function(
    space_of('a'), module.f, -1.0, num_retries=0
  ) as evaluator:
    assert evaluate(evaluator, [0]).status.tolist() == [Status.CRASHED]
    path.write_text('raise KeyError("no")\n')
    evaluation = evaluate(evaluator, [0])
  assert evaluation.status.tolist() == [Status.CRASHED]
  assert evaluation.rewards.tolist() == [-1.0]


@pytest.mark.parametrize(
  ('settings', 'message'),
  [
    ({'floor': float('nan')}, 'floor of a reward must be finite .* got nan'),
    ({'floor': -(10**400)}, 'finite as a float32, got -1000'),
    ({'floor': -1e300}, 'finite as a float32, got -1e[+]300'),
    ({'num_workers': 0}, 'num_workers must be at least 1, got 0'),
    ({'num_retries': -1}, 'num_retries must be at least 0, got -1'),
    ({'workers': 'boats'}, "'processes' or 'ray', got 'boats'"),
    ({'ray_address': 'auto'}, "ray_address is 'auto', which needs workers="),
    ({'block_size': 0}, 'block_size must be at least 1, got 0'),
    ({'timeout_seconds': 0}, 'timeout_seconds must be positive or None, got 0'),
  ],
)
def test_bad_settings_are_refused(settings, message):
  arguments = {'floor': 0.0} | settings
  with (
    pytest.raises(ValueError, match=message),
    evaluators.of_function(space_of('a'), reward_functions.behave, **arguments),
  ):
    pass


def take_one(value):
  return 0.0


def take_more(value, seed, width):
  return 0.0


def take_a_named_seed(value, *, seed):
  return 0.0


@pytest.mark.parametrize(
  ('function', 'message'),
  [
    (take_one, r'take_one\(value\) cannot .*too many positional'),
    (take_more, r"width\) cannot be called .*'width'.*define it as f\(value"),
    (take_a_named_seed, r'\(value, \*, seed\) cannot be called with a value'),
  ],
)
def test_a_function_that_takes_something_else_is_refused(function, message):
  with pytest.raises(ValueError, match=message):
    functions.FunctionTrainer(function)

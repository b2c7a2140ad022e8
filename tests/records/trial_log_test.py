# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import errno
import json
import math
import subprocess
import sys

from absl import logging
import numpy as np
import pytest

from jaxnas.records import trial_log, workdir

FIELDS = [
  'number',
  'arm',
  'repeat',
  'tokens',
  'architecture',
  'reward',
  'metrics',
  'status',
  'duplicate_of',
  'settings',
]


@pytest.fixture
def warnings(monkeypatch):
  messages: list[str] = []
  monkeypatch.setattr(
    logging, 'warning', lambda text, *args: messages.append(text % args)
  )
  return messages


def make_trial(number, **fields):
  return trial_log.Trial(
    **{
      'number': number,
      'arm': 'reinforce',
      'repeat': 0,
      'tokens': (1, 0, 3),
      'architecture': {'combiners': ['add', 'max'], 'read_index': 1},
      'reward': float(np.float32(0.1) * number),
      'metrics': {'perplexity': 12.5},
      'status': 'ok',
      **fields,
    }
  )


def write_log(path, num_trials):
  with trial_log.TrialLog(path) as log:
    log.append([make_trial(number) for number in range(num_trials)])


def write_old_log(path, num_trials):
  """Writes lines without checksums, as older versions did."""
  lines = [
    json.dumps(make_trial(number).to_json(), separators=(',', ':'))
    for number in range(num_trials)
  ]
  path.write_text(''.join(f'{line}\n' for line in lines))


def test_trials_come_back_as_they_were(tmp_path):
  path = tmp_path / 'trials.jsonl'
  trials = [
    make_trial(0),
    make_trial(1, duplicate_of=0),
    make_trial(2, tokens=None, arm='known', settings={'label': 'lstm', 'f': 8}),
  ]
  with trial_log.TrialLog(path) as log:
    log.append(trials[:2])
    log.append(trials[2:])
    assert log.trials == trials
  assert trial_log.read_trials(path) == trials
  with trial_log.TrialLog(path) as log:
    assert log.trials == trials
    log.append([make_trial(3)])
  assert trial_log.read_trials(path)[:3] == trials


def test_a_reason_is_in_the_line_of_a_trial_that_has_one(tmp_path):
  path = tmp_path / 'trials.jsonl'
  reason = "KeyError: 'lr' at my_search.py:11"
  trials = [make_trial(0), make_trial(1, status='failed', reason=reason)]
  with trial_log.TrialLog(path) as log:
    log.append(trials)
  assert trial_log.read_trials(path) == trials
  first, second = trial_log.read_json_lines(path)
  assert 'reason' not in first
  assert second['reason'] == reason
  with pytest.raises(ValueError, match='reason of a trial is text, got 3'):
    trial_log.Trial.from_json({**first, 'reason': 3})


def test_a_line_is_compact_valid_json_in_fixed_order(tmp_path):
  path = tmp_path / 'trials.jsonl'
  with trial_log.TrialLog(path) as log:
    log.append([make_trial(0, metrics={'a': math.nan, 'b': -math.inf})])

  def refuse(name):
    raise AssertionError(f'{name} is not JSON')

  (line,) = path.read_bytes().decode().splitlines()
  fields = json.loads(line, parse_constant=refuse)
  assert list(fields) == [*FIELDS, 'crc32']
  assert fields['metrics'] == {'a': None, 'b': None}
  assert ' ' not in line
  metrics = trial_log.read_trials(path)[0].metrics
  assert math.isnan(metrics['a'])
  assert math.isnan(metrics['b'])


def test_floats_come_back_bit_for_bit(tmp_path):
  path = tmp_path / 'trials.jsonl'
  values = np.random.default_rng(0).normal(size=100).astype(np.float32)
  values[:3] = [1e-45, 3.4e38, -0.0]
  with trial_log.TrialLog(path) as log:
    log.append(
      [
        make_trial(number, reward=value, metrics={'double': float(value) / 3})
        for number, value in enumerate(values)
      ]
    )
  trials = trial_log.read_trials(path)
  rewards = np.asarray([trial.reward for trial in trials], np.float32)
  np.testing.assert_array_equal(rewards.view(np.uint32), values.view(np.uint32))
  assert [trial.metrics['double'] for trial in trials] == [
    float(value) / 3 for value in values
  ]


@pytest.mark.parametrize('log_type', [trial_log.JsonLines, trial_log.TrialLog])
def test_a_log_cut_at_any_byte_keeps_its_whole_lines(
  tmp_path, warnings, log_type
):
  path = tmp_path / 'trials.jsonl'
  write_log(path, 3)
  whole = path.read_bytes()
  ends = [0, *(i + 1 for i, byte in enumerate(whole) if byte == ord('\n'))]
  near_ends = {end + shift for end in ends for shift in (-2, -1, 0, 1)}
  sizes = near_ends.union(range(0, len(whole), 7)).intersection(
    range(len(whole))
  )
  for size in sorted(sizes):
    path.write_bytes(whole[:size])
    num_kept = sum(end <= size for end in ends) - 1
    assert len(trial_log.read_trials(path)) == num_kept
    assert path.stat().st_size == size
    warnings.clear()
    with log_type(path):
      pass
    assert path.read_bytes() == whole[: ends[num_kept]]
    if size in ends:
      assert not warnings
    else:
      assert warnings == [
        f'{path}: line {num_kept + 1} was cut in the middle; its '
        f'{size - ends[num_kept]} bytes are dropped.'
      ]


def test_a_cut_log_continues_as_if_never_cut(tmp_path, warnings):
  whole_path, path = tmp_path / 'whole.jsonl', tmp_path / 'trials.jsonl'
  write_log(whole_path, 4)
  path.write_bytes(whole_path.read_bytes()[:-20])
  with trial_log.TrialLog(path) as log:
    log.append([make_trial(number) for number in range(len(log.trials), 4)])
  assert path.read_bytes() == whole_path.read_bytes()
  assert len(warnings) == 1


def test_a_last_line_that_is_not_json_is_dropped(tmp_path, warnings):
  path = tmp_path / 'trials.jsonl'
  write_log(path, 2)
  whole = path.read_bytes()
  for end in (b'\0' * 50, b'{"number": 2, \n', b'\xff\xfe\n'):
    path.write_bytes(whole + end)
    assert len(trial_log.read_trials(path)) == 2
    with trial_log.TrialLog(path) as log:
      assert len(log.trials) == 2
    assert path.read_bytes() == whole
  assert len(warnings) == 3


@pytest.mark.parametrize(
  ('line', 'message'),
  [
    (b'{"number": 1, "arm"', 'Expecting'),
    (b'', 'Expecting'),
    (b'3', 'not an object'),
    (b'{"number": 1}', 'A trial has the fields number, arm'),
  ],
)
def test_a_damaged_line_elsewhere_is_named(tmp_path, line, message):
  path = tmp_path / 'trials.jsonl'
  write_old_log(path, 3)
  lines = path.read_bytes().split(b'\n')
  lines[1] = line
  content = b'\n'.join(lines)
  path.write_bytes(content)
  for read in (trial_log.read_trials, trial_log.TrialLog):
    with pytest.raises(
      ValueError,
      match=rf'trials\.jsonl: line 2 is damaged \({message}.*restore',
    ) as error:
      read(path)
    assert '\n' not in str(error.value)
  assert path.read_bytes() == content


@pytest.mark.parametrize(
  ('name', 'value'),
  [
    ('tokens', 5),
    ('tokens', [0, 1.5]),
    ('reward', None),
    ('reward', '0.5'),
    ('reward', 10**400),
    ('metrics', {'perplexity': -(10**400)}),
    ('metrics', [1]),
    ('metrics', {'perplexity': '1'}),
    ('number', 'x'),
    ('number', False),
    ('repeat', 0.0),
    ('arm', 3),
    ('status', 'ol'),
    ('duplicate_of', '0'),
    ('settings', None),
    ('architecture', 'x'),
  ],
)
def test_a_malformed_field_is_damage_even_at_the_end(tmp_path, name, value):
  path = tmp_path / 'trials.jsonl'
  path.write_text(json.dumps({**make_trial(0).to_json(), name: value}) + '\n')
  with pytest.raises(ValueError, match='line 1 is damaged'):
    trial_log.TrialLog(path)


def test_numbers_follow_each_other(tmp_path):
  path = tmp_path / 'trials.jsonl'
  write_log(path, 2)
  content = path.read_bytes()
  with trial_log.TrialLog(path) as log:
    for numbers in ([1], [3], [2, 2], [2, 4]):
      with pytest.raises(ValueError, match=r'trials\.jsonl is number \d, got'):
        log.append([make_trial(number) for number in numbers])
    assert len(log.trials) == 2
  assert path.read_bytes() == content
  write_old_log(path, 2)
  path.write_bytes(path.read_bytes() * 2)
  with pytest.raises(ValueError, match=r'line 3 .*trial 2 expected, got 0'):
    trial_log.TrialLog(path)


@pytest.mark.parametrize('reward', [math.nan, math.inf, np.float32('-inf')])
def test_a_reward_is_finite(reward):
  with pytest.raises(ValueError, match=r'Trial 4 has the reward -?(nan|inf)'):
    make_trial(4, reward=reward)
  with pytest.raises(ValueError, match=r'Trial 4 has the reward 1000'):
    make_trial(4, reward=10**400)


def test_a_duplicate_is_of_an_earlier_trial():
  with pytest.raises(ValueError, match=r'Trial 4 .* the later trial 4'):
    make_trial(4, duplicate_of=4)


def test_a_log_without_checksums_is_read_and_continued(tmp_path):
  path = tmp_path / 'trials.jsonl'
  write_old_log(path, 3)
  old = path.read_bytes()
  with trial_log.TrialLog(path) as log:
    assert len(log.trials) == 3
    log.append([make_trial(3)])
  assert path.read_bytes().startswith(old)
  assert len(trial_log.read_trials(path)) == 4
  # What is added seals what was there.
  path.write_bytes(path.read_bytes().replace(b'[1,0,3]', b'[1,0,2]', 1))
  with pytest.raises(ValueError, match=r'line 4 is damaged \(this line or one'):
    trial_log.read_trials(path)


def test_no_changed_byte_is_read_as_another_trial(tmp_path, warnings):
  path = tmp_path / 'trials.jsonl'
  write_log(path, 6)
  sound, trials = path.read_bytes(), trial_log.read_trials(path)
  random = np.random.default_rng(0)
  for place in random.integers(len(sound), size=200):
    content = bytearray(sound)
    content[place] ^= int(random.integers(1, 256))
    path.write_bytes(content)
    try:
      log = trial_log.TrialLog(path)
    except ValueError:
      continue
    with log:
      # No more than a last line that is no line is dropped, and that is told.
      assert log.trials == trials[: len(log.trials)]
      assert len(log.trials) == 6 or warnings
      assert len(log.trials) >= 5
    warnings.clear()


@pytest.mark.parametrize(
  'change',
  [
    lambda lines: lines[:2] + lines[3:],
    lambda lines: [lines[1], lines[0], *lines[2:]],
    lambda lines: lines[:2] + lines[1:],
  ],
)
def test_a_line_that_is_lost_moved_or_doubled_is_damage(tmp_path, change):
  path = tmp_path / 'timings.jsonl'
  with trial_log.JsonLines(path) as lines:
    lines.append([{'phase': 'search'}] * 4)
  content = path.read_bytes().splitlines(keepends=True)
  path.write_bytes(b''.join(change(content)))
  with pytest.raises(ValueError, match=r'timings\.jsonl: line \d is damaged'):
    trial_log.read_json_lines(path)


def test_a_log_is_written_by_one_at_a_time(tmp_path):
  path = tmp_path / 'trials.jsonl'
  code = (
    'import sys\n'
    'from jaxnas.records import trial_log\n'
    'try:\n'
    '  trial_log.TrialLog(sys.argv[1])\n'
    'except ValueError as error:\n'
    '  print(error)\n'
  )
  with trial_log.TrialLog(path) as log:
    log.append([make_trial(0)])
    told = subprocess.run(
      [sys.executable, '-c', code, path], capture_output=True, text=True
    )
    assert told.stderr == ''
    assert 'trials.jsonl is in use by another process' in told.stdout
    assert told.stdout.count('\n') == 1
    with pytest.raises(workdir.WorkdirBusyError, match='open in this one'):
      trial_log.TrialLog(path)
    assert len(trial_log.read_trials(path)) == 1
  with trial_log.TrialLog(path) as log:
    assert len(log.trials) == 1


def test_a_failed_write_names_the_file_and_loses_only_half_a_line(
  tmp_path, warnings, monkeypatch
):
  path = tmp_path / 'trials.jsonl'
  write_log(path, 2)
  log = trial_log.TrialLog(path)
  size_of_line = len(json.dumps(make_trial(2).to_json()))
  file = log._lines._file

  class FullDisk:
    room = size_of_line + 30

    def write(self, data):
      if not self.room:
        raise OSError(errno.ENOSPC, 'No space left on device')
      written = file.write(data[: self.room])
      self.room -= written
      return written

    def close(self):
      file.close()

  monkeypatch.setattr(log._lines, '_file', FullDisk())
  with pytest.raises(OSError, match=r"No space left.*trials\.jsonl'"):
    log.append([make_trial(number) for number in range(2, 6)])
  assert len(log.trials) == 2
  assert file.closed
  with trial_log.TrialLog(path) as log:
    assert [trial.number for trial in log.trials] == [0, 1, 2]
    log.append([make_trial(3)])
  assert len(trial_log.read_trials(path)) == 4
  assert len(warnings) == 1


def test_a_log_that_begins_anew_keeps_what_it_had(tmp_path):
  path = tmp_path / 'trials.jsonl'
  first, second = (
    [make_trial(0, reward=reward), make_trial(1)] for reward in (1.0, 2.0)
  )
  with trial_log.TrialLog(path) as log:
    assert log.earlier == []
    log.append(first)
    assert log.begin_anew() == tmp_path / 'trials.jsonl.1'
    assert (log.trials, log.earlier) == ([], first)
    with pytest.raises(workdir.WorkdirBusyError):
      trial_log.TrialLog(path)
    log.append(second)
    assert log.begin_anew() == tmp_path / 'trials.jsonl.2'
    log.append(first[:1])
  with trial_log.TrialLog(path) as log:
    assert (log.trials, log.earlier) == (first[:1], first + second)
  (tmp_path / 'trials.jsonl.2').write_text('nonsense}\n')
  with pytest.raises(ValueError, match=r'trials\.jsonl\.2: line 1 is damaged'):
    trial_log.TrialLog(path)


def test_json_lines_grow_and_are_read_back(tmp_path):
  path = tmp_path / 'timings.jsonl'
  with trial_log.JsonLines(path) as lines:
    assert lines.lines == []
    lines.append([{'seconds': np.float32(1.5)}, {'shape': (2, 3)}])
    lines.append([])
    lines.append([{'seconds': math.inf}])
    expected = [{'seconds': 1.5}, {'shape': [2, 3]}, {'seconds': None}]
    assert lines.lines == expected
  assert trial_log.read_json_lines(path) == expected


def test_a_writer_killed_at_any_instant_leaves_whole_lines(tmp_path, warnings):
  path = tmp_path / 'timings.jsonl'
  writer = (
    'import sys\n'
    'from jaxnas.records import trial_log\n'
    'with trial_log.JsonLines(sys.argv[1]) as lines:\n'
    '  for number in range(10**9):\n'
    "    lines.append([{'number': number, 'pad': 'x' * 10**5}])\n"
    '    print(number, flush=True)\n'
  )
  with subprocess.Popen(
    [sys.executable, '-c', writer, str(path)], stdout=subprocess.PIPE
  ) as process:
    assert process.stdout
    for _ in range(20):
      process.stdout.readline()
    process.kill()
    last = [19, *map(int, process.stdout.read().split())][-1]
  with trial_log.JsonLines(path) as lines:
    numbers = [entry['number'] for entry in lines.lines]
  assert numbers == list(range(len(numbers)))
  assert len(numbers) > last

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses

import jax.numpy as jnp
import pytest

from jaxnas.costs import latency


@dataclasses.dataclass(frozen=True)
class Size:
  size: int

  def to_json(self):
    return dataclasses.asdict(self)


def make_program(each):
  matrix = jnp.ones((each.size, each.size))
  return latency.Program(lambda x: x @ x, (matrix,))


def test_the_median_of_calls_is_in_milliseconds(monkeypatch):
  # The clock stands still but for three slow calls, one of them very slow.
  ticks = iter([*range(2 * latency.NUM_WARM), 0, 2, 0, 500, 0, 3])
  monkeypatch.setattr(latency.time, 'perf_counter', lambda: next(ticks))
  assert latency.measure(make_program(Size(2)), 3) == 3000


def test_a_larger_product_takes_longer():
  of = latency.Latency(make_program)
  assert of(Size(600)) > of(Size(2)) > 0


def test_each_is_measured_once_and_kept_on_disk(tmp_path, monkeypatch):
  path = tmp_path / 'latencies.jsonl'
  of = latency.Latency(make_program)
  with of.kept(path):
    first = of(Size(3))
  assert of(Size(3)) == first
  monkeypatch.setattr(latency, 'measure', lambda program: 77.0)
  again = latency.Latency(make_program)
  with again.kept(path):
    assert again(Size(3)) == first
    assert again(Size(4)) == 77
  assert again(Size(5)) == 77
  assert len(path.read_text().splitlines()) == 2
  # What was measured before there was a file is as it was.
  with again.kept(path):
    assert len(path.read_text().splitlines()) == 3


def test_what_shares_a_program_is_measured_once(monkeypatch):
  measured = []

  def measure(program):
    measured.append(program)
    return 1.0

  monkeypatch.setattr(latency, 'measure', measure)
  of = latency.Latency(make_program, lambda each: Size(each.size // 2))
  assert of(Size(4)) == of(Size(5)) == of(Size(6)) == 1
  assert [program.arguments[0].shape for program in measured] == [
    (2, 2),
    (3, 3),
  ]


def test_a_damaged_file_is_named(tmp_path):
  path = tmp_path / 'latencies.jsonl'
  path.write_text('{"key":3,"latency_ms":1.0}\n')
  of = latency.Latency(make_program)
  with (
    pytest.raises(ValueError, match=r'latencies\.jsonl.*its key is 3'),
    of.kept(path),
  ):
    pass

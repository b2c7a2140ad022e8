# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import os
import pathlib
import subprocess
import sys
import time

import pytest

from jaxnas.workers import process_tree

on_linux = pytest.mark.skipif(sys.platform != 'linux', reason='no /proc')


def process(pid, started=0):
  return process_tree.Process(pid, started)


def test_descendants_are_of_all_generations():
  parents = {process(2): 1, process(3): 2, process(4): 3, process(5): 1}
  descendants = process_tree.descendants
  assert descendants([2], parents) == {process(3), process(4)}
  assert descendants([3, 5], parents) == {process(4)}
  assert descendants([9], parents) == set()
  # A table that was read while numbers changed hands may hold a circle.
  circle = {process(2): 3, process(3): 2}
  assert descendants([2], circle) == set(circle)


@on_linux
def test_a_process_is_ended_with_all_that_it_started():
  tree = "sleep 60 & setsid sh -c 'sleep 60 & wait' & wait"
  with (
    subprocess.Popen(['sh', '-c', tree], start_new_session=True) as root,
    subprocess.Popen(['sleep', '60']) as other,
  ):
    deadline = time.monotonic() + 20
    while len(found := process_tree.Lookout().descendants(root.pid, set())) < 3:
      assert time.monotonic() < deadline
      time.sleep(0.05)
    process_tree.end(root.pid)
    while {*found} & {*process_tree.read_parents()}:
      assert time.monotonic() < deadline
      time.sleep(0.05)
    assert other.poll() is None
    other.kill()
    root.kill()


@on_linux
def test_a_later_process_of_the_same_number_is_let_alone():
  with subprocess.Popen(['sleep', '60']) as child:
    (known,) = (
      each for each in process_tree.read_parents() if each.pid == child.pid
    )
    earlier = known._replace(started=known.started - 1)
    process_tree.end(None, [earlier])
    assert child.poll() is None
    process_tree.end(None, [known])
    assert child.wait(20) < 0


@on_linux
def test_a_name_can_not_hide_a_process(tmp_path):
  path = pathlib.Path(tmp_path, 'a) Z 1 (b')
  path.symlink_to('/bin/sleep')
  with subprocess.Popen([path, '60']) as child:
    pids = {each.pid: up for each, up in process_tree.read_parents().items()}
    assert pids[child.pid] == os.getpid()
    child.kill()


def test_nothing_is_found_where_there_is_no_proc(monkeypatch):
  monkeypatch.setattr(sys, 'platform', 'plan9')
  process_tree.adopt_orphans()
  assert process_tree.read_parents() == {}
  process_tree.end(os.getpid())

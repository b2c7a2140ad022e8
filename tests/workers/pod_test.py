# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What a pod checks before it waits; see also `tests/trainers/pod_test.py`."""

import socket

import pytest

from jaxnas.workers import pod


@pytest.mark.parametrize(
  ('place', 'line'),
  [
    (('here', 2, 0), "coordinator must be .* host:port, got 'here'"),
    ((':80', 2, 0), "coordinator must be .* host:port, got ':80'"),
    (('a:0', 2, 1), "coordinator must be .* host:port, got 'a:0'"),
    (('a:70000', 2, 1), "coordinator must be .* got 'a:70000'"),
    (('a:80', 0, 0), 'num_processes must be at least 1, got 0'),
    (('a:80', 2, 2), 'process_id must be from 0 to 1, got 2'),
    (('a:80', 2, -1), 'process_id must be from 0 to 1, got -1'),
    (('192.0.2.1:80', 2, 0), 'Process 0 cannot listen at 192.0.2.1:80'),
  ],
)
def test_an_impossible_place_is_refused(place, line):
  with pytest.raises(ValueError, match=line):
    pod.join(pod.Place(*place))


def test_a_port_in_use_is_told():
  with socket.socket() as other:
    other.bind(('127.0.0.1', 0))
    other.listen()
    port = other.getsockname()[1]
    with pytest.raises(ValueError, match=f'cannot listen at 127.0.0.1:{port}'):
      pod.join(pod.Place(f'127.0.0.1:{port}', 2, 0))


@pytest.mark.parametrize(
  ('environment', 'expected'),
  [
    ({}, None),
    # JAX gives each of several processes of a machine its own GPU.
    (
      {'SLURM_STEP_TASKS_PER_NODE': '4(x2)', 'SLURM_GPUS_ON_NODE': '4'},
      None,
    ),
    (
      {'SLURM_STEP_TASKS_PER_NODE': '1(x2)', 'SLURM_GPUS_ON_NODE': '4'},
      [0, 1, 2, 3],
    ),
    (
      {'SLURM_STEP_TASKS_PER_NODE': '1,1', 'CUDA_VISIBLE_DEVICES': '2,3'},
      [0, 1],
    ),
    ({'SLURM_STEP_TASKS_PER_NODE': '1'}, None),
    ({'SLURM_STEP_TASKS_PER_NODE': '1,2', 'SLURM_GPUS_ON_NODE': '4'}, None),
  ],
)
def test_one_process_of_a_machine_has_all_its_gpus(environment, expected):
  found = pod._slurm_devices(environment)
  assert (found if found is None else list(found)) == expected


def test_processes_with_other_numbers_of_devices_are_refused():
  pod._check_devices([0, 0, 1, 1])
  with pytest.raises(ValueError, match='Process 1 of the pod has 1 devices'):
    pod._check_devices([0, 0, 1])

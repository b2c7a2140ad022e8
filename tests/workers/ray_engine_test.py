# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import contextlib
import pathlib
import shutil
import sys
import tempfile

import pytest

sys.path.append(str(pathlib.Path(__file__).parent))

pytest.importorskip('ray', reason='Ray is not installed.')

from engine_conformance import *  # noqa: F403  # Its tests are run here.

from jaxnas.workers import ray_engine

# Ray on the loopback address alone, which notices within seconds that a machine
# has left, and neither asks for a token nor tells anybody that it is used.
ENVIRONMENT = {
  'RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER': '0',
  'RAY_USAGE_STATS_ENABLED': '0',
  'RAY_AUTH_MODE': 'disabled',
  'RAY_health_check_initial_delay_ms': '500',
  'RAY_health_check_period_ms': '500',
  'RAY_health_check_timeout_ms': '1000',
  'RAY_health_check_failure_threshold': '3',
}


@contextlib.contextmanager
def ray_environment():
  # The path of a socket must be short.
  folder = tempfile.mkdtemp(prefix='ray-')
  with pytest.MonkeyPatch.context() as patch:
    patch.delenv('RAY_ADDRESS', raising=False)
    for name, value in {**ENVIRONMENT, 'RAY_TMPDIR': folder}.items():
      patch.setenv(name, value)
    yield
  shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def cluster_of(num_cpus):
  with ray_environment():
    from ray import cluster_utils

    cluster = cluster_utils.Cluster(
      initialize_head=True,
      head_node_args={'num_cpus': num_cpus, 'include_dashboard': False},
    )
    try:
      yield cluster
    finally:
      cluster.shutdown()


@pytest.fixture(scope='module')
def cluster():
  with cluster_of(2) as made:
    yield made


@pytest.fixture
def make_engine(cluster):
  return lambda num_workers: ray_engine.RayEngine(num_workers, cluster.address)

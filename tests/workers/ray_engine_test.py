# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import contextlib
from importlib import util
import multiprocessing
import os
import pathlib
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import chex
import jax
import pytest

sys.path.append(str(pathlib.Path(__file__).parent))

from engine_conformance import *  # noqa: F403  # Its tests are run here.
from engine_conformance import ask, started, wait_for_the_end_of
import worker_functions

from jaxnas.trainers import functions
from jaxnas.types import Status
from jaxnas.workers import dispatcher as dispatcher_lib
from jaxnas.workers import policies, process_tree, ray_engine, ray_gateway
from jaxnas.workers.engine import Kind

pytestmark = [
  pytest.mark.slow,
  pytest.mark.skipif(
    util.find_spec('ray') is None, reason='Ray is not installed.'
  ),
]

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
    # It reads them when it is imported.
    from ray import cluster_utils

    cluster = cluster_utils.Cluster(
      initialize_head=True,
      head_node_args={
        'num_cpus': num_cpus,
        # Ray believes it.
        'num_gpus': 2,
        'include_dashboard': False,
      },
    )
    try:
      assert cluster.address.startswith('127.0.0.1:')
      yield cluster
    finally:
      cluster.shutdown()


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch, tmp_path_factory):
  # That of pytest outlives a test.
  tmp_path_factory.getbasetemp()
  # What a killed program, or one without a head, leaves there.
  with tempfile.TemporaryDirectory(prefix='ray-') as folder:
    monkeypatch.setattr(tempfile, 'tempdir', folder)
    monkeypatch.setenv('TMPDIR', folder)
    yield


@pytest.fixture(scope='module')
def cluster():
  with cluster_of(2) as made:
    yield made


@pytest.fixture
def make_engine(cluster):
  return lambda num_workers: ray_engine.RayEngine(num_workers, cluster.address)


def ask_pid(engine, wait_for, worker, number=1, deed='pid'):
  ask(engine, worker, number, deed)
  return pickle.loads(wait_for(Kind.ANSWERED, worker=worker).answer)


def raylet_of(node):
  return node.all_processes['raylet'][0].process.pid


def test_workers_come_and_go_with_machines(cluster, make_engine):
  engine = make_engine(3)
  with started(engine) as wait_for:
    first, second = (wait_for(Kind.JOINED).worker for _ in range(2))
    # The cluster is too small for the third.
    assert engine.wait(0.5) == []
    assert engine.num_starting == 1
    ask(engine, second, 8, 'sleep', 3)
    node = cluster.add_node(num_cpus=1)
    third = wait_for(Kind.JOINED).worker
    assert third not in (first, second)
    assert engine.num_starting == 0
    pid = ask_pid(engine, wait_for, third)
    ask(engine, third, 2, 'sleep', 60)
    time.sleep(0.5)
    cluster.remove_node(node, allow_graceful=False)
    event = wait_for(Kind.LOST)
    assert (event.worker, event.number) == (third, 2)
    assert event.reason.startswith('its machine left (')
    assert '\n' not in event.reason
    assert engine.num_starting == 1
    wait_for_the_end_of([pid])
    assert ask_pid(engine, wait_for, first)
    assert wait_for(Kind.ANSWERED).number == 8
    # A machine that does not answer counts as one that left.
    node = cluster.add_node(num_cpus=1)
    assert wait_for(Kind.JOINED).worker == third
    ask(engine, third, 3, 'sleep', 60)
    time.sleep(0.5)
    raylet = raylet_of(node)
    os.kill(raylet, signal.SIGSTOP)
    try:
      event = wait_for(Kind.LOST)
      assert (event.worker, event.number) == (third, 3)
    finally:
      os.kill(raylet, signal.SIGCONT)
      cluster.remove_node(node, allow_graceful=False)


def test_an_actor_that_is_killed_died_with_its_request(make_engine):
  engine = make_engine(1)
  with started(engine) as wait_for:
    name = wait_for(Kind.JOINED).worker
    actor = ask_pid(engine, wait_for, name, deed='parent')
    pid = ask_pid(engine, wait_for, name)
    ask(engine, name, 2, 'sleep', 60)
    time.sleep(0.5)
    os.kill(actor, signal.SIGKILL)
    event = wait_for(Kind.DIED)
    assert (event.worker, event.number) == (name, 2)
    assert event.reason.startswith('its actor died (')
    wait_for_the_end_of([pid])
    assert wait_for(Kind.JOINED).worker == name
    assert ask_pid(engine, wait_for, name) != pid


def test_an_actor_that_does_not_answer_is_replaced(make_engine):
  engine = make_engine(1)
  with started(engine) as wait_for:
    name = wait_for(Kind.JOINED).worker
    actor = ask_pid(engine, wait_for, name, deed='parent')
    pid = ask_pid(engine, wait_for, name)
    ask(engine, name, 2, 'sleep', 60)
    time.sleep(0.5)
    os.kill(actor, signal.SIGSTOP)
    engine.stop(name)
    event = wait_for(Kind.STOPPED)
    assert (event.worker, event.number) == (name, 2)
    wait_for_the_end_of([actor, pid])
    assert wait_for(Kind.JOINED).worker == name


def test_a_block_without_memory_is_run_again_and_then_split(
  make_engine, monkeypatch, caplog
):
  serve = worker_functions.serve_short_of_memory
  monkeypatch.setattr(ray_gateway, 'serve', serve)
  events = []
  dispatcher = dispatcher_lib.Dispatcher(
    make_engine(1),
    pickle.dumps(worker_functions.Speller),
    policies.Blocks(),
    write_event=events.append,
  )
  try:
    number = dispatcher.submit(worker_functions.Block('ab'))
    ((found, parts),) = dispatcher.collect()
  finally:
    dispatcher.close()
  assert found == number
  assert [(each.status, each.answer) for each in parts] == [
    (Status.OK, 'A'),
    (Status.OK, 'B'),
  ]
  reason = 'Ray ended it for lack of memory on its machine'
  assert [record.getMessage() for record in caplog.records] == [
    f'block 1 (ab) crashed: {reason}; it is run again.',
    f'block 1 (ab) crashed: {reason}; it is split.',
  ]
  died = [each for each in events if each['event'] == 'died']
  assert [each['reason'] for each in died] == [reason] * 2


def wait_for_an_error(engine, seconds):
  """Returns the line of an engine that soon finds that there is no Ray."""
  reason = ''
  began = time.monotonic()
  while not reason and time.monotonic() - began < seconds:
    try:
      engine.wait(1.0)
    except ConnectionError as error:
      reason = str(error)
  assert len(reason.splitlines()) == 1
  return reason


def test_a_cluster_whose_head_has_gone_is_told_and_another_goes_on(make_engine):
  with cluster_of(1) as cluster:
    engine = ray_engine.RayEngine(1, cluster.address)
    with started(engine) as wait_for:
      pid = ask_pid(engine, wait_for, wait_for(Kind.JOINED).worker)
      for processes in cluster.head_node.all_processes.values():
        for each in processes:
          each.process.kill()
      reason = wait_for_an_error(engine, 40)
      assert reason.startswith(f'The head of Ray at {cluster.address} has gone')
      assert 'the same command continues' in reason
      # It stays so.
      assert wait_for_an_error(engine, 1) == reason
      wait_for_the_end_of([pid])
  engine = make_engine(1)
  with started(engine) as wait_for:
    assert ask_pid(engine, wait_for, wait_for(Kind.JOINED).worker)


def test_each_worker_has_its_own_environment(cluster):
  engine = ray_engine.RayEngine(
    2, cluster.address, environments=[{'CARD': '3'}, {'CARD': '7'}]
  )
  with started(engine) as wait_for:
    names = sorted(wait_for(Kind.JOINED).worker for _ in range(2))
    assert names == ['ray 1', 'ray 2']
    for name, card in zip(names, '37', strict=True):
      ask(engine, name, 1, 'environment', 'CARD')
      assert pickle.loads(wait_for(Kind.ANSWERED).answer) == card
      # Nobody has told Ray of a GPU.
      ask(engine, name, 2, 'environment', 'JAX_PLATFORMS')
      assert pickle.loads(wait_for(Kind.ANSWERED).answer) == 'cpu'


def test_each_worker_has_its_own_gpu(cluster, monkeypatch):
  # Those of this machine are of no concern to others.
  monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '5')
  monkeypatch.setenv('JAX_PLATFORMS', 'cpu')
  engine = ray_engine.RayEngine(2, cluster.address, gpus_per_worker=1)
  with started(engine) as wait_for:
    seen = set()
    for _ in range(2):
      name = wait_for(Kind.JOINED).worker
      for number, variable in enumerate(
        ('CUDA_VISIBLE_DEVICES', 'JAX_PLATFORMS')
      ):
        ask(engine, name, number, 'environment', variable)
        seen.add(pickle.loads(wait_for(Kind.ANSWERED).answer))
    assert seen == {'0', '1', ''}


def test_a_python_function_is_called_on_ray(cluster):
  values = [(), ('return', 2.5), ('exit', 3)]
  keys = jax.random.split(jax.random.key(0), len(values))
  results = []
  for settings in (
    {'workers': 'ray', 'ray_address': cluster.address},
    {'workers': 'processes'},
  ):
    trainer = functions.FunctionTrainer(
      worker_functions.call, num_workers=2, num_retries=0, **settings
    )
    results.append(trainer.run(values, keys))
    trainer.close()
  over_ray, here = results
  assert list(here.status) == [Status.OK, Status.OK, Status.CRASHED]
  chex.assert_trees_all_equal(over_ray.metrics, here.metrics)
  assert list(over_ray.status) == list(here.status)
  assert over_ray.reasons == here.reasons


def free_port():
  with socket.socket() as each:
    each.bind(('127.0.0.1', 0))
    return each.getsockname()[1]


def wait_for_no_ray(address):
  """Returns the line of an engine that finds no Ray at an address."""
  engine = ray_engine.RayEngine(1, address)
  try:
    engine.start(b'')
    return wait_for_an_error(engine, 20)
  finally:
    engine.close()


def test_the_running_cluster_of_a_machine_is_found(cluster, monkeypatch):
  monkeypatch.setenv('RAY_ADDRESS', cluster.address)
  with started(ray_engine.RayEngine(1, 'auto')) as wait_for:
    wait_for(Kind.JOINED)
  # One that is not there any more is not waited for.
  address = f'127.0.0.1:{free_port()}'
  monkeypatch.setenv('RAY_ADDRESS', address)
  assert address in wait_for_no_ray('auto')


def test_an_address_where_nothing_listens_is_an_error():
  address = f'127.0.0.1:{free_port()}'
  reason = wait_for_no_ray(address)
  assert reason.startswith(f'No Ray can be reached at {address} (')


def test_something_else_that_listens_is_an_error(monkeypatch):
  monkeypatch.setattr(ray_engine, 'JOIN_SECONDS', 6.0)
  with socket.socket() as other:
    other.bind(('127.0.0.1', 0))
    other.listen()
    reason = wait_for_no_ray(f'127.0.0.1:{other.getsockname()[1]}')
  assert "Ray's logs are in " in reason


@pytest.mark.parametrize(
  'address', ['127.0.0.1', 'ray://127.0.0.1:1', 'http://a:1', 'a:b', 'a:1 ']
)
def test_an_address_that_is_none_is_an_error(address):
  with pytest.raises(ValueError, match=r'address must be .* got '):
    ray_engine.RayEngine(1, address)


def test_ray_that_is_not_installed_is_an_error(monkeypatch):
  monkeypatch.setitem(sys.modules, 'ray', None)
  with pytest.raises(ValueError, match=r"pip install 'jaxnas\[ray\]'"):
    ray_engine.RayEngine(1)


def test_a_gateway_that_ends_is_an_error(make_engine):
  engine = make_engine(1)
  with started(engine) as wait_for:
    wait_for(Kind.JOINED)
    (gateway,) = multiprocessing.active_children()
    gateway.kill()
    assert 'exit code -9' in wait_for_an_error(engine, 10)


PROGRAM = """
import os, pickle, signal, sys, time
from jaxnas.workers import ray_engine
from jaxnas.workers.engine import Kind

class Servant:
  def card(self):
    return {}

  def __call__(self, request):
    time.sleep(request)
    return os.getpid()

if __name__ == '__main__':
  engine = ray_engine.RayEngine(2)
  engine.start(pickle.dumps(Servant))
  while True:
    for event in engine.wait(1):
      assert event.kind in (Kind.JOINED, Kind.ANSWERED), event
      is_new = event.kind is Kind.JOINED
      engine.send(event.worker, 1, pickle.dumps(0 if is_new else 60))
      if not is_new:
        is_default = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        print(pickle.loads(event.answer), is_default, 'ray' in sys.modules)
        sys.stdout.flush()
"""


# An address of IPv4, the same as one of IPv6, and that of IPv6.
LOOPBACK = {
  '0100007F',
  '0000000000000000FFFF00000100007F',
  '00000000000000000000000001000000',
}


def listening_addresses(pids):
  """Returns the addresses at which processes listen, as Linux writes them."""
  sockets = set()
  for pid in pids:
    for path in pathlib.Path(f'/proc/{pid}/fd').glob('*'):
      with contextlib.suppress(OSError):
        sockets.add(os.readlink(path))
  rows = [
    line.split()
    for name in ('tcp', 'tcp6')
    for line in pathlib.Path(f'/proc/net/{name}').read_text().splitlines()[1:]
  ]
  return {
    row[1].partition(':')[0]
    for row in rows
    if row[3] == '0A' and f'socket:[{row[9]}]' in sockets
  }


@pytest.mark.skipif(sys.platform != 'linux', reason='It reads /proc.')
def test_a_private_ray_is_alone_silent_and_ends_with_its_program(tmp_path):
  path = tmp_path / 'program.py'
  path.write_text(PROGRAM)
  environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)}
  with subprocess.Popen(
    [sys.executable, str(path)],
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
    env=environment,
  ) as program:
    found, addresses = set(), set()
    try:
      lines = [program.stdout.readline() for _ in range(2)]
      found = process_tree.descendants(
        [program.pid], process_tree.read_parents()
      )
      addresses = listening_addresses({each.pid for each in found})
    finally:
      program.kill()
    pids = {each.pid for each in found}
    assert len(pids) > 5
    assert addresses
    assert addresses <= LOOPBACK
    workers = {int(line.split()[0]) for line in lines}
    assert len(workers) == 2
    assert workers <= pids
    assert [line.split()[1:] for line in lines] == [['True', 'False']] * 2
    wait_for_the_end_of(pids)
    assert program.stdout.read() == ''

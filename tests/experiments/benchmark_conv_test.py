# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import contextlib
import importlib.util
import json
import os

import jax
import pytest

from experiments import benchmark_conv as benchmark
from experiments.benchmarks import conv_costs as costs_lib
from experiments.benchmarks import conv_jax as worker_jax
from experiments.benchmarks import conv_rows
from experiments.benchmarks import conv_shapes as shapes_lib
from experiments.benchmarks import device as device_lib
from experiments.benchmarks import frameworks as frameworks_lib
from jaxnas.records import workdir
from jaxnas.spaces import known_conv_nets
from jaxnas.trainers import conv_routes

HAS_TORCH = importlib.util.find_spec('torch') is not None
TINY_SHAPE = shapes_lib.Shape(
  (4, 4, 1),
  2,
  (2,),
  heights=(1,),
  widths=(1,),
  num_sampled=2,
  num_burst_steps=2,
  is_small=True,
)
TINY = {
  'shapes': ('tiny',),
  'num_layers': 1,
  'num_children': 2,
  'num_steps': (2, 4),
  'num_grouped': 2,
  'num_repeats': 2,
  'convolution_sizes': (3,),
  'convolution_channels': 2,
  'convolution_image_size': 5,
  'convolution_batch_size': 2,
  'convolution_calls': 2,
}
ALL_ROWS = {
  'step': 2, 'compile': 2, 'total': 8, 'hour': 2, 'routes': 1, 'full': 1,
  'grouped': 1, 'convolution': 2, 'memory': 2,
}  # fmt: skip


class HereWorker:
  """A worker that measures in this process."""

  def __init__(self, makers, facts):
    self.facts = facts
    self._makers = makers

  def make(self, name, **settings):
    facts, burst = self._makers[name](**json.loads(json.dumps(settings)))
    return HereMeasurement(workdir.plain_json(facts), burst)


class HereMeasurement:
  def __init__(self, facts, burst):
    self.facts = facts
    self._burst = burst

  def burst(self, **settings):
    return workdir.plain_json(self._burst(**settings))


class HereFrameworks:
  """All workers in this process."""

  is_cpu = True
  torch_device = 'cpu'

  def __init__(self, stack, prefix, target, searching):
    self.about = {'names': {'names': f'{prefix} {target} {searching}'}}

  def why_no_torch(self):
    return None if HAS_TORCH else 'it is missing'

  def jax(self):
    return HereWorker(worker_jax.MAKERS, device_lib.describe())

  @contextlib.contextmanager
  def search_jax(self, xla_flags=''):
    yield self.jax()

  def torch(self, number):
    from experiments.benchmarks import conv_torch

    return HereWorker(conv_torch.MAKERS, {})


class FakeFrameworks:
  """What an accelerator would be: nothing is measured, all is made up."""

  def __init__(self, is_cpu=False, why=None, too_large=()):
    self.is_cpu = is_cpu
    self.torch_device = 'cpu' if is_cpu else 'cuda'
    self.num_devices = 1
    self.made = []
    self._why, self._too_large = why, too_large

  def why_no_torch(self):
    return self._why

  @contextlib.contextmanager
  def search_jax(self, xla_flags=''):
    yield FakeWorker(self, xla_flags, self._too_large)

  def jax(self):
    return FakeWorker(self, '', ())

  def torch(self, number):
    return FakeWorker(self, f'torch {number}', ())


class FakeWorker:
  def __init__(self, frameworks, flags, too_large):
    self.facts = {'num_devices': frameworks.num_devices}
    self._frameworks, self._flags = frameworks, flags
    self._too_large = too_large

  def make(self, name, **settings):
    route = settings.get('route')
    self._frameworks.made.append((name, route, self._flags, settings))
    if route in self._too_large:
      raise ChildProcessError('out of memory')
    return FakeMeasurement(
      {'cold_seconds': 5.0, 'compile_seconds': 1.0 if self._flags else 8.0}
    )


class FakeMeasurement:
  def __init__(self, facts):
    self.facts = facts

  def burst(self, num_steps=1):
    return {'seconds': 1.0 + 0.1 * num_steps, 'peak_bytes': 2e9}


@pytest.fixture(autouse=True, scope='module')
def quick_compilation():
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', False)


@pytest.fixture
def tiny(monkeypatch):
  monkeypatch.setitem(shapes_lib.SHAPES, 'tiny', TINY_SHAPE)
  return TINY


@pytest.mark.slow
def test_every_row_is_measured_and_written(tmp_path, capsys, monkeypatch, tiny):
  monkeypatch.setattr(frameworks_lib, 'Frameworks', HereFrameworks)
  output = tmp_path / 'new' / 'table.json'
  # The vmapped route differs in its name alone, and takes long to compile.
  routes = ('compiled', 'interpreted')
  benchmark.run(benchmark.Config(output=str(output), routes=routes, **tiny))
  printed = capsys.readouterr().out
  written = json.loads(output.read_text())
  assert set(written) == {'about', 'config', 'rows', 'left_out', 'seconds'}
  assert 'conv_ bench-conv training in jax' in printed
  assert written['about']['tiny'].startswith('4x4x1 in batches of 2, 1 layers')
  # Without the vmapped route there is nothing to compare with a mask.
  expected = {'autotuning', 'masked'} | (set() if HAS_TORCH else {'PyTorch'})
  assert set(written['left_out']) == expected
  names = [row['row'] for row in written['rows']]
  assert {name: names.count(name) for name in names} == ALL_ROWS
  assert names == sorted(names, key=benchmark.ROWS.index)
  with_theirs = {'routes', 'full', 'grouped', 'convolution'}
  if HAS_TORCH:
    with_theirs |= {'step', 'total', 'hour', 'memory'}
  for row in written['rows']:
    assert row['name'] in printed
    # What noise can leave of a compilation that is already cached.
    assert row['ours'] > 0 or row['row'] == 'compile'
    assert (row['ratio'] is not None) == (row['row'] in with_theirs)
    assert row['ratio'] is None or row['ratio'] > 0
    # The floors are for the default settings.
    assert (row['floor'], row['met']) == (None, '-')
    is_part = row['row'] in ('total', 'hour')
    assert bool(row['extrapolated']) == is_part
    assert len({row['name'] for row in written['rows']}) == len(names)
  assert '| ~' in printed


def test_the_routes_are_those_of_a_search():
  assert benchmark.ROUTES == conv_routes.ROUTES


def test_routes_are_timed_by_the_difference_of_bursts(tiny):
  frameworks = FakeFrameworks(is_cpu=True)
  rows = measure(
    frameworks,
    rows=('step', 'compile', 'total', 'hour', 'memory', 'masked', 'grouped'),
  )
  steps = {name: row for name, row in rows.items() if row.row == 'step'}
  # 2 networks; a step of all is 0.1 s, what else a burst has is 1 s.
  for row in steps.values():
    assert row.ours == pytest.approx(50)
    assert row.theirs == pytest.approx(1e3 * 1.2 / 2 / 2)
    assert row.ratio == pytest.approx(6)
  once, each = (
    rows['compiling once, tiny, interpreted'],
    rows['compiling each child, tiny, compiled'],
  )
  assert (once.ours, each.ours) == pytest.approx((3.9, 1.95))
  child = 0.5 + 4 * 0.05
  assert rows[
    '2 children x 4 steps, tiny, interpreted, with compiling'
  ].ours == pytest.approx(3.9 + 2 * child)
  total = rows['2 children x 4 steps, tiny, compiled, with compiling']
  assert total.ours == pytest.approx(2 * (1.95 + child))
  assert total.theirs == pytest.approx(2 * 4 * 0.3)
  assert total.extrapolated == ('ours', 'theirs')
  hour = rows['children of 4 steps, tiny, interpreted']
  assert hour.ours == pytest.approx(3600 / child)
  assert hour.ratio == pytest.approx(1.2 / child)
  masked = rows['interpreted training step against vmapped, tiny']
  assert (masked.ours, masked.ratio) == pytest.approx((50, 1))
  (grouped,) = (row for row in rows.values() if row.row == 'grouped')
  # A burst of 1 step, of 2 children.
  assert (grouped.theirs, grouped.ratio) == pytest.approx((550, 11))
  memory = rows['peak memory against PyTorch eager, tiny, compiled']
  assert (memory.ours, memory.ratio) == (2, 1)


def test_an_accelerator_takes_longer_bursts_and_more_children(tiny):
  frameworks = FakeFrameworks()
  rows = measure(frameworks, rows=('step', 'autotuning'), num_children=3)
  sizes = {
    route: len(settings['architectures'])
    for name, route, flags, settings in frameworks.made
    if name == 'train' and not flags
  }
  assert sizes == {'compiled': 2, 'interpreted': 2, 'vmapped': 3}
  step = rows['training step against PyTorch eager, tiny, vmapped']
  # 10 steps instead of 2.
  assert step.theirs == pytest.approx(1e3 * 2 / 10 / 2)
  (torch_settings,) = [
    settings for _, _, flags, settings in frameworks.made if 'torch' in flags
  ]
  assert torch_settings['device'] == 'cuda'
  tuning = [row for row in rows.values() if row.row == 'autotuning']
  assert [(row.ours, row.theirs, row.ratio) for row in tuning] == [
    (0.5, 4, 8),
    (1, 8, 8),
  ]
  assert {flags for _, _, flags, _ in frameworks.made} == {
    '', 'torch 0', '--xla_gpu_autotune_level=0'
  }  # fmt: skip


def test_a_masked_network_that_does_not_fit_is_left_out(tiny):
  frameworks = FakeFrameworks(too_large=('vmapped',))
  measuring = make_benchmark(frameworks, rows=('step', 'masked'))
  assert {row.row for row in measuring.measure()} == {'step'}
  assert measuring.left_out.pop('vmapped, tiny') == 'out of memory'
  assert set(measuring.left_out) == {'masked'}
  with pytest.raises(ChildProcessError, match='out of memory'):
    measure(FakeFrameworks(too_large=('compiled',)), rows=('step',))


def test_all_are_measured_by_the_same_networks_and_none_is_there_twice():
  frameworks = FakeFrameworks(is_cpu=True)
  frameworks.num_devices = 3
  routes = ('compiled', 'interpreted')
  measuring = make_benchmark(
    frameworks, shapes=('28x28',), rows=('step',), routes=routes, num_layers=2
  )
  measuring.measure()
  samples = [
    [json.dumps(net) for net in settings['architectures']]
    for _, _, _, settings in frameworks.made
  ]
  # Of 4, or of 2 children, 6 for 3 devices.
  assert [len(set(sample)) for sample in samples] == [6, 6, 6]
  assert samples[0] == samples[1] == samples[2]
  assert 'a sample of 6 with' in measuring.about['28x28']


@pytest.mark.parametrize(
  'settings',
  [
    {'rows': ('full',), 'shapes': ('28x28',)},
    {'rows': ('masked',), 'shapes': ('digits',), 'routes': ('vmapped',)},
  ],
)
def test_a_row_that_is_missing_is_told(settings):
  measuring = make_benchmark(FakeFrameworks(is_cpu=True), **settings)
  assert measuring.measure() == []
  assert measuring.left_out[settings['rows'][0]]


@pytest.mark.parametrize(
  ('is_cpu', 'why', 'left_out'),
  [
    (True, None, {'autotuning', 'vmapped, 28x28', 'vmapped, 32x32'}),
    (False, 'no', {'PyTorch'}),
  ],
)
def test_what_makes_no_sense_is_left_out(is_cpu, why, left_out):
  measuring = conv_rows.Benchmark(
    benchmark.Config(), FakeFrameworks(is_cpu, why)
  )
  measuring._leave_out()
  assert set(measuring.left_out) == left_out
  assert measuring._routes('digits') == list(benchmark.ROUTES)


def test_whole_trainings_need_both_routes(tiny):
  measuring = make_benchmark(
    FakeFrameworks(is_cpu=True), rows=('full',), routes=('interpreted',)
  )
  assert measuring.measure() == []
  assert set(measuring.left_out) == {'full'}


def test_floors_hold_for_the_default_settings_on_a_cpu():
  cpu = FakeFrameworks(is_cpu=True)
  measuring = conv_rows.Benchmark(benchmark.Config(), cpu)
  assert measuring._floor('grouped', 'digits') == 100
  assert measuring._floor('routes', '28x28') is None
  assert measuring._floor('convolution', None) == 0.8
  measuring = conv_rows.Benchmark(benchmark.Config(num_layers=5), cpu)
  assert measuring._floor('grouped', 'digits') is None
  assert measuring._floor('convolution', None) == 0.8
  gpu = FakeFrameworks()
  measuring = conv_rows.Benchmark(benchmark.Config(), gpu)
  assert measuring._floor('convolution', None) is None


def test_costs_add_up():
  cost = costs_lib.Cost(6.0, False, False, 1.0, 0.5)
  assert cost.total(3, 4) == 6 + 3 * 3
  assert cost.per_hour(4) == 1200
  shared = costs_lib.Cost(6.0, True, False, 1.0, 0.5)
  assert shared.total(3, 4) == 3 * (6 + 3)
  assert shared.per_hour(4) == 400
  # The first is compiled, the last is trained, all else overlaps.
  overlapping = shared._replace(overlaps=True)
  assert overlapping.total(3, 4) == 6 + 6 + 6 + 3
  assert overlapping.total(3, 20) == 6 + 11 + 11 + 11
  assert overlapping.per_hour(4) == 600


def test_a_burst_that_drowns_in_noise_keeps_its_overhead():
  cost = costs_lib.measured(
    {'short': [{'seconds': 3.0}], 'long': [{'seconds': 2.0}]},
    2.5,
    2,
    3,
    is_each=True,
    overlaps=False,
  )
  assert (cost.step, cost.child, cost.compiling) == (0.25, 1.25, 0)


def test_networks_are_of_one_seed_and_of_the_space():
  shape = shapes_lib.SHAPES['digits']
  nets = shapes_lib.random_nets(shape, 6, 3)
  assert nets == shapes_lib.random_nets(shape, 6, 5)[:3]
  assert len(set(nets)) == 3
  assert {len(net.layers) for net in nets} == {6}
  assert {layer.filters for net in nets for layer in net.layers} <= {
    8, 12, 16, 24
  }  # fmt: skip
  assert any(net.layers[5].inputs for net in nets)
  net = known_conv_nets.make_chain(2, 3)
  # 16 pixels of two 3x3 convolutions, and the classifier.
  assert shapes_lib.multiply_adds(TINY_SHAPE, net) == 16 * 9 * 12 + 30


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'rows': ('setp',)}, "Unknown name 'setp' in rows; expected some of step"),
    ({'shapes': ('29x29',)}, "'29x29' in shapes; expected some of digits, 28"),
    ({'routes': ('eager',)}, "Unknown name 'eager' in routes"),
    ({'rows': ()}, 'rows needs at least one value'),
    (
      {'num_steps': (20, 0)},
      'num_steps must be from 1 to 1,000,000,000, got 0',
    ),
    ({'convolution_sizes': (4,)}, 'convolution_sizes must be odd, got 4'),
  ],
)
def test_a_bad_setting_is_refused(fields, message):
  with pytest.raises(ValueError, match=message):
    benchmark.Config(**fields)


def test_an_output_that_is_a_folder_is_refused_at_once(tmp_path):
  config = benchmark.Config(output=str(tmp_path))
  with pytest.raises(OSError, match='output must be a file'):
    benchmark.run(config)


def test_a_worker_of_its_own_measures(monkeypatch):
  flags = f'{os.environ["XLA_FLAGS"]} --xla_backend_optimization_level=0'
  monkeypatch.setenv('XLA_FLAGS', flags)
  with contextlib.ExitStack() as stack:
    frameworks = frameworks_lib.Frameworks(stack, 'conv_', 'bench-conv')
    worker = frameworks.jax()
    assert worker.module == 'experiments.benchmarks.conv_jax'
    assert worker.facts['num_devices'] == 1
    measurement = worker.make(
      'convolution',
      kind='loop',
      image_size=4,
      channels=1,
      batch_size=1,
      kernel_size=1,
    )
    assert measurement.burst()['seconds'] > 0
    with pytest.raises(ChildProcessError, match='conv_jax failed'):
      worker.make('train', route='no', architectures=[])
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  assert '`make bench-conv`' in frameworks.why_no_torch()


def make_benchmark(frameworks, **settings):
  return conv_rows.Benchmark(
    benchmark.Config(**{**TINY, **settings}), frameworks
  )


def measure(frameworks, **settings):
  return {
    row.name: row for row in make_benchmark(frameworks, **settings).measure()
  }

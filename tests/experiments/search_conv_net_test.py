# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of the search for a convolutional network, end to end in small."""

import dataclasses
import itertools
import json
import shutil
import subprocess
import sys
import types

from absl import flags
import jax
import numpy as np
import pytest

from experiments import launch, search_conv_net, train_conv_net
from experiments.parts import conv_nets
from jaxnas import search as search_lib
from jaxnas.children import conv_net
from jaxnas.datasets import image_builders, image_sources, images
from jaxnas.export import architecture as architecture_file
from jaxnas.records import search_fronts, trial_log, workdir
from jaxnas.spaces import known_conv_nets
from jaxnas.trainers import conv_routes, memory, routes

OUTPUTS = (
  'best.json',
  'best_net.svg',
  'curve.png',
  'trials.jsonl',
)


def write_images(path):
  """Writes images whose class is where they are bright.

  There is no test split, for no search may want one.
  """
  generator = np.random.default_rng(0)
  labels = generator.integers(0, 3, 200)
  images = generator.integers(0, 120, (200, 5, 5))
  images[np.arange(200), :, 1 + labels] += 100
  np.savez(path, x_train=images.astype(np.uint8), y_train=labels)
  return str(path)


@pytest.fixture(scope='module')
def data_file(tmp_path_factory):
  return write_images(tmp_path_factory.mktemp('images') / 'images.npz')


def small(data_file, **changes):
  settings = {
    'dataset': 'npz',
    'data_dir': data_file,
    'num_layers': 2,
    # Each pair of sizes is a branch to compile; one is not square.
    'heights': (1, 3),
    'widths': (3,),
    'filters': (2, 3),
    'known_nets': ('chain', 'resnet'),
    'route': 'interpreted',
    'controller_features': 5,
    'controller_layers': 1,
    'num_trials': 16,
    'trials_per_update': 4,
    'batch_size': 16,
    'num_steps': 40,
    'num_winners': 1,
    'num_selection_seeds': 1,
    'num_seeds': 2,
    'retrain_learning_rates': (0.1,),
    'block_size': 4,
    'num_host_devices': 2,
    'checkpoint_every': 1,
  }
  return search_conv_net.Config(**settings | changes)


@pytest.fixture(scope='module')
def finished(tmp_path_factory, data_file):
  folder = tmp_path_factory.mktemp('run')
  search_conv_net.run(small(data_file), str(folder))
  return folder


def contents(folder):
  return {name: (folder / name).read_bytes() for name in OUTPUTS}


@pytest.mark.slow
def test_run_writes_all_its_files(finished):
  # The last two tell times.
  names = (*OUTPUTS, 'config.json', 'manifest.json')
  for name in (*names, 'timings.jsonl', 'report.html'):
    assert (finished / name).stat().st_size > 0
  trials = trial_log.read_trials(finished / 'trials.jsonl')
  arms = [trial.arm for trial in trials]
  # The space is too shallow for a residual network.
  assert arms.count('known') == 1
  assert arms.count('random') == arms.count('reinforce') == 8
  # The chain, which is the dense network of two layers too, and one winner of
  # each arm, with a seed to choose and two.
  assert arms.count('retrain') == 9
  for trial in trials:
    assert trial.status == 'ok'
    accuracy = trial.metrics['best_accuracy']
    assert trial.reward == pytest.approx(accuracy**3, rel=1e-6)
    assert ('report_accuracy' in trial.metrics) == (trial.arm == 'retrain')
  best = max(trial.metrics['best_accuracy'] for trial in trials)
  assert best > 0.6
  manifest = workdir.read_manifest(finished)
  assert manifest['route'] == 'interpreted'
  assert manifest['known'] == ['chain']


@pytest.mark.slow
def test_the_best_network_is_a_file_that_flax_runs(finished):
  facts = json.loads((finished / 'best.json').read_text())
  net = architecture_file.load_architecture(finished / 'best.json', 'conv_net')
  network = conv_net.ConvNetwork(architecture=net, num_classes=3)
  variables = jax.jit(network.init)(jax.random.key(0), np.zeros((2, 5, 5, 1)))
  assert facts['num_params'] == sum(
    leaf.size for leaf in jax.tree.leaves(variables['params'])
  )
  assert len(facts['report_accuracy']) == 2
  with pytest.raises(ValueError, match='expected recurrent_cell'):
    architecture_file.load_architecture(
      finished / 'best.json', 'recurrent_cell'
    )


@pytest.mark.slow
def test_a_log_that_was_cut_is_continued_to_the_same_bytes(
  tmp_path, data_file, finished
):
  folder = tmp_path / 'run'
  shutil.copytree(finished, folder)
  lines = (finished / 'trials.jsonl').read_bytes().splitlines(keepends=True)
  kept = [*lines[:7], lines[7][:20]]
  (folder / 'trials.jsonl').write_bytes(b''.join(kept))
  (folder / 'best.json').unlink()
  search_conv_net.run(small(data_file), str(folder))
  assert contents(folder) == contents(finished)


@pytest.mark.slow
def test_finished_run_is_found(finished, data_file, capsys):
  before = contents(finished)
  search_conv_net.run(small(data_file), str(finished))
  printed = capsys.readouterr().out
  assert 'Found the finished run' in printed
  assert 'multiply-adds' in printed
  assert '(by REINFORCE) against plain chain: accuracy difference' in printed
  assert contents(finished) == before


@pytest.mark.slow
def test_baselines_are_as_large_as_the_best(finished, data_file):
  with trial_log.TrialLog(finished / 'trials.jsonl') as log:
    contestants = (
      search_conv_net.make_experiment(small(data_file))
      .make_retraining(log)
      .contestants
    )
    rewards = {trial.number: trial.reward for trial in log.trials}
  # Of two layers, the densely connected network is the chain.
  chain, *found = contestants
  assert [each.group for each in found] == ['random', 'reinforce']
  winner = max(found, key=lambda x: rewards[int(x.label.split('#')[1])])
  # Two or three filters more or fewer are a large step in so small a network.
  assert 0.7 < chain.num_params / winner.num_params < 1.4
  assert len(chain.architecture.layers) == 2


def test_baselines_are_as_large_as_the_best_of_all(data_file):
  config = small(
    data_file,
    num_layers=3,
    widths=(1, 3),
    route='compiled',
    known_nets=('figure_7',),
  )
  experiment = search_conv_net.make_experiment(config)
  # Smallest and largest: 0/1 tokens of anchor points, sizes and filters.
  tiny, huge = (0,) * 12, (1,) * 12

  def trial(number, arm, tokens, reward):
    return trial_log.Trial(
      number=number,
      arm=arm,
      repeat=0,
      tokens=tokens,
      architecture={},
      reward=reward,
      status='ok',
      metrics={},
      duplicate_of=None,
    )

  for rewards, best in (((0.1, 0.2), 'random'), ((0.2, 0.1), 'reinforce')):
    log = types.SimpleNamespace(
      trials=[
        trial(0, 'reinforce', tiny, rewards[0]),
        trial(1, 'random', huge, rewards[1]),
      ]
    )
    chain, dense, *found = experiment.make_retraining(log).contestants
    sizes = {each.group: each.num_params for each in found}
    assert sizes['random'] > 4 * sizes['reinforce']
    for baseline in (chain, dense):
      assert 0.5 < baseline.num_params / sizes[best] < 2


def test_a_baseline_may_need_more_filters_than_any_layer_has(data_file):
  config = small(
    data_file,
    num_layers=3,
    heights=(1, 31),
    widths=(31,),
    filters=(2, 512),
    known_nets=('figure_7',),
  )
  experiment = search_conv_net.make_experiment(config)
  trial = trial_log.Trial(
    number=0,
    arm='random',
    repeat=0,
    tokens=(1, 0, 1, 1, 1, 0, 1, 1, 1, 1, 0, 1),
    architecture={},
    reward=0.1,
    status='ok',
    metrics={},
    duplicate_of=None,
  )
  log = types.SimpleNamespace(trials=[trial])
  chain, dense, found = experiment.make_retraining(log).contestants
  for baseline in (chain, dense):
    assert 0.99 < baseline.num_params / found.num_params < 1.01


def test_without_known_networks_only_what_was_found_is_retrained(data_file):
  config = small(data_file, known_nets=())
  experiment = search_conv_net.make_experiment(config)
  log = types.SimpleNamespace(trials=[])
  assert experiment.make_retraining(log).contestants == ()
  # Two searches: one winner at each rate to choose, then the seeds.
  assert experiment.num_retrainings == config.num_retrainings(0)


@pytest.mark.slow
def test_a_reward_of_ones_own_proposes_and_chooses(tmp_path, data_file, capsys):
  config = small(
    data_file,
    reward='tests.experiments.own_rewards:by_size',
    num_trials=8,
    num_winners=2,
  )
  search_conv_net.run(config, str(tmp_path))
  trials = trial_log.read_trials(tmp_path / 'trials.jsonl')
  for trial in trials:
    names = set(search_conv_net.METRICS)
    assert names <= set(trial.metrics)
    assert trial.reward == pytest.approx(
      max(0, by_size(trial.metrics)), abs=1e-6
    )
  assert 'the reward chose the best' in capsys.readouterr().out
  with pytest.raises(ValueError, match="'reward' is"):
    search_conv_net.run(dataclasses.replace(config, reward=''), str(tmp_path))


def by_size(metrics):
  return metrics['best_accuracy'] - np.log10(metrics['num_params']) / 10


def evaluate(config, tokens):
  evaluator = search_conv_net.make_experiment(config).search.evaluator
  keys = jax.random.split(jax.random.key(0), len(tokens))
  return evaluator.evaluate(keys, tokens)


@pytest.mark.slow
def test_routes_agree(data_file):
  tokens = np.array(
    [[0, 0, 0, -1, -1, -1, -1], [0, 0, 1, 1, 1, 0, 0], [1, 0, 1, 0, 0, 0, 1]],
    np.int32,
  )
  # Each that is compiled is a program of its own; two tell enough.
  results = {
    route: evaluate(
      small(data_file, route=route, num_steps=8),
      tokens[:2] if route == 'compiled' else tokens,
    )
    for route in conv_routes.ROUTES
  }
  # Rounding grows over 8 steps, and an image is 1/20 of the accuracy.
  for route, other in (('compiled', 'vmapped'), ('interpreted', 'vmapped')):
    one, two = results[route], results[other]
    rows = slice(len(one.rewards))
    for name in ('train_loss', 'validation_loss'):
      np.testing.assert_allclose(
        one.metrics[name], two.metrics[name][rows], rtol=1e-3
      )
    np.testing.assert_allclose(one.rewards, two.rewards[rows], atol=0.15)


def test_auto_measures_says_why_and_is_kept(
  tmp_path, data_file, monkeypatch, capsys
):
  measured = []

  def measure(trainer, architectures, learning_rate):
    measured.append(type(trainer).__name__)
    return routes.Timing(1.0, 1.0, 0.1 if len(measured) == 1 else 0.01)

  monkeypatch.setattr(routes, 'measure', measure)
  config = small(data_file, route='auto', num_steps=2)
  experiment = search_conv_net.make_experiment(config)
  assert measured == ['CompiledTrainer', 'BlockTrainer']
  assert experiment.facts['route'] == 'interpreted'
  printed = capsys.readouterr().out
  assert 'Route interpreted: the least time for 16 children' in printed
  # What a run has chosen once, it does not choose again.
  workdir.write_json(tmp_path / 'config.json', {'route': 'auto'})
  workdir.write_json(tmp_path / 'manifest.json', {'route': 'compiled'})
  made = []
  monkeypatch.setattr(
    search_conv_net.search_run,
    'run',
    lambda experiment, _: made.append(experiment),
  )
  search_conv_net.run(config, str(tmp_path))
  assert len(measured) == 2
  assert made[0].facts['route'] == 'compiled'


@pytest.mark.parametrize(
  ('recorded', 'flag', 'expected'),
  [
    # What auto chose, by its own name, and the other way round.
    ('auto', 'interpreted', 'auto'),
    ('interpreted', 'auto', 'interpreted'),
    # Another route is another setting, which is refused.
    ('auto', 'compiled', 'compiled'),
    ('interpreted', 'compiled', 'compiled'),
  ],
)
def test_a_route_is_the_same_by_either_name(
  tmp_path, data_file, monkeypatch, recorded, flag, expected
):
  workdir.write_json(tmp_path / 'config.json', {'route': recorded})
  workdir.write_json(tmp_path / 'manifest.json', {'route': 'interpreted'})
  made = []
  monkeypatch.setattr(
    search_conv_net.search_run,
    'run',
    lambda experiment, _: made.append(experiment),
  )
  monkeypatch.setattr(routes, 'measure', None)  # Nothing is timed again.
  config = small(data_file, route=flag)
  search_conv_net.run(config, str(tmp_path))
  assert made[0].config['route'] == expected
  same = expected == recorded
  assert made[0].facts['route'] == ('interpreted' if same else flag)


def test_auto_leaves_out_what_does_not_fit(data_file, monkeypatch, capsys):
  def measure(trainer, architectures, learning_rate):
    if type(trainer).__name__ in full:
      raise memory.NotEnoughMemoryError('It needs 9 GiB.')
    return routes.Timing(1.0, 1.0, 0.1)

  monkeypatch.setattr(routes, 'measure', measure)
  config = small(data_file, route='auto', num_steps=2)
  full = ['CompiledTrainer']
  experiment = search_conv_net.make_experiment(config)
  assert experiment.facts['route'] == 'interpreted'
  assert 'compiled does not fit: It needs 9 GiB' in capsys.readouterr().out
  full.append('BlockTrainer')
  with pytest.raises(ValueError, match=r'No route .* It needs 9 GiB'):
    search_conv_net.make_experiment(config)


@pytest.mark.parametrize('route', conv_routes.ROUTES)
def test_the_block_size_is_decided_in_the_config(data_file, route):
  config = small(data_file, route=route, block_size=0)
  experiment = search_conv_net.make_experiment(config)
  assert experiment.config['block_size'] == 8
  assert experiment.search.evaluator.block_size == 8


def test_strides_and_pooling_are_compiled(data_file, capsys):
  config = small(
    data_file, route='auto', strides=(1, 2), pool_after=(0,), known_nets=()
  )
  experiment = search_conv_net.make_experiment(config)
  assert experiment.facts['route'] == 'compiled'
  assert 'the only one' in capsys.readouterr().out
  tokens = np.array([[0, 0, 1, 0, 0, 1, 1, 0, 0, 1, 0]], np.int32)
  evaluation = experiment.search.evaluator.evaluate(
    jax.random.split(jax.random.key(0), 1), tokens
  )
  assert evaluation.status.tolist() == [0]
  assert evaluation.rewards[0] > 0


def test_depth_grows_by_the_schedule(data_file):
  config = small(
    data_file, num_layers=4, first_depth=2, depth_growth=1, depth_every=4
  )
  search = search_conv_net.make_experiment(config).search
  for arm in search.arms[1:]:
    assert [arm.num_active(n) for n in (0, 4, 8, 80)] == [8, 12, 16, 16]
  shallow = small(data_file, num_layers=4, first_depth=2, known_nets=())
  for arm in search_conv_net.make_experiment(shallow).search.arms:
    assert arm.num_active(80) == 8
  state = search_lib.init(search)
  for arm, strategy in zip(search.arms[1:], state.strategies[1:], strict=True):
    tokens = arm.strategy.ask(strategy, jax.random.key(0), 3, 12).tokens
    depths = [
      len(search.space.decode(np.asarray(row)).layers) for row in tokens
    ]
    assert depths == [3] * 3


def test_the_papers_preset():
  paper = search_conv_net.PRESETS['paper']
  assert search_conv_net.PRESETS['quick'] == search_conv_net.Config()
  schedule = search_lib.DepthSchedule(
    paper.first_depth,
    paper.depth_growth,
    paper.depth_every,
    paper.num_layers,
    4,
  )
  arm_trials = paper.num_trials // len(paper.strategies)
  assert paper.strategies == ('reinforce', 'random')
  assert arm_trials == 12_800
  assert schedule.depth(arm_trials - 1) == 20
  assert paper.controller_learning_rate == 0.0006
  assert (paper.controller_layers, paper.controller_features) == (2, 35)


@pytest.mark.parametrize('preset', [
  search_conv_net.PRESETS['paper'], train_conv_net.PRESETS['paper'],
])  # fmt: skip
def test_the_papers_split_of_cifar10(monkeypatch, preset):
  # CIFAR-10 but for the size of its images.
  pixels = np.random.default_rng(0).integers(
    0, 256, (50_000, 1, 1, 3), np.uint8
  )
  source = image_sources.ImageSource(
    image_sources.LabeledImages(pixels, np.arange(50_000) % 10), 'hash', 5000
  )
  monkeypatch.setattr(
    image_builders, 'read_archived', lambda name, data_dir: source
  )
  dataset = images.load(
    preset.dataset,
    num_validation=preset.num_validation,
    num_report=preset.num_report,
  )
  assert len(dataset.train_labels) == 45_000
  assert len(dataset.validation_labels) == 5_000
  assert not dataset.has_report


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'dataset': 'cifer10'}, 'cifar10'),
    ({'known_nets': ('chian',)}, 'did you mean chain'),
    ({'num_layers': 0}, 'num_layers must be from 1 to 128, got 0'),
    ({'heights': (2,)}, 'must be odd'),
    ({'filters': (0,)}, 'filters must be from 1 to 16,384, got 0'),
    ({'strategies': ('annealing',)}, "Unknown strategy 'annealing'"),
    ({'num_trials': 10}, 'multiple of 8'),
    ({'batch_size': 5000}, 'only 160 images to train on'),
    ({'first_depth': 3}, 'from 1 to 2, the layers of the space; got 3'),
    ({'pool_after': (0,)}, 'interpreted route supports neither strides nor'),
    ({'strides': (1, 2)}, 'interpreted route supports neither strides nor'),
    ({'block_size': 3}, 'multiple of num_devices'),
    (
      {'halving': 4, 'rungs': ('2', '9'), 'num_steps': 9, 'evaluate_every': 3},
      'first rung, 2, comes before the first evaluation of a child, after 3',
    ),
    ({'num_seeds': 1}, 'num_seeds must be from 2 to 100,000, got 1'),
    (
      {'num_steps': 0, 'num_epochs': 0},
      'num_epochs must be from 1 to 1,000,000,000, got 0',
    ),
    ({'reward_power': 0.0}, 'reward_power must be above 0, got 0.0'),
  ],
)
def test_bad_settings_leave_no_trace(tmp_path, data_file, changes, message):
  with pytest.raises(ValueError, match=message):
    search_conv_net.run(small(data_file, **changes), str(tmp_path / 'x'))
  assert not (tmp_path / 'x').exists()


def test_a_pooling_that_leaves_no_pixel_names_the_layer(data_file):
  config = small(
    data_file, route='compiled', num_layers=4, pool_after=(0, 1, 2)
  )
  with pytest.raises(ValueError, match='Pooling after layer 2 leaves no pixel'):
    search_conv_net.make_experiment(config)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'strategies': ('rnadom',)}, "Unknown strategy 'rnadom'"),
    ({'num_trials': 7}, 'num_trials must be a multiple of'),
  ],
)
def test_what_is_wrong_with_strategies_is_told_before_routes_are_measured(
  data_file, monkeypatch, changes, message
):
  monkeypatch.setattr(search_conv_net.conv_routes, 'choose', None)
  with pytest.raises(ValueError, match=message):
    search_conv_net.make_experiment(small(data_file, route='auto', **changes))


@pytest.mark.parametrize('pool_after', [(0,), (1,), (2,), (0, 2), (1, 2)])
@pytest.mark.parametrize('strides', [(1,), (1, 2, 3), (3, 1), (2,)])
def test_no_network_of_an_accepted_space_lacks_pixels(strides, pool_after):
  config = search_conv_net.Config(
    num_layers=3,
    heights=(1,),
    widths=(1,),
    filters=(1,),
    strides=strides,
    pool_after=pool_after,
  )
  space = conv_nets.make_space(config)
  # Both of a layer's strides alike: either alone can leave no pixel.
  nets = []
  for anchors in itertools.product((0, 1), repeat=3):
    for values in itertools.product(range(len(strides)), repeat=3):
      rows = [], anchors[:1], anchors[1:]
      pair = 2 if len(strides) > 1 else 0
      tokens = [
        (*row, 0, 0, *(value,) * pair, 0)
        for row, value in zip(rows, values, strict=True)
      ]
      nets.append(space.decode(np.array(sum(tokens, ()), np.int32)))
  smallest = known_conv_nets.make_smallest(
    config.num_layers, max(strides), config.merge, pool_after
  )
  refused = 0
  sizes = (1, 2, 3, 4, 7, 9, 12, 13, 19, 28, 37, 55, 63, 64, 110)
  for size in sizes:
    errors = [each for each in (error_of(net, size) for net in nets) if each]
    expected = error_of(smallest, size)
    assert bool(errors) == bool(expected)
    # Nothing fails at an earlier layer than the one that is named.
    assert not expected or expected == min(errors)
    refused += bool(errors)
  assert 0 < refused < len(sizes)


def error_of(net, size):
  try:
    net.sizes(size, size)
  except ValueError as error:
    return str(error)
  return ''


def test_strides_that_leave_no_pixel_are_refused_before_the_search(data_file):
  config = small(
    data_file,
    route='compiled',
    num_layers=3,
    strides=(3, 1),
    pool_after=(1,),
    known_nets=(),
  )
  with pytest.raises(ValueError, match='Pooling after layer 1 leaves no pixel'):
    search_conv_net.make_experiment(config)


@pytest.mark.slow
def test_other_data_is_refused(finished, data_file, tmp_path):
  folder = tmp_path / 'run'
  shutil.copytree(finished, folder)
  manifest = dict(workdir.read_manifest(folder))
  workdir.write_json(
    folder / 'manifest.json',
    manifest | {'data_hash': 'another', 'seen_hash': 'another'},
    sealed=True,
  )
  with pytest.raises(
    ValueError, match='other data, whose hash is another; now'
  ):
    search_conv_net.run(small(data_file), str(folder))


@pytest.mark.slow
def test_changed_config_is_refused(finished, data_file):
  before = contents(finished)
  with pytest.raises(ValueError, match="'seed'"):
    search_conv_net.run(small(data_file, seed=1), str(finished))
  assert contents(finished) == before


def test_an_error_is_one_line(tmp_path):
  result = subprocess.run(
    [
      sys.executable,
      '-m',
      'experiments.search_conv_net',
      f'--workdir={tmp_path / "run"}',
      '--dataset=npz',
      '--data_dir=missing.npz',
    ],
    capture_output=True,
    text=True,
    check=False,
  )
  assert result.returncode == 1
  assert 'missing.npz' in result.stderr
  assert 'Traceback' not in result.stderr
  assert not (tmp_path / 'run').exists()


def test_a_merge_that_is_none_is_named():
  flag_values = flags.FlagValues()
  launch.define_flags(search_conv_net.Config, flag_values)
  with pytest.raises(flags.Error, match=r'--merge=multiply: .*<concat[|]add>'):
    flag_values(['program', '--merge=multiply'])


@pytest.mark.slow
def test_every_setting_is_a_field_of_the_file(finished, data_file):
  saved = workdir.read_json(finished / 'config.json')
  assert set(saved) == {
    field.name for field in dataclasses.fields(search_conv_net.Config)
  }


@pytest.mark.slow
def test_limits_and_targets_bound_what_is_trained(tmp_path, data_file, capsys):
  config = small(
    data_file,
    **{'num_steps': 4, 'num_trials': 8, 'max_params': 90, 'max_redraws': 0},
    **{'cost_target': 60.0, 'cost_weight': -0.5, 'strategies': ('random',)},
    known_nets=('chain',),
  )
  search_conv_net.run(config, str(tmp_path))
  trials = trial_log.read_trials(tmp_path / 'trials.jsonl')
  over = [trial for trial in trials if trial.status == 'infeasible']
  fine = [trial for trial in trials if trial.status == 'ok']
  assert over
  assert {'num_params', 'num_multiply_adds'} == {*over[0].metrics}
  for trial in (*over, *fine):
    cost = trial.metrics['num_params']
    assert (cost > 90) == (trial.status == 'infeasible')
    if trial.status == 'ok':
      quality = trial.metrics['best_accuracy'] ** 3
      assert trial.reward == pytest.approx(quality - abs(cost / 60 - 1) / 2)
  # What failed to be tried has less than what was tried.
  floor = {trial.reward for trial in over}.pop()
  assert floor < min(trial.reward for trial in fine)
  printed = capsys.readouterr().out
  assert 'of 1,000 random architectures meet them' in printed
  assert 'exceed a limit (infeasible) and were not trained' in printed
  html = (tmp_path / 'report.html').read_text()
  assert 'over a limit, not trained' in html
  # Whoever resumes it with other limits searches for something else.
  with pytest.raises(ValueError, match='max_params'):
    search_conv_net.run(
      dataclasses.replace(config, max_params=80), str(tmp_path)
    )


@pytest.mark.slow
def test_a_front_is_kept_and_its_ends_and_knee_are_retrained(
  tmp_path, data_file
):
  config = small(
    data_file,
    **{'num_steps': 4, 'num_trials': 12, 'population_size': 4},
    **{'objectives': ('reward', 'params'), 'sample_size': 2},
    **{'strategies': ('evolution',), 'known_nets': ()},
  )
  search_conv_net.run(config, str(tmp_path))
  trials = trial_log.read_trials(tmp_path / 'trials.jsonl')
  searched = [trial for trial in trials if trial.arm != 'retrain']
  retrained = {t.settings['label'] for t in trials if t.arm == 'retrain'}
  objectives = 'reward', 'num_params'
  expected = set()
  for name in config.strategies:
    front = search_fronts.front(searched, objectives, (name, 0))
    parts = search_fronts.parts(front, objectives)
    expected |= {f'{name} #{trial.number}' for trial in parts.values()}
  assert retrained == expected
  assert len(expected) > 1
  rows = (tmp_path / 'front.csv').read_text().splitlines()
  assert rows[0].startswith('trial,proposed_by,repeat,reward,num_params')
  assert len(rows) > len(expected)
  assert (tmp_path / 'front.png').stat().st_size > 0
  html = (tmp_path / 'report.html').read_text()
  assert 'The best reward for each cost' in html
  assert 'of the front)' in html

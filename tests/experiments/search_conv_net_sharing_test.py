# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Runs a search with shared weights of networks end to end, and stops it."""

import jax
import numpy as np
import pytest

from experiments import search_conv_net
from experiments.parts import conv_nets, shared_nets
from jaxnas.records import trial_log, workdir

pytestmark = pytest.mark.slow
OUTPUTS = (
  'trials.jsonl',
  'rounds.jsonl',
  'best.json',
  'shared/shared_reinforce-0.json',
  'shared/shared_random-0.json',
)


@pytest.fixture(scope='module')
def data_file(tmp_path_factory):
  path = tmp_path_factory.mktemp('images') / 'images.npz'
  generator = np.random.default_rng(0)
  labels = generator.integers(0, 3, 200)
  images = generator.integers(0, 120, (200, 5, 5))
  images[np.arange(200), :, 1 + labels] += 100
  np.savez(path, x_train=images.astype(np.uint8), y_train=labels)
  return str(path)


@pytest.fixture(autouse=True, scope='module')
def quick_compilation():
  # XLA's optimizations do not change what is tested here, and they are most of
  # the time that it takes.
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', False)


def make(data_file, **changes):
  settings = {
    'dataset': 'npz',
    'data_dir': data_file,
    'num_layers': 2,
    'heights': (1, 3),
    'widths': (3,),
    'filters': (2, 3),
    'known_nets': (),
    'strategies': ('random',),
    'route': 'interpreted',
    'controller_features': 5,
    'controller_layers': 1,
    'trials_per_update': 4,
    'batch_size': 10,
    'num_steps': 8,
    'evaluate_every': 4,
    'sharing': True,
    'shared_steps': 40,
    'shared_cells': 2,
    'judged_cells': 4,
    'num_drawn': 8,
    'num_ranked': 3,
    'num_winners': 1,
    'num_selection_seeds': 1,
    'num_seeds': 2,
    'retrain_learning_rates': (0.1,),
    'retrain_steps': 8,
    'block_size': 4,
    'num_host_devices': 2,
    'checkpoint_every': 1,
  }
  return search_conv_net.Config(**settings | changes)


def contents(folder):
  return [(folder / name).read_bytes() for name in OUTPUTS]


@pytest.fixture(scope='module')
def finished(tmp_path_factory, data_file):
  folder = tmp_path_factory.mktemp('whole')
  search_conv_net.run(make(data_file), str(folder))
  return folder


def test_what_is_ranked_first_is_trained_alone(finished, data_file, capsys):
  search_conv_net.run(make(data_file), str(finished))
  told = capsys.readouterr().out
  trials = trial_log.read_trials(finished / 'trials.jsonl')
  for name, label in (
    ('shared_reinforce', 'shared weights, REINFORCE'),
    ('shared_random', 'shared weights, random ranking'),
  ):
    found = workdir.read_json(finished / 'shared' / f'{name}-0.json')
    mine = [each for each in trials if each.arm == name]
    assert [list(each.tokens) for each in mine] == found['tokens']
    assert len(mine) == 3
    assert found['rewards'] == sorted(found['rewards'], reverse=True)
    assert found['num_dropped'] == 0
    assert f'Shared against own weights, {label}: rank correlation' in told
    assert f' by {label} (best of 1)' in told
  # 40 steps of 2, 30 of which judge 4 forward; 8 forward on 2; 3 trainings.
  cost = (40 * 2 + 30 * 4 / 3 + 8 * 2 / 3 + 3 * 8) / 8
  assert f'That is the cost of {cost:.1f} trials' in told
  assert 0 <= sum(each.arm == 'random' for each in trials) - cost < 4


def test_a_stopped_search_goes_on_to_the_same_bytes(
  tmp_path, finished, data_file, monkeypatch
):
  train, num_calls = shared_nets.SharedNets.train, 0

  def stopping(self, state, architectures):
    nonlocal num_calls
    num_calls += 1
    # After the checkpoint of the first phase, and after that of the second.
    if num_calls in (35, 93):
      raise KeyboardInterrupt
    return train(self, state, architectures)

  monkeypatch.setattr(shared_nets.SharedNets, 'train', stopping)
  for _ in range(2):
    with pytest.raises(KeyboardInterrupt):
      search_conv_net.run(make(data_file), str(tmp_path))
  search_conv_net.run(make(data_file), str(tmp_path))
  assert contents(tmp_path) == contents(finished)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'estimator': 'gumbel'}, 'only recurrent cells have; use reinforce'),
    ({'strides': (1, 2)}, 'not go together with --strides other than 1'),
    ({'pool_after': (0,)}, 'not go together with --pool_after'),
    ({'first_depth': 1, 'depth_every': 4}, 'with --first_depth below'),
    ({'sharing': False}, '--shared_steps=40 needs --sharing'),
    ({'num_validation': 8}, 'batch_size is 10, but .* 8 images of validation'),
    (
      {'reward': 'tests.experiments.own_rewards:by_train_loss'},
      'train_loss',
    ),
  ],
)
def test_what_cannot_be_shared_is_refused_before_routes_are_measured(
  tmp_path, data_file, changes, message, monkeypatch
):
  monkeypatch.setattr(conv_nets, 'choose_route', None)
  with pytest.raises(ValueError, match=message) as raised:
    search_conv_net.run(make(data_file, **changes), str(tmp_path / 'run'))
  assert '\n' not in str(raised.value)
  assert not (tmp_path / 'run').exists()

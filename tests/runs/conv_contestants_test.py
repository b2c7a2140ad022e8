# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of the networks that take part in a search and its retraining."""

import types

import pytest

from jaxnas.runs import conv_contestants
from jaxnas.spaces import conv_net, known_conv_nets

SPACE = conv_net.make_space(3, (3,), (3,), (4, 8), (1,), 'concat')


class Makers:
  """Makes no trainer, and has no images."""

  dataset = types.SimpleNamespace(image_shape=(8, 8, 1), num_classes=10)
  merge = 'concat'

  def __init__(self):
    self.made = []

  def make_baseline(self, net):
    self.made.append(net)
    return f'trainer {len(self.made)}'


def make(pool_after=()):
  makers = Makers()
  contestants = conv_contestants.ConvContestants(
    makers, SPACE, 3, (4, 8), pool_after
  )
  return makers, contestants


def test_a_known_network_is_pooled_where_its_space_is():
  filters = conv_net.FILTERS
  space = conv_net.make_space(
    20, conv_net.SIZES, conv_net.SIZES, filters, (1,), 'concat', (12, 16)
  )
  found = conv_contestants.fitting_nets(
    space, ('chain', 'figure_7'), 20, filters, 'concat', (12, 16)
  )
  assert {name: net.pool_after for name, net in found.items()} == {
    'chain': (12, 16),
    'figure_7': (12,),
  }


def test_a_network_that_does_not_fit_is_left_out_and_an_unknown_one_refused():
  found = conv_contestants.fitting_nets(
    SPACE, ('chain', 'figure_7'), 3, (4, 8), 'concat', ()
  )
  assert list(found) == ['chain']
  with pytest.raises(ValueError, match="Unknown network 'chian'; did you mean"):
    conv_contestants.fitting_nets(SPACE, ('chian',), 3, (4, 8), 'concat', ())


def test_baselines_are_about_as_large_as_the_best_that_was_found():
  makers, contestants = make()
  nets = [known_conv_nets.make_chain(3, width) for width in (4, 8)]
  best = [
    (
      {'label': f'ppo #{number}', 'group': 'ppo'},
      types.SimpleNamespace(tokens=SPACE.encode(net), reward=reward),
    )
    for number, (net, reward) in enumerate(zip(nets, (0.1, 0.9), strict=True))
  ]
  *baselines, small, large = contestants.make(best)
  assert [each.label for each in baselines] == list(conv_contestants.BASELINES)
  assert (small.architecture, large.architecture) == tuple(nets)
  assert small.num_params < large.num_params
  for each in baselines:
    assert each.num_params == pytest.approx(large.num_params, rel=0.1)
  assert set(contestants.trainers) == {
    *conv_contestants.BASELINES, 'ppo #0', 'ppo #1',
  }  # fmt: skip
  # Asked again, as when a run is shown, no program is made twice.
  contestants.make(best)
  assert len(makers.made) == 4


def test_networks_that_coincide_take_part_once():
  assert list(conv_contestants.baselines(1)) == ['plain chain']
  assert list(conv_contestants.baselines(2)) == ['plain chain']
  assert conv_contestants.baselines(3) == conv_contestants.BASELINES


def test_baselines_of_a_search_without_a_find_have_the_largest_filters():
  _, contestants = make(pool_after=(1,))
  for each in contestants.make([]):
    net = each.architecture
    assert [layer.filters for layer in net.layers] == [8, 8, 8]
    assert net.pool_after == (1,)
    assert each.num_multiply_adds == conv_contestants.multiply_adds(
      Makers.dataset, net
    )


def test_the_smallest_network_of_a_space_has_all_strides():
  net = known_conv_nets.make_smallest(3, 2, 'add', (0,))
  assert {(x.stride_height, x.stride_width) for x in net.layers} == {(2, 2)}
  # What each layer reads: strides halve it, and so does the pooling.
  assert net.sizes(64, 64)[0] == ((64, 64), (16, 16), (8, 8))

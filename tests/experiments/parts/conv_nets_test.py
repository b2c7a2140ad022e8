# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import types

from experiments import search_conv_net
from experiments.parts import conv_nets
from jaxnas.trainers import routes

CONFIG = search_conv_net.PRESETS['quick']


def test_the_space_and_its_depths_are_those_of_the_settings():
  config = dataclasses.replace(
    CONFIG, num_layers=5, first_depth=2, depth_growth=2, depth_every=10
  )
  space = conv_nets.make_space(config)
  # Four decisions a layer: anchors, two sizes, filters.
  assert len(space.decisions) == 5 * 4
  schedule = conv_nets.make_schedule(config)
  assert [schedule(each) for each in (0, 10, 20)] == [
    2 * 4,
    4 * 4,
    5 * 4,
  ]
  shallow = dataclasses.replace(config, first_depth=0)
  assert conv_nets.make_schedule(shallow).first_depth == 5


def test_a_recipe_has_the_settings_of_a_child():
  config = dataclasses.replace(CONFIG, batch_size=7, momentum=0.5)
  recipe = conv_nets.make_recipe(config)
  assert (recipe.batch_size, recipe.momentum) == (7, 0.5)


def test_an_estimate_counts_what_is_trained_and_compiled():
  config = dataclasses.replace(
    CONFIG,
    num_steps=10,
    retrain_steps=20,
    num_winners=1,
    strategies=('random',),
    retrain_learning_rates=(0.1,),
  )
  field = types.SimpleNamespace(
    config=config, made=types.SimpleNamespace(num_baselines=2)
  )
  timing = routes.Timing(once=100.0, child=3.0, step=0.5)
  most = config.num_retrainings(2)
  seconds = conv_nets.estimate(field, None, None, 'compiled', timing, 4, most)
  assert seconds == 4 * (3 + 10 * 0.5) + most * 20 * 0.5 + 3 * 3
  fewer = conv_nets.estimate(field, None, None, 'masked', timing, 0, 0)
  assert fewer == 0

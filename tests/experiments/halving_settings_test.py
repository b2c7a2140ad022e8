# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import pytest

from experiments import halving_settings
from jaxnas import halving, rungs


def make(eta, *rungs):
  config = halving_settings.HalvingSettings(eta, rungs)
  return halving_settings.make_schedule(config, 256)


def test_rungs_are_given_by_hand():
  assert make(4, '64', '128', '256') == halving.Schedule((64, 128, 256), 4)
  assert make(2, '256') == halving.Schedule((256,), 2)


def test_there_is_no_schedule_without_halving_or_before_a_measurement():
  assert make(0, 'auto') is None
  assert make(3, 'auto') is None
  measured = halving_settings.HalvingSettings(3)
  assert measured.has_halving
  assert measured.has_measured_rungs
  for other in (
    halving_settings.HalvingSettings(),
    halving_settings.HalvingSettings(4, ('64', '256')),
  ):
    assert not other.has_measured_rungs


def test_a_plan_is_for_children_that_are_trained():
  config = halving_settings.HalvingSettings(4, ('64', '256'))
  plan = halving_settings.make_plan(config, 256)
  assert plan == rungs.Plan(4, 256, (64, 256))
  assert config.given_rungs == (64, 256)
  assert halving_settings.HalvingSettings(4).given_rungs == 'auto'
  measured = halving_settings.HalvingSettings(4)
  assert halving_settings.make_plan(measured, 80) == rungs.Plan(4, 80)
  without = halving_settings.HalvingSettings()
  assert halving_settings.make_plan(without, 80) is None
  with pytest.raises(ValueError, match='one of 1 steps has none'):
    halving_settings.make_plan(measured, 1)


@pytest.mark.parametrize(
  ('eta', 'rungs', 'message'),
  [
    (0, ('64', '256'), r'--rungs=64,256 needs --halving, such as --halving=4'),
    (1, ('64', '256'), 'eta must be at least 2, .* got 1'),
    (1, ('auto',), 'eta must be at least 2, .* got 1'),
    (4, ('64', 'auto'), 'must be auto or numbers .*, got 64,auto'),
    (4, ('-1', '256'), 'must be auto or numbers .*, got -1,256'),
    (4, (), 'must be auto or numbers .*, got none'),
    (4, ('64', '32', '256'), 'rungs must grow, .* got 64, 32, 256'),
    (4, ('64', '128'), 'full training of 256 steps, got 64, 128'),
    (4, ('64', '512'), 'full training of 256 steps, got 64, 512'),
  ],
)
def test_bad_rungs_are_one_line(eta, rungs, message):
  with pytest.raises(ValueError, match=message) as caught:
    make(eta, *rungs)
  assert '\n' not in str(caught.value)

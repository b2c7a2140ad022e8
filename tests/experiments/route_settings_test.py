# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import pytest

from experiments import route_settings
from jaxnas.records import workdir

ROUTE = 'route', ('compiled', 'interpreted')
RECURRENCE = 'recurrence', ('scan', 'kernel')


@pytest.mark.parametrize(
  ('setting', 'settings', 'other'),
  [
    (ROUTE, route_settings.Route, 'interpreted'),
    (RECURRENCE, route_settings.Recurrence, 'kernel'),
  ],
)
def test_what_auto_chose_is_kept(setting, settings, other, tmp_path):
  name, (first, _) = setting
  auto = settings()

  def started(value):
    return route_settings.as_started(settings(value), tmp_path, *setting)

  assert started('auto') == (auto, None)
  workdir.write_json(tmp_path / 'config.json', {name: 'auto'}, sealed=True)
  assert started('auto') == (auto, None)
  workdir.write_json(tmp_path / 'manifest.json', {name: first})
  # By its own name too; another is another setting, which is refused later.
  assert started('auto') == (auto, first)
  assert started(first) == (auto, first)
  assert started(other) == (settings(other), first)
  workdir.write_json(tmp_path / 'config.json', {name: other}, sealed=True)
  assert started('auto') == (settings(other), first)
  # An older version had no such setting.
  workdir.write_json(tmp_path / 'config.json', {}, sealed=True)
  assert started('auto') == (auto, first)


def test_a_run_of_an_older_version_keeps_its_only_route(tmp_path):
  auto = route_settings.Recurrence()

  def started(value):
    return route_settings.as_started(
      route_settings.Recurrence(value), tmp_path, *RECURRENCE, before='scan'
    )

  workdir.write_json(tmp_path / 'config.json', {}, sealed=True)
  assert started('auto') == (auto, None)
  workdir.write_json(tmp_path / 'manifest.json', {})
  assert started('auto') == started('scan') == (auto, 'scan')
  assert started('kernel') == (route_settings.Recurrence('kernel'), 'scan')


def test_a_damaged_manifest_is_named(tmp_path):
  workdir.write_json(tmp_path / 'config.json', {}, sealed=True)
  workdir.write_json(tmp_path / 'manifest.json', {'recurrence': 'loop'})
  with pytest.raises(ValueError, match="damaged: its recurrence is 'loop'"):
    route_settings.as_started(
      route_settings.Recurrence(), tmp_path, *RECURRENCE
    )

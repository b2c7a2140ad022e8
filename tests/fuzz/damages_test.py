# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Damaged files of finished runs: refused in a line, or made good.

A start takes a second, so these are few, 10 of every file in `make fuzz`: most
damages are those of `readers_test`.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil

import numpy as np
import pytest

from tests.fuzz import damages, programs, toys

SEED = int(os.environ.get('FUZZ_SEED', '0'))
NUM_DAMAGES = int(os.environ.get('FUZZ_DAMAGES', '0'))
# A search and a training of the kinds that compile least.
MODULES = (
  tuple(toys.TOYS)
  if NUM_DAMAGES
  else (
    'search_hyperparameters',
    'train_conv_net',
  )
)
# What a run that was made whole again says otherwise than one that was whole.
_WORK = re.compile(
  r'^(Time|Estimated|Real cost|Resuming|Found the finished|Route|Retraining|'
  r'search |trial|training |step |round |Epoch |The generations|=+$).*\n',
  re.MULTILINE,
)


@pytest.fixture(scope='module')
def started():
  with programs.Programs() as each:
    yield each


@pytest.fixture(scope='module')
def data(tmp_path_factory):
  folder = tmp_path_factory.mktemp('fuzz') / 'data'
  toys.write_data(folder)
  return folder


class Finished:
  """A finished run, and what is said when it is shown."""

  def __init__(self, started, module, data, folder):
    self._started, self._module = started, module
    self._data = data
    self.folder = folder / 'run'
    for _ in range(2):
      ending = self.show()
      assert ending.code == 0, ending.err
    self.shown = ending.out
    self._kept = shutil.copytree(self.folder, folder / 'kept')
    self.kinds = damages.kinds_of(self._kept)

  def show(self):
    changes = {'workdir': self.folder}
    if self._module.startswith('train'):
      changes['evaluate_test'] = True
    settings = toys.arguments(self._module, self._data, **changes)
    flags = [f'--{name}={value}' for name, value in settings.items()]
    return self._started.run(self._module, flags, patience=120)

  def damage(self, kind, rng):
    """Damages a file; returns what was done, and how the run then ended."""
    shutil.rmtree(self.folder)
    shutil.copytree(self._kept, self.folder)
    path = self.kinds[kind][rng.integers(len(self.kinds[kind]))]
    done, content = damages.damage(path.read_bytes(), rng)
    place = path.relative_to(self._kept)
    (self.folder / place).write_bytes(content)
    return f'{place}: {done}', self.show(), content

  def fault(self, ending):
    """Returns what is wrong with how it ended, `None` if nothing is."""
    if fault := ending.fault():
      return fault
    if ending.code or ending.out == self.shown or 'WARNING' in ending.err:
      return None
    if re.search(r'^W\d{4} ', ending.err, re.MULTILINE):
      return None
    was, now = (_WORK.sub('', text) for text in (self.shown, ending.out))
    is_shown = 'Found the finished' in ending.out
    if was == now and not is_shown:
      return None
    differing = [
      pair
      for pair in zip(
        self.shown.splitlines(), ending.out.splitlines(), strict=False
      )
      if pair[0] != pair[1]
    ]
    return f'accepted in silence: {differing[:2]}'


@pytest.mark.parametrize('module', MODULES)
def test_no_damage_passes_in_silence(module, started, data, tmp_path):
  finished = Finished(started, module, data, tmp_path)
  report = pathlib.Path(tmp_path / 'faults')
  faults = []
  for kind in finished.kinds:
    for index in range(NUM_DAMAGES or 2):
      rng = np.random.default_rng([SEED, index, *kind.encode()])
      done, ending, content = finished.damage(kind, rng)
      if fault := finished.fault(ending):
        faults.append(f'{done} ({index}): {fault}')
        report.mkdir(exist_ok=True)
        (report / f'{kind}-{index}').write_bytes(content)
  assert not faults, '\n'.join([f'{len(faults)} faults, see {report}', *faults])

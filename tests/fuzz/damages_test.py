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

pytestmark = pytest.mark.slow

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
# A training starts sooner than a search, and its records of a half are damaged.
FEWER = MODULES if NUM_DAMAGES else ('train_conv_net',)
# What a run that was made whole again says otherwise than one that was whole.
_WORK = re.compile(
  r'^(Time|Estimated|Real cost|Resuming|Found the finished|Route|Retraining|'
  r'Training |search |trial|training |step |round |Epoch |The generations|'
  r'=+$).*\n',
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


# By what a finished toy is made one that is not.
_MORE = {
  'train_recurrent_cell': {'num_epochs': 3},
  'train_conv_net': {'num_epochs': 3},
  'search_recurrent_cell': {'num_trials': 16},
  'search_conv_net': {'num_trials': 16},
  'search_hyperparameters': {'num_trials': 16},
  'search_controller_cell': {'num_seeds': 2},
  'compare_architectures': {'num_seeds': 3},
}


class Run:
  """A run, finished or not, and what is said when it is started again."""

  def __init__(self, started, module, data, folder, is_half=False, **changes):
    self._started, self._module = started, module
    self._data, self._changes = data, changes
    self.folder = folder / 'run'
    self._again = {}
    if is_half:
      self._again = _MORE[module]
    elif module.startswith('train'):
      self._again = {'evaluate_test': True}
    for again in ({},) if is_half else ({}, self._again, self._again):
      ending = self.start(**again)
      assert ending.code == 0, ending.err
    self._kept = shutil.copytree(self.folder, folder / 'kept')
    if is_half:
      ending = self.show()
      assert ending.code == 0, ending.err
    self.shown = ending.out
    self.kinds = damages.kinds_of(self._kept)

  def show(self):
    return self.start(**self._again)

  def start(self, **changes):
    settings = toys.arguments(
      self._module,
      self._data,
      workdir=self.folder,
      **{**self._changes, **changes},
    )
    flags = [f'--{name}={value}' for name, value in settings.items()]
    return self._started.run(self._module, flags, patience=120)

  def restore(self):
    """Makes the run what it was."""
    shutil.rmtree(self.folder)
    shutil.copytree(self._kept, self.folder)

  def swap(self, kind, other):
    """Puts a file of another run in; returns how the run then ended."""
    self.restore()
    place = self.folder / kind
    if place.is_dir():
      shutil.rmtree(place)
      shutil.copytree(other._kept / kind, place)
    else:
      shutil.copy(other._kept / kind, place)
    return self.show()

  def damage(self, kind, rng):
    """Damages a file; returns what was done, and how the run then ended."""
    self.restore()
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
    if re.search(r'^(W\d{4} |warning: )', ending.err, re.MULTILINE):
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


@pytest.mark.parametrize(
  ('module', 'is_half'),
  [
    *((each, False) for each in MODULES if NUM_DAMAGES or each not in FEWER),
    *((each, True) for each in FEWER),
  ],
)
def test_no_damage_passes_in_silence(module, is_half, started, data, tmp_path):
  run = Run(started, module, data, tmp_path, is_half)
  report = pathlib.Path(tmp_path / 'faults')
  faults = []
  for kind in run.kinds:
    for index in range(NUM_DAMAGES or 1):
      rng = np.random.default_rng([SEED, index, is_half, *kind.encode()])
      done, ending, content = run.damage(kind, rng)
      if fault := run.fault(ending):
        faults.append(f'{done} ({index}): {fault}')
        report.mkdir(exist_ok=True)
        (report / f'{kind}-{index}').write_bytes(content)
  assert not faults, '\n'.join([f'{len(faults)} faults, see {report}', *faults])


@pytest.mark.parametrize('module', FEWER)
def test_no_file_of_another_run_passes_in_silence(
  module, started, data, tmp_path
):
  run, other = (
    Run(started, module, data, tmp_path / str(seed), seed=seed)
    for seed in (0, 1)
  )
  faults = [
    f'{kind}: {fault}'
    for kind in run.kinds
    if (fault := run.fault(run.swap(kind, other)))
  ]
  assert not faults, '\n'.join(faults)

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Damaged files of every kind that is read back: refused in a line, or mended.

`make fuzz` tries 200 damages of every kind; the test suite a few.
"""

from __future__ import annotations

import os

import pytest

from tests.fuzz import read_files, read_records, readers

SEED = int(os.environ.get('FUZZ_SEED', '0'))
NUM_DAMAGES = int(os.environ.get('FUZZ_READS', '5'))
SUBJECTS = read_files.SUBJECTS | read_records.SUBJECTS


@pytest.mark.parametrize('name', SUBJECTS)
def test_no_damage_is_read_in_silence(name, tmp_path):
  folder = tmp_path / 'files'
  folder.mkdir()
  subject = SUBJECTS[name](folder)
  seeds = [[SEED, index, *name.encode()] for index in range(NUM_DAMAGES)]
  faults = readers.faults(subject, tmp_path / 'kept', seeds)
  assert not faults, '\n'.join([f'{len(faults)} faults', *faults])

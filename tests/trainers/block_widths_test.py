# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import pytest

from jaxnas.trainers import block_widths

GIB = 2**30


def memory_of(fixed, each, log=None):
  """Returns `needed_bytes` for memory that is linear in the children."""

  def needed_bytes(width):
    if log is not None:
      log.append(width)
    return int((fixed + each * width) * GIB)

  return needed_bytes


@pytest.mark.parametrize(
  ('fixed', 'each', 'available', 'most', 'expected'),
  [
    # 0.8 * 80 = 64 GiB are free for 1 + 0.01 w: all of 4,096 fit.
    (1, 0.01, 80, 4096, 4096),
    # 1 + 0.1 w: 630 fit, of which 512 is the widest multiple.
    (1, 0.1, 80, 4096, 512),
    # As many as there are is a width too.
    (1, 0.1, 80, 600, 600),
    (1, 0.1, 80, 100, 100),
    # So it is where there is no power of two between, if it fits.
    (1, 0.1, 80, 200, 200),
    (1, 0.4, 80, 200, 128),
    # 1 + 0.4 w: 157 fit.
    (1, 0.4, 80, 4096, 128),
    # 1 + 1 w: 63 fit, and fewer than the first are tried.
    (1, 1, 80, 4096, 32),
    # Nothing fits, which training will say.
    (100, 1, 80, 4096, 1),
  ],
)
def test_the_widest_that_leaves_a_fifth_is_chosen(
  fixed, each, available, most, expected
):
  choice = block_widths.choose(
    memory_of(fixed, each), available * GIB, 128, most
  )
  assert choice.block_size == expected
  need = fixed + each * expected
  assert f'they need {need:.2g} of 80 GiB.' in choice.reason
  assert ('all that are' in choice.reason) == (expected == most)


def test_few_programs_are_compiled():
  log = []
  choice = block_widths.choose(memory_of(1, 0.1, log), 80 * GIB, 128, 4096)
  assert choice.block_size == 512
  assert log == [128, 256, 512]


def test_what_grows_faster_than_expected_is_halved():
  def needed_bytes(width):
    return int((0.01 * width if width < 512 else width) * GIB)

  choice = block_widths.choose(needed_bytes, 80 * GIB, 128, 4096)
  assert choice.block_size == 256


def test_a_width_below_all_children_is_a_multiple_again():
  def needed_bytes(width):
    return int((0.01 * width if width < 600 else width) * GIB)

  # 600 grow faster than expected; 512 fit, and half of 600 would be fewer.
  choice = block_widths.choose(needed_bytes, 80 * GIB, 128, 600)
  assert choice.block_size == 512


def test_without_figures_the_first_is_taken():
  choice = block_widths.choose(lambda width: None, 80 * GIB, 128, 4096)
  assert choice.block_size == 128
  assert 'does not report its memory' in choice.reason
  assert block_widths.choose(memory_of(1, 1), None, 128, 64).block_size == 64


def test_bad_numbers_are_refused():
  with pytest.raises(ValueError, match='at least 1, got 0 and 4'):
    block_widths.choose(memory_of(1, 1), GIB, 0, 4)

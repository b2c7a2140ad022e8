# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Chooses how many children an accelerator trains at once, by their memory.

An accelerator hides the latency of small steps behind many children, so the
more of them fit into its memory, the better. The compiler tells how much memory
a block needs before anything runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

FREE = 0.2
"""The fraction of the memory that is left free, since evaluation needs some."""


class Choice(NamedTuple):
  """A number of children, and the reason for it.

  Attributes:
    block_size: the number of children to train at once.
    reason: the reason, a sentence to be printed.
  """

  block_size: int
  reason: str


def choose(
  needed_bytes: Callable[[int], int | None],
  available_bytes: int | None,
  first: int,
  most: int,
) -> Choice:
  """Returns the widest block that leaves a fifth of the memory free.

  Memory grows about linearly with the number of children, so the needs of two
  programs predict the widest block that fits; its program is compiled too, and
  the block is halved until it fits.

  Args:
    needed_bytes: the function `block_size -> bytes` on each device, which
      compiles a program; `None` if the compiler does not report the bytes.
    available_bytes: the memory of a device, if it is known.
    first: the width to begin with, which is chosen if the memory is unknown.
      Widths are its multiples by powers of two, or `most`.
    most: the largest number of children that are trained at a time.

  Raises:
    ValueError: a number is not positive.
  """
  if min(first, most) < 1:
    raise ValueError(
      f'first and most must be at least 1, got {first} and {most}.'
    )
  width = min(first, most)
  found = {width: needed_bytes(width)}
  if available_bytes is None or found[width] is None:
    return Choice(
      width,
      f'Blocks of {width} children: this device does not report its memory.',
    )
  limit = (1 - FREE) * available_bytes

  def fits(width: int) -> bool:
    if width not in found:
      found[width] = needed_bytes(width)
    return (found[width] or 0) <= limit

  after = min(2 * width, most)
  if fits(width) and after > width and fits(after):
    each = max(1, (found[after] - found[width]) / (after - width))  # type: ignore[operator]  # Neither is None.
    room = width + (limit - found[width]) / each  # type: ignore[operator]  # As above.
    width = _widest(first, min(room, most), most)
  while not fits(width) and width > 1:
    # Below `most`, which need not be a multiple, the widths go on as before.
    width = width // 2 if width <= first else _widest(first, width - 1, most)
  why = (
    'all that are trained at a time'
    if width == most
    else f'the widest that leaves {FREE:.0%} of the memory free'
  )
  gib = (found[width] or 0) / 2**30
  return Choice(
    width,
    f'Blocks of {width} children, {why}: they need {gib:.2g} of '
    f'{available_bytes / 2**30:.3g} GiB.',
  )


def _widest(first: int, room: float, most: int) -> int:
  """Returns the largest width within the room; see `choose` for the widths."""
  if most <= room:
    return most
  width = first
  while 2 * width <= room:
    width *= 2
  return width

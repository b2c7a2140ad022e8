# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from jaxnas import generations as lib


def make_generation(branch, number, areas, found=None):
  cells = found or range(len(areas))
  return lib.Generation(
    branch, number, cells=(None,) * len(areas),
    candidates=tuple(((cell,),) for cell in cells), rewards=areas,
    areas=areas, late_means=areas, num_replaced=(0,) * len(areas),
    is_finite=(True,) * len(areas),
  )  # fmt: skip


@pytest.mark.parametrize(
  ('areas', 'found', 'kind'),
  [
    ((2.2, 2.3, 2.1, 2.2), (4, 5, 6, 7), 'improved'),
    ((1.8, 1.7, 1.9, 1.8), (0, 1, 2, 3), 'worse'),
    ((2.1, 1.9, 2.0, 2.0), (0, 1, 2, 3), 'converged'),
    ((2.1, 1.9, 2.0, 2.0), (0, 1, 6, 7), 'no difference'),
    ((2.1,), (0,), 'undecided'),
  ],
)
def test_verdicts(areas, found, kind):
  control = (2.0, 2.0, 2.0, 2.0)[: len(areas)]
  verdict = lib.verdict(
    [
      make_generation('control', 0, control),
      make_generation('control', 1, control, (0, 8, 8, 8)[: len(areas)]),
      make_generation('succession', 1, areas, found),
    ]
  )
  assert verdict.kind == kind
  assert verdict.control_repeats.value == 1 / len(areas)
  np.testing.assert_allclose(
    verdict.area_ratio.value, np.prod(np.array(areas) / 2) ** (1 / len(areas))
  )
  assert verdict.repeats.value == np.mean(np.array(found) < 4)


def test_generations_are_compared_together():
  areas = (2.3, 2.4, 2.0, 2.1)
  generations = [
    make_generation(
      branch, number, areas if branch == 'succession' else (2,) * 4
    )
    for number in range(1, 5)
    for branch in ('control', 'succession')
  ]
  (alone,) = lib.against_control(generations[:2]).values()
  together = lib.against_control(generations)
  assert list(together) == [1, 2, 3, 4]
  for each in together.values():
    assert each.value == pytest.approx(alone.value)
    assert each.p_value == pytest.approx(4 * alone.p_value)
    assert each.low < alone.low


def test_one_generation_has_nothing_to_be_compared_with():
  with pytest.raises(ValueError, match='num_generations must be at least 2'):
    lib.verdict([make_generation('control', 0, (1.0, 2.0))])


def test_a_generation_of_other_fields_is_refused():
  with pytest.raises(ValueError, match='A generation has the fields branch'):
    lib.Generation.from_json({'branch': 'control'})

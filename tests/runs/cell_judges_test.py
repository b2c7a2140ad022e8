# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import json

import numpy as np
import pytest

from jaxnas.datasets import base2_bench
from jaxnas.runs import cell_judges
from jaxnas.spaces import recurrent_cell as spaces

SPACE = spaces.make_space(2)


class Trainer:
  """Gives every cell a perplexity by its rank; notes what it is asked for.

  Blocks of two finish in the opposite order.
  """

  def __init__(self):
    self.calls = []

  def train_each(self, tokens, seeds, num_steps):
    assert num_steps == 7
    assert set(seeds) == {0}
    self.calls.append(tokens.tolist())
    perplexity = 2.0 + base2_bench.ranks_of(tokens)[:, None]
    perplexity[(tokens[:, :8] == 1).all(1)] = np.nan
    for start in reversed(range(0, len(tokens), 2)):
      rows = np.arange(len(tokens))[start : start + 2]
      yield rows, {'validation': perplexity[rows].astype(np.float32)}


def test_a_table_gives_the_rewards_that_trainings_would_give():
  num_cells = int(np.prod(base2_bench.CARDINALITIES))
  perplexity = 2 + np.arange(num_cells, dtype=np.float32)[:, None, None]
  table = base2_bench.Base2Bench(
    cell_of=np.arange(num_cells, dtype=np.int32), validation=perplexity,
    report=perplexity, num_trained=np.ones((num_cells, 1), np.int32),
    points=(1,), facts={},
  )  # fmt: skip
  judge = cell_judges.TableJudge(table)
  tokens = base2_bench.tokens_of(np.array([0, 5, num_cells - 1]))
  np.testing.assert_array_equal(
    judge(tokens), cell_judges.judge(perplexity[[0, 5, -1], 0, 0])
  )
  assert judge(tokens)[0] == 80 / 2**2
  fingerprint = judge.fingerprint
  assert cell_judges.TableJudge(table).fingerprint == fingerprint
  perplexity[7] += 1
  assert cell_judges.TableJudge(table).fingerprint != fingerprint


def test_a_cell_is_trained_once_and_kept(tmp_path):
  path = tmp_path / 'rewards.jsonl'
  tokens = np.zeros((5, SPACE.num_tokens), np.int32)
  tokens[:, 8:] = 2
  tokens[1, 1] = tokens[2, 3] = 1  # Equal up to a swap of the leaves.
  tokens[3, :8] = 1  # Fails.
  trainer = Trainer()
  judge = cell_judges.TrainJudge(SPACE, trainer, 7, path)
  rewards = judge(tokens)
  assert [len(call) for call in trainer.calls] == [3]
  assert rewards.dtype == np.float32
  assert rewards[1] == rewards[2] != rewards[0] == rewards[4]
  assert rewards[0] == np.float32(80 / (2 + 2 * 3 + 2) ** 2)
  assert rewards[3] == 0
  judge.close()
  # What has finished first is kept first.
  first = json.loads(path.read_text().splitlines()[0])
  assert first['reward'] == rewards[3]
  other = Trainer()
  again = cell_judges.TrainJudge(SPACE, other, 7, path)
  np.testing.assert_array_equal(again(tokens), rewards)
  assert not other.calls
  again.close()


def test_a_file_of_other_lines_is_refused(tmp_path):
  path = tmp_path / 'rewards.jsonl'
  path.write_text(json.dumps({'tokens': [0]}) + '\n')
  with pytest.raises(ValueError, match='does not hold rewards of cells'):
    cell_judges.TrainJudge(SPACE, Trainer(), 7, path)

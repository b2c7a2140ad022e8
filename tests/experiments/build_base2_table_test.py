# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import dataclasses

import numpy as np
import pytest

from experiments import build_base2_table
from jaxnas.datasets import base2_bench
from jaxnas.records import workdir
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.trainers import cell_trainer

CONFIG = build_base2_table.Config()


@pytest.fixture(scope='module', name='builder')
def fixture_builder():
  return build_base2_table.Builder(
    dataclasses.replace(CONFIG, block_size=8, num_steps=32)
  )


def test_every_class_has_one_cell_of_its_own(builder):
  space = spaces.make_space(2)
  # Brute-forced: the number of base-2 cells up to swaps.
  assert len(builder.ranks) == 18_688
  for tokens in base2_bench.tokens_of(builder.ranks[::997]):
    np.testing.assert_array_equal(space.canonical(tokens), tokens)


def test_every_cell_is_trained_once_and_a_tenth_thrice(builder):
  cells, seeds = builder.jobs
  assert len(cells) == 18_688 + 2 * 1_869
  assert len(set(zip(cells.tolist(), seeds.tolist(), strict=True))) == len(
    cells
  )
  np.testing.assert_array_equal(np.sort(cells[seeds == 0]), np.arange(18_688))
  for seed in (1, 2):
    assert (seeds == seed).sum() == 1_869
  assert builder.num_shards == 44


@pytest.mark.slow
@pytest.mark.skipif(not base2_bench.PATH.exists(), reason='no table is shipped')
def test_the_shipped_table_is_what_training_gives(builder):
  table = base2_bench.load()
  if builder.dataset.content_hash != table.facts['content_hash']:
    pytest.skip('this Python has another text than the table was made of')
  cells = builder.jobs.cells[:8:2].tolist()
  seeds = builder.jobs.seeds[:8:2].tolist()
  # 32 steps of the 256, whose last point is the table's first.
  measured = builder.trainer.train(
    base2_bench.tokens_of(builder.ranks[cells]), seeds, 32
  )
  for split in cell_trainer.SPLITS:
    expected = getattr(table, split)[cells, seeds, :1]
    # Rounding differs between machines and numbers of lanes, and grows with
    # every step; cells differ by much more.
    np.testing.assert_allclose(
      np.log(measured[split][:, 3:]), np.log(expected), atol=0.02
    )


@pytest.mark.slow
def test_shards_are_kept_and_joined(tmp_path, capsys):
  config = dataclasses.replace(
    CONFIG, vocab_size=20, features=2, num_steps=4, num_seeds=2,
    repeated=0.001, shard_size=6, block_size=8, num_shards=2,
  )  # fmt: skip
  build_base2_table.run(config, tmp_path)
  first = (tmp_path / 'shards' / '0001.npz').read_bytes()
  build_base2_table.run(dataclasses.replace(config, num_shards=1), tmp_path)
  assert (tmp_path / 'shards' / '0001.npz').read_bytes() == first
  assert '3 of 3118 shards: 18 trainings of 9 cells' in capsys.readouterr().out
  table = base2_bench.load(tmp_path / 'base2_bench.npz')
  assert table.points == (1, 1, 2, 4)
  assert (table.num_trained >= 0).sum(0).tolist() == [9, 9]
  is_ok = np.isfinite(table.validation[:, 0, -1])
  assert (table.num_trained[is_ok] == 4).all()
  with pytest.raises(ValueError, match='only a complete table gives rewards'):
    table.rewards()
  with pytest.raises(ValueError, match="Config field 'features' is 2"):
    build_base2_table.run(dataclasses.replace(config, features=3), tmp_path)
  manifest = (tmp_path / 'manifest.json').read_text()
  workdir.write_json(
    tmp_path / 'manifest.json',
    {**workdir.read_manifest(tmp_path), 'data_hash': 'other'},
    sealed=True,
  )
  with pytest.raises(ValueError, match='other data, whose hash is other'):
    build_base2_table.run(config, tmp_path)
  (tmp_path / 'manifest.json').write_text(manifest)
  (tmp_path / 'shards' / '0001.npz').write_bytes(first[:100])
  with pytest.raises(ValueError, match=r'0001.npz is damaged .*; remove it'):
    build_base2_table.run(dataclasses.replace(config, num_shards=1), tmp_path)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'num_seeds': 0}, 'num_seeds must be from 1 to 100,000, got 0'),
    ({'repeated': 1.5}, 'repeated must be from 0 to 1, got 1.5'),
    ({'learning_rate': 0.0}, 'learning_rate must be above 0, got 0.0'),
    ({'fractions': (0.5,)}, 'fractions must ascend'),
  ],
)
def test_settings_out_of_range(changes, message):
  with pytest.raises(ValueError, match=message):
    build_base2_table.Builder(dataclasses.replace(CONFIG, **changes))

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import numpy as np
import pytest

from jaxnas.children import recurrent_interpreter as interpreter
from jaxnas.datasets import text
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.trainers import cell_trainer, proxy_scorer
from jaxnas.training import dataset_tasks, text_task

SPACE = spaces.make_space(2)
RECIPE = text_task.Recipe(features=2)
NAME = 'jacobian_covariance'


@pytest.fixture(scope='module', name='tasks')
def fixture_tasks():
  return dataset_tasks.TextTasks(text.load('pydoc', vocab_size=20), 6, 5)


@pytest.fixture(scope='module', name='scorer')
def fixture_scorer(tasks):
  return proxy_scorer.ProxyScorer(SPACE, tasks, RECIPE, block_size=4, seed=3)


def make_tokens():
  """Returns cells of which the second and third are equal up to a swap."""
  tokens = np.zeros((6, SPACE.num_tokens), np.int32)
  tokens[:, 8:] = 2
  tokens[1, 1] = tokens[2, 3] = 1
  tokens[3] = SPACE.encode(spaces.KNOWN_CELLS['paper_example'])
  tokens[4, 5] = 2
  tokens[5, 5] = 3
  return tokens


@pytest.mark.slow
def test_a_score_follows_from_cell_and_seed_alone(scorer, tasks):
  tokens, followed = make_tokens(), []
  found = scorer.score(NAME, tokens, follow=followed.append)
  scores = found.scores
  assert scores.shape == (6,)
  assert np.isfinite(scores).all()
  assert scores[1] == scores[2]
  # Equal cells are scored once.
  assert followed == [4, 5]
  assert len(set(scores.tolist())) == 5
  assert found.core_seconds > 0
  again = scorer.score(NAME, tokens[::-1], [0, 0, 1, 0, 0, 0]).scores[::-1]
  is_equal = again == scores
  assert is_equal.tolist() == [True, True, True, False, True, True]


def test_a_score_is_that_of_the_child_that_the_table_trains(scorer, tasks):
  tokens = make_tokens()
  name = 'gradient_norm'
  scores = scorer.score(name, tokens).scores
  (key,) = cell_trainer.child_keys(
    jax.random.key(3), [SPACE.canonical(tokens[3])], [0]
  )
  program = interpreter.assemble([SPACE.decode(tokens[3])])
  alone = jax.jit(
    lambda: proxy_scorer.score_child(
      name,
      RECIPE,
      20,
      (tasks.train.inputs[0], tasks.train.targets[0]),
      jax.tree.map(lambda leaf: leaf[0] if leaf.ndim else leaf, program),
      key,
    )
  )
  # One child's sums may be in another order.
  np.testing.assert_allclose(alone(), scores[3], rtol=1e-5)
  assert np.abs(np.delete(scores, 3) - scores[3]).min() > 1e-3


def test_a_proxy_that_is_not_there(scorer):
  with pytest.raises(ValueError, match="Unknown proxy 'flops'"):
    scorer.score('flops', make_tokens())

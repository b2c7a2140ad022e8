# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import numpy as np
import pytest

from jaxnas.children import recurrent_interpreter as interpreter
from jaxnas.datasets import text
from jaxnas.spaces import recurrent_cell as spaces
from jaxnas.trainers import shared, shared_scorer
from jaxnas.training import dataset_tasks, text_task

SPACE = spaces.make_space(2)
RECIPE = text_task.Recipe(features=2)


@pytest.fixture(autouse=True, scope='module')
def quick_compilation():
  # XLA's optimizations do not change what is tested here, and they are most of
  # the time that it takes.
  jax.config.update('jax_disable_most_optimizations', True)
  yield
  jax.config.update('jax_disable_most_optimizations', False)


@pytest.fixture(scope='module', name='tasks')
def fixture_tasks():
  return dataset_tasks.TextTasks(text.load('pydoc', vocab_size=20), 6, 5)


def make_scorer(tasks, num_steps=2, num_batches=2):
  return shared_scorer.SharedScorer(
    SPACE,
    tasks,
    RECIPE,
    learning_rate=0.1,
    num_steps=num_steps,
    num_batches=num_batches,
    block_size=4,
  )


@pytest.fixture(scope='module', name='scorer')
def fixture_scorer(tasks):
  return make_scorer(tasks)


def make_tokens():
  """Returns cells of which the second and third are equal up to a swap."""
  tokens = np.zeros((6, SPACE.num_tokens), np.int32)
  tokens[:, 8:] = 2
  # A sigmoid; of values as small as here, tanh is the identity.
  tokens[1, 1] = tokens[2, 3] = 2
  tokens[3] = SPACE.encode(spaces.KNOWN_CELLS['paper_example'])
  tokens[4, 5] = 2
  tokens[5, 5] = 3
  return tokens


def test_a_score_follows_from_cell_and_seed_alone(scorer):
  tokens, followed = make_tokens(), []
  found = scorer.score('leaf', 1, tokens, follow=followed.append)
  scores = found.scores
  assert scores.shape == (6,)
  assert scores[1] == scores[2]
  # Equal cells are scored once, on two minibatches.
  assert followed == [2, 2, 4, 5]
  assert len(set(scores.tolist())) == 5
  assert found.core_seconds > 0
  assert found.compile_seconds > 0
  again = scorer.score('leaf', 1, tokens[::-1])
  np.testing.assert_array_equal(again.scores[::-1], scores)
  assert again.compile_seconds == 0
  assert (scorer.score('leaf', 1, tokens, seed=1).scores != scores).all()


def test_a_score_is_the_mean_loss_with_trained_weights(scorer, tasks):
  tokens = make_tokens()
  cells = [SPACE.decode(row) for row in tokens]
  trainer = shared.SharedTrainer(
    tasks.make_shared(
      RECIPE,
      interpreter.InterpretedCell,
      cells[0],
      0.1,
      interpreter.assemble,
      interpreter.BATCH_AXES,
    ),
    1,
    4,
  )
  state = trainer.init(jax.random.key(7))
  untrained = trainer.losses(state.params, cells)
  state = trainer.train(state, scorer._draw_steps(1, 7))
  assert state.num_steps == 2
  losses = [trainer.losses(state.params, cells, number=i) for i in range(2)]
  assert (losses[0] != untrained).all()
  np.testing.assert_allclose(
    scorer.score('leaf', 1, tokens, 7).scores, np.mean(losses, 0), rtol=1e-6
  )


def test_cells_are_drawn_anew_for_each_step_and_seed(scorer, tasks):
  steps = make_scorer(tasks, num_steps=3)._draw_steps(5, 0)
  assert [len(step) for step in steps] == [5, 5, 5]
  assert len({cell for step in steps for cell in step}) == 15
  assert scorer._draw_steps(5, 0) == scorer._draw_steps(5, 0)
  assert scorer._draw_steps(5, 0) != scorer._draw_steps(5, 1)


def test_a_sharing_that_is_not_there(scorer):
  with pytest.raises(ValueError, match="Unknown sharing 'nothing'; expected"):
    scorer.score('nothing', 1, make_tokens())

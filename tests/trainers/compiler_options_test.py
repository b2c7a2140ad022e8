# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.trainers import compiled, compiler_options, mapping
from jaxnas.types import Task

# XLA cuts operations from about this many numbers on into tasks for threads.
MANY = 2**18
ONE_ARCHITECTURE = '_ONE_ARCHITECTURE_CPU_OPTIONS'


def num_cut(text: str) -> int:
  """Returns how many operations of a program are cut for several threads."""
  return text.count('outer_dimension_partitions":["')


def rectify_and_convolve(images):
  kernel = jnp.ones((5, 7, 2, 2))
  return jax.lax.conv_general_dilated(
    jnp.maximum(images, 0.5), kernel, (1, 1), 'SAME',
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  )  # fmt: skip


def images_of(num_rows):
  return jnp.ones((num_rows, MANY // 128, 8, 8, 2))


def test_no_operation_of_a_block_is_cut_for_several_threads():
  """A convolution could begin before the tasks that make its input end."""
  cut = jax.jit(jax.vmap(rectify_and_convolve)).lower(images_of(2)).compile()
  # Otherwise the block's program would tell nothing.
  assert num_cut(cut.as_text())
  blocks = mapping.BlockMapping(2, 2)
  program = blocks.shard(
    lambda rows: jax.lax.map(rectify_and_convolve, rows), (0,)
  )
  whole = blocks.compile(program, images_of(2))
  assert 'convolution' in whole.as_text()
  assert not num_cut(whole.as_text())


def test_options_of_the_caller_are_added():
  blocks = mapping.BlockMapping(2, 2)
  program = blocks.shard(
    lambda rows: jax.lax.map(rectify_and_convolve, rows), (0,)
  )
  whole = blocks.compile(
    program,
    images_of(2),
    compiler_options={'xla_backend_optimization_level': 0},
  )
  assert not num_cut(whole.as_text())


class Scale:
  """Makes tasks without programs, whose training is one large operation."""

  def __call__(self, architecture):
    def train(data, program, state, key, learning_rate, span):
      del program, key, learning_rate, span
      return state + rectify_and_convolve(data).mean() * architecture

    return Task(
      init=lambda program, key, learning_rate: jnp.zeros(()),
      train=train,
      train_metrics=lambda state: {'is_alive': jnp.isfinite(state)},
      measure=lambda split, program, state: {'loss': state + split.sum()},
      train_data=images_of(1)[0],
      splits={'validation': jnp.ones(3)},
    )


@pytest.fixture
def compiled_with(monkeypatch):
  """The options that everything is compiled with, and the programs if any."""
  used = []
  compile_ = jax.stages.Lowered.compile

  def compile_and_note(self, compiler_options=None, **settings):
    used.append([compiler_options, None])
    used[-1][1] = compile_(self, compiler_options, **settings)
    return used[-1][1]

  monkeypatch.setattr(jax.stages.Lowered, 'compile', compile_and_note)
  compiler_options._is_known.cache_clear()
  yield used
  compiler_options._is_known.cache_clear()


def train_one():
  trainer = compiled.CompiledTrainer(Scale(), block_size=1)
  trained = trainer.run([2], jax.random.split(jax.random.key(0), 1), [0.5], 7)
  assert not trained.status.any()
  assert np.isfinite(trained.metrics['validation_loss']).all()


def test_programs_of_one_architecture_are_made_by_the_faster_compiler(
  compiled_with,
):
  options = {'xla_disable_hlo_passes': 'cpu-parallel-task-assigner'}
  faster = {'xla_cpu_use_fusion_emitters': False}
  try:
    jax.jit(lambda: 0).lower().compile(faster)
  except jax.errors.JaxRuntimeError:
    faster = {}  # Newer versions have the other compiler alone.
  train_one()
  assert [used for used, _ in compiled_with[-2:]] == [options | faster] * 2
  assert not any(num_cut(each.as_text()) for _, each in compiled_with[-2:])


def test_other_platforms_have_no_options():
  assert not compiler_options.of_children('cuda')
  assert not compiler_options.of_one_architecture('tpu')


def test_an_option_that_the_compiler_does_not_know_is_not_asked_for(
  compiled_with, monkeypatch
):
  monkeypatch.setattr(
    compiler_options, ONE_ARCHITECTURE, {'xla_cpu_use_punched_cards': False}
  )
  for _ in range(2):
    train_one()
  asked = [used for used, program in compiled_with if program is None]
  assert asked == [{'xla_cpu_use_punched_cards': False}]  # Once.
  known = compiler_options.of_children('cpu')
  assert compiler_options.of_one_architecture('cpu') == known

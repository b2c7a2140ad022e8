# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

r"""Lets a trained language model continue a text.

    python -m experiments.generate_text --weights=runs/train/weights.npz \
        --prompt='the value of' --num_tokens=50

The weights are those of `experiments.train_recurrent_cell`. The prompt is split
into words or characters like the text that the model was trained on.
"""

from __future__ import annotations

import dataclasses

from experiments import launch, settings
from jaxnas.datasets import prepared
from jaxnas.runs import trained_models


@dataclasses.dataclass(frozen=True)
class Config(settings.Bounded):
  """Settings of generated texts."""

  weights: str | None = settings.data(
    None,
    'Path of the weights.npz of a training.',
    is_common=True,
    required=True,
  )
  prompt: str = settings.data(
    '',
    'Text to continue; if empty, the start of a line.',
    is_common=True,
  )
  num_tokens: int = settings.measurement(
    100,
    'Number of words or characters to add.',
    is_common=True,
    low=1,
    high=settings.MAX_ITEMS,
  )
  temperature: float = settings.measurement(
    1.0,
    'Sampling temperature; 0 always takes the most probable token.',
    is_common=True,
    low=0.0,
  )
  num_samples: int = settings.measurement(
    1, 'Number of texts to generate.', low=1, high=settings.MAX_ITEMS
  )
  allow_unknown: bool = settings.measurement(
    False, 'Whether the texts may contain <unk>, which stands for rare words.'
  )
  seed: int = settings.machine(
    0, 'Random seed.', is_common=True, low=0, high=settings.MAX_SEED
  )


def run(config: Config) -> None:
  """Prints texts that continue the prompt.

  Args:
    config: the settings.

  Raises:
    ValueError: the weights are damaged or not a language model's, or the prompt
      has tokens that the model cannot read.
    OSError: the file cannot be read.
  """
  trained = trained_models.load_language_model(
    prepared.expand(config.weights or '')
  )
  texts = trained_models.generate_text(
    trained,
    config.prompt,
    config.num_tokens,
    temperature=config.temperature,
    seed=config.seed,
    num_samples=config.num_samples,
    allow_unknown=config.allow_unknown,
  )
  for number, text in enumerate(texts, start=1):
    if len(texts) > 1:
      print(f'--- {number} of {len(texts)} ---')
    print(text)


if __name__ == '__main__':
  launch.launch(Config, run, has_workdir=False)

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The smallest run of each experiment, and the data that it needs."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

VECTORS = pathlib.Path(__file__).parents[1] / 'data' / 'cell_vectors.json'

_SEARCH = {
  'num_trials': 8,
  'trials_per_update': 4,
  'controller_features': 4,
  'controller_layers': 1,
  'num_winners': 1,
  'num_seeds': 2,
  'retrain_learning_rates': '0.05',
  'block_size': 4,
  'num_host_devices': 1,
  'checkpoint_every': 1,
}
_TEXT = {
  'dataset': 'text',
  'data_dir': '{data}/text',
  'features': 4,
  'num_layers': 1,
  'batch_size': 4,
  'num_unrolled': 5,
}
_IMAGES = {'dataset': 'npz', 'data_dir': '{data}/images.npz'}

TOYS: dict[str, dict[str, Any]] = {
  'search_recurrent_cell': {
    **_SEARCH,
    **_TEXT,
    'base': 2,
    'num_steps': 2,
    'known_cells': 'paper_example',
  },
  'search_conv_net': {
    **_SEARCH,
    **_IMAGES,
    'num_layers': 2,
    'heights': '1,3',
    'widths': '3',
    'filters': '2,3',
    'known_nets': 'chain',
    'route': 'interpreted',
    'batch_size': 16,
    'num_steps': 2,
  },
  'search_hyperparameters': {
    **_SEARCH,
    **_IMAGES,
    'widths': '4',
    'batch_sizes': '16',
    'num_layers': 1,
    'num_epochs': 1,
  },
  'search_controller_cell': {
    'num_lineages': 2,
    'num_generations': 2,
    'num_trials': 8,
    'trials_per_update': 4,
    'controller_features': 4,
    'controller_layers': 1,
    'num_candidates': 1,
    'num_seeds': 1,
    'features': 2,
    'vocab_size': 20,
    'num_steps': 1,
    'block_size': 2,
    'num_host_devices': 1,
  },
  'compare_architectures': {
    **_TEXT,
    'architectures': 'paper_example,lstm',
    'learning_rates': '0.05',
    'num_selection_seeds': 1,
    'num_seeds': 2,
    'num_epochs': 1,
    'num_host_devices': 1,
  },
  'train_recurrent_cell': {
    **_TEXT,
    'architecture': 'paper_example',
    'num_epochs': 2,
    'constant_epochs': 1,
  },
  'train_conv_net': {
    **_IMAGES,
    'architecture': 'chain',
    'num_layers': 2,
    'filters': 2,
    'batch_size': 16,
    'num_epochs': 2,
    'schedule': 'constant',
  },
}


def write_data(folder: pathlib.Path) -> None:
  """Writes a text and some images into a folder."""
  rng = np.random.default_rng(0)
  (folder / 'text').mkdir(parents=True)
  for name, num_lines in (('train', 40), ('valid', 12), ('test', 6)):
    lines = [
      ' '.join(f'w{word}' for word in rng.integers(9, size=8))
      for _ in range(num_lines)
    ]
    (folder / 'text' / f'{name}.txt').write_text('\n'.join(lines) + '\n')
  labels = rng.integers(2, size=96)
  images = (
    rng.integers(0, 128, size=(96, 6, 6, 1)) + 100 * labels[:, None, None, None]
  )
  np.savez(
    folder / 'images.npz',
    x_train=images[:64].astype(np.uint8),
    y_train=labels[:64],
    x_test=images[64:].astype(np.uint8),
    y_test=labels[64:],
  )


def arguments(
  module: str, data: pathlib.Path, **changes: Any
) -> dict[str, str]:
  """Returns the settings of a toy run as a command line spells them."""
  settings = TOYS[module] | changes
  return {
    name: str(value).replace('{data}', str(data))
    for name, value in settings.items()
  }

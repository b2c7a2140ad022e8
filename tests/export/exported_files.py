# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What tests of exported files share: they are run, and weights are made."""

import dataclasses
import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

from jaxnas import npz
from jaxnas.children import conv_net
from jaxnas.datasets import image_preprocessing
from jaxnas.export import image_weights, weights
from jaxnas.training import long_images, long_text

ROOT = pathlib.Path(__file__).parents[2]
RUFF = pathlib.Path(sys.executable).with_name('ruff')
HAS_TORCH = importlib.util.find_spec('torch') is not None
VOCABULARY = ('<unk>', 'a', '"""\nimport os', 'd')
IMAGE = (6, 5, 3)

# Runs files as programs, in a process that cannot import jaxnas, and prints for
# each its exit code and what it printed.
RUN = """
import contextlib, io, json, runpy, sys

class Forbid:
  def find_spec(self, name, path=None, target=None):
    if name.partition('.')[0] in ('jaxnas', 'experiments'):
      raise ImportError(f'{name} is forbidden')

sys.meta_path.insert(0, Forbid())
results = {}
for path in sys.argv[1:]:
  printed, code = io.StringIO(), None
  with contextlib.redirect_stdout(printed):
    try:
      runpy.run_path(path, run_name='__main__')
    except SystemExit as error:
      code = error.code
  results[path] = code, printed.getvalue()
print(json.dumps(results))
"""


def run_files(paths):
  """Returns exit code and output of each file."""
  result = subprocess.run(
    [sys.executable, '-c', RUN, *map(str, paths)],
    env=os.environ | {'JAX_NUMPY_RANK_PROMOTION': 'allow'},
    cwd='/',
    capture_output=True,
    text=True,
    check=False,
    timeout=300,
  )
  assert not result.returncode, result.stderr
  found = json.loads(result.stdout)
  return [found[str(path)] for path in paths]


def load(path):
  """Returns the names of a file, as a module."""
  spec = importlib.util.spec_from_file_location(path.stem, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def check_format(paths):
  """Fails unless files are as the formatter and the linter want them."""
  if not RUFF.exists():
    pytest.skip('ruff is not installed')
  for command in (['format', '--diff'], ['check']):
    result = subprocess.run(
      [
        RUFF,
        *command,
        '--no-cache',
        '--config',
        ROOT / 'pyproject.toml',
        *paths,
      ],
      capture_output=True,
      text=True,
      check=False,
    )
    assert not result.returncode, result.stdout[-2000:]


def write_text(path, architecture, **recipe):
  """Writes a language model; returns it with its parameters."""
  recipe = long_text.Recipe(**{'features': 3, 'num_layers': 2, **recipe})
  model = long_text.make_model(recipe, len(VOCABULARY), architecture)
  tokens = np.zeros((1, 1), np.int32)
  carry = model.initialize_carry(1)
  shapes = jax.eval_shape(
    model.init, jax.random.key(0), carry, tokens, tokens, np.ones((1, 1))
  )
  draw = np.random.default_rng(0)
  params = jax.tree.map(
    lambda leaf: draw.normal(0, 0.5, leaf.shape).astype(np.float32), shapes
  )
  weights.write_weights(
    path, params, VOCABULARY, architecture, recipe=dataclasses.asdict(recipe)
  )
  return model, params


def write_images(path, architecture, preprocessing='standardize', **recipe):
  """Writes a classifier; returns the images of its statistics."""
  draw = np.random.default_rng(0)
  images = draw.integers(0, 256, (9, *IMAGE)).astype(np.uint8)
  params, batch_stats = conv_net.init(jax.random.key(0), architecture, IMAGE, 4)
  made = image_weights.ImageWeights(
    params,
    jax.tree.map(lambda leaf: leaf + 0.25, batch_stats),
    architecture,
    IMAGE,
    4,
    image_preprocessing.measure(images, preprocessing),
    long_images.Recipe(**recipe),
    {'epoch': 1},
  )
  image_weights.write_weights(path, made)
  return images


def edit(path, change):
  """Changes what a file says of its arrays, or the arrays."""
  arrays = npz.read(path)
  about = json.loads(arrays['about'].tobytes())
  change(about, arrays)
  arrays['about'] = np.frombuffer(json.dumps(about).encode(), np.uint8)
  npz.write(path, arrays)

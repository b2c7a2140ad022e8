# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Settings that jax reads when it starts; the environment may override them.

And those of the garbage collector, and the order of the tests.
"""

import gc
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ.setdefault('JAX_NUMPY_RANK_PROMOTION', 'raise')


def _are_known(*flags: str) -> bool:
  """Returns whether XLA knows flags; an unknown one ends the process."""
  program = 'import jax; jax.jit(lambda: 0).lower().compile()'
  return not subprocess.run(
    [sys.executable, '-c', program],
    env=os.environ | {'XLA_FLAGS': ' '.join(flags)},
    capture_output=True,
    timeout=120,
  ).returncode


# Two devices, so that what is sharded over devices is sharded in the tests; and
# next to no optimization, since tests compile much and compute little.
if 'XLA_FLAGS' not in os.environ:
  # A program in parts takes less time only where a core is idle, and more work.
  # Newer versions of XLA have one way alone to compile fusions.
  _SOME = (
    '--xla_cpu_parallel_codegen_split_count=1',
    '--xla_cpu_use_fusion_emitters=false',
  )
  os.environ['XLA_FLAGS'] = ' '.join(
    [
      '--xla_force_host_platform_device_count=2',
      '--xla_backend_optimization_level=0',
      *(_SOME if _are_known(*_SOME) else filter(_are_known, _SOME)),
    ]
  )
# Programs that one session meets again, often in another process.
_CACHE = tempfile.TemporaryDirectory(prefix='jaxnas_test_programs')
os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', _CACHE.name)
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0')
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES', '-1')

# What takes longest, so that no process still has a long file to do when the
# others have finished.
_LONG = ('experiments', 'docs_test.py', 'fuzz', 'runs', 'trainers', 'workers')

# Jax leaves tens of thousands of objects that live as long as a session.
gc.set_threshold(50_000, 20, 100)


def pytest_collection_finish() -> None:
  """Takes what was imported out of the sight of the garbage collector."""
  gc.collect()
  gc.freeze()


def pytest_collection_modifyitems(items) -> None:
  """Puts the folders and files that take longest first."""
  here = pathlib.Path(__file__).parent
  items.sort(key=lambda item: item.path.relative_to(here).parts[0] not in _LONG)

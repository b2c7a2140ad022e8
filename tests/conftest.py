# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Settings that jax reads when it starts; the environment may override them."""

import os
import tempfile

os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ.setdefault('JAX_NUMPY_RANK_PROMOTION', 'raise')
# Two devices, so that what is sharded over devices is sharded in the tests; and
# next to no optimisation, since tests compile much and compute little.
os.environ.setdefault(
  'XLA_FLAGS',
  '--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0 '
  '--xla_cpu_use_fusion_emitters=false',
)
# Programs that one session meets again, often in another process.
_CACHE = tempfile.TemporaryDirectory(prefix='jaxnas_test_programs')
os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', _CACHE.name)
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0.2')
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES', '-1')

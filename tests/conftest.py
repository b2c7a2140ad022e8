# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Settings that jax reads when it starts; the environment may override them."""

import os

os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ.setdefault('JAX_NUMPY_RANK_PROMOTION', 'raise')
# Two devices, so that what is sharded over devices is sharded in the tests.
os.environ.setdefault('XLA_FLAGS', '--xla_force_host_platform_device_count=2')

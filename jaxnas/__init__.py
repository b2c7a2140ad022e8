# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Neural architecture search as pure functions in JAX."""

__version__ = '0.1.0'

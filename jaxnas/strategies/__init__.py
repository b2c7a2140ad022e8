# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Strategies: who proposes architectures and learns from their rewards."""

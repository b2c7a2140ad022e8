# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Strategies, which propose architectures and learn from their rewards."""

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""How one child is trained and measured."""

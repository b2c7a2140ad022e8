# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Controllers: distributions over the tokens of some decisions."""

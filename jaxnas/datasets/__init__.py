# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Data as arrays: splits that fit on the device, test data kept apart."""

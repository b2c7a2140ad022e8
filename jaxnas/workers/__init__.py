# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""A dispatcher, and the workers it has: processes of this machine, or Ray."""

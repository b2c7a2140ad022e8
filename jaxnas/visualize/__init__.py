# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Pictures of architectures, plots of searches, and progress on a terminal."""

# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Pictures of architectures, curves of searches, progress on a terminal."""

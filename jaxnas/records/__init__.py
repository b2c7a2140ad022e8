# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The files of a run: its folder, its trial log and its checkpoints."""

from jaxnas.records.rows import flatten, read, write_csv

__all__ = ('flatten', 'read', 'write_csv')

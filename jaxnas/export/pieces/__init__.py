# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Parts of exported files, as they stand in them.

An exported file takes from these modules the definitions that it needs, as
text; what they read besides, such as `TOLERANCE`, the file defines. So they are
formatted, checked and tested as other code is. Nobody imports a module that
needs PyTorch.
"""

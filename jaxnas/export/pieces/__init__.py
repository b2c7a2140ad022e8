# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The parts of exported files, word for word.

An exported file is given the text of the definitions that it needs from these
modules, and defines itself the names that they read, such as `TOLERANCE`. The
parts are thus formatted, checked and tested like other code. The library never
imports a module that needs PyTorch.
"""

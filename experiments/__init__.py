# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""What a person launches: `python -m experiments.<name>`."""

import signal
import sys

# Python is looking for the module that it is to run. Until `launch` listens,
# Ctrl-C ends the process without a word: libraries that are being imported make
# other errors of it, or none.
if (
  sys.argv[:1] == ['-m']
  and signal.getsignal(signal.SIGINT) is signal.default_int_handler
):
  signal.signal(signal.SIGINT, signal.SIG_DFL)

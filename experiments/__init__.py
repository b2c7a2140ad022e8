# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The experiments, to be launched by `python -m experiments.<name>`."""

import signal
import sys

# Python is still importing the module to run. Until `launch` handles it, Ctrl-C
# ends the process silently: libraries being imported would turn it into other
# errors, or ignore it.
if (
  sys.argv[:1] == ['-m']
  and signal.getsignal(signal.SIGINT) is signal.default_int_handler
):
  signal.signal(signal.SIGINT, signal.SIG_DFL)

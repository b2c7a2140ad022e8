# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""The experiments, to be launched by `python -m experiments.<name>`."""

import importlib.util
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

# What every experiment imports, and the name by which it is installed.
_NEEDED = {
  'absl': 'absl-py',
  'chex': 'chex',
  'flax': 'flax',
  'jax': 'jax',
  'numpy': 'numpy',
  'optax': 'optax',
}

if sys.argv[:1] == ['-m']:
  _missing = [
    package
    for module, package in _NEEDED.items()
    if importlib.util.find_spec(module) is None
  ]
  if _missing:
    sys.exit(
      f'error: {sys.executable} lacks {", ".join(_missing)}; `make` installs '
      'all that jaxnas needs into .venv, and `python -m pip install '
      f'{" ".join(_missing)}` these alone.'
    )

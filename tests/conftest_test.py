# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import os
import pathlib
import subprocess
import sys

CONFTEST = pathlib.Path(__file__).with_name('conftest.py')
# A version of jax whose compiler has no such flag, as newer ones have not.
JAX = """
import os
import types

if 'xla_cpu_use_fusion_emitters' in os.environ.get('XLA_FLAGS', ''):
  raise SystemExit('Unknown flag in XLA_FLAGS')


def jit(function):
  compiled = types.SimpleNamespace(compile=function)
  return types.SimpleNamespace(lower=lambda: compiled)
"""


def test_a_flag_that_the_compiler_does_not_know_is_left_out(tmp_path):
  (tmp_path / 'jax.py').write_text(JAX)
  program = (
    'import os, runpy\n'
    f'runpy.run_path({str(CONFTEST)!r})\n'
    'import jax\n'
    "print(os.environ['XLA_FLAGS'])\n"
  )
  result = subprocess.run(
    [sys.executable, '-c', program],
    env={
      **{k: v for k, v in os.environ.items() if k != 'XLA_FLAGS'},
      'PYTHONPATH': str(tmp_path),
    },
    capture_output=True,
    text=True,
    check=False,
  )
  assert result.returncode == 0, result.stderr
  assert '--xla_force_host_platform_device_count=2' in result.stdout
  assert 'fusion_emitters' not in result.stdout
  # The others are kept.
  assert '--xla_cpu_parallel_codegen_split_count=1' in result.stdout

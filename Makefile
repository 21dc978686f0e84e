# Everything happens in .venv, which is made with plain pip. To install from elsewhere (a mirror, the CPU build of torch):
#   make demo PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"

PYTHON ?= python3
PIP_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
RUN := runs/digits

.DEFAULT_GOAL := help
.PHONY: demo test test-all lint clean help

demo: $(INSTALLED)  ## train, evaluate and report on the digits that come with scikit-learn
	$(BIN)/jensen train digits --out $(RUN) --force
	$(BIN)/jensen evaluate $(RUN) --budget 30
	$(BIN)/jensen report $(RUN)
	@echo "The report: $(CURDIR)/$(RUN)/report.html"

# One process per core, each with one thread: they do not wait for one another. Tests start many processes: compiled
# files are kept for them. Each takes an equal part of the tests, in their order, and then some that another has left:
# what the tests of a file share is made in one process, and not in every one.
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist worksteal

test: $(INSTALLED_DEV)  ## the tests, without the slow ones
	$(PYTEST)

test-all: $(INSTALLED_DEV)  ## all tests
	$(PYTEST) -m ""

lint: $(INSTALLED_DEV)  ## style, layout and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python

clean:  ## remove what make, the tests and the demo made
	rm -rf $(VENV) $(RUN) build dist .pytest_cache .ruff_cache .hypothesis
	find jensen tests -type d -name __pycache__ -prune -exec rm -rf {} +

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*##/\1:/' | awk -F': *' '{printf "  make %-10s %s\n", $$1, $$2}'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install $(PIP_ARGS) --quiet --editable .
	@touch $@

# What the tests need includes what the demo needs.
$(INSTALLED_DEV): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install $(PIP_ARGS) --quiet --editable ".[dev]"
	@touch $(INSTALLED) $@

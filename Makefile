# Every target sets up what it needs in .venv; `make` alone lists them.
PYTHON ?= python3
UV_VERSION := 0.13.8
BIN := .venv/bin
export MLOPS_HOME ?= $(CURDIR)/.mlops

.DEFAULT_GOAL := help

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one with PYTHON=python3.12"; exit 1; }
	@echo "Setting up .venv (once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --requirement requirements.lock --require-hashes
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

setup: .venv/.ready  ## Make .venv with everything in it

demo: .venv/.ready  ## Sample days through the whole graph, with numbers that add up
	@$(BIN)/mlops-assets demo

dev: .venv/.ready  ## Dagster's UI and daemon on http://127.0.0.1:3000
	@$(BIN)/mlops-assets dev

services: .venv/.ready  ## The stack of docker-compose.yml as processes: S3, PostgreSQL, MLflow, Dagster; Ctrl-C ends it
	@$(BIN)/python -m deploy.services $(MLOPS_HOME)/services

test: .venv/.ready  ## The test suite
	@$(BIN)/python -m pytest -n 2 --dist loadfile

test-long: .venv/.ready  ## The long tests: kills, fuzz, scale
	@$(BIN)/python -m pytest -m long

bench: .venv/.ready  ## The daily job beside other ways of doing the same, about an hour; writes docs/benchmarks.md
	@$(BIN)/python -m benchmarks

lint: .venv/.ready  ## ruff, types, layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

check: lint test  ## Everything that must be green before a commit

format: .venv/.ready  ## Put the code into its format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: .venv/.ready  ## Resolve the versions anew
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --group dev --extra spark --extra kafka pyproject.toml --output-file requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --extra kafka --constraint requirements.lock pyproject.toml --output-file deploy/requirements.lock

clean:  ## Remove .venv and all state under .mlops
	rm -rf .venv .mlops

.PHONY: help setup demo dev services test test-long bench lint check format lock clean

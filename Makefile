# Every target sets up what it needs in .venv; `make` alone lists them.
PYTHON ?= python3
UV_VERSION := 0.13.8
BIN := .venv/bin
RUNNING := 300 MB
ALL := 900 MB
unexport PYTHONDONTWRITEBYTECODE  # compiled modules halve the time that every command takes to start
FIRST := mlops_assets.definitions, mlops_assets.components.training_shown, dagster_mlflow, dagster_webserver.app, skops.io, \
	alembic.command, mlflow.store.tracking.sqlalchemy_store, mlflow.store.model_registry.sqlalchemy_store, matplotlib.figure, \
	matplotlib.backends.backend_agg, sqlglot.lineage, git, PIL.ImageDraw
export MLOPS_HOME ?= $(CURDIR)/.mlops

.DEFAULT_GOAL := help

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Two sets of packages in one .venv: what running needs, and what tests, lint, benchmarks and Spark need besides.
# The versions of both agree (`make lock`), so neither takes anything of the other away.
IN_C := $(shell find mlops_assets -name '*.c')
GET_UV = $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
INSTALL = $(BIN)/uv pip install --python $(BIN)/python --require-hashes --requirement

.venv/.running: requirements.lock pyproject.toml hatch_build.py $(IN_C)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one with PYTHON=python3.12"; exit 1; }
	@echo "Setting up .venv, once: $$(grep -c '^[a-z].*==' $<) packages, about $(RUNNING) to fetch unless uv has them in its cache"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(GET_UV)
	@$(INSTALL) $<
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@for source in $(IN_C:.c=); do ls $${source%/*}/_$${source##*/}-*.so >/dev/null 2>&1 || \
		echo "$$source.c was not compiled, so a day costs more; CC names a C compiler"; done
	@$(BIN)/uv pip uninstall --quiet --python $(BIN)/python uv  # running needs it no more, and it is 38 MB
	@echo "Compiling what every command imports"
	@$(BIN)/python -W ignore -c 'import $(FIRST)'
	@touch $@

.venv/.all: requirements-dev.lock .venv/.running
	@echo "Adding what tests, benchmarks and Spark need, once: about $(ALL) to fetch unless uv has them in its cache"
	@$(GET_UV)
	@$(INSTALL) $<
	@touch $@

setup: .venv/.running  ## Make .venv with what running needs

setup-dev: .venv/.all  ## Add what tests, lint, benchmarks and Spark need

TORCH = torch==2.13.0$(if $(filter Linux,$(shell uname)),+cpu)

torch: .venv/.running  ## Add PyTorch, the build without libraries for graphics cards; INDEX=URL says where it lies
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(if $(INDEX),--extra-index-url $(INDEX)) '$(TORCH)' 'safetensors>=0.8,<1'

demo: .venv/.running  ## Sample days through the whole graph, with numbers that add up
	@$(BIN)/mlops-assets demo

dev: .venv/.running  ## Dagster's UI and daemon on http://127.0.0.1:3000, the API on http://127.0.0.1:8000
	@$(BIN)/mlops-assets dev

.venv/.notebooks: deploy/notebooks.lock .venv/.running
	@echo "Adding JupyterLab, once"
	@$(GET_UV)
	@$(INSTALL) $<
	@touch $@

PORT = 8888

notebook: .venv/.notebooks  ## JupyterLab on loopback, PORT=8888, with what the platform has; the token is JUPYTER_TOKEN, or made and shown
	@JUPYTER_CONFIG_PATH="$(CURDIR)/deploy/jupyter" $(BIN)/jupyter-lab $(if $(filter 0,$(shell id -u)),--allow-root) --ServerApp.ip=127.0.0.1 --ServerApp.port=$(PORT) --ServerApp.port_retries=0 --ServerApp.root_dir=notebooks $(if $(DISPLAY),,--no-browser)

secrets:  ## Make the secrets of docker-compose.yml, a file each in .secrets; what is there stays
	@$(PYTHON) -m deploy.new_secrets

services: .venv/.all  ## The stack of docker-compose.yml as processes: S3, PostgreSQL, MLflow, Dagster, the API; Ctrl-C ends it
	@$(BIN)/python -m deploy.services $(MLOPS_HOME)/services

test: .venv/.all  ## The test suite
	@$(BIN)/python -m pytest -n 2 --dist loadfile

test-long: .venv/.all  ## The long tests: kills, fuzz, scale
	@$(BIN)/python -m pytest -m long

coverage: .venv/.all  ## The test suite, and which lines and branches of the package it reaches
	@$(BIN)/python -m pytest -n 2 --dist loadfile --cov=mlops_assets --cov-branch --cov-report=term:skip-covered

bench: .venv/.all  ## The daily job beside other ways of doing the same, some hours; writes docs/benchmarks.md
	@$(BIN)/python -m benchmarks

bench-lamps: .venv/.all  ## How often lamps are red on quiet and on damaged days, half an hour; writes docs/monitoring.md
	@$(BIN)/python -m benchmarks.lamps --write

drill: .venv/.all  ## A damaged day after four quiet ones, each damage once: the lamp, its rows, the alert; some minutes
	@$(BIN)/python -m benchmarks.drill

bench-starts: .venv/.all  ## What starting each command costs, some minutes; writes a section of docs/benchmarks.md
	@$(BIN)/python -m benchmarks.starts

bench-monitors: .venv/.all  ## Watching a day beside Evidently and NannyML, some minutes; writes a section of docs/benchmarks.md
	@$(BIN)/python -m benchmarks.monitors

bench-watching: .venv/.all  ## A day of 3,000,000 files, watched and not, an hour and 30 GB; writes a section of docs/benchmarks.md
	@$(BIN)/python -m benchmarks.watching

bench-serving: .venv/.all  ## What an answer of the API costs beside other servers, half an hour; writes a section of docs/benchmarks.md
	@$(BIN)/python -m benchmarks.serving

bench-flavours: .venv/.all  ## Models of other libraries beside scikit-learn's, some minutes; writes a section of docs/benchmarks.md
	@$(BIN)/python -m benchmarks.flavours $(TABLES)

bench-growth: .venv/.all  ## How the cost of a day grows, to 100,000 files; writes docs/scale.md; SIZES=1000000,3000000 adds larger ones
	@$(BIN)/python -m benchmarks.growth $(if $(SIZES),--files $(SIZES) --rows 0)

bench-shard: .venv/.all  ## Where the CPU seconds of one shard go, stage by stage, some minutes; prints tables
	@$(BIN)/python -m benchmarks.shard

bench-formats: .venv/.all  ## What reading costs by format of the files, some minutes; writes a section of docs/benchmarks.md
	@$(BIN)/python -m benchmarks.formats

bench-pages: .venv/.all  ## What each page costs on a day of 300,000 files, half an hour and 6 GB; writes a section of docs/benchmarks.md
	@$(BIN)/python -m benchmarks.pages

lint: .venv/.all  ## ruff, types, layers, known weaknesses, secrets, workflows; all of it offline
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m scans.dependencies
	@$(BIN)/python -m scans.credentials
	@$(BIN)/python -m scans.notebooks --check
	@$(BIN)/zizmor --offline --quiet .github
	@$(BIN)/actionlint -shellcheck $(BIN)/shellcheck

docs: .venv/.all  ## The documentation as a site: site/html/index.html, which needs no server and no network
	@$(BIN)/python -m documentation

pictures: .venv/.all  ## The pictures of pages and of Dagster's graph in the documents, made anew by the tests that open them in a browser
	@MLOPS_KEEP_PICTURES=1 $(BIN)/python -m pytest mlops_assets_tests/serving/pages -k "somebody or lamp_go_red or taken_home"
	@MLOPS_KEEP_PICTURES=1 $(BIN)/python -m pytest -m long mlops_assets_tests/components/test_graph_in_the_ui.py

check: lint test  ## Everything that must be green before a commit

format: .venv/.all  ## Put the code into its format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

# a build of PyTorch for every processor would bring gigabytes for graphics cards to each machine
LOCKED = $(shell $(BIN)/python -c 'import tomllib; print(*("--extra " + one for one in tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"] if one != "torch"))')
IMAGE = --extra apprise --extra kafka --extra kubernetes --extra services
COMPILE = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header pyproject.toml

lock: .venv/.all  ## Resolve the versions anew
	@$(COMPILE) --group dev $(LOCKED) --output-file requirements-dev.lock
	@$(COMPILE) --constraint requirements-dev.lock --output-file requirements.lock
	@$(COMPILE) --constraint requirements-dev.lock $(IMAGE) --output-file deploy/requirements.lock
	@$(COMPILE) --constraint requirements-dev.lock $(IMAGE) --extra spark --output-file deploy/spark.lock
	@$(COMPILE) --constraint requirements-dev.lock $(IMAGE) --extra notebooks --output-file deploy/notebooks.lock

bundle: .venv/.all  ## An archive for platforms without an image, named by its hash: interpreter, packages, the project; to dist/
	@$(GET_UV)
	@$(BIN)/python -m deploy.bundle $(or $(FOLDER),dist)

advisories: .venv/.all  ## Make the list of known weaknesses of locked packages anew; SOURCE=FILE.zip takes a copy of a database
	@$(BIN)/python -m scans.osv $(SOURCE)

clean:  ## Remove .venv and all state under .mlops
	rm -rf .venv .mlops site

.PHONY: help setup setup-dev torch demo dev notebook secrets services test test-long coverage bench bench-lamps drill bench-starts bench-monitors bench-watching bench-serving bench-flavours bench-formats bench-shard bench-growth bench-pages lint docs pictures check format lock bundle advisories clean

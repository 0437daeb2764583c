# Every target makes and uses .venv; nothing else has to be installed but Python 3.11
# and its venv module. Give more arguments to pytest with ARGS="-k gang". Tests with
# clusters wait more than they compute, so they run two or four at a time; WORKERS=0
# and CLUSTER_WORKERS=0 for one.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
ARGS ?=
WORKERS ?= 2
CLUSTER_WORKERS ?= 4
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest
RESULTS := .knav/allure-results
REPORT := .knav/report
title = printf '\n==> %s\n'

.PHONY: help install assets check lint types test test-unit test-plugin test-browser \
	test-cluster chaos soak bench report docs clean

help: ## Say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' \
		$(firstword $(MAKEFILE_LIST))

install: $(STAMP) ## Make .venv with pytest-knav and what its development needs

# A stamp, so that a changed pyproject.toml installs again and nothing else does.
$(STAMP): pyproject.toml
	@$(title) 'install into $(VENV)'
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is too old: Python 3.11 is needed, give it with PYTHON=…"; \
		exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
		echo "no venv module: on Debian and Ubuntu, apt-get install python3-venv"; \
		exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@$(BIN)/python scripts/has_go.py || \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[go]'
	@touch $@

assets: $(STAMP)
	@$(title) 'the binaries of the control plane'
	$(BIN)/knav assets install
	$(BIN)/knav assets install prometheus metrics-server toxiproxy-server descheduler

check: $(STAMP) lint types ## Lint, format, types, generated documentation
	@$(title) 'docs/reference is fresh'
	$(BIN)/python scripts/reference.py --check

lint: $(STAMP)
	@$(title) 'ruff'
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	@$(title) 'mypy'
	$(BIN)/mypy

# What needs no cluster keeps one core busy each, so two of them run at a time, each
# with its output in one piece.
test: $(STAMP) ## The project's own tests, and check
	@$(MAKE) -j2 -Otarget test-browser check test-plugin test-unit
	@$(MAKE) test-cluster

test-unit: $(STAMP)
	@$(title) 'tests/unit: no processes'
	$(PYTEST) tests/unit $(ARGS)

test-plugin: $(STAMP)
	@$(title) 'tests/plugin: pytest in pytest, packages'
	$(PYTEST) tests/plugin -n $(WORKERS) $(ARGS)

test-browser: $(STAMP)
	@$(title) 'tests/browser: pictures in chromium; skipped without one'
	$(PYTEST) tests/browser $(ARGS)

test-cluster: assets
	@$(title) 'tests/cluster: real control planes'
	$(PYTEST) tests/cluster -n $(CLUSTER_WORKERS) $(ARGS)

chaos: assets ## The chaos suites, with an Allure report
	@$(title) 'pytest -m chaos'
	rm -rf $(RESULTS)
	$(PYTEST) -m chaos -n $(WORKERS) --alluredir $(RESULTS) $(ARGS) && code=0 || code=$$?; \
	echo "Allure results in $(RESULTS); make report renders them"; exit $$code

soak: assets ## What is long: kill matrices, repeats, many seeds, large sizes
	@$(title) 'tests/soak: kill matrix, repeats, sizes'
	$(PYTEST) tests/soak $(ARGS)

bench: assets ## Measure ours beside plain kwokctl; ARGS="--size 1k" for more
	@$(title) 'knav selfbench'
	@mkdir -p .knav
	$(BIN)/knav selfbench --write docs/benchmarks.md --plot docs/benchmarks.svg \
		--json .knav/selfbench.json $(ARGS)

report: $(STAMP) ## Render the Allure report of the last make chaos (needs Node)
	$(BIN)/python scripts/report.py $(RESULTS) $(REPORT)

docs: $(STAMP) ## Write the generated pages of docs/reference again
	$(BIN)/python scripts/reference.py

clean: ## Remove what runs and tools left; .venv and the user's cache stay
	rm -rf .knav .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist .coverage

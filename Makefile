# Two commands do everything, each alone in a fresh clone: `make up` and `make test`.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup up down check test format benchmark clean

help: ## Show this help
	@echo "Drydock: infrastructure as code whose runbooks are rehearsed."
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## Install what is missing: Python packages, PostgreSQL, Redis, HAProxy, Pulumi's engine, the emulator
	@$(PYTHON) tools/setup.py

up: setup ## Bring the local environment up with the chat application, and print where to look
	@$(BIN)/drydock up

down: ## Stop the local environment; its data are kept
	@if [ -x $(BIN)/drydock ]; then $(BIN)/drydock down; else echo "nothing is set up here; see make help"; fi

check: setup ## Format, lint, types, arrows between packages, fast tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n 2 -m "not dock and not engine"

test: setup ## All tests: the fast ones, and those on real engines
	$(BIN)/pytest -n 2 --ignore=tests/rehearsals
	$(BIN)/pytest tests/rehearsals

format: setup ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

benchmark: setup ## Measure, and print the table of figures
	$(BIN)/python -m benchmarks

clean: ## Remove the Python environment (not the dock's data, not the cache)
	rm -rf .venv

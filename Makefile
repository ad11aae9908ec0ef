# Everything runs in .venv; nothing is installed outside this folder.
PYTHON ?= python3
WORKSPACE ?=
QUERY ?=
BIN := .venv/bin

.PHONY: help demo test setup setup-dev lint typecheck fix bench clean

help: ## Show the targets.
	@grep -E '^[a-z-]+:.*## ' Makefile | sed 's/:.*## /\t/'

demo: setup ## Start the server on a real codebase and ask it (WORKSPACE=/path QUERY="...").
	@$(BIN)/python -m tests.demo $(if $(WORKSPACE),--workspace "$(WORKSPACE)") $(if $(QUERY),--query "$(QUERY)")

test: setup-dev lint typecheck ## Run all checks and tests.
	@$(BIN)/python -m pytest

setup: ## Install what the server needs.
	@sh tests/setup.sh core "$(PYTHON)"

setup-dev: ## Install what development needs as well (torch, CPU build).
	@sh tests/setup.sh dev "$(PYTHON)"

lint: setup-dev ## Check style.
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

typecheck: setup-dev ## Check types.
	@$(BIN)/mypy

fix: setup-dev ## Mend style where that is mechanical.
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

bench: setup-dev ## Print speed, memory and quality figures.
	@$(BIN)/python -m tests.bench.speed

clean: ## Remove what was installed and built.
	rm -rf .venv build *.egg-info

# Everything runs in .venv; nothing is installed outside this folder.
PYTHON ?= python3
WORKSPACE ?=
QUERY ?=
BIN := .venv/bin
VSCODE := clients/vscode

.PHONY: help demo test setup setup-dev lint lint-vscode typecheck fix bench vsix clean

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

lint: setup-dev lint-vscode ## Check style.
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

lint-vscode:
	@if command -v npm >/dev/null; then $(MAKE) --silent $(VSCODE)/node_modules/.done && cd $(VSCODE) && npm run --silent check; \
	else echo "lint: npm is missing, so the VS Code extension is not checked"; fi

typecheck: setup-dev ## Check types.
	@$(BIN)/mypy

fix: setup-dev ## Mend style where that is mechanical.
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

bench: setup-dev ## Print speed, memory and quality figures.
	@$(BIN)/python -m tests.bench.speed

vsix: $(VSCODE)/node_modules/.done ## Build the VS Code extension (needs Node.js 20).
	@cd $(VSCODE) && npm run --silent package >/dev/null && ls dist/*.vsix

# No script of a dependency is run: none of them needs one.
$(VSCODE)/node_modules/.done: $(VSCODE)/package-lock.json
	@cd $(VSCODE) && npm ci --ignore-scripts --no-fund --no-audit --loglevel=error && touch node_modules/.done

clean: ## Remove what was installed and built.
	rm -rf .venv build *.egg-info $(VSCODE)/dist $(VSCODE)/node_modules

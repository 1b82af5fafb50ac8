# Two commands matter: `make run` and `make test`. Each first sets up what is absent or stale, and says what and how long.
# They need Python 3.11 or 3.12, and Java 17 or newer with Maven (on Debian as root the last two are installed
# for you). What is made is in .venv, flink-jobs/.venv and .cache, and `make clean` removes it; the README names the rest.

PYTHON ?= $(or $(shell for p in python3.11 python3.12 python3; do $$p -c '' 2>/dev/null && echo $$p && break; done),python3)
PIPELINE ?= manifests/quickstart.yaml
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help run dashboard screenshots test setup setup-dev setup-test lint format types lock generate wheel docs bench clean

help: ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: setup ## start the pipeline of manifests/quickstart.yaml here (PIPELINE=FILE, ARGS="--for 2m")
	@exec $(BIN)/marketpipeline run $(PIPELINE) $(ARGS)

dashboard: ## the same with the dashboard at http://127.0.0.1:8501 (installs Streamlit: 115 MB)
	@$(PYTHON) scripts/set_up.py --pipeline $(PIPELINE) --extra dashboard
	@exec $(BIN)/marketpipeline run $(PIPELINE) --dashboard $(ARGS)

screenshots: setup-test ## the README's pictures of the dashboard, of a run of some minutes
	@$(BIN)/python scripts/screenshots.py

test: setup-test ## every check and every test (SUITES="lint services" for some)
	@$(BIN)/python scripts/run_suites.py $(SUITES)

setup: ## what a run needs (PIPELINE=FILE for one whose sinks need more)
	@$(PYTHON) scripts/set_up.py --pipeline $(PIPELINE)

setup-test: ## what the tests need too
	@$(PYTHON) scripts/set_up.py --test

setup-dev: ## what checks and generated files need too
	@$(PYTHON) scripts/set_up.py --extra dev

lint: setup-dev ## ruff and the import contracts
	@$(BIN)/python scripts/run_suites.py lint imports

format: setup-dev ## let ruff put right what it can
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

types: setup-dev ## mypy --strict
	@$(BIN)/python scripts/run_suites.py types

lock: ## write the locks from the pyproject and pom files (UPGRADE=1 for the newest versions)
	@test -x $(BIN)/uv || $(PYTHON) scripts/set_up.py
	@$(BIN)/python scripts/lock.py $(if $(UPGRADE),--upgrade)

generate: setup-dev ## write every generated file
	@$(BIN)/python scripts/generate.py

wheel: setup ## the package as a wheel, in dist/: what runs without a clone
	@$(BIN)/uv build --quiet --wheel --no-build-isolation --python $(BIN)/python && ls dist/*.whl

docs: setup-test ## the documentation as a site, in .cache/site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

bench: setup-test ## measure what is claimed about speed (ARGS for one of them)
	@$(BIN)/python -m benchmarks $(ARGS)

clean: ## remove environments, jars and caches, not the state of runs
	@rm -rf .venv flink-jobs/.venv .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	@find tests -name node_modules -type d -prune -exec rm -rf {} +

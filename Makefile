# Every command works on a clean clone: it makes .venv and installs what it needs, once.
VENV ?= .venv
PY := $(VENV)/bin/python
export OMP_NUM_THREADS ?= 1
STRICT := fairlens_backend/core fairlens_backend/schemas fairlens_backend/errors.py fairlens_backend/config.py fairlens_backend/settings_table.py \
	sdk/fairlens_sdk

.PHONY: help run test test-postgres check train docs smoke migrate bench format clean runtime dev lock lint layout types floors documents
.DEFAULT_GOAL := help

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|'

run: ## install, migrate, train the demo model, serve on $PORT (5050)
	@bash run.sh

test: dev ## the whole suite with doctests on SQLite, coverage by floor, then again on PostgreSQL where it is installed
	@bash tools/run_tests.sh all

test-postgres: dev ## the part of the suite above the pure floor, on PostgreSQL
	@bash tools/run_tests.sh postgres

check: dev ## lint, format, types of the ground floor, the floors of the house, documents up to date
	@$(MAKE) --no-print-directory --keep-going lint layout types floors documents

lint:
	$(VENV)/bin/ruff check .

layout:
	$(VENV)/bin/ruff format --check .

types:
	$(PY) -m mypy --strict $(STRICT)

floors:
	$(VENV)/bin/lint-imports --no-cache

documents:
	$(PY) tools/make_docs.py --check

train: migrate ## train and register the demo model
	$(PY) fairlens_backend/model_train.py --samples 5000

docs: dev ## write docs/openapi.json and postman_collection.json from the application
	$(PY) tools/make_docs.py

smoke: ## run.sh in a clean copy with only the runtime requirements, until it answers
	@bash tests/smoke.sh

migrate: runtime ## bring the database to the newest schema
	$(PY) -m alembic upgrade head

bench: dev ## every script of benchmarks/, one after the other
	@set -e; for script in benchmarks/[!_]*.py; do name=benchmarks.$$(basename $$script .py); echo "== $$name"; $(PY) -m $$name; done

format: dev ## format and mend what ruff can
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

lock: dev ## resolve pyproject.toml anew into requirements.lock and requirements-dev.lock
	$(VENV)/bin/uv pip compile -q --upgrade pyproject.toml --universal --python-version 3.11 --no-header --no-annotate -o requirements.lock
	$(VENV)/bin/uv pip compile -q --upgrade pyproject.toml --extra dev -c requirements.lock --universal --python-version 3.11 --no-header --no-annotate -o requirements-dev.lock

clean: ## remove caches and reports; data, models and .venv stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage .coverage.* coverage.json build dist *.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

runtime:
	@bash tools/install.sh runtime $(VENV)

dev:
	@bash tools/install.sh dev $(VENV)

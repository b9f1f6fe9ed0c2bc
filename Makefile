# Everything a newcomer types. `make help` lists it; each target does its own set-up.
UV_VERSION := 0.13.9
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MEMBERS := $(wildcard services/lib/*/pyproject.toml services/*/pyproject.toml cli/pyproject.toml operator/pyproject.toml)
READY := $(VENV)/.ready
LOCAL := $(foreach m,$(MEMBERS),-e $(patsubst %/pyproject.toml,./%,$(m)))
NAMES := $(patsubst cli,vtuber-cli,$(patsubst operator,vtuber-operator,$(notdir $(patsubst %/pyproject.toml,%,$(MEMBERS)))))
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  make \1\t/' | expand -t 16

run: $(READY) ## start everything on this machine; open the address it prints
	@$(BIN)/vtuber run

models: $(READY) ## download the speech models (145 MB over the network, 159 MB on disk) and install their runtime; `make run` uses them
	@$(BIN)/vtuber models

# Where Python may not keep what it compiled, each of twenty processes would compile everything: seconds of a core, each time.
test: export PYTHONDONTWRITEBYTECODE :=
test: export PYTHONPYCACHEPREFIX := $(CURDIR)/.pytest_cache/bytecode
test: $(READY) ## unit tests, then the real processes, then a real browser
	@$(BIN)/python -m e2e.harness.browser
	@status=0; \
	$(BIN)/pytest -q -n auto --maxprocesses 4 --level 0 checks services cli operator || status=$$?; \
	$(BIN)/pytest -q -n 2 --dist loadgroup --level 1 e2e || status=$$?; \
	exit $$status

check: $(READY) ## lint, types, import rules, generated files
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-cache --show-timings | tail -12
	@$(BIN)/python -m dialog_contracts.schemas --check
	@$(BIN)/python -m vtuber_operator.crd --check
	@$(BIN)/python -m checks.private_names
	@$(BIN)/python -m checks.plain_english
	@$(BIN)/python -m checks.references --check
	@$(BIN)/python -m checks.test_mirror
	@$(BIN)/mypy
	@$(BIN)/mypy --no-error-summary conftest.py
	@for member in $(dir $(MEMBERS)); do MYPYPATH=$$member/tests $(BIN)/mypy --no-error-summary $$member/tests; done

bench: $(READY) ## the budgets of docs/architecture.md, measured; writes e2e/bench/results/latest.json
	@$(BIN)/python -m e2e.harness.browser
	@$(BIN)/python -m e2e.bench

soak: $(READY) ## ten minutes of talk: memory, tasks and underruns; writes e2e/bench/results/soak.json
	@$(BIN)/python -m e2e.bench soak

images: ## build the container images; MODELS=1: asr with its speech models (0.5 GB)
	@MODELS='$(MODELS)' $(PYTHON) -m e2e.kind.images

up: ## all of it on Kubernetes: a kind cluster, or CONTEXT=<yours>; the page is on PORT (8080); MODELS=1 as with images
	@CONTEXT='$(CONTEXT)' PORT='$(PORT)' MODELS='$(MODELS)' $(PYTHON) -m e2e.kind.up up

down: ## remove what `make up` made
	@CONTEXT='$(CONTEXT)' $(PYTHON) -m e2e.kind.up down

e2e: $(READY) ## the cluster tests: docker, kind, kubectl and helm on PATH
	@$(BIN)/pytest -q -n 2 --maxschedchunk 1 --durations=12 --level 2 e2e/kind --ignore e2e/kind/nodes

e2e-nodes: $(READY) ## those of a cluster with several nodes: rolled, drained, STOP from any replica, one engine becomes two (six minutes more)
	@$(BIN)/pytest -q -s --durations=5 --level 2 e2e/kind/nodes

e2e-hostile: $(READY) ## what strangers do, at full strength; writes e2e/hostile/results/latest.json (five minutes)
	@$(BIN)/pytest -q -n 0 --level 3 e2e/hostile

e2e-durability: $(READY) ## kill processes under load and account for every event: TURNS=5000 KILLS=100 (about five minutes)
	@$(BIN)/python -m e2e.durability $(or $(TURNS),5000) $(or $(KILLS),100)

e2e-simulation: $(READY) ## 10 000 seeds of the simulated system of events, and 2 000 power cuts (about five minutes)
	@$(BIN)/python -m e2e.event_simulation $(or $(SEEDS),10000)

fmt: $(READY) ## format the code and write generated files anew
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix-only -q .
	@$(BIN)/python -m dialog_contracts.schemas --write
	@$(BIN)/python -m vtuber_operator.crd --write
	@$(BIN)/python -m checks.references --write

lock: $(BIN)/uv ## write the requirements locks anew from the members' pyproject.toml files
	@$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
	  $(foreach n,$(NAMES),--no-emit-package $(n)) $(MEMBERS) --group dev -o requirements.lock
	@$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header --no-annotate -c requirements.lock \
	  $(foreach n,$(NAMES),--no-emit-package $(n)) services/asr/pyproject.toml --extra models -o requirements-models.lock

clean: ## remove the environment (conversations in .data stay)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; this is $$($(PYTHON) --version 2>&1). Install it, or say which one: make PYTHON=python3.12 run" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing. On Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/pip install -q --disable-pip-version-check uv==$(UV_VERSION)

$(READY): $(BIN)/uv requirements.lock $(MEMBERS)
	@echo "Setting up .venv (first time: about a minute) …"
	@$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps $(LOCAL)
	@touch $@

.PHONY: help run models test check bench soak images up down e2e e2e-nodes e2e-hostile e2e-durability e2e-simulation fmt lock clean

# The one door for people and for CI. `make help` lists what is behind it.
#
# Needs Python 3.11 or newer, make and the network, nothing else. Everything is installed from the
# hashed locks under requirements/ into .venv; what is up to date is not installed again.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.installed-runtime
DEV := $(VENV)/.installed-dev
DOCS := $(VENV)/.installed-docs
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# The first of these that runs, is new enough and can make environments. A name that is there may
# still not run (pyenv's shims), so each is tried. `make PYTHON=/path/to/python run` decides otherwise.
CANDIDATES := python3.13 python3.12 python3.11 python3 python3.14 python
PROBE := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
ifdef PYTHON
CANDIDATES := $(PYTHON)
endif
find_python = for name in $(CANDIDATES); do \
		if "$$name" -c '$(PROBE)' >/dev/null 2>&1; then echo "$$name"; exit 0; fi; \
	done; \
	echo "No usable Python: need 3.11 or newer with venv and ensurepip; tried $(CANDIDATES)." >&2; \
	echo "Install one (on Debian also the package python3-venv), or name one: make PYTHON=/path/to/python3" >&2; \
	exit 1

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: run
run: $(RUNTIME) ## Install, then run one job on an embedded control plane
	@$(BIN)/hodei run --local -- echo "Hello from Hodei!"

.PHONY: dev
dev: $(RUNTIME) ## Install, then start the embedded control plane to stay
	@exec $(BIN)/hodei dev

.PHONY: install
install: $(RUNTIME) ## Install into .venv, so that .venv/bin/hodei is the command

.PHONY: test
test: $(DEV) ## Run every level, quickest first; `make test LEVELS="unit integration"` picks
	@$(BIN)/python tools/run_levels.py $(LEVELS)

.PHONY: test-quick
test-quick: $(DEV) ## Run lint, unit, properties and conformance
	@$(BIN)/python tools/run_levels.py lint unit properties conformance

.PHONY: soak
soak: $(DEV) ## Run the chaos, crash and load tests at full length (hours)
	@$(BIN)/python tools/run_levels.py soak

.PHONY: lint
lint: $(DEV) ## Check format, style, imports, types, the wire contract and the docs
	@$(BIN)/python tools/lint.py

.PHONY: fmt
fmt: $(DEV) ## Format, and mend what can be mended by itself
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

.PHONY: proto
proto: $(DEV) ## Generate hodei.wire from proto/
	@$(BIN)/python tools/generate_proto.py

.PHONY: bench
bench: $(DEV) ## Measure against the targets, with ratios to a bare spawn loop
	@$(BIN)/python bench/run_all.py $(BENCH)

.PHONY: bench-docker
bench-docker: $(DEV) ## Measure containers against `docker run` and the bare Engine API, on an engine of its own; ROUNDS=n
	@$(BIN)/python bench/bench_docker.py $(if $(ROUNDS),--rounds $(ROUNDS))

.PHONY: job-docker-hello
job-docker-hello: $(RUNTIME) ## Run a job that says hello in a container of the running server; IMAGE=name picks the image
	@$(BIN)/hodei run --name docker-hello --provider docker $(if $(IMAGE),--image $(IMAGE)) -- \
		sh -c 'echo "Hello from container $$(hostname)!"'

.PHONY: job-docker-cpu
job-docker-cpu: $(RUNTIME) ## The same with a job that counts for SECONDS (60), to be stopped or watched
	@$(BIN)/hodei run --name docker-cpu --provider docker $(if $(IMAGE),--image $(IMAGE)) --retries 1 -- \
		sh -c 'end=$$(($$(date +%s) + $(or $(SECONDS),60))); n=0; echo "counting in $$(hostname)"; \
		while [ "$$(date +%s)" -lt "$$end" ]; do i=0; while [ $$i -lt 20000 ]; do i=$$((i+1)); done; \
		n=$$((n+20000)); echo "$$n"; done'

.PHONY: dev-db
dev-db: $(DEV) ## Start a PostgreSQL of the checkout's own and print its URL; STOP=1 stops it
	@$(BIN)/python tools/dev_db.py $(if $(STOP),stop,start)

.PHONY: dev-docker
dev-docker: $(DEV) ## Start a Docker engine of the checkout's own and print its DOCKER_HOST; STOP=1 removes it
	@$(BIN)/python tools/docker_engine.py $(if $(STOP),stop,start)

.PHONY: agent-bundle
agent-bundle: $(DEV) ## Build the agent for any image into build/agent-bundle; ARCH=arm64 for another machine
	@PYTHONPATH=tools $(BIN)/python -m agent_bundle $(if $(ARCH),--arch $(ARCH))

.PHONY: worker-image
worker-image: $(DEV) ## Build the image hodei-worker in the engine of DOCKER_HOST; BASE=image instead of a Debian made here
	@$(BIN)/python tools/worker_image.py $(if $(BASE),--base $(BASE))

.PHONY: db-migrate
db-migrate: $(RUNTIME) ## Bring the database of HODEI_DATABASE_URL, or else .hodei, to this version's schema
	@$(BIN)/hodei db migrate

.PHONY: docs
docs: $(DOCS) ## Build the site into docs/_build
	@$(BIN)/python tools/render_docs.py
	@$(BIN)/python -m sphinx -W --keep-going -q -b dirhtml docs docs/_build
	@echo "docs/_build/index.html"

.PHONY: lock
lock: $(DEV) $(VENV)/.installed-lock ## Bring the locks in line with pyproject.toml; UPGRADE=1 takes the newest
	@$(BIN)/python tools/lock.py $(if $(UPGRADE),--upgrade)

.PHONY: clean
clean: ## Remove what was installed and built; data directories stay
	rm -rf $(VENV) build dist docs/_build .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests tools bench examples -name __pycache__ -type d -prune -exec rm -rf {} +

# An environment that was made by another tool, or whose making was interrupted, may lack pip.
$(BIN)/python:
	@python=$$($(find_python)) && echo "Making $(VENV) with $$($$python --version)" && $$python -m venv $(VENV)

define install_lock
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null
	@echo "Installing from $(1)"
	@$(PIP) install --require-hashes --requirement $(1)
endef

$(RUNTIME): requirements/runtime.txt pyproject.toml | $(BIN)/python
	$(call install_lock,requirements/runtime.txt)
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): requirements/dev.txt $(RUNTIME)
	$(call install_lock,requirements/dev.txt)
	@touch $@

$(DOCS): requirements/docs.txt $(DEV)
	$(call install_lock,requirements/docs.txt)
	@touch $@

$(VENV)/.installed-lock: requirements/lock.txt | $(BIN)/python
	$(call install_lock,requirements/lock.txt)
	@touch $@

# Everything a newcomer needs is cargo, make, a C compiler, and npm or a libduckdb of their own.
# One build profile serves all targets but `bench`, so the dependencies are compiled once.

SHELL := /bin/bash
CARGO ?= cargo

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-server lint bench clean

help: ## Say what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

setup: ## Put DuckDB's prebuilt library into .duckdb/
	@scripts/setup.sh

demo: setup ## Run a night against simulated sources
	$(CARGO) run --locked --quiet -- demo

test: setup ## Run the tests, on the embedded PostgreSQL
	$(CARGO) test --locked

test-server: setup ## Run the tests on a PostgreSQL server started for them
	scripts/with-postgres.sh $(CARGO) test --locked

lint: setup ## Check formatting, lints, licences and scripts
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	@if command -v cargo-deny >/dev/null; then \
	    set -x; $(CARGO) deny --log-level error --locked check bans licenses sources; \
	else echo "cargo-deny is missing, licences stay unchecked (cargo install cargo-deny --locked)"; fi
	@if command -v shellcheck >/dev/null; then \
	    set -x; shellcheck scripts/*.sh .ci/run; \
	else echo "shellcheck is missing, the scripts stay unchecked"; fi

bench: setup ## Measure, with a release build
	$(CARGO) bench --locked

clean: ## Remove what was built and the demonstration, and keep marts.toml and staging
	$(CARGO) clean
	rm -rf .marts/demo

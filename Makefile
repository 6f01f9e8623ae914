# Everything a newcomer needs is cargo, make, a C compiler, and npm or a libduckdb of their own.
# One build profile serves all targets but those that measure, so the dependencies are compiled once.

SHELL := /bin/bash
CARGO ?= cargo

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-server soak lint manifests sbom bench bench-quick bench-once readers measure compare \
    compare-quick clean

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

soak: setup ## Disturb hundreds of nights, feed in bad input, and print what was survived (docs/resilience.md)
	@scripts/soak.sh

lint: setup ## Check formatting, lints, licences and scripts
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	@if command -v cargo-deny >/dev/null; then \
	    set -x; $(CARGO) deny --log-level error --locked check bans licenses sources; \
	else echo "cargo-deny is missing, licences stay unchecked (cargo install cargo-deny --locked)"; fi
	@if command -v shellcheck >/dev/null; then \
	    set -x; shellcheck scripts/*.sh .ci/run; \
	else echo "shellcheck is missing, the scripts stay unchecked"; fi

manifests: ## Check what is in deploy/ by the schemas and checkers of its platforms
	scripts/manifests.sh

sbom: setup ## Write what the program is made of, as CycloneDX, to target/marts.cdx.json
	@command -v cargo-cyclonedx >/dev/null || { \
	    echo "cargo-cyclonedx is missing (cargo install cargo-cyclonedx --locked)" >&2; exit 1; }
	$(CARGO) cyclonedx --format json --override-filename marts.cdx
	mkdir -p target && mv marts.cdx.json target/

bench: setup ## Measure every step, with a release build (benches/README.md)
	MARTS_BENCH_PLOTS=$${MARTS_BENCH_PLOTS:-docs} $(CARGO) bench --locked

bench-quick: setup ## The same on small sizes, to see the order of things
	MARTS_BENCH_ROWS=$${MARTS_BENCH_ROWS:-10000} $(CARGO) bench --locked -- \
	    --sample-size 10 --warm-up-time 0.2 --measurement-time 0.5 --noplot

bench-once: setup ## Run each benchmark once without measuring, to see that it still works
	MARTS_BENCH_ROWS=1000 $(CARGO) bench --locked --profile dev -- --test

readers: setup ## Measure how long dashboards wait while nights are published, on a PostgreSQL server started for it
	scripts/readers.sh

measure: setup ## Measure memory and start-up against what is promised, with a release build
	scripts/measure.sh

compare: setup ## Measure beside other programs that do the same (docs/performance.md); WRITE=--write keeps the table
	scripts/compare/compare.py $(WRITE) $(STAGES)

compare-quick: setup ## The same on small sizes, to see that everything runs
	MARTS_COMPARE_EVENTS=1000000 MARTS_COMPARE_MANY_EVENTS=2000000 MARTS_COMPARE_ROWS=50000 \
	    MARTS_COMPARE_CONTACTS=10000 MARTS_COMPARE_INVOICES=50000 MARTS_COMPARE_MANY_INVOICES=100000 \
	    MARTS_COMPARE_RUNS=1 scripts/compare/compare.py $(STAGES)

clean: ## Remove what was built and the demonstration, and keep marts.toml and staging
	$(CARGO) clean
	rm -rf .marts/demo

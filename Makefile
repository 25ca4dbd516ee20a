# Everything is built with the dev profile, whose dependencies are optimised a little: it starts soonest.
# Benchmarks take the release profile.

CARGO ?= cargo
RUN = $(CARGO) run -q -p codex-k8s --
# Not by `cargo run`: it sets variables on which crates below decide to build themselves anew.
EXEC = $(or $(CARGO_TARGET_DIR),target)/debug/codex-k8s dev exec --
PAYLOADS = testkit/payloads/node_modules/.package-lock.json
NEXTEST := $(shell $(CARGO) nextest --version >/dev/null 2>&1 && echo yes)
DENY := $(shell $(CARGO) deny --version >/dev/null 2>&1 && echo yes)

.PHONY: help dev test chaos check bench

help: ## Says what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /make \1\t/'

dev: $(PAYLOADS) ## Builds and runs the whole product on this machine; ARGS="--reset" starts anew
	@echo "building (the first time takes a few minutes)"
	$(CARGO) run -p codex-k8s -- dev $(ARGS)

# A test that needs a database gets one on a throw-away server that lives as long as the command. nextest runs no
# documentation tests; of the whole workspace they take two seconds, since nothing is built anew for them.
test: $(PAYLOADS) ## Runs every test
	$(CARGO) build -q -p codex-k8s
ifeq ($(NEXTEST),yes)
	$(EXEC) $(CARGO) nextest run --workspace --no-fail-fast $(ARGS)
	$(if $(ARGS),,$(CARGO) test -q --workspace --doc)
else
	$(EXEC) $(CARGO) test --workspace --no-fail-fast $(ARGS)
endif

chaos: ## Kills, pauses and crashes workers and databases for minutes and counts what was lost
	$(CARGO) build -q -p codex-k8s
	CODEX_K8S_CHAOS=long $(EXEC) $(CARGO) test -p codex-k8s-queue --lib -- --nocapture model::
	$(EXEC) $(CARGO) test -p codex-k8s-queue --test queue -- --nocapture chaos::
	$(EXEC) $(CARGO) test -p codex-k8s-queue --test queue -- --nocapture --ignored --test-threads=1 chaos::

check: ## Formatting, lints, licences, advisories and the dependency rule
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
ifeq ($(DENY),yes)
	$(CARGO) deny check
else
	@echo "cargo-deny isn't installed, so licences, advisories and the dependency rule were not checked:"
	@echo "  cargo install --locked cargo-deny"
	@exit 1
endif

bench: ## Measures the queue and the webhook on a server of their own
	$(CARGO) build --release -p codex-k8s
	target/release/codex-k8s bench queue $(ARGS)
	target/release/codex-k8s bench webhook $(ARGS)

$(PAYLOADS): testkit/payloads/package-lock.json
	@command -v npm >/dev/null || { echo "npm is missing: install Node.js (20 or newer) with npm"; exit 1; }
	cd testkit/payloads && npm ci --ignore-scripts --no-audit --no-fund --silent
	@touch $@

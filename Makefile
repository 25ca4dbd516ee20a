# Everything is built with the dev profile, whose dependencies are optimised a little: it starts soonest.
# Benchmarks take the release profile.

CARGO ?= cargo
RUN = $(CARGO) run -q -p codex-k8s --
# Not by `cargo run`: it sets variables on which crates below decide to build themselves anew.
EXEC = $(or $(CARGO_TARGET_DIR),target)/debug/codex-k8s dev exec --
PAYLOADS = testkit/payloads/node_modules/.package-lock.json
CONSOLE = web-console/dist/app/index.html
CONSOLE_PACKAGES = web-console/node_modules/.package-lock.json
CONSOLE_SOURCES = $(shell find web-console/src web-console/public web-console/scripts -type f \
	-not -path '*/generated/*' -not -name schema.d.ts -not -name '*.test.ts') \
	$(wildcard web-console/*.json web-console/*.html web-console/*.ts)
NPM = command -v npm >/dev/null || { echo "npm is missing: install Node.js (20 or newer) with npm"; exit 1; }; npm
NEXTEST := $(shell $(CARGO) nextest --version >/dev/null 2>&1 && echo yes)
DENY := $(shell $(CARGO) deny --version >/dev/null 2>&1 && echo yes)

.PHONY: help dev test e2e console openapi chaos check bench

help: ## Says what there is
	@grep -hE '^[a-z0-9]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9]+):.*## /make \1\t/'

dev: $(PAYLOADS) $(CONSOLE) ## Builds and runs the whole product on this machine; ARGS="--reset" starts anew
	@echo "building (the first time takes a few minutes)"
	$(CARGO) run -p codex-k8s -- dev $(ARGS)

# A test that needs a database gets one on a throw-away server that lives as long as the command. nextest runs no
# documentation tests; of the whole workspace they take two seconds, since nothing is built anew for them.
test: $(PAYLOADS) $(CONSOLE) ## Runs every test; ARGS="-p <crate> <name>" some of the Rust ones
	$(if $(ARGS),,cd web-console && npm test --silent)
	$(CARGO) build -q -p codex-k8s
ifeq ($(NEXTEST),yes)
	$(EXEC) $(CARGO) nextest run --workspace --no-fail-fast $(ARGS)
	$(if $(ARGS),,$(CARGO) test -q --workspace --doc)
else
	$(EXEC) $(CARGO) test --workspace --no-fail-fast $(ARGS)
endif
	$(if $(ARGS),,$(MAKE) --no-print-directory e2e)

e2e: $(PAYLOADS) $(CONSOLE) ## Runs the tests in a real browser alone; ARGS="jobs.spec.ts" some of them
	$(CARGO) build -q -p codex-k8s
	cd web-console && CODEX_K8S_PROGRAM=$(abspath $(or $(CARGO_TARGET_DIR),target)/debug/codex-k8s) npm run --silent e2e -- $(ARGS)

console: $(CONSOLE) ## Builds the staff console, which the next build of the gateway takes in

openapi: ## Writes down the gateway's OpenAPI document, from which the console's client is made
	RENEW_OPENAPI=1 $(CARGO) test -q -p codex-k8s-gateway --test http the_document

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

bench: ## Measures the queue, the webhook and the console on a server of their own
	$(CARGO) build --release -p codex-k8s
	target/release/codex-k8s bench queue $(ARGS)
	target/release/codex-k8s bench webhook $(ARGS)
	target/release/codex-k8s bench console

$(PAYLOADS): testkit/payloads/package-lock.json
	@cd testkit/payloads && $(NPM) ci --ignore-scripts --no-audit --no-fund --silent
	@touch $@

$(CONSOLE_PACKAGES): web-console/package-lock.json
	@cd web-console && $(NPM) ci --ignore-scripts --no-audit --no-fund --silent
	@touch $@

$(CONSOLE): $(CONSOLE_PACKAGES) $(CONSOLE_SOURCES)
	cd web-console && npm run build --silent

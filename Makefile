# Everything there is to do. `make` alone lists it.
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run test check bench faults sdk agents screenshots clean

TARGET := $(or $(CARGO_TARGET_DIR),target)

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Build and start everything in one process; ARGS="--demo" adds a channel that needs no provider
	@.ci/web build-if-possible
	cargo build --workspace --bins
	$(TARGET)/debug/sluice $(ARGS)

test: ## Run every test, on SQLite, PostgreSQL and MariaDB, with the real programs
	@.ci/test

check: ## Check format, lints, licences, dependencies and structure
	@.ci/check

bench: ## Measure the relay beside nginx and without anything; ARGS go to the bench
	cargo build --workspace --bins --release --features sluice-relay-node/bench,sluice-relay-node/jemalloc
	$(TARGET)/release/sluice-bench $(ARGS)

faults: ## Break a fleet in every way there is and show what came of it; ARGS="--only 1,3 --seconds 10 --engine postgres"
	shared/testkit/services.sh ensure
	cargo build --workspace --bins --release
	$(TARGET)/release/sluice-faults $(ARGS)

sdk: ## Run the official SDKs, Python and Node, against Sluice and the simulator; ARGS=tools runs some cases
	cargo build --workspace --bins
	shared/e2e/sdk/with_sluice.sh $(TARGET)/debug shared/e2e/sdk/run.sh $(ARGS)

agents: ## Run two coding agents against Sluice and the simulator, on a model of every dialect
	cargo build --workspace --bins
	shared/e2e/sdk/with_sluice.sh $(TARGET)/debug shared/e2e/sdk/agents.sh $(ARGS)

screenshots: ## Take pictures of every page of the console
	@.ci/web build
	cargo build --workspace --bins
	@.ci/web screenshots

clean: ## Remove what was built; ./data stays
	cargo clean
	@.ci/web clean

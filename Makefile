# Everything that a developer or an operator does with this project. `make` lists it.

ARCH ?= arm64
ENVIRONMENT ?= default
EVENT ?= events/schedule.json
KILLS ?= 100
PYTHON ?= python3

FUNCTION := cdc-to-s3
DEV := .venv/bin
BENCH := .venv-bench/bin
RELEASE := .venv-release/bin
WITH_RELEASE_TOOLS := PATH="$(CURDIR)/$(RELEASE):$$PATH"
CARGO_LAMBDA_ARCH := $(if $(filter x86_64,$(ARCH)),--x86-64,--arm64)
RUST_TARGET := $(if $(filter x86_64,$(ARCH)),x86_64,aarch64)-unknown-linux-gnu

export CLIPPY_CONF_DIR := .config
export SAM_CLI_TELEMETRY := 0

.DEFAULT_GOAL := help

.PHONY: help
help: ## Lists the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  ARCH=arm64|x86_64 for build; ENVIRONMENT=default|dev|prod|sqlserver (see samconfig.toml) for deploy and invoke;"
	@echo "  EVENT=events/….json for invoke and invoke-local"

.PHONY: local
local: $(DEV)/.ready ## Runs the whole product here: emulated AWS, Kaggle stand-in, three versions of a sample dataset
	$(DEV)/python tests/local/demo.py $(if $(KEEP),--keep)

.PHONY: local-sqlserver
local-sqlserver: $(DEV)/.ready ## Runs the SQL Server job here: emulated AWS, a stand-in for a database, one of the runs killed
	$(DEV)/python tests/local/demo_sqlserver.py

.PHONY: test
test: test-e2e test-rust ## Runs all tests

.PHONY: test-e2e
test-e2e: $(DEV)/.ready ## Runs the end-to-end tests of the deployed template only
	$(DEV)/python tests/local/e2e.py
	$(DEV)/python tests/local/e2e_whole.py
	$(DEV)/python tests/local/e2e_sqlserver.py
	$(DEV)/python tests/local/e2e_map.py

.PHONY: test-rust
test-rust: $(DEV)/.ready ## Runs the Rust tests only, against an emulated S3
	@if cargo nextest --version >/dev/null 2>&1; then \
		set -ex; cargo test --locked --doc; \
		$(DEV)/python tests/support/emulator.py run -- cargo nextest run --locked; \
	else \
		set -ex; $(DEV)/python tests/support/emulator.py run -- cargo test --locked; \
	fi

.PHONY: soak
soak: $(DEV)/.ready ## Runs the random histories, the exploration of the protocol and the kills for a quarter of an hour; KILLS=1000 for 2,000
	CDC_SIM_SEEDS=2000 CDC_TOGETHER_SEEDS=400 CDC_MODEL_STATES=400000 CDC_KILLS=$(KILLS) \
		$(DEV)/python tests/support/emulator.py run -- cargo test --locked --test integration -- --nocapture \
		simulator sqlserver::together no_order_among crash::processes

.PHONY: bench
bench: $(BENCH)/.ready ## Compares the whole job with DuckDB, Polars and pandas; BENCH_ROWS, BENCH_ROUNDS
	$(BENCH)/python benches/whole_job.py

.PHONY: bench-large
bench-large: $(BENCH)/.ready ## Compares it with DuckDB and Polars on 1 and 10 million rows (12 GB of disk)
	$(BENCH)/python benches/whole_job.py --name results-large --rows 1000000,10000000 --rounds 3 --contenders cdc-to-s3,duckdb,polars

.PHONY: bench-stages
bench-stages: ## Measures each stage of a run by itself: inflate, split, type, fingerprint, index, probe, encode, decode
	cargo bench --locked --profile profiling --bench stages -- --sort location

.PHONY: check
check: lint test ## Does what CI does: lint, then test

.PHONY: lint
lint: lint-rust lint-template ## Checks format, lints, documentation and the template

.PHONY: lint-rust
lint-rust:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --locked --no-deps

.PHONY: lint-template
lint-template: $(DEV)/.ready
	AWS_DEFAULT_REGION=us-east-1 $(DEV)/cfn-lint template.yaml
	@if $(WITH_RELEASE_TOOLS) command -v sam >/dev/null; then \
		set -x; AWS_DEFAULT_REGION=us-east-1 $(WITH_RELEASE_TOOLS) sam validate --lint; \
	else \
		echo "sam validate was left out: SAM CLI is not here (make release-tools brings it)"; \
	fi

.PHONY: fmt
fmt: ## Formats the Rust code
	cargo fmt

.PHONY: build
build: $(RELEASE)/.ready ## Builds the release zip for Lambda: target/lambda/cdc-to-s3/bootstrap.zip
	@if command -v rustup >/dev/null; then set -x; rustup target add $(RUST_TARGET); fi
	$(WITH_RELEASE_TOOLS) cargo lambda build --locked --release $(CARGO_LAMBDA_ARCH) --bin $(FUNCTION) --output-format zip

.PHONY: deploy
deploy: $(RELEASE)/.ready ## Builds, and deploys to AWS with the parameters in samconfig.toml
	cargo fetch --locked
	$(WITH_RELEASE_TOOLS) sam build --config-env $(ENVIRONMENT)
	$(WITH_RELEASE_TOOLS) sam deploy --config-env $(ENVIRONMENT)

.PHONY: invoke
invoke: $(RELEASE)/.ready ## Runs the deployed function once, with EVENT
	$(WITH_RELEASE_TOOLS) sam remote invoke Function --config-env $(ENVIRONMENT) --event-file $(EVENT)

.PHONY: watch
watch: $(RELEASE)/.ready ## Serves the function here, rebuilt on each change; settings come from .env if there is one
	$(WITH_RELEASE_TOOLS) cargo lambda watch --locked --invoke-address 127.0.0.1 --invoke-port 9000 $(if $(wildcard .env),--env-file .env)

.PHONY: invoke-local
invoke-local: $(RELEASE)/.ready ## Runs the function that `make watch` serves once, with EVENT
	$(WITH_RELEASE_TOOLS) cargo lambda invoke $(FUNCTION) --invoke-address 127.0.0.1 --invoke-port 9000 --data-file $(EVENT)

.PHONY: release-tools
release-tools: $(RELEASE)/.ready ## Installs cargo-lambda, Zig and the SAM CLI into .venv-release

.PHONY: clean
clean: ## Removes all that was built or installed in this folder
	cargo clean
	rm -rf .venv .venv-bench .venv-release .aws-sam

# The environments are apart because their pinned versions of botocore differ, and because only the benchmark needs its
# own. Each is made anew when its requirements change, and counts as ready only when it is whole.
.venv/bin/.ready: requirements-dev.txt
.venv-bench/bin/.ready: requirements-bench.txt
.venv-release/bin/.ready: requirements-release.txt
.venv/bin/.ready .venv-bench/bin/.ready .venv-release/bin/.ready:
	$(PYTHON) -m venv --clear $(@:/bin/.ready=)
	$(@D)/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

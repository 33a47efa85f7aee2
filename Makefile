# The commands of this project. `make` alone lists them.

.PHONY: help setup build demo demo-stop test fmt lint bench-archive bench-hot bench-hot-instructions bench-detect clean
.DEFAULT_GOAL := help

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-22s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what the build, the tests and the demo need (below target/, and Debian packages)
	@tests/setup/install.sh

build: setup ## build the Redis module, the command line and the extension
	@tests/setup/build.sh release

demo: setup ## run the main job on real data, on a private stack that stays up
	@tests/setup/build.sh release 17
	@cargo run --quiet --release --package strata-demo

demo-stop: ## stop the demo's servers
	@cargo run --quiet --release --package strata-demo -- stop

test: setup ## run all tests, on both PostgreSQL versions; ends with `N passed, N failed`
	@tests/setup/build.sh dev
	@tests/run.sh

fmt: ## format the Rust code
	@cargo fmt --all

lint: ## check the format and the lints, as the tests do
	@cargo fmt --all --check
	@cargo clippy --workspace --all-targets -- -D warnings

bench-archive: setup ## measure archiving and reading the archive; writes target/bench/archive.json
	@cargo bench --quiet --package strata-e2e --bench archive

bench-hot: setup ## measure the Redis module against RedisTimeSeries; writes target/bench/hot.json
	@cargo build --quiet --release --package strata-redis --package strata-hot-bench
	@cargo run --quiet --release --package strata-hot-bench --bin hot

bench-hot-instructions: setup ## the same in instructions under callgrind; fails above the limit; writes target/bench/hot-instructions.json
	@cargo build --quiet --release --package strata-redis --package strata-hot-bench
	@cargo run --quiet --release --package strata-hot-bench --bin instructions

DATA ?= tests/data
bench-detect: setup ## judge DATA/nab/data and DATA/skab, and measure detection; writes target/bench/{nab,skab} and target/bench/detect.json
	@tests/setup/build.sh release 17
	@STRATA_PG=17 DATA="$(abspath $(DATA))" cargo bench --quiet --package strata-e2e --bench detect

clean: ## remove everything that was built or installed below target/
	@tests/setup/clean.sh

#!/usr/bin/env bash
# Builds the product and puts it where the servers look for it: the Redis module and the command
# line into target/release, the extension into both PostgreSQL roots.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"

build_extension() {
    cd "$PROJECT/pg_ext"
    cargo pgrx install --release --no-default-features --features "pg$1" --pg-config "$(pg_config "$1")"
}

need_root
lock_setup
cd "$PROJECT"
run_logged build-redis-module cargo build --release --package strata-redis
run_logged build-command-line cargo build --release --package strata-bridge --bin strata
for version in "${PG_VERSIONS[@]}"; do
    run_logged "build-extension-pg$version" build_extension "$version"
done

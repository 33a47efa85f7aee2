#!/usr/bin/env bash
# build.sh PROFILE [VERSION...]: builds the product and puts it where the servers look for it: the Redis module and the
# command line into target/, the extension into the PostgreSQL roots. The tests use the profile dev, which they compile
# anyway and which checks more; the demo uses release.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"

build_extension() {
    cd "$PROJECT/pg_ext"
    cargo pgrx install --profile "$profile" --no-default-features --features "pg$1" --pg-config "$(pg_config "$1")"
}

need_root
lock_setup
cd "$PROJECT"
profile=$1
shift
[ $# -gt 0 ] || set -- "${PG_VERSIONS[@]}"
run_logged build-redis-module cargo build --profile "$profile" --package strata-redis
run_logged build-command-line cargo build --profile "$profile" --package strata-bridge --bin strata
for version in "$@"; do
    run_logged "build-extension-pg$version" build_extension "$version"
done

#!/usr/bin/env bash
# All tests, in stages; every stage runs, whatever became of the others. The last line counts them.
set -euo pipefail
# shellcheck source=setup/paths.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup/paths.sh"
cd "$PROJECT"
mkdir -p "$LOGS"

passed=0
failed=0
failed_stages=()

# Adds up libtest's own result lines of a log.
sum_of() { awk -v word="$2" '/^test result: / { for (i = 2; i <= NF; i++) if ($i ~ "^" word) n += $(i - 1) } END { print n + 0 }' "$1"; }

count() {
    local log=$1 status=$2 kind=$3 good bad
    good=$(sum_of "$log" passed)
    bad=$(sum_of "$log" failed)
    if [ "$kind" = check ]; then
        good=1
        bad=0
    fi
    if [ "$status" != 0 ] && [ "$bad" = 0 ]; then
        bad=1
        [ "$kind" != check ] || good=0
    elif [ "$status" = 0 ] && [ "$good" = 0 ]; then
        echo "no test ran in this stage" | tee -a "$log"
        bad=1
    fi
    passed=$((passed + good))
    failed=$((failed + bad))
    [ "$bad" = 0 ]
}

# stage NAME check|tests COMMAND...
stage() {
    local name=$1 kind=$2 log=$LOGS/test-$1.log started=$SECONDS status=0 verdict=ok
    shift 2
    echo "=== $name"
    "$@" 2>&1 | tee "$log" || status=$?
    if ! count "$log" "$status" "$kind"; then
        failed_stages+=("$name")
        verdict=FAILED
    fi
    echo "=== $name: $verdict, $((SECONDS - started)) s"
}

# What libtest says about failures; where it says nothing, the compiler had the last word.
show_failures() {
    local log=$LOGS/test-$1.log
    echo "=== failed: $1"
    if grep -q '^failures:$' "$log"; then
        awk '/^failures:$/ { on = 1 } on { print } /^test result: / { on = 0 }' "$log" | tail -n 400
    else
        tail -n 60 "$log"
    fi
}

export STRATA_REDIS_MODULE=$TARGET/debug/libstrata.so STRATA_COMMAND_LINE=$TARGET/debug/strata

unit_tests() { cargo test --workspace --no-fail-fast --exclude strata --exclude strata-e2e; }

end_to_end() {
    STRATA_PG=$1 STRATA_REDIS=$2 cargo test --package strata-e2e --no-fail-fast "${@:3}"
}

stage fmt check cargo fmt --all --check
stage clippy check cargo clippy --workspace --all-targets -- -D warnings
stage install-sql check tests/install_sql.sh
stage unit tests unit_tests
for version in "${PG_VERSIONS[@]}"; do
    stage "pgrx-pg$version" tests tests/pgrx/run.sh "$version"
done
stage e2e-pg15-redis7 tests end_to_end 15 7
stage e2e-pg17-redis8 tests end_to_end 17 8
stage redis-valkey tests end_to_end 17 valkey --test 'redis_*'

for name in "${failed_stages[@]}"; do
    show_failures "$name"
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]

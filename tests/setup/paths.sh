# shellcheck shell=bash disable=SC2034
# Where everything is. Sourced by every script, so that each place is named once.

PROJECT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
TARGET=$PROJECT/target
LOGS=$TARGET/log
STAMPS=$TARGET/stamps
TOOLS=$TARGET/tools
BQEMULATOR=$TARGET/bqemulator
REDIS_STACK=$TARGET/redis-stack

PGRX_VERSION=0.18.1
export PGRX_HOME=$TARGET/pgrx

# Cargo and cargo-pgrx would otherwise use different RUSTFLAGS and rebuild everything for each other.
export CARGO_PGRX_DISABLE_GC_SECTIONS_WORKAROUND=1
export CARGO_TARGET_DIR=$TARGET
export PATH=$TOOLS/bin:$PATH

# The servers live in root file systems of their own, so that neither the release of the machine's
# Debian nor its default PostgreSQL cluster matters.
PG_VERSIONS=(15 17)

pg_suite() {
    case $1 in
        15) echo bookworm ;;
        17) echo trixie ;;
        *) echo "PostgreSQL $1 is not one of ${PG_VERSIONS[*]}" >&2 && return 1 ;;
    esac
}

pg_root() { echo "$TARGET/$(pg_suite "$1")"; }

# cargo-pgrx asks pg_config where to compile against and where to install.
pg_config() { echo "$TOOLS/bin/pg_config-$1"; }

#!/usr/bin/env bash
# Removes target/, unless a server still lives in it.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"

lock_setup
for version in "${PG_VERSIONS[@]}"; do
    refuse_if_used "$(pg_root "$version")"
done
rm -rf --one-file-system "$TARGET"

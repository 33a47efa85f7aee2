#!/usr/bin/env bash
# Everything that the build, the tests and the demo need, from nothing. Repeating it is cheap.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"

need_root
command -v cargo >/dev/null || die "cargo is not in PATH: install a Rust toolchain first (1.95 or newer)"
lock_setup
for part in host_packages rootfs pgrx bqemulator redis_stack; do
    "$PROJECT/tests/setup/$part.sh"
done

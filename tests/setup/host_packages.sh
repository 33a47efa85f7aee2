#!/usr/bin/env bash
# The machine's own packages: compilers, clients, what makes root file systems. No server among them.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"

# clang is for bindgen; the clients are for the person who looks at the demo; valgrind counts instructions.
PACKAGES=(build-essential pkg-config clang mmdebstrap python3 python3-venv valgrind
    postgresql-client redis-tools ca-certificates debian-archive-keyring)

installed() { dpkg-query --show --showformat='${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed; }

missing_packages() {
    local package
    for package in "${PACKAGES[@]}"; do
        installed "$package" || echo "$package"
    done
}

install_packages() {
    export DEBIAN_FRONTEND=noninteractive
    # One unreachable third-party source must not stop us; a missing package does, below.
    apt-get update -q || true
    apt-get install -q -y --no-install-recommends "$@"
}

need_root
lock_setup
mapfile -t missing < <(missing_packages)
if [ "${#missing[@]}" = 0 ]; then
    report host-packages "already there"
else
    run_logged host-packages install_packages "${missing[@]}"
fi

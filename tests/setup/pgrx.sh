#!/usr/bin/env bash
# cargo-pgrx, and its registration of the two PostgreSQL versions.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"

# A debug build without the features for downloading PostgreSQL takes a third of the time.
install_cargo_pgrx() {
    local building=$TARGET/tools-build
    rm -rf "$building"
    CARGO_PROFILE_DEV_DEBUG=0 cargo install --locked --force --debug --no-default-features \
        --root "$TOOLS" --target-dir "$building" cargo-pgrx --version "$PGRX_VERSION"
    rm -rf "$building"
}

# All versions in one call: each call writes its configuration anew.
register_versions() {
    local arguments=() version
    for version in "${PG_VERSIONS[@]}"; do
        arguments+=("--pg$version" "$(pg_config "$version")")
    done
    rm -rf "$PGRX_HOME"
    cargo pgrx init "${arguments[@]}"
}

lock_setup
step cargo-pgrx "$PGRX_VERSION $(rustc --version)" install_cargo_pgrx
step pgrx-init "$PGRX_VERSION $(key_of "$0" "$STAMPS"/rootfs-*) $PROJECT" register_versions

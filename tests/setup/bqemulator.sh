#!/usr/bin/env bash
# The BigQuery emulator in a Python environment of its own, able to start without the internet.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"

REQUIREMENTS=$PROJECT/tests/setup/bqemulator.txt
PYTHON=/usr/bin/python3

install_emulator() {
    rm -rf "$BQEMULATOR"
    "$PYTHON" -m venv "$BQEMULATOR"
    "$BQEMULATOR/bin/pip" install --disable-pip-version-check --no-cache-dir --retries 10 \
        --requirement "$REQUIREMENTS"
    # DuckDB keeps its extensions below HOME; the emulator is started with the same one.
    mkdir -p "$BQEMULATOR/home"
    HOME=$BQEMULATOR/home "$BQEMULATOR/bin/python" -c \
        'from duckdb_extensions import import_extension; import_extension("spatial")'
}

lock_setup
step bqemulator "$(key_of "$0" "$REQUIREMENTS") $PROJECT" install_emulator

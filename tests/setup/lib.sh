# shellcheck shell=bash
# What every setup script shares: one line per step, a log per step, nothing done twice.

set -euo pipefail
# shellcheck source=paths.sh
source "$(dirname "${BASH_SOURCE[0]}")/paths.sh"
mkdir -p "$LOGS" "$STAMPS" "$TOOLS/bin"

die() {
    echo "setup: $*" >&2
    exit 1
}

need_root() { [ "$(id -u)" = 0 ] || die "needs root: it installs packages and makes root file systems"; }

# Only one set-up at a time works on target/; the lock dies with the process that holds it.
lock_setup() {
    [ -z "${STRATA_SETUP_LOCKED:-}" ] || return 0
    exec 9>"$TARGET/setup.lock"
    flock --nonblock 9 || { echo "setup: waiting for another set-up to finish" && flock 9; }
    export STRATA_SETUP_LOCKED=1
}

key_of() { cat "$@" | sha256sum | cut -c1-16; }

report() { printf '%-32s %s\n' "$1" "$2"; }

run_logged() {
    local name=$1 log=$LOGS/$1.log started=$SECONDS status
    shift
    # Not as the condition of an `if`: bash would then go on after a failed command inside.
    set +e
    # Children must not inherit the lock, or a daemon among them would hold it for ever.
    ( set -e; "$@" ) >"$log" 2>&1 9>&-
    status=$?
    set -e
    if [ "$status" = 0 ]; then
        report "$name" "done in $((SECONDS - started)) s"
    else
        report "$name" "FAILED after $((SECONDS - started)) s; the end of ${log#"$PROJECT/"}:"
        tail -n 20 "$log" | sed 's/^/    /'
        return 1
    fi
}

# step NAME KEY COMMAND...: runs the command unless it has succeeded before with the same key.
step() {
    local name=$1 stamp=$STAMPS/$1 key=$2
    shift 2
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$key" ]; then
        report "$name" "already there"
        return 0
    fi
    rm -f "$stamp"
    run_logged "$name" "$@"
    echo "$key" >"$stamp.new"
    mv "$stamp.new" "$stamp"
}

# A root file system must not vanish under its servers, nor what is mounted in it with it.
refuse_if_used() {
    local root=$1 process
    if grep -q " $root/" /proc/self/mounts; then
        die "something is mounted below $root"
    fi
    for process in /proc/[0-9]*; do
        if [ "$(readlink "$process/root" 2>/dev/null || true)" = "$root" ]; then
            die "process ${process#/proc/} runs in $root: stop it first (make demo-stop)"
        fi
    done
}

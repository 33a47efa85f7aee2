#!/usr/bin/env bash
# run.sh 15|17 [TEST...]: the extension's own tests, inside that PostgreSQL.
#
# They install a test build of the extension by overwriting the library in place, which would crash
# a running demo. So they get a copy of the root file system (hard links: no space, no time), mounted
# over the original for their eyes only, and a process namespace in which nothing outlives them.
set -euo pipefail
# shellcheck source=../setup/paths.sh
source "$(dirname "${BASH_SOURCE[0]}")/../setup/paths.sh"

copy_root() {
    local version=$1 root=$2 copy=$3
    rm -rf --one-file-system "$copy"
    mkdir "$copy"
    find "$root" -mindepth 1 -maxdepth 1 ! -name strata ! -name dev -exec cp -al --target-directory="$copy" {} +
    mkdir -p "$copy/dev/shm" "$copy/tmp" "$copy$root"
    cp -a "$root"/dev/{null,zero,random,urandom} "$copy/dev/"
    chmod 1777 "$copy/dev/shm"
    # The server's user must get through to the root's place inside itself; /root alone is closed.
    (cd "$copy" && realpath --canonicalize-missing --relative-to=/ "$root" | each_parent | xargs chmod o+x)
    # The copies that follow must be new files: a write into a link would reach the original.
    rm -f "$copy/usr/lib/postgresql/$version/lib"/strata* "$copy/usr/share/postgresql/$version/extension"/strata*
}

each_parent() { awk -F/ '{ path = "."; for (i = 1; i <= NF; i++) print path = path "/" $i }'; }

# The binaries are named by their place outside the root, so the root is also mounted inside itself.
inside() {
    local version=$1 root=$2 copy=$3 place=$4
    shift 4
    mount --bind "$copy" "$root"
    mount --bind /tmp "$root/tmp"
    # after /tmp, which would hide it where the project itself lies below /tmp
    mount --bind "$root" "$root$root"
    install -d -o "$(owner_of_root "$root")" "$place/data"
    cd "$PROJECT/pg_ext"
    export STRATA_PG_ROOT=$root PATH="$PROJECT/tests/pgrx:$PATH"
    export STRATA_TEST_MANIFEST=$PROJECT/tests/pgrx/manifest
    export "$(runner_variable)=$PROJECT/tests/pgrx/with_manifest"
    cargo pgrx test --runas postgres --pgdata "$place/data" --no-default-features "pg$version" "$@"
}

runner_variable() {
    local host
    host=$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
    echo "CARGO_TARGET_${host}_RUNNER"
}

owner_of_root() { awk -F: '$1 == "postgres" { print $3 }' "$1/etc/passwd"; }

clean_up() { rm -rf --one-file-system "$place" "$copy"; }

version=$1
shift
root=$(pg_root "$version")
copy=$root.test
if [ ! -d "$root" ]; then
    echo "$root is missing: run \`make setup\`" >&2
    exit 1
fi
# Below /tmp, because that is where the test framework makes its pipes.
place=$(mktemp -d /tmp/strata-pgrx.XXXXXX)
trap clean_up EXIT
chmod 755 "$place"
copy_root "$version" "$root" "$copy"
export -f inside owner_of_root runner_variable
export PROJECT
unshare --mount --propagation private --pid --fork --kill-child --mount-proc \
    bash -euo pipefail -c 'inside "$@"' inside "$version" "$root" "$copy" "$place" "$@"

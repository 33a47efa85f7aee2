#!/usr/bin/env bash
# Two root file systems under target/: bookworm has PostgreSQL 15 and Redis 7.0; trixie has
# PostgreSQL 17 with TimescaleDB, Redis 8 and Valkey. A container image would hold the same.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"

# A user id that no Debian package takes, the same in both roots.
POSTGRES_ID=5432

packages_of() {
    case $1 in
        bookworm) echo ca-certificates,postgresql-15,redis-server ;;
        trixie) echo ca-certificates,postgresql-17,postgresql-17-timescaledb,redis-server,valkey-server ;;
    esac
}

first_debian_source() {
    local format="\$(REPO_URI) \$(COMPONENT) \$(ORIGIN)"
    apt-get indextargets --format "$format" 'Identifier: Packages' |
        awk '$2 == "main" && $3 == "Debian" && $1 !~ /security/ && !n++ { print $1 }'
}

# The machine's own mirror is the one that is known to be reachable from here.
debian_mirror() {
    local mirror
    mirror=$(first_debian_source)
    if [ -z "$mirror" ]; then
        # Without package lists apt does not know whose packages a source has.
        apt-get update -q >&2 || true
        mirror=$(first_debian_source)
    fi
    [ -n "$mirror" ] || die "no Debian mirror in the machine's apt sources"
    echo "$mirror"
}

proxy_option() {
    local proxy=
    eval "$(apt-config shell proxy Acquire::http::Proxy)"
    [ -z "$proxy" ] || echo "--aptopt=Acquire::http::Proxy \"$proxy\""
}

# Runs before postgresql-common is configured, which would otherwise pick an id and make a cluster.
essential_hook() {
    cat <<HOOK
mkdir -p "\$1/etc/postgresql-common" &&
echo "create_main_cluster = false" >"\$1/etc/postgresql-common/createcluster.conf" &&
echo "postgres:x:$POSTGRES_ID:$POSTGRES_ID::/var/lib/postgresql:/bin/bash" >>"\$1/etc/passwd" &&
echo "postgres:x:$POSTGRES_ID:" >>"\$1/etc/group"
HOOK
}

# The headers without the compilers that the package depends on: the extension is built outside.
headers_hook() {
    cat <<HOOK
cd "\$1/tmp" && chroot "\$1" sh -c 'cd /tmp && apt-get download postgresql-server-dev-$1' &&
dpkg-deb -x postgresql-server-dev-$1_*.deb "\$1" && rm -f postgresql-server-dev-$1_*.deb
HOOK
}

make_root() {
    local version=$1 suite root building mirror option
    suite=$(pg_suite "$version")
    root=$(pg_root "$version")
    building=$root.building
    mirror=$(debian_mirror)
    mapfile -t option < <(proxy_option)
    remove_root "$building"
    mmdebstrap --mode=root --variant=apt --include="$(packages_of "$suite")" \
        --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Retries "3"' "${option[@]}" \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --essential-hook="$(essential_hook)" --customize-hook="$(headers_hook "$version")" \
        "$suite" "$building" \
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main"
    # mmdebstrap resets it at its end, so a hook would be too early.
    chmod 1777 "$building/dev/shm"
    mkdir -p "$building/strata"
    remove_root "$root"
    mv "$building" "$root"
}

remove_root() {
    [ -e "$1" ] || return 0
    refuse_if_used "$1"
    rm -rf --one-file-system "$1"
}

write_pg_config() {
    local version=$1 root
    root=$(pg_root "$version")
    cat >"$(pg_config "$version").new" <<WRAPPER
#!/bin/sh
chroot "$root" /usr/lib/postgresql/$version/bin/pg_config "\$@" | sed "s#/usr/#$root/usr/#g"
WRAPPER
    chmod +x "$(pg_config "$version").new"
    mv "$(pg_config "$version").new" "$(pg_config "$version")"
}

need_root
lock_setup
for version in "${PG_VERSIONS[@]}"; do
    step "rootfs-$(pg_suite "$version")" "$(key_of "$0")" make_root "$version"
    write_pg_config "$version"
done

#!/usr/bin/env bash
# install_sql.sh [--freeze]: the install SQL of a version is frozen in sql/install/. A change to the SQL surface shows here:
# before the release of a version freeze it again, afterwards raise the version and write an upgrade script.
set -euo pipefail
# shellcheck source=setup/paths.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup/paths.sh"

version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$PROJECT/Cargo.toml" | head -n 1)
frozen=$PROJECT/sql/install/strata--$version.sql

# pgrx orders independent objects as it likes and notes source lines; neither is part of the surface.
surface() { grep -v -e '^--' -e '^/\*' -e '^ \*/' -e '^\*/' -e '^[[:space:]]*$' "$1" | LC_ALL=C sort; }

installed_by() { echo "$(pg_root "$1")/usr/share/postgresql/$1/extension/strata--$version.sql"; }

if [ "${1:-}" = --freeze ]; then
    cp "$(installed_by 17)" "$frozen"
    echo "froze $frozen"
    exit 0
fi

status=0
for pg in "${PG_VERSIONS[@]}"; do
    diff <(surface "$frozen") <(surface "$(installed_by "$pg")") || status=1
done
if [ "$status" != 0 ]; then
    echo "the install SQL of $version differs from sql/install/strata--$version.sql (< frozen, > built)"
fi
exit "$status"

//! Where the set-up put things. Found at run time, so that a moved checkout still works.

use std::env;
use std::path::{Path, PathBuf};

use crate::versions::{PgVersion, RedisKind};

/// The folder that holds the workspace's `Cargo.toml`.
pub fn project() -> PathBuf {
    let start = env::var_os("CARGO_MANIFEST_DIR")
        .map(PathBuf::from)
        .or_else(|| env::current_dir().ok())
        .expect("a current directory");
    start
        .ancestors()
        .find(|folder| folder.join("tests/setup/paths.sh").is_file())
        .unwrap_or_else(|| panic!("{} is not inside the project", start.display()))
        .to_path_buf()
}

/// The project's `target` folder, where the set-up installs: not `CARGO_TARGET_DIR`.
pub fn target() -> PathBuf {
    project().join("target")
}

/// The root file system that holds this PostgreSQL.
pub fn pg_root(version: PgVersion) -> PathBuf {
    installed(target().join(match version {
        PgVersion::V15 => "bookworm",
        PgVersion::V17 => "trixie",
    }))
}

/// The root file system that holds this Redis; none for the one that runs on the machine itself.
pub fn redis_root(kind: RedisKind) -> Option<PathBuf> {
    let name = match kind {
        RedisKind::Redis7 => "bookworm",
        RedisKind::Redis8 | RedisKind::Valkey => "trixie",
        RedisKind::Stack => return None,
    };
    Some(installed(target().join(name)))
}

/// RedisTimeSeries, as a module that [`RedisKind::Stack`] loads.
pub fn redis_time_series() -> PathBuf {
    installed(redis_stack().join("redistimeseries.so"))
}

pub(crate) fn redis_stack() -> PathBuf {
    installed(target().join("redis-stack"))
}

/// The extension's library inside `pg_root`.
pub fn pg_library(version: PgVersion) -> PathBuf {
    let folder = format!("usr/lib/postgresql/{}/lib", version.major());
    installed(pg_root(version).join(folder).join("strata.so"))
}

/// The Redis module: `STRATA_REDIS_MODULE`, or what `make build` made.
pub fn redis_module() -> PathBuf {
    installed(match env::var_os("STRATA_REDIS_MODULE") {
        Some(path) => PathBuf::from(path),
        None => target().join("release/libstrata.so"),
    })
}

pub(crate) fn bqemulator() -> PathBuf {
    installed(target().join("bqemulator"))
}

fn installed(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "{} is missing: run `make setup` and `make build`", path.display());
    path
}

/// A host path as a process inside `root` sees it.
pub(crate) fn inside(root: &Path, path: &Path) -> PathBuf {
    let rest = path.strip_prefix(root).expect("a path below the root");
    Path::new("/").join(rest)
}

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use postgres::Client;
use strata_servers::paths;

use crate::data::Source;
use crate::database;
use crate::stack::{POSTGRES, Stack};

/// Puts the jobs back on their schedule: from here on the database looks after itself.
pub fn resume_jobs(client: &mut Client) -> Result<()> {
    Ok(client.batch_execute("SELECT strata.reset_job(name) FROM strata.jobs")?)
}

/// The file that a shell can source.
pub fn env_file() -> PathBuf {
    paths::target().join("demo/env")
}

/// Writes it. It names the servers, and how many rows went into the two sources by whatever way.
pub fn write_env(stack: &Stack, readings: &Source, measurements: &Source) -> Result<()> {
    let mut text = String::new();
    for (name, value) in [
        ("PGHOST", "127.0.0.1".to_owned()),
        ("PGPORT", stack.postgres.port().to_string()),
        ("PGUSER", "postgres".to_owned()),
        ("PGDATABASE", database::NAME.to_owned()),
        ("REDIS_URL", stack.redis.url()),
        ("BIGQUERY_ENDPOINT", stack.bigquery.endpoint()),
        ("READINGS_SENT", readings.rows.len().to_string()),
        ("MEASUREMENTS_SENT", measurements.rows.len().to_string()),
    ] {
        writeln!(text, "export {name}='{value}'")?;
    }
    let path = env_file();
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // a reader sees the old file or the new one
    let new = path.with_extension("new");
    fs::write(&new, text)?;
    Ok(fs::rename(new, path)?)
}

/// Removes it: while a run is under way its numbers would not be true.
pub fn forget_env() -> Result<()> {
    match fs::remove_file(env_file()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// How to connect and how to stop.
pub fn print_how_to_connect(stack: &Stack) {
    let env = shown(&env_file());
    println!("\nIt stays up:");
    println!("  . {env}");
    println!(
        "  {}",
        program("psql", &format!("/usr/lib/postgresql/{}/bin/psql", POSTGRES.major()), &stack.postgres.root())
    );
    let redis = program("redis-cli", "/usr/bin/redis-cli", &stack.postgres.root());
    println!("  {redis} -u \"$REDIS_URL\" STRATA.INFO");
    println!("  {} status", shown(&paths::target().join("release/strata")));
    println!("  make demo-stop");
}

/// The machine's own program if it has one, otherwise the one in the servers' root.
fn program(name: &str, inside: &str, root: &Path) -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|folder| folder.join(name).is_file()) {
        name.to_owned()
    } else {
        format!("chroot {} {inside}", shown(root))
    }
}

/// A path as seen from the project's folder, where people type.
fn shown(path: &Path) -> String {
    path.strip_prefix(paths::project()).unwrap_or(path).display().to_string()
}

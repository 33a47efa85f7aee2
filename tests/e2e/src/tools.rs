//! PostgreSQL's own programs, of the version under test.

use std::process::{Command, Stdio};

use strata_servers::Postgres;

/// A client program that will connect to `database` as a superuser.
pub fn program(postgres: &Postgres, name: &str, database: &str) -> Command {
    let mut command = Command::new("chroot");
    command
        .arg(postgres.root())
        .arg(format!("/usr/lib/postgresql/{}/bin/{name}", postgres.version().major()))
        .args(["-h", "127.0.0.1", "-p", &postgres.port().to_string(), "-U", "postgres", "-d", database])
        .env("LC_ALL", "C.UTF-8");
    command
}

/// Runs a script with psql; the first error ends it.
pub fn psql(postgres: &Postgres, database: &str, script: impl Into<Stdio>) {
    let mut psql = program(postgres, "psql", database);
    let output = psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1"]).stdin(script).output().unwrap();
    assert!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
}

/// pg_dump of one database into a new one, with what TimescaleDB wants done around it.
pub fn dump_and_restore(postgres: &Postgres, from: &str, to: &str) {
    postgres.execute_script("postgres", &format!("CREATE DATABASE \"{to}\"")).unwrap();
    let timescaledb = postgres.version().has_timescaledb();
    if timescaledb {
        postgres.execute_script(to, "CREATE EXTENSION timescaledb").unwrap();
        postgres.execute_script(to, "SELECT timescaledb_pre_restore()").unwrap();
    }
    let mut dump = program(postgres, "pg_dump", from).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    psql(postgres, to, dump.stdout.take().unwrap());
    assert!(dump.wait().unwrap().success(), "pg_dump failed");
    if timescaledb {
        postgres.execute_script(to, "SELECT timescaledb_post_restore()").unwrap();
    }
}

//! The demo's database: made anew by every run.

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postgres::Client;
use strata_servers::Postgres;

pub const NAME: &str = "strata_demo";

/// Drops the database if there is one and creates it, empty.
pub fn recreate(server: &Postgres) -> Result<()> {
    let mut client = server.connect("postgres")?;
    // a worker that starts in it just now keeps a database from being dropped for a moment
    let mut attempt = 0;
    while let Err(error) = client.batch_execute(&format!("DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")) {
        attempt += 1;
        ensure!(attempt < 20, "the database of an earlier run cannot be dropped: {error}");
        thread::sleep(Duration::from_millis(250));
    }
    client.batch_execute(&format!("CREATE DATABASE {NAME}"))?;
    Ok(())
}

pub fn connect(server: &Postgres) -> Result<Client> {
    let mut client = server.connect(NAME)?;
    client.batch_execute("SET timezone = 'UTC'")?;
    Ok(client)
}

/// Feeds a script with psql's own commands in it to psql.
pub fn psql(server: &Postgres, script: &str, variables: &[(&str, &str)]) -> Result<()> {
    let mut command = Command::new("chroot");
    command.arg(server.root()).arg(format!("/usr/lib/postgresql/{}/bin/psql", server.version().major()));
    command.args(["--no-psqlrc", "--quiet", "--host=127.0.0.1", "--username=postgres"]);
    command.arg(format!("--port={}", server.port())).arg(format!("--dbname={NAME}"));
    for (name, value) in variables {
        command.arg(format!("--set={name}={value}"));
    }
    let mut psql = command
        .arg("--file=-")
        .env("PGOPTIONS", "-c client_min_messages=warning")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting psql")?;
    psql.stdin.take().context("psql's input")?.write_all(script.as_bytes())?;
    let output = psql.wait_with_output()?;
    ensure!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

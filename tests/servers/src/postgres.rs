//! PostgreSQL 15 without and 17 with TimescaleDB, each with the extension's library at hand.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use postgres::{Client, Config, NoTls};

use crate::home::Home;
use crate::paths::{self, inside};
use crate::ports::{self, Port};
use crate::process::{Process, Recipe, kill_all_in, wait_until_ready};
use crate::versions::PgVersion;

const USER: &str = "postgres";
const START_LIMIT: Duration = Duration::from_secs(60);

pub struct PostgresBuilder {
    version: PgVersion,
    settings: Vec<(String, String)>,
    environment: Vec<(String, String)>,
    preload: bool,
    durable: bool,
    detached: Option<(String, u16)>,
}

#[derive(Debug)]
pub struct Postgres {
    version: PgVersion,
    recipe: Recipe,
    process: Option<Process>,
    port: Port,
    // Last, so that the directory goes after the server.
    home: Home,
}

impl Postgres {
    pub fn builder(version: PgVersion) -> PostgresBuilder {
        PostgresBuilder {
            version,
            settings: Vec::new(),
            environment: Vec::new(),
            preload: true,
            durable: true,
            detached: None,
        }
    }

    pub fn version(&self) -> PgVersion {
        self.version
    }

    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The process id of the postmaster.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().map_or(0, Process::pid)
    }

    pub fn is_running(&self) -> bool {
        self.process.as_ref().is_some_and(Process::is_alive)
    }

    /// A connection string for `database`, as a superuser.
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://{USER}@127.0.0.1:{}/{database}", self.port())
    }

    /// The folder of the Unix socket, as seen from outside the server's root.
    pub fn socket_dir(&self) -> &Path {
        self.home.path()
    }

    /// The data directory, as seen from outside the server's root.
    pub fn data_dir(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// The server's own root file system: files that a setting names must lie below it.
    pub fn root(&self) -> PathBuf {
        paths::pg_root(self.version)
    }

    /// Puts a file where the server can read it, with its owner's rights only; returns the path to
    /// write into a setting.
    pub fn write_file(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.home.path().join(name);
        fs::write(&path, content)?;
        give_to_postgres(&self.root(), &path)?;
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        Ok(inside(&self.root(), &path))
    }

    /// The parameters of a connection, to be refined by the caller (user, options, …).
    pub fn config(&self, database: &str) -> Config {
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.port()).user(USER).dbname(database);
        config
    }

    pub fn connect(&self, database: &str) -> Result<Client> {
        Ok(self.config(database).connect(NoTls)?)
    }

    pub fn execute_script(&self, database: &str, sql: &str) -> Result<()> {
        Ok(self.connect(database)?.batch_execute(sql)?)
    }

    /// Makes a database with the extension in it (and TimescaleDB, where there is one).
    pub fn create_database(&self, database: &str) -> Result<()> {
        self.execute_script("postgres", &format!("CREATE DATABASE \"{database}\""))?;
        if self.version.has_timescaledb() {
            self.execute_script(database, "CREATE EXTENSION IF NOT EXISTS timescaledb")?;
        }
        self.execute_script(database, "CREATE EXTENSION strata")
    }

    /// Everything the server logged since its directory was made.
    pub fn log(&self) -> String {
        self.home.read_log()
    }

    /// Appends settings to the configuration; the last one of a name counts. Takes effect with
    /// [`Postgres::reload`] or the next start.
    pub fn set(&self, key: &str, value: &str) -> Result<()> {
        append_settings(&self.data_dir(), &[(key.to_owned(), value.to_owned())])
    }

    pub fn reload(&self) {
        if let Some(process) = &self.process {
            process.signal(Signal::SIGHUP);
        }
    }

    /// Starts a server that was stopped or killed, on the same data and the same port.
    pub fn start(&mut self) -> Result<()> {
        ensure!(!self.is_running(), "PostgreSQL runs already");
        self.clear_locks();
        let mut process = self.recipe.spawn()?;
        let config = self.config("postgres");
        let ready = wait_until_ready(&mut process, START_LIMIT, || {
            let mut client = config.clone().connect_timeout(START_LIMIT).connect(NoTls)?;
            Ok(client.batch_execute("SELECT 1")?)
        });
        self.process = Some(process);
        ready.with_context(|| format!("PostgreSQL does not start:\n{}", self.home.log_tail()))
    }

    // Where nobody reaps orphans, a killed postmaster stays a zombie, and PostgreSQL takes the number
    // in its lock files for a living server. We know better, once nobody works in its directory.
    fn clear_locks(&self) {
        kill_all_in(&self.data_dir());
        let socket = format!(".s.PGSQL.{}.lock", self.port());
        let _ = fs::remove_file(self.data_dir().join("postmaster.pid"));
        let _ = fs::remove_file(self.socket_dir().join(socket));
    }

    /// Kills the postmaster and all its children at once, as a crash of the machine does.
    pub fn kill9(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill9();
        }
    }

    /// A fast shutdown; returns how long it took. After `limit` the server is killed and this fails.
    pub fn stop_fast_within(&mut self, limit: Duration) -> Result<Duration> {
        let mut process = self.process.take().context("PostgreSQL does not run")?;
        process.signal(Signal::SIGINT);
        let stopped = process.wait(limit);
        if stopped.is_err() {
            process.kill9();
        }
        stopped.context("fast shutdown")
    }

    pub fn stop_fast(&mut self) -> Result<Duration> {
        self.stop_fast_within(Duration::from_secs(60))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if !self.home.is_detached() {
            self.kill9();
        }
    }
}

impl PostgresBuilder {
    /// A line of postgresql.conf; wins over the defaults.
    pub fn conf(mut self, key: &str, value: &str) -> Self {
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }

    /// An environment variable of the server; it inherits none.
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.environment.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Whether `strata` is in `shared_preload_libraries` (it is, unless told otherwise).
    pub fn preload(mut self, preload: bool) -> Self {
        self.preload = preload;
        self
    }

    /// Whether commits wait for the disk (they do, unless told otherwise). Never turned off where
    /// a test is about faults.
    pub fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// A server that stays up: `start` finds the running one again, on the same data and port.
    pub fn detached(mut self, name: &str, port: u16) -> Self {
        self.detached = Some((name.to_owned(), port));
        self
    }

    /// Starts the server; a detached one that runs already is taken over as it is.
    pub fn start(self) -> Result<Postgres> {
        if self.preload {
            paths::pg_library(self.version);
        }
        let (mut server, running) = self.describe();
        if running {
            return Ok(server);
        }
        let data = server.data_dir();
        if !data.join("PG_VERSION").exists() {
            copy_template(self.version, server.home.path())?;
        }
        fs::write(data.join("strata.conf"), "")?;
        append_settings(&data, &self.all_settings(&server))?;
        server.start()?;
        Ok(server)
    }

    /// The detached server as it is: running or not, nothing is started or changed.
    pub fn find(self) -> Result<Postgres> {
        ensure!(self.detached.is_some(), "only a detached server can be found");
        Ok(self.describe().0)
    }

    fn describe(&self) -> (Postgres, bool) {
        let root = paths::pg_root(self.version);
        let (home, port) = match &self.detached {
            None => (Home::temporary(&root, USER), ports::reserve()),
            Some((name, port)) => (Home::detached(&root, name, USER), Port::fixed(*port)),
        };
        let recipe = Recipe {
            program: program(self.version, "postgres"),
            arguments: vec!["-D".into(), path_text(&inside(&root, &home.path().join("data")))],
            root: Some(root),
            user: Some(USER),
            environment: self.environment.clone(),
            // An immediate shutdown: the postmaster takes its children with it.
            orphan_signal: "QUIT",
            pid_file: home.path().join("pid"),
            log: home.log(),
            detached: home.is_detached(),
        };
        let process = if home.is_detached() { recipe.adopt() } else { None };
        let running = process.is_some();
        (Postgres { version: self.version, recipe, process, port, home }, running)
    }

    fn all_settings(&self, server: &Postgres) -> Vec<(String, String)> {
        let mut libraries = Vec::new();
        let mut settings: Vec<(String, String)> = Vec::new();
        let mut set = |key: &str, value: String| settings.push((key.to_owned(), value));
        set("port", server.port().to_string());
        set("listen_addresses", "127.0.0.1".into());
        set("unix_socket_directories", path_text(&inside(&server.root(), server.home.path())));
        set("max_worker_processes", "24".into());
        set("log_line_prefix", "%m [%p] %b %d ".into());
        if !self.durable {
            set("fsync", "off".into());
        }
        if self.version.has_timescaledb() {
            libraries.push("timescaledb");
            set("timescaledb.telemetry_level", "off".into());
        }
        if self.preload {
            libraries.push("strata");
        }
        set("shared_preload_libraries", libraries.join(","));
        settings.extend(self.settings.iter().cloned());
        settings
    }
}

fn append_settings(data: &Path, settings: &[(String, String)]) -> Result<()> {
    let path = data.join("strata.conf");
    let mut text = fs::read_to_string(&path)?;
    for (key, value) in settings {
        writeln!(text, "{key} = '{}'", value.replace('\'', "''"))?;
    }
    Ok(fs::write(path, text)?)
}

fn program(version: PgVersion, name: &str) -> String {
    format!("/usr/lib/postgresql/{}/bin/{name}", version.major())
}

fn path_text(path: &Path) -> String {
    path.display().to_string()
}

/// initdb takes a second or two, a copy of its result a tenth.
fn copy_template(version: PgVersion, home: &Path) -> Result<()> {
    let template = template(version)?;
    run(Command::new("cp").args(["-a", "--reflink=auto"]).arg(template).arg(home.join("data")))?;
    give_to_postgres(&paths::pg_root(version), home)
}

fn template(version: PgVersion) -> Result<PathBuf> {
    let root = paths::pg_root(version);
    let folder = root.join("strata/template");
    let done = folder.join("data");
    fs::create_dir_all(&folder)?;
    let lock = OpenOptions::new().create(true).write(true).truncate(false).open(folder.join("lock"))?;
    File::lock(&lock)?;
    if !done.exists() {
        let building = folder.join("building");
        if building.exists() {
            fs::remove_dir_all(&building)?;
        }
        give_to_postgres(&root, &folder)?;
        run(Command::new("chroot")
            .arg(format!("--userspec={USER}:{USER}"))
            .arg(&root)
            .arg(program(version, "initdb"))
            .args(["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"])
            .arg("-D")
            .arg(inside(&root, &building)))?;
        let mut conf = fs::read_to_string(building.join("postgresql.conf"))?;
        conf.push_str("\ninclude = 'strata.conf'\n");
        fs::write(building.join("postgresql.conf"), conf)?;
        fs::rename(&building, &done)?;
    }
    Ok(done)
}

fn run(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    let output = command.env("LC_ALL", "C.UTF-8").output().with_context(|| shown.clone())?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{shown}: {}\n{errors}", output.status);
    Ok(())
}

/// The server's user has no name outside its root, so its id is looked up inside.
fn give_to_postgres(root: &Path, path: &Path) -> Result<()> {
    let users = fs::read_to_string(root.join("etc/passwd"))?;
    let line = users.lines().find(|line| line.starts_with("postgres:")).context("no postgres")?;
    let ids: Vec<u32> = line.split(':').skip(2).take(2).flat_map(str::parse).collect();
    chown(path, ids.first().copied(), ids.get(1).copied())
        .with_context(|| format!("cannot give {} to postgres (not root?)", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn plain(version: PgVersion) -> Postgres {
        Postgres::builder(version).preload(false).start().unwrap()
    }

    fn count(server: &Postgres) -> i64 {
        let mut client = server.connect("postgres").unwrap();
        client.query_one("SELECT count(*) FROM t", &[]).unwrap().get(0)
    }

    fn committed_rows_survive_a_crash(version: PgVersion) {
        let mut server = plain(version);
        server.execute_script("postgres", "CREATE TABLE t AS SELECT generate_series(1, 10)").unwrap();
        server.kill9();
        assert!(server.connect("postgres").is_err());
        server.start().unwrap();
        assert_eq!(count(&server), 10);
        assert!(server.log().contains("not properly shut down"));
    }

    #[test]
    fn committed_rows_survive_a_crash_of_15() {
        committed_rows_survive_a_crash(PgVersion::V15);
    }

    #[test]
    fn committed_rows_survive_a_crash_of_17() {
        committed_rows_survive_a_crash(PgVersion::V17);
    }

    #[test]
    fn only_17_has_timescaledb() {
        for version in [PgVersion::V15, PgVersion::V17] {
            let server = plain(version);
            let made = server.execute_script("postgres", "CREATE EXTENSION timescaledb");
            assert_eq!(made.is_ok(), version.has_timescaledb(), "{version:?}: {made:?}");
        }
    }

    #[test]
    fn a_fast_stop_is_timed_and_the_server_starts_again() {
        let mut server = plain(PgVersion::V15);
        assert!(server.stop_fast().unwrap() < Duration::from_secs(20));
        assert!(!server.is_running());
        server.start().unwrap();
        server.connect("postgres").unwrap();
    }

    #[test]
    fn a_setting_can_change_while_the_server_runs() {
        let server = Postgres::builder(PgVersion::V15).preload(false).conf("work_mem", "5MB").start().unwrap();
        let show = || -> String {
            let mut client = server.connect("postgres").unwrap();
            client.query_one("SHOW work_mem", &[]).unwrap().get(0)
        };
        assert_eq!(show(), "5MB");
        server.set("work_mem", "6MB").unwrap();
        server.reload();
        let started = Instant::now();
        while show() != "6MB" {
            assert!(started.elapsed() < Duration::from_secs(10));
        }
    }

    #[test]
    fn nothing_is_left_of_a_dropped_server() {
        let server = plain(PgVersion::V15);
        let (pid, data) = (server.pid(), server.data_dir());
        drop(server);
        assert!(!data.exists());
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn a_detached_server_is_found_again_and_restarted_after_a_crash() {
        let port = ports::reserve();
        let name = format!("detached-postgres-{}", std::process::id());
        let builder = || Postgres::builder(PgVersion::V15).preload(false).detached(&name, port.number());
        let first = builder().start().unwrap();
        first.execute_script("postgres", "CREATE TABLE t AS SELECT 1").unwrap();
        let pid = first.pid();
        drop(first);

        let mut second = builder().start().unwrap();
        assert_eq!(second.pid(), pid);
        second.kill9();
        drop(second);

        assert!(!builder().find().unwrap().is_running());
        let mut third = builder().start().unwrap();
        assert_ne!(third.pid(), pid);
        assert_eq!(count(&third), 1);
        third.stop_fast().unwrap();
        fs::remove_dir_all(third.home.path().parent().unwrap()).unwrap();
    }
}

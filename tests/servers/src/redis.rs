//! Redis 7.0, 7.4, 8 and Valkey with the module loaded.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use redis::{Client, Connection};

use crate::home::Home;
use crate::paths::{self, inside};
use crate::ports::{self, Port};
use crate::process::{Process, Recipe, wait_until_ready};
use crate::versions::RedisKind;

const START_LIMIT: Duration = Duration::from_secs(60);

/// When the append-only file reaches the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendFsync {
    Always,
    EverySecond,
    No,
}

pub struct RedisBuilder {
    kind: RedisKind,
    settings: Vec<(String, String)>,
    append_only: Option<AppendFsync>,
    module: bool,
    module_arguments: Vec<String>,
    detached: Option<(String, u16)>,
    under: Vec<String>,
}

#[derive(Debug)]
pub struct RedisServer {
    kind: RedisKind,
    recipe: Recipe,
    module: bool,
    process: Option<Process>,
    port: Port,
    // Last, so that the directory goes after the server.
    home: Home,
}

impl RedisServer {
    pub fn builder(kind: RedisKind) -> RedisBuilder {
        RedisBuilder {
            kind,
            settings: Vec::new(),
            append_only: Some(AppendFsync::Always),
            module: true,
            module_arguments: Vec::new(),
            detached: None,
            under: Vec::new(),
        }
    }

    pub fn kind(&self) -> RedisKind {
        self.kind
    }

    pub fn port(&self) -> u16 {
        self.port.number()
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().map_or(0, Process::pid)
    }

    pub fn is_running(&self) -> bool {
        self.process.as_ref().is_some_and(Process::is_alive)
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port())
    }

    /// A connection whose replies do not wait longer than half a minute.
    pub fn connection(&self) -> Result<Connection> {
        let connection = Client::open(self.url())?.get_connection_with_timeout(START_LIMIT)?;
        connection.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(connection)
    }

    /// The working directory with the RDB and AOF files, as seen from outside the server's root.
    pub fn data_dir(&self) -> PathBuf {
        self.home.path().join("data")
    }

    pub fn log(&self) -> String {
        self.home.read_log()
    }

    /// Starts a server that was stopped or killed, on the same data and the same port.
    pub fn start(&mut self) -> Result<()> {
        ensure!(!self.is_running(), "Redis runs already");
        if self.module {
            self.copy_module()?;
        }
        let mut process = self.recipe.spawn()?;
        let ready = wait_until_ready(&mut process, START_LIMIT, || {
            // While it loads its data, PING answers with an error.
            redis::cmd("PING").exec(&mut self.connection()?)?;
            Ok(())
        });
        self.process = Some(process);
        ready.with_context(|| format!("Redis does not start:\n{}", self.home.log_tail()))
    }

    pub fn kill9(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill9();
        }
    }

    /// Kills it and starts it again on the same data.
    pub fn crash_and_restart(&mut self) -> Result<()> {
        self.kill9();
        self.start()
    }

    /// An orderly shutdown.
    pub fn stop(&mut self) -> Result<Duration> {
        let mut process = self.process.take().context("Redis does not run")?;
        process.signal(Signal::SIGTERM);
        let stopped = process.wait(Duration::from_secs(60));
        if stopped.is_err() {
            process.kill9();
        }
        stopped.context("shutdown of Redis")
    }

    /// Stops the process without ending it: connections stay open, nothing answers.
    pub fn freeze(&self) {
        if let Some(process) = &self.process {
            process.signal(Signal::SIGSTOP);
        }
    }

    pub fn thaw(&self) {
        if let Some(process) = &self.process {
            process.signal(Signal::SIGCONT);
        }
    }

    // The module must lie inside the root; a copy also keeps a new build from changing the code
    // below a running server.
    fn copy_module(&self) -> Result<()> {
        let (copy, new) = (self.home.path().join("libstrata.so"), self.home.path().join("new.so"));
        fs::copy(paths::redis_module(), &new)?;
        Ok(fs::rename(new, copy)?)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        if !self.home.is_detached() {
            self.kill9();
        }
    }
}

impl RedisBuilder {
    /// A line of redis.conf; wins over the defaults.
    pub fn conf(mut self, key: &str, value: &str) -> Self {
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Whether and how strictly there is an append-only file (always, unless told otherwise).
    pub fn append_only(mut self, append_only: Option<AppendFsync>) -> Self {
        self.append_only = append_only;
        self
    }

    /// Whether the module is loaded (it is, unless told otherwise).
    pub fn module(mut self, module: bool) -> Self {
        self.module = module;
        self
    }

    /// An argument of `loadmodule`.
    pub fn module_argument(mut self, argument: &str) -> Self {
        self.module_arguments.push(argument.to_owned());
        self
    }

    /// The words of a command that runs the server, such as an instrument. Only where there is no root file system.
    pub fn under(mut self, command: &[&str]) -> Self {
        self.under = command.iter().map(|&word| word.to_owned()).collect();
        self
    }

    pub fn replica_of(self, primary: &RedisServer) -> Self {
        let place = format!("127.0.0.1 {}", primary.port());
        // By default a primary waits five seconds for more replicas before it sends anything.
        self.conf("replicaof", &place).conf("repl-diskless-sync-delay", "0")
    }

    /// A server that stays up: `start` finds the running one again, on the same data and port.
    pub fn detached(mut self, name: &str, port: u16) -> Self {
        self.detached = Some((name.to_owned(), port));
        self
    }

    /// Starts the server; a detached one that runs already is taken over as it is.
    pub fn start(self) -> Result<RedisServer> {
        let mut server = self.describe();
        if !server.is_running() {
            fs::create_dir_all(server.data_dir())?;
            fs::write(server.home.path().join("redis.conf"), self.configuration(&server)?)?;
            server.start()?;
        }
        Ok(server)
    }

    /// The detached server as it is: running or not, nothing is started or changed.
    pub fn find(self) -> Result<RedisServer> {
        ensure!(self.detached.is_some(), "only a detached server can be found");
        Ok(self.describe())
    }

    fn describe(&self) -> RedisServer {
        let root = paths::redis_root(self.kind);
        let base = root.clone().unwrap_or_else(paths::target);
        let (home, port) = match &self.detached {
            None => (Home::temporary(&base, "redis"), ports::reserve()),
            Some((name, port)) => (Home::detached(&base, name, "redis"), Port::fixed(*port)),
        };
        let conf = as_seen(root.as_deref(), &home.path().join("redis.conf"));
        let mut words = self.under.clone();
        words.extend([self.kind.program(), conf.display().to_string()]);
        let program = words.remove(0);
        let environment = match self.kind {
            // Its libraries lie beside it.
            RedisKind::Stack => vec![("LD_LIBRARY_PATH".to_owned(), paths::redis_stack().display().to_string())],
            _ => Vec::new(),
        };
        let recipe = Recipe {
            root,
            user: None,
            program,
            arguments: words,
            environment,
            orphan_signal: "KILL",
            pid_file: home.path().join("pid"),
            log: home.log(),
            detached: home.is_detached(),
        };
        let process = if home.is_detached() { recipe.adopt() } else { None };
        RedisServer { kind: self.kind, recipe, module: self.module, process, port, home }
    }

    fn configuration(&self, server: &RedisServer) -> Result<String> {
        let home = as_seen(paths::redis_root(self.kind).as_deref(), server.home.path());
        let home = home.display();
        let mut text = String::new();
        writeln!(text, "bind 127.0.0.1\nport {}\ndir {home}/data", server.port())?;
        // The title would replace the command line by which a detached server is recognised.
        writeln!(text, "set-proc-title no\nenable-debug-command yes\nsave \"\"")?;
        writeln!(text, "repl-diskless-sync-delay 0")?;
        match self.append_only {
            None => writeln!(text, "appendonly no")?,
            Some(when) => writeln!(text, "appendonly yes\nappendfsync {}", when.word())?,
        }
        if self.module {
            let arguments = self.module_arguments.join(" ");
            writeln!(text, "loadmodule {home}/libstrata.so {arguments}")?;
        }
        for (key, value) in &self.settings {
            writeln!(text, "{key} {value}")?;
        }
        Ok(text)
    }
}

/// A host path as the server sees it.
fn as_seen(root: Option<&Path>, path: &Path) -> PathBuf {
    root.map_or_else(|| path.to_owned(), |root| inside(root, path))
}

impl AppendFsync {
    fn word(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::EverySecond => "everysec",
            Self::No => "no",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    use std::thread;
    use std::time::Instant;

    fn plain(kind: RedisKind) -> RedisServer {
        RedisServer::builder(kind).module(false).start().unwrap()
    }

    fn set(server: &RedisServer) {
        redis::cmd("SET").arg("a").arg("b").exec(&mut server.connection().unwrap()).unwrap();
    }

    fn get(server: &RedisServer) -> Option<String> {
        redis::cmd("GET").arg("a").query(&mut server.connection().unwrap()).unwrap()
    }

    fn an_acknowledged_key_survives_a_crash(kind: RedisKind) {
        let mut server = plain(kind);
        set(&server);
        server.crash_and_restart().unwrap();
        assert_eq!(get(&server).as_deref(), Some("b"));
    }

    #[test]
    fn an_acknowledged_key_survives_a_crash_of_redis_7() {
        an_acknowledged_key_survives_a_crash(RedisKind::Redis7);
    }

    #[test]
    fn an_acknowledged_key_survives_a_crash_of_redis_8() {
        an_acknowledged_key_survives_a_crash(RedisKind::Redis8);
    }

    #[test]
    fn an_acknowledged_key_survives_a_crash_of_valkey() {
        an_acknowledged_key_survives_a_crash(RedisKind::Valkey);
    }

    #[test]
    fn a_replica_follows_its_primary() {
        let primary = plain(RedisKind::Redis7);
        set(&primary);
        let replica = RedisServer::builder(RedisKind::Redis7).module(false).replica_of(&primary).start().unwrap();
        let started = Instant::now();
        while get(&replica).is_none() {
            assert!(started.elapsed() < Duration::from_secs(20), "{}", replica.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn a_detached_server_is_found_again_and_stopped() {
        let port = ports::reserve();
        let name = format!("detached-redis-{}", std::process::id());
        let builder = || RedisServer::builder(RedisKind::Redis7).module(false).detached(&name, port.number());
        let first = builder().start().unwrap();
        set(&first);
        let pid = first.pid();
        drop(first);

        let mut second = builder().find().unwrap();
        assert_eq!(second.pid(), pid);
        assert_eq!(get(&second).as_deref(), Some("b"));
        second.stop().unwrap();
        assert!(!builder().find().unwrap().is_running());
        fs::remove_dir_all(second.home.path().parent().unwrap()).unwrap();
    }

    const WAIT_TO_BE_KILLED: &str = "STRATA_SERVERS_WAIT_TO_BE_KILLED";

    fn start_and_wait_to_be_killed() {
        let server = plain(RedisKind::Redis7);
        println!("\npid {}", server.pid());
        thread::sleep(Duration::from_secs(60));
    }

    #[test]
    fn a_server_dies_with_a_killed_test_run() {
        if std::env::var_os(WAIT_TO_BE_KILLED).is_some() {
            return start_and_wait_to_be_killed();
        }
        let this = "redis::tests::a_server_dies_with_a_killed_test_run";
        let mut run = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", this, "--nocapture"])
            .env(WAIT_TO_BE_KILLED, "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(run.stdout.take().unwrap()).lines();
        let pid = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("pid ").map(str::to_owned));
        let server = format!("/proc/{}/exe", pid.expect("the server's pid"));
        assert!(fs::read_link(&server).is_ok());

        run.kill().unwrap();
        run.wait().unwrap();
        let started = Instant::now();
        // A zombie that nobody reaps keeps its folder, but has no program any more.
        while fs::read_link(&server).is_ok() {
            assert!(started.elapsed() < Duration::from_secs(10), "the server outlived the run");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

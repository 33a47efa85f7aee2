//! The BigQuery emulator: what stands in for Google's service where nothing may need the internet.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use crate::home::Home;
use crate::paths;
use crate::ports::{self, Port};
use crate::process::{Process, Recipe, wait_until_ready};

// Python takes its time on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(120);

/// The project that a request without one means.
pub const PROJECT: &str = "strata-test";

#[derive(Default)]
pub struct BigQueryBuilder {
    detached: Option<(String, u16, u16)>,
}

#[derive(Debug)]
pub struct BigQuery {
    recipe: Recipe,
    process: Option<Process>,
    rest: Port,
    grpc: Port,
    // Last, so that the directory goes after the server.
    home: Home,
}

impl BigQuery {
    pub fn builder() -> BigQueryBuilder {
        BigQueryBuilder::default()
    }

    /// An emulator with nothing in it that dies with this process.
    pub fn start_new() -> Result<Self> {
        Self::builder().start()
    }

    /// The base address of the REST interface, without a slash at its end.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.rest.number())
    }

    /// The address of the Storage Read and Write interfaces (gRPC).
    pub fn grpc_endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.grpc.number())
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().map_or(0, Process::pid)
    }

    pub fn is_running(&self) -> bool {
        self.process.as_ref().is_some_and(Process::is_alive)
    }

    pub fn data_dir(&self) -> PathBuf {
        self.home.path().join("data")
    }

    pub fn log(&self) -> String {
        self.home.read_log()
    }

    /// Starts an emulator that was stopped or killed, on the same data and the same ports.
    pub fn start(&mut self) -> Result<()> {
        ensure!(!self.is_running(), "the BigQuery emulator runs already");
        let mut process = self.recipe.spawn()?;
        let address = format!("{}/readyz", self.endpoint());
        let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(START_LIMIT)).build().into();
        let ready = wait_until_ready(&mut process, START_LIMIT, || {
            agent.get(&address).call()?;
            Ok(())
        });
        self.process = Some(process);
        let tail = || format!("the BigQuery emulator does not start:\n{}", self.home.log_tail());
        ready.with_context(tail)
    }

    pub fn kill9(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill9();
        }
    }

    pub fn crash_and_restart(&mut self) -> Result<()> {
        self.kill9();
        self.start()
    }

    /// An orderly shutdown.
    pub fn stop(&mut self) -> Result<Duration> {
        let mut process = self.process.take().context("the BigQuery emulator does not run")?;
        process.signal(Signal::SIGTERM);
        let stopped = process.wait(Duration::from_secs(30));
        if stopped.is_err() {
            process.kill9();
        }
        stopped.context("shutdown of the BigQuery emulator")
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
}

impl Drop for BigQuery {
    fn drop(&mut self) {
        if !self.home.is_detached() {
            self.kill9();
        }
    }
}

impl BigQueryBuilder {
    /// An emulator that stays up: `start` finds the running one again, on the same data and ports.
    pub fn detached(mut self, name: &str, rest_port: u16, grpc_port: u16) -> Self {
        self.detached = Some((name.to_owned(), rest_port, grpc_port));
        self
    }

    /// Starts the emulator; a detached one that runs already is taken over as it is.
    pub fn start(self) -> Result<BigQuery> {
        let mut server = self.describe();
        if !server.is_running() {
            fs::create_dir_all(server.data_dir())?;
            server.start()?;
        }
        Ok(server)
    }

    /// The detached emulator as it is: running or not, nothing is started or changed.
    pub fn find(self) -> Result<BigQuery> {
        ensure!(self.detached.is_some(), "only a detached server can be found");
        Ok(self.describe())
    }

    fn describe(&self) -> BigQuery {
        let base = paths::target();
        let (home, rest, grpc) = match &self.detached {
            None => (Home::temporary(&base, "bigquery"), ports::reserve(), ports::reserve()),
            Some((name, rest, grpc)) => {
                let home = Home::detached(&base, name, "bigquery");
                (home, Port::fixed(*rest), Port::fixed(*grpc))
            }
        };
        let recipe = recipe(&home, rest.number(), grpc.number());
        let process = if home.is_detached() { recipe.adopt() } else { None };
        BigQuery { recipe, process, rest, grpc, home }
    }
}

fn recipe(home: &Home, rest: u16, grpc: u16) -> Recipe {
    let installed = paths::bqemulator();
    let data = home.path().join("data").display().to_string();
    let (rest, grpc) = (rest.to_string(), grpc.to_string());
    let arguments = [
        "start",
        "--persistent",
        "--data-dir",
        &data,
        "--rest-port",
        &rest,
        "--grpc-port",
        &grpc,
        "--project",
        PROJECT,
        "--log-level",
        "warning",
    ];
    let environment = [
        // DuckDB looks for its extensions there; without internet it can fetch none.
        ("HOME", installed.join("home").display().to_string()),
        ("BQEMU_ENABLE_FORMAT_EXTENSIONS", "false".to_owned()),
        ("BQEMU_TIME_TRAVEL_RETENTION_DAYS", "0".to_owned()),
    ];
    Recipe {
        root: None,
        user: None,
        program: installed.join("bin/bqemulator").display().to_string(),
        arguments: arguments.map(str::to_owned).to_vec(),
        environment: environment.map(|(key, value)| (key.to_owned(), value)).to_vec(),
        orphan_signal: "KILL",
        pid_file: home.path().join("pid"),
        log: home.log(),
        detached: home.is_detached(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datasets(server: &BigQuery) -> String {
        format!("{}/bigquery/v2/projects/{PROJECT}/datasets", server.endpoint())
    }

    fn create_dataset(server: &BigQuery, name: &str) {
        let body = format!("{{\"datasetReference\":{{\"datasetId\":\"{name}\"}}}}");
        let request = ureq::post(datasets(server)).header("content-type", "application/json");
        request.send(body).unwrap();
    }

    fn list(server: &BigQuery) -> String {
        ureq::get(datasets(server)).call().unwrap().body_mut().read_to_string().unwrap()
    }

    #[test]
    fn a_dataset_survives_a_crash() {
        let mut server = BigQuery::start_new().unwrap();
        create_dataset(&server, "kept_dataset");
        server.crash_and_restart().unwrap();
        assert!(list(&server).contains("kept_dataset"));
    }

    #[test]
    fn a_detached_emulator_is_found_again_and_stopped() {
        let (rest, grpc) = (ports::reserve(), ports::reserve());
        let name = format!("detached-bigquery-{}", std::process::id());
        let builder = || BigQuery::builder().detached(&name, rest.number(), grpc.number());
        let first = builder().start().unwrap();
        let pid = first.pid();
        drop(first);

        let mut second = builder().start().unwrap();
        assert_eq!(second.pid(), pid);
        second.stop().unwrap();
        assert!(!builder().find().unwrap().is_running());
        fs::remove_dir_all(second.home.path().parent().unwrap()).unwrap();
    }
}

//! Runs the command line as its users do: the program itself, with arguments, environment and files.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use bridge::hot::{HotClient, HotConfig};
use bridge::wait::{BlockingWait, Wait};
use strata_servers::{RedisServer, paths, redis_kind};

/// What a run of the program left.
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `strata` in an environment that names no servers but those in `variables`.
pub fn strata(arguments: &[&str], variables: &[(&str, &str)]) -> Outcome {
    let program =
        env::var_os("STRATA_COMMAND_LINE").map_or_else(|| paths::target().join("release/strata"), PathBuf::from);
    assert!(program.exists(), "{} is missing: run `make build`", program.display());
    let output = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .expect("the program starts");
    Outcome {
        code: output.status.code().expect("the program was not killed"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A folder of one test, gone when it ends.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("strata-cli-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes a file and returns its path.
    pub fn file(&self, name: &str, content: &str) -> String {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    pub fn has(&self, name: &str) -> bool {
        Path::new(&self.path(name)).exists()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A Redis with the module, of the kind this run tests.
pub fn redis_with_module() -> RedisServer {
    RedisServer::builder(redis_kind()).start().unwrap()
}

/// Asks the module through the client that PostgreSQL uses.
pub fn ask<T>(server: &RedisServer, question: impl AsyncFnOnce(&HotClient) -> T) -> T {
    let client = HotClient::new(HotConfig::new(server.url())).unwrap();
    BlockingWait::new().unwrap().wait("a test's question", question(&client))
}

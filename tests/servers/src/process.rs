//! One server process: started through the tools that change root, user and signals, so that the
//! command line can be repeated by hand; killed with its descendants.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Sender};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How to start a server, again and again.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    pub root: Option<PathBuf>,
    pub user: Option<&'static str>,
    pub program: String,
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
    /// What the server gets when the process that started it dies.
    pub orphan_signal: &'static str,
    pub pid_file: PathBuf,
    pub log: PathBuf,
    pub detached: bool,
}

#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    /// None for a server that an earlier process started.
    child: Option<Child>,
}

impl Recipe {
    pub fn spawn(&self) -> Result<Process> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = self.command(&log)?;
        let shown = format!("{command:?}");
        let child = on_the_spawning_thread(move || command.spawn()).with_context(|| format!("cannot run {shown}"))?;
        let pid = Pid::from_raw(child.id().try_into()?);
        fs::write(&self.pid_file, pid.to_string())?;
        Ok(Process { pid, child: Some(child) })
    }

    /// The server that an earlier process started from the same recipe, if it still runs.
    pub fn adopt(&self) -> Option<Process> {
        let pid: i32 = fs::read_to_string(&self.pid_file).ok()?.trim().parse().ok()?;
        let process = Process { pid: Pid::from_raw(pid), child: None };
        // The number may belong to another process by now.
        (process.is_alive() && self.describes(pid)).then_some(process)
    }

    fn describes(&self, pid: i32) -> bool {
        let root = fs::read_link(format!("/proc/{pid}/root")).unwrap_or_default();
        let expected = self.root.clone().unwrap_or_else(|| "/".into());
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        root == fs::canonicalize(&expected).unwrap_or(expected)
            && self.arguments.iter().all(|word| words.contains(&word.as_bytes()))
    }

    // Each of the tools replaces itself by the next one, so that the pid stays the same.
    fn command(&self, log: &File) -> Result<Command> {
        let mut words: Vec<String> = Vec::new();
        if self.detached {
            let note = self.pid_file.display();
            words.extend(["setsid", "sh", "-c", "echo $$ >\"$0\"; exec \"$@\""].map(String::from));
            words.push(note.to_string());
        }
        if let Some(root) = &self.root {
            words.push("chroot".into());
            if let Some(user) = self.user {
                words.push(format!("--userspec={user}:{user}"));
            }
            words.push(root.display().to_string());
        }
        if !self.detached {
            // After the change of user, which would reset it.
            words.extend(["setpriv", "--pdeathsig", self.orphan_signal].map(String::from));
        }
        words.push(self.program.clone());
        words.extend(self.arguments.iter().cloned());
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            // A server must not behave differently because of whose shell it was started from.
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .envs(self.environment.iter().map(|(key, value)| (key, value)))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log.try_clone()?);
        if !self.detached {
            use std::os::unix::process::CommandExt;
            command.process_group(0);
        }
        Ok(command)
    }
}

impl Process {
    pub fn pid(&self) -> u32 {
        self.pid.as_raw().unsigned_abs()
    }

    pub fn is_alive(&self) -> bool {
        is_running(self.pid)
    }

    pub fn signal(&self, signal: Signal) {
        let _ = kill(self.pid, signal);
    }

    pub fn wait(&mut self, limit: Duration) -> Result<Duration> {
        let started = Instant::now();
        loop {
            let gone = match &mut self.child {
                Some(child) => child.try_wait()?.is_some(),
                None => !self.is_alive(),
            };
            if gone {
                return Ok(started.elapsed());
            }
            if started.elapsed() > limit {
                bail!("process {} still runs after {limit:?}", self.pid);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// What a power cut does to it: no descendant gets to run another instruction of its own.
    pub fn kill9(&mut self) {
        // Stopped first, so that it cannot start new children while we look for the old ones.
        self.signal(Signal::SIGSTOP);
        let family = descendants(self.pid);
        for &member in family.iter().chain([&self.pid]) {
            let _ = kill(member, Signal::SIGKILL);
        }
        let _ = self.wait(Duration::from_secs(10));
        wait_until_gone(&family);
    }
}

fn is_running(pid: Pid) -> bool {
    kill(pid, None) != Err(Errno::ESRCH) && state_and_parent(pid).is_some_and(|(s, _)| s != 'Z')
}

fn wait_until_gone(family: &[Pid]) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while family.iter().any(|pid| is_running(*pid)) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
}

/// Kills what works in `folder`: the children of a server that was killed alone.
pub(crate) fn kill_all_in(folder: &Path) {
    let works_there = |pid: &Pid| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|place| place == folder);
    let strays: Vec<Pid> = all_processes().filter(works_there).collect();
    for &stray in &strays {
        let _ = kill(stray, Signal::SIGKILL);
    }
    wait_until_gone(&strays);
}

fn all_processes() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).map(Pid::from_raw)
}

fn descendants(ancestor: Pid) -> Vec<Pid> {
    let all: Vec<(Pid, Pid)> = all_processes().filter_map(|pid| Some((pid, state_and_parent(pid)?.1))).collect();
    let mut family = vec![ancestor];
    let mut at = 0;
    while at < family.len() {
        let parent = family[at];
        family.extend(all.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    family.split_off(1)
}

fn state_and_parent(pid: Pid) -> Option<(char, Pid)> {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    // The command in parentheses may hold anything, parentheses and blanks among it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, Pid::from_raw(fields.next()?.parse().ok()?)))
}

type Job = Box<dyn FnOnce() + Send>;

/// The death signal is sent when the *thread* that started a child ends, and a test's thread ends
/// before a server that several tests share: so one thread that never ends starts them all.
fn on_the_spawning_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    static JOBS: OnceLock<Mutex<Sender<Job>>> = OnceLock::new();
    let jobs = JOBS.get_or_init(|| {
        let (sender, receiver) = mpsc::channel::<Job>();
        thread::spawn(move || receiver.into_iter().for_each(|job| job()));
        Mutex::new(sender)
    });
    let (answer, result) = mpsc::channel();
    let job: Job = Box::new(move || {
        let _ = answer.send(work());
    });
    let sent = jobs.lock().expect("the spawning thread's queue").send(job);
    sent.expect("the spawning thread runs as long as the process");
    result.recv().expect("the spawning thread answers")
}

/// Tries until it works, the process dies or the time is over.
pub(crate) fn wait_until_ready<T>(
    process: &mut Process,
    limit: Duration,
    mut attempt: impl FnMut() -> Result<T>,
) -> Result<T> {
    let started = Instant::now();
    loop {
        let error = match attempt() {
            Ok(ready) => return Ok(ready),
            Err(error) => error,
        };
        if process.wait(Duration::ZERO).is_ok() {
            bail!("it ended while starting");
        }
        if started.elapsed() > limit {
            return Err(error.context(format!("not ready after {limit:?}")));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

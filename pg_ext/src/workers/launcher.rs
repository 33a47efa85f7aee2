//! The process that keeps one scheduler in every database that has the extension.

use super::backoff::Backoff;
use super::outcome::JobError;
use super::scheduler::no_worker_slot;
use super::shared::{self, Slot, Verdict};
use super::spawn::Spawned;
use super::transaction::caught;
use super::{databases, process, scheduler, settings, spawn};
use pgrx::bgworkers::{BackgroundWorkerBuilder, BgWorkerStartTime};
use pgrx::prelude::*;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Databases looked into at the same time, since each look takes a worker slot.
const PROBES: usize = 2;
/// How long a database without the extension is left alone if nothing wakes us for it.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);
const RESTART_AFTER: Duration = Duration::from_secs(10);
const TITLE: &str = "strata launcher";

/// Has the postmaster start the launcher. Called from `_PG_init` while the postmaster preloads.
pub fn register() {
    BackgroundWorkerBuilder::new(TITLE)
        .set_type(TITLE)
        .set_library(spawn::LIBRARY)
        .set_function("strata_launcher_main")
        .enable_spi_access()
        .set_start_time(BgWorkerStartTime::RecoveryFinished)
        .set_restart_time(Some(RESTART_AFTER))
        .load();
}

/// Main function of the process.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn strata_launcher_main(_arg: pg_sys::Datum) {
    shared::become_launcher();
    process::handle_signals();
    process::connect(None);
    process::pin(c"application_name", c"strata launcher");
    let mut launcher = Launcher::adopt();
    let mut backoff = Backoff::default();
    while !process::terminating() {
        process::reload_configuration();
        let round = caught(|| {
            pgrx::check_for_interrupts!();
            launcher.round();
        });
        let sleep = match round {
            Ok(()) => {
                backoff.succeeded();
                launcher.until_next()
            }
            Err(error) => {
                super::transaction::abort();
                let wait = backoff.failed();
                let about = format!("strata launcher, next try in {} s", wait.as_secs());
                JobError::from(error).log(&about);
                wait
            }
        };
        process::sleep(sleep);
    }
    // Any other exit code would tell the postmaster never to start the launcher again.
    exit(1);
}

fn exit(code: i32) -> ! {
    // SAFETY: the regular way to end a process; nothing on the stack has to be dropped.
    unsafe { pg_sys::proc_exit(code) }
}

/// What the launcher knows about a database.
enum State {
    Unknown,
    /// `None`: started by an earlier launcher.
    Running(Option<Spawned>),
    /// There is nothing to schedule; looked at again at that time.
    Idle(Instant),
    /// The scheduler failed or could not be started.
    Retry(Instant),
}

struct Database {
    state: State,
    backoff: Backoff,
}

struct Launcher {
    databases: HashMap<pg_sys::Oid, Database>,
    /// Whether the lack of worker slots is in the log already.
    complained: bool,
}

impl Launcher {
    /// Takes over the schedulers that an earlier launcher started. A slot without a process is
    /// freed: should that process still come, it finds no slot and leaves.
    fn adopt() -> Self {
        let mut databases = HashMap::new();
        for slot in shared::slots() {
            if slot.pid == 0 {
                shared::free_slot(slot.database);
            } else {
                let state = State::Running(None);
                databases.insert(slot.database, Database { state, backoff: Backoff::default() });
            }
        }
        Self { databases, complained: false }
    }

    fn round(&mut self) {
        let wakes = shared::take_wakes();
        self.forget_idle(wakes.all, &wakes.databases);
        let slots = shared::slots();
        self.reap(&slots);
        let connectable = match databases::connectable() {
            Ok(connectable) => connectable,
            Err(error) => error.rethrow(),
        };
        let held = shared::held();
        let eligible: Vec<_> = connectable.into_iter().filter(|db| !held.contains(db)).collect();
        self.dismiss_others(&eligible, &slots);
        for database in &eligible {
            self.databases
                .entry(*database)
                .or_insert_with(|| Database { state: State::Unknown, backoff: Backoff::default() });
        }
        let mut probes = PROBES.saturating_sub(self.probing(&slots));
        for oid in eligible {
            if probes == 0 {
                break;
            }
            if self.is_due(oid) && self.start(oid) {
                probes -= 1;
            }
        }
    }

    /// A wake is about something that changed, so what was found before counts no longer.
    fn forget_idle(&mut self, all: bool, woken: &[pg_sys::Oid]) {
        for (oid, database) in &mut self.databases {
            let idle = matches!(database.state, State::Idle(_) | State::Retry(_));
            if idle && (all || woken.contains(oid)) {
                database.state = State::Unknown;
            }
        }
    }

    /// Draws the conclusions from the schedulers that ended.
    fn reap(&mut self, slots: &[Slot]) {
        for (oid, database) in &mut self.databases {
            let State::Running(process) = &database.state else {
                continue;
            };
            let slot = slots.iter().find(|slot| slot.database == *oid);
            let ended = match process {
                Some(process) => process.is_stopped(),
                None => slot.is_none_or(|slot| slot.pid == 0),
            };
            if !ended {
                if slot.is_some_and(|slot| slot.verdict == Verdict::Present) {
                    database.backoff.succeeded();
                }
                continue;
            }
            shared::free_slot(*oid);
            database.state = match slot.map(|slot| slot.verdict) {
                Some(Verdict::Absent | Verdict::Mismatch) => State::Idle(Instant::now() + LOOK_AGAIN),
                _ => State::Retry(Instant::now() + database.backoff.failed()),
            };
        }
    }

    /// Asks the schedulers of other databases to leave, and forgets databases that are gone.
    fn dismiss_others(&mut self, eligible: &[pg_sys::Oid], slots: &[Slot]) {
        self.databases.retain(|oid, database| {
            if eligible.contains(oid) {
                return true;
            }
            let State::Running(process) = &database.state else {
                return false;
            };
            match process {
                Some(process) => process.terminate(),
                None => {
                    let slot = slots.iter().find(|slot| slot.database == *oid);
                    process::terminate(slot.map_or(0, |slot| slot.pid));
                }
            }
            true
        });
    }

    fn probing(&self, slots: &[Slot]) -> usize {
        let unknown = |slot: &&Slot| slot.verdict == Verdict::Unknown;
        let running = |oid| {
            let database = self.databases.get(oid);
            database.is_some_and(|database| matches!(database.state, State::Running(_)))
        };
        slots.iter().filter(unknown).filter(|slot| running(&slot.database)).count()
    }

    fn is_due(&self, oid: pg_sys::Oid) -> bool {
        match self.databases.get(&oid).map(|database| &database.state) {
            Some(State::Unknown) => true,
            Some(State::Idle(at) | State::Retry(at)) => *at <= Instant::now(),
            _ => false,
        }
    }

    /// Starts the scheduler of the database; false if that has to wait.
    fn start(&mut self, oid: pg_sys::Oid) -> bool {
        let process = if shared::reserve_slot(oid) { scheduler::start(oid) } else { None };
        if process.is_none() {
            shared::free_slot(oid);
            self.complain_once();
        }
        let Some(database) = self.databases.get_mut(&oid) else {
            return false;
        };
        let started = process.is_some();
        database.state = match process {
            Some(process) => State::Running(Some(process)),
            None => State::Retry(Instant::now() + database.backoff.failed()),
        };
        self.complained &= !started;
        started
    }

    fn complain_once(&mut self) {
        if !std::mem::replace(&mut self.complained, true) {
            let most = shared::MAX_SCHEDULERS;
            no_worker_slot()
                .detail(format!("At most {most} databases can have a scheduler."))
                .log("strata cannot start a scheduler");
        }
    }

    fn until_next(&self) -> Duration {
        let now = Instant::now();
        let next = self.databases.values().filter_map(|database| match database.state {
            State::Idle(at) | State::Retry(at) => Some(at.saturating_duration_since(now)),
            _ => None,
        });
        next.min().map_or(settings::launcher_poll(), |next| next.min(settings::launcher_poll()))
    }
}

//! What launcher, schedulers, workers and sessions tell each other, in shared memory.
//!
//! Only there when the library was loaded by `shared_preload_libraries`; without it every function
//! here does nothing, which is right because then there is no launcher to talk to.

use super::process;
use pgrx::prelude::*;
use pgrx::{PGRXSharedMemory, PgLwLock, pg_shmem_init, pg_sys};
use std::sync::atomic::{AtomicBool, Ordering};

/// Databases that can have a scheduler at a time.
pub const MAX_SCHEDULERS: usize = 64;
const MAX_WORKERS: usize = 256;
const MAX_HOLDS: usize = 16;
const MAX_WAKES: usize = 32;

// SAFETY: no other lock of this library bears the name.
static BOARD: PgLwLock<Board> = unsafe { PgLwLock::new(c"strata") };
static AVAILABLE: AtomicBool = AtomicBool::new(false);

/// What a scheduler found out about the extension in its database.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Verdict {
    #[default]
    Unknown,
    Present,
    Absent,
    Mismatch,
}

/// A scheduler that the launcher has registered; `pid` is 0 before it runs and after it ended.
#[derive(Clone, Copy, Default)]
pub struct Slot {
    pub database: pg_sys::Oid,
    pub pid: i32,
    pub verdict: Verdict,
}

/// A process by its database: a running worker, or a session that holds the database.
#[derive(Clone, Copy, Default)]
struct Entry {
    database: pg_sys::Oid,
    pid: i32,
}

#[derive(Clone, Copy)]
struct Board {
    launcher: i32,
    slots: [Slot; MAX_SCHEDULERS],
    workers: [Entry; MAX_WORKERS],
    holds: [Entry; MAX_HOLDS],
    wakes: [pg_sys::Oid; MAX_WAKES],
    wake_all: bool,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            launcher: 0,
            slots: [Slot::default(); MAX_SCHEDULERS],
            workers: [Entry::default(); MAX_WORKERS],
            holds: [Entry::default(); MAX_HOLDS],
            wakes: [pg_sys::Oid::INVALID; MAX_WAKES],
            wake_all: false,
        }
    }
}

// SAFETY: plain values, no pointers; all access is under the lock.
unsafe impl PGRXSharedMemory for Board {}

/// Requests the memory. Called from `_PG_init` while the postmaster preloads.
#[expect(unexpected_cfgs, reason = "the macro asks for PostgreSQL versions we have no feature for")]
pub fn init() {
    pg_shmem_init!(BOARD);
    AVAILABLE.store(true, Ordering::Relaxed);
}

/// Whether there is a launcher to talk to: the library was preloaded.
pub fn available() -> bool {
    AVAILABLE.load(Ordering::Relaxed)
}

/// `body` must neither raise nor allocate from PostgreSQL: it runs under the lock, also at commit.
fn with<R>(body: impl FnOnce(&mut Board) -> R) -> Option<R> {
    available().then(|| body(&mut BOARD.exclusive()))
}

impl Board {
    fn slot(&mut self, database: pg_sys::Oid) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.database == database)
    }
}

/// Puts the entry into a free place of the table; false if there is none.
fn put(table: &mut [Entry], entry: Entry) -> bool {
    let free = table.iter_mut().find(|place| place.pid == 0);
    free.map(|place| *place = entry).is_some()
}

fn forget(table: &mut [Entry], pid: i32) {
    table.iter_mut().filter(|place| place.pid == pid).for_each(|place| *place = Entry::default());
}

// ------------------------------------------------------------------ launcher

/// Makes the calling process the launcher for the rest of its life.
pub fn become_launcher() {
    with(|board| board.launcher = process::my_pid());
    process::at_exit(launcher_gone);
}

#[pg_guard]
unsafe extern "C-unwind" fn launcher_gone(_code: i32, _arg: pg_sys::Datum) {
    with(|board| {
        if board.launcher == process::my_pid() {
            board.launcher = 0;
        }
    });
}

/// Databases whose state somebody asks the launcher to look at again.
pub struct Wakes {
    pub all: bool,
    pub databases: Vec<pg_sys::Oid>,
}

/// Takes the wake requests off the board.
pub fn take_wakes() -> Wakes {
    let taken = with(|board| {
        let taken = (board.wake_all, board.wakes);
        board.wake_all = false;
        board.wakes = [pg_sys::Oid::INVALID; MAX_WAKES];
        taken
    });
    let (all, wakes) = taken.unwrap_or_default();
    Wakes { all, databases: wakes.into_iter().filter(|db| *db != pg_sys::Oid::INVALID).collect() }
}

/// The slots in use.
pub fn slots() -> Vec<Slot> {
    let slots = with(|board| board.slots).unwrap_or([Slot::default(); MAX_SCHEDULERS]);
    slots.into_iter().filter(|slot| slot.database != pg_sys::Oid::INVALID).collect()
}

/// Takes a slot for a scheduler about to be registered; false if all are taken.
pub fn reserve_slot(database: pg_sys::Oid) -> bool {
    let reserved = with(|board| {
        if board.slot(database).is_some() {
            return false;
        }
        let free = board.slot(pg_sys::Oid::INVALID);
        free.map(|slot| *slot = Slot { database, ..Slot::default() }).is_some()
    });
    reserved.unwrap_or(false)
}

/// Frees the slot of a scheduler that is gone.
pub fn free_slot(database: pg_sys::Oid) {
    with(|board| {
        if let Some(slot) = board.slot(database) {
            *slot = Slot::default();
        }
    });
}

/// Databases that sessions keep the launcher out of.
pub fn held() -> Vec<pg_sys::Oid> {
    let holds = with(|board| board.holds).unwrap_or_default();
    holds.into_iter().filter(|hold| hold.pid != 0).map(|hold| hold.database).collect()
}

// ----------------------------------------------------------------- scheduler

/// Makes the calling process the scheduler of the database. False if nobody asked for one, or
/// another process is it already.
pub fn claim_slot(database: pg_sys::Oid) -> bool {
    let pid = process::my_pid();
    let claimed = with(|board| {
        let free = board.slot(database).filter(|slot| slot.pid == 0);
        free.map(|slot| slot.pid = pid).is_some()
    });
    let claimed = claimed.unwrap_or(false);
    if claimed {
        process::at_exit(scheduler_gone);
    }
    claimed
}

#[pg_guard]
unsafe extern "C-unwind" fn scheduler_gone(_code: i32, _arg: pg_sys::Datum) {
    let pid = process::my_pid();
    with(|board| {
        if let Some(slot) = board.slots.iter_mut().find(|slot| slot.pid == pid) {
            slot.pid = 0;
        }
    });
    wake_launcher();
}

/// Records what this scheduler found, for the launcher.
pub fn set_verdict(database: pg_sys::Oid, verdict: Verdict) {
    with(|board| {
        if let Some(slot) = board.slot(database) {
            slot.verdict = verdict;
        }
    });
    wake_launcher();
}

// -------------------------------------------------------------------- worker

/// Lists the calling process as a worker of the database, until it exits.
pub fn register_worker(database: pg_sys::Oid) {
    let pid = process::my_pid();
    with(|board| put(&mut board.workers, Entry { database, pid }));
    process::at_exit(worker_gone);
}

#[pg_guard]
unsafe extern "C-unwind" fn worker_gone(_code: i32, _arg: pg_sys::Datum) {
    let pid = process::my_pid();
    let scheduler = with(|board| {
        let entry = board.workers.iter().find(|entry| entry.pid == pid).copied();
        forget(&mut board.workers, pid);
        entry.and_then(|entry| board.slot(entry.database)).map(|slot| slot.pid)
    });
    // A run that another session started may have kept the scheduler from starting the same job.
    process::wake(scheduler.flatten().unwrap_or(0));
}

// ------------------------------------------------------------------ sessions

/// Asks the launcher and the database's scheduler, if there is one, to look at it again.
pub fn wake(database: pg_sys::Oid) {
    let scheduler = with(|board| {
        let free = board.wakes.iter().position(|w| [database, pg_sys::Oid::INVALID].contains(w));
        match free {
            Some(place) => board.wakes[place] = database,
            None => board.wake_all = true,
        }
        board.slot(database).map(|slot| slot.pid)
    });
    process::wake(scheduler.flatten().unwrap_or(0));
    wake_launcher();
}

/// Makes the launcher look at the list of databases.
pub fn wake_launcher() {
    process::wake(with(|board| board.launcher).unwrap_or(0));
}

/// Keeps the launcher out of the database until `release_holds`; false if too many are held.
pub fn hold(database: pg_sys::Oid) -> bool {
    let pid = process::my_pid();
    with(|board| put(&mut board.holds, Entry { database, pid })).unwrap_or(true)
}

/// Ends the holds of the calling process.
pub fn release_holds() {
    let pid = process::my_pid();
    with(|board| forget(&mut board.holds, pid));
    wake_launcher();
}

/// Whether a scheduler is registered for the database, or a worker runs in it.
pub fn in_use(database: pg_sys::Oid) -> bool {
    let used = with(|board| {
        board.slot(database).is_some() || board.workers.iter().any(|entry| entry.pid != 0 && entry.database == database)
    });
    used.unwrap_or(false)
}

/// The scheduler and the workers that run in the database.
pub fn processes_of(database: pg_sys::Oid) -> Vec<i32> {
    let Some((slot, workers)) = with(|board| (board.slot(database).map_or(0, |slot| slot.pid), board.workers)) else {
        return Vec::new();
    };
    let workers = workers.into_iter().filter(|entry| entry.database == database);
    workers.map(|entry| entry.pid).chain([slot]).filter(|pid| *pid != 0).collect()
}

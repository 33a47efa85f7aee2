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
/// The bound of `strata.max_workers`.
pub const MAX_PLACES: usize = 16;
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
    /// Jobs that are due and found no place.
    waiting: u32,
}

/// A process that works on a run, from when a place was taken for it until it ends.
#[derive(Clone, Copy, Default)]
struct Worker {
    database: pg_sys::Oid,
    /// 0 while the process has not come up.
    pid: i32,
    /// Number of its place; 0 for one that takes none: the worker of a session.
    ticket: u32,
    /// Who took the place.
    parent: i32,
}

impl Worker {
    fn is_free(&self) -> bool {
        self.pid == 0 && self.ticket == 0
    }
}

/// A session that holds a database.
#[derive(Clone, Copy, Default)]
struct Hold {
    database: pg_sys::Oid,
    pid: i32,
}

#[derive(Clone, Copy)]
struct Board {
    launcher: i32,
    slots: [Slot; MAX_SCHEDULERS],
    workers: [Worker; MAX_WORKERS],
    last_ticket: u32,
    holds: [Hold; MAX_HOLDS],
    wakes: [pg_sys::Oid; MAX_WAKES],
    wake_all: bool,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            launcher: 0,
            slots: [Slot::default(); MAX_SCHEDULERS],
            workers: [Worker::default(); MAX_WORKERS],
            last_ticket: 0,
            holds: [Hold::default(); MAX_HOLDS],
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

    fn new_ticket(&mut self) -> u32 {
        self.last_ticket = self.last_ticket.checked_add(1).unwrap_or(1);
        self.last_ticket
    }

    fn places_taken(&self, database: pg_sys::Oid) -> usize {
        self.workers.iter().filter(|worker| worker.ticket != 0 && worker.database == database).count()
    }

    /// Lists a worker; false if the table is full.
    fn enlist(&mut self, worker: Worker) -> bool {
        let free = self.workers.iter_mut().find(|place| place.is_free());
        free.map(|place| *place = worker).is_some()
    }

    fn strike_off(&mut self, whom: impl Fn(&Worker) -> bool) {
        self.workers.iter_mut().filter(|worker| whom(worker)).for_each(|worker| *worker = Worker::default());
    }

    /// Takes a process off that ends, and the places it took for processes that have not come up: those find themselves one.
    fn strike_off_process(&mut self, pid: i32) {
        self.strike_off(|worker| worker.pid == pid || (worker.pid == 0 && worker.parent == pid));
    }
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
            slot.waiting = 0;
        }
        board.strike_off_process(pid);
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

/// Says how many jobs are due and found no place.
pub fn set_waiting(database: pg_sys::Oid, jobs: usize) {
    with(|board| {
        if let Some(slot) = board.slot(database) {
            slot.waiting = u32::try_from(jobs).unwrap_or(u32::MAX);
        }
    });
}

// -------------------------------------------------------------------- worker

/// A place for a process among the `strata.max_workers` of its database. The process keeps it until it ends; dropped before
/// the process has come up, it is free again.
pub struct Place {
    ticket: u32,
}

impl Place {
    /// What the process has to know to find it.
    pub fn ticket(&self) -> u32 {
        self.ticket
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let ticket = self.ticket;
        with(|board| board.strike_off(|worker| worker.pid == 0 && worker.ticket == ticket && ticket != 0));
    }
}

/// Takes places in a database that has `limit` of them: as many as are free, at most `wanted`. A worker takes them beside
/// itself, so it has one of them from then on.
///
/// Where there is no shared memory, all but the caller's own are taken for free.
pub fn take_places(database: pg_sys::Oid, wanted: usize, limit: usize) -> Vec<Place> {
    let parent = process::my_pid();
    let mut tickets = [0; MAX_PLACES];
    let taken = with(|board| {
        let me = board.workers.iter().position(|worker| worker.pid == parent);
        let uncounted = me.filter(|&me| board.workers[me].ticket == 0);
        let free = limit.saturating_sub(board.places_taken(database) + usize::from(uncounted.is_some()));
        let mut taken = 0;
        for ticket in tickets.iter_mut().take(wanted.min(free)) {
            *ticket = board.new_ticket();
            if !board.enlist(Worker { database, pid: 0, ticket: *ticket, parent }) {
                break;
            }
            taken += 1;
        }
        if let Some(me) = uncounted.filter(|_| taken > 0) {
            board.workers[me].ticket = board.new_ticket();
        }
        taken
    });
    let taken = taken.unwrap_or_else(|| wanted.min(limit.saturating_sub(1)).min(MAX_PLACES));
    tickets[..taken].iter().map(|&ticket| Place { ticket }).collect()
}

/// Lists the calling process as a worker of the database until it exits, in the place that was taken for it.
pub fn register_worker(database: pg_sys::Oid, ticket: u32) {
    let pid = process::my_pid();
    with(|board| {
        let place = board.workers.iter_mut().find(|worker| ticket != 0 && worker.ticket == ticket && worker.pid == 0);
        match place {
            Some(place) => place.pid = pid,
            None => {
                board.enlist(Worker { database, pid, ticket, parent: 0 });
            }
        }
    });
    process::at_exit(worker_gone);
}

#[pg_guard]
unsafe extern "C-unwind" fn worker_gone(_code: i32, _arg: pg_sys::Datum) {
    let pid = process::my_pid();
    let scheduler = with(|board| {
        let worker = board.workers.iter().find(|worker| worker.pid == pid).copied();
        board.strike_off_process(pid);
        worker.and_then(|worker| board.slot(worker.database)).map(|slot| slot.pid)
    });
    // A run that another session started may have kept the scheduler from starting the same job.
    process::wake(scheduler.flatten().unwrap_or(0));
}

/// Whether the calling process shall leave its place to a job that is due and has none: true once for each such job.
pub fn give_way(database: pg_sys::Oid) -> bool {
    let asked = with(|board| {
        let slot = board.slot(database).filter(|slot| slot.waiting > 0);
        slot.map(|slot| slot.waiting -= 1).is_some()
    });
    asked.unwrap_or(false)
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
    let held = with(|board| {
        let free = board.holds.iter_mut().find(|hold| hold.pid == 0);
        free.map(|place| *place = Hold { database, pid }).is_some()
    });
    held.unwrap_or(true)
}

/// Ends the holds of the calling process.
pub fn release_holds() {
    let pid = process::my_pid();
    with(|board| board.holds.iter_mut().filter(|hold| hold.pid == pid).for_each(|hold| *hold = Hold::default()));
    wake_launcher();
}

/// Whether a scheduler is registered for the database, or a worker runs in it.
pub fn in_use(database: pg_sys::Oid) -> bool {
    let used = with(|board| {
        board.slot(database).is_some()
            || board.workers.iter().any(|worker| worker.pid != 0 && worker.database == database)
    });
    used.unwrap_or(false)
}

/// The scheduler and the workers that run in the database.
pub fn processes_of(database: pg_sys::Oid) -> Vec<i32> {
    let Some((slot, workers)) = with(|board| (board.slot(database).map_or(0, |slot| slot.pid), board.workers)) else {
        return Vec::new();
    };
    let workers = workers.into_iter().filter(|worker| worker.database == database);
    workers.map(|worker| worker.pid).chain([slot]).filter(|pid| *pid != 0).collect()
}

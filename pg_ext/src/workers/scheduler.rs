//! The process that starts the jobs of one database when they are due.

use super::backoff::Backoff;
use super::due::{Waiting, to_start, until_next};
use super::extension::{Installed, LIBRARY_VERSION};
use super::outcome::JobError;
use super::process;
use super::runs::{self, End, Job};
use super::settings;
use super::shared::{self, Place, Verdict};
use super::spawn::{Spawned, Spec, spawn};
use super::transaction::{caught, transaction};
use super::worker::Order;
use pgrx::prelude::*;
use std::time::Duration;

/// How long a change that nobody announced can go unnoticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// After an error that a commit of somebody else explains.
const QUICK_RETRY: Duration = Duration::from_millis(200);

const LOCK_NOT_AVAILABLE: &str = "55P03";

const TITLE: &str = "strata scheduler";

/// Registers the scheduler of a database; `None` if no worker slot is free.
pub fn start(database: pg_sys::Oid) -> Option<Spawned> {
    spawn(&Spec { title: TITLE, function: "strata_scheduler_main", database, extra: "" })
}

/// Main function of the process.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn strata_scheduler_main(database: pg_sys::Datum) {
    let database = pg_sys::Oid::from(database.value() as u32);
    if !shared::claim_slot(database) {
        return;
    }
    process::handle_signals();
    process::connect(Some(database));
    pin_settings();
    Scheduler { database, children: Vec::new(), announced: false }.live();
}

fn pin_settings() {
    process::pin(c"application_name", c"strata scheduler");
    process::pin(c"search_path", c"pg_catalog, pg_temp");
    process::pin(c"session_replication_role", c"origin");
    process::pin(c"default_transaction_isolation", c"read committed");
    process::pin(c"default_transaction_read_only", c"off");
    process::pin(c"statement_timeout", c"0");
    // Shorter than deadlock_timeout's default: in a deadlock with ALTER or DROP EXTENSION it is
    // the scheduler that gives way.
    process::pin(c"lock_timeout", c"900ms");
    process::pin(c"TimeZone", c"UTC");
}

/// A worker this scheduler started.
struct Child {
    job_id: i32,
    run_id: i64,
    process: Spawned,
    /// Its place, as long as the process has not come up to hold it.
    _place: Place,
}

struct Scheduler {
    database: pg_sys::Oid,
    children: Vec<Child>,
    /// The launcher knows that the extension is here.
    announced: bool,
}

/// What follows from a look at the extension and the jobs.
enum Look {
    Leave(Installed),
    Jobs(Vec<Job>),
}

impl Scheduler {
    fn live(&mut self) {
        let mut backoff = Backoff::default();
        while !process::terminating() {
            process::reload_configuration();
            let round = caught(|| {
                pgrx::check_for_interrupts!();
                self.round()
            });
            let sleep = match round.unwrap_or_else(|caught| Err(JobError::from(caught))) {
                Ok(Some(sleep)) => {
                    backoff.succeeded();
                    sleep
                }
                Ok(None) => return,
                Err(error) => self.complain(&error, &mut backoff),
            };
            process::sleep(sleep);
        }
    }

    fn complain(&self, error: &JobError, backoff: &mut Backoff) -> Duration {
        if error.is_passing() && backoff.is_fresh() {
            backoff.failed();
            return QUICK_RETRY;
        }
        let wait = backoff.failed();
        // Somebody alters the extension, or works on its tables: wait for them in silence.
        if error.sqlstate != LOCK_NOT_AVAILABLE {
            let (database, seconds) = (self.database, wait.as_secs());
            error.log(&format!("strata scheduler of database {database}, next try in {seconds} s"));
        }
        wait
    }

    /// One look and what follows; gives the time to sleep, or `None` to leave.
    fn round(&mut self) -> Result<Option<Duration>, JobError> {
        let jobs = loop {
            match self.look()? {
                Look::Leave(installed) => {
                    self.leave(&installed);
                    return Ok(None);
                }
                // when a run ends, its job is due another time
                Look::Jobs(_) if self.reap()? => {}
                Look::Jobs(jobs) => break jobs,
            }
        };
        let mut waiting = Vec::with_capacity(jobs.len());
        for job in jobs.iter().filter(|job| !self.runs(job.id)) {
            if let Some(due) = first_due(job)? {
                waiting.push(Waiting { job_id: job.id, due });
            }
        }
        if settings::scheduler_enabled() {
            self.start_due(&jobs, &to_start(&waiting, runs::now()))?;
        } else {
            shared::set_waiting(self.database, 0);
        }
        Ok(Some(until_next(&waiting, runs::now(), LONGEST_SLEEP)))
    }

    fn look(&mut self) -> Result<Look, JobError> {
        let own: Vec<_> = self.children.iter().map(|child| child.run_id).collect();
        let look = transaction("look for due jobs", || {
            let installed = Installed::look()?;
            if installed.verdict() != Verdict::Present {
                return Ok(Look::Leave(installed));
            }
            runs::mark_dead_crashed(&own)?;
            runs::enabled_jobs().map(Look::Jobs)
        })?;
        if !self.announced && matches!(look, Look::Jobs(_)) {
            self.announced = true;
            shared::set_verdict(self.database, Verdict::Present);
        }
        Ok(look)
    }

    fn leave(&self, installed: &Installed) {
        if let (Verdict::Mismatch, Some(version)) = (installed.verdict(), &installed.version) {
            JobError::new(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                "extension and library differ in version",
            )
            .detail(format!("The extension is {version}, the library {LIBRARY_VERSION}."))
            .hint("ALTER EXTENSION strata UPDATE; or restart the server with the newer library.")
            .log(&format!("no strata job runs in database {}", self.database));
        }
        shared::set_verdict(self.database, installed.verdict());
    }

    fn runs(&self, job_id: i32) -> bool {
        self.children.iter().any(|child| child.job_id == job_id)
    }

    /// Lets go of the workers that ended, if there are any; a run that is not finished by then has crashed.
    fn reap(&mut self) -> Result<bool, JobError> {
        let before = self.children.len();
        while let Some(place) = self.children.iter().position(|child| child.process.is_stopped()) {
            let run_id = self.children[place].run_id;
            transaction("settle a run", || runs::finish(run_id, &End::Crashed))?;
            self.children.swap_remove(place);
        }
        Ok(self.children.len() < before)
    }

    /// Starts the jobs for which there is a place. Runs that took places for their parts learn of the others, and give way.
    fn start_due(&mut self, jobs: &[Job], due: &[i32]) -> Result<(), JobError> {
        let mut waiting = due.len();
        for job_id in due {
            let Some(place) = shared::take_places(self.database, 1, settings::max_workers()).pop() else { break };
            waiting -= 1;
            if let Some(job) = jobs.iter().find(|job| job.id == *job_id) {
                self.start(job, place)?;
            }
        }
        shared::set_waiting(self.database, waiting);
        Ok(())
    }

    fn start(&mut self, job: &Job, place: Place) -> Result<(), JobError> {
        let recorded = transaction("record a run", || runs::record_starting(job))?;
        let Some(run_id) = recorded else {
            return Ok(());
        };
        match (Order { kind: job.kind, run_id, mailbox: 0, ticket: place.ticket() }).start() {
            Some(process) => self.children.push(Child { job_id: job.id, run_id, process, _place: place }),
            None => transaction("record a run", || runs::finish(run_id, &End::Failed(no_worker_slot())))?,
        }
        Ok(())
    }
}

/// When the job is due; a job that never ran gets a first time.
fn first_due(job: &Job) -> Result<Option<i64>, JobError> {
    if job.next_run_at.is_some() {
        return Ok(job.next_run_at);
    }
    let now = runs::now();
    let next = job.schedule.next(now, now);
    transaction("set the first time of a job", || runs::set_next_run(job.id, next))?;
    Ok(next)
}

/// All background worker slots of the server are taken.
pub fn no_worker_slot() -> JobError {
    JobError::new(PgSqlErrorCode::ERRCODE_CONFIGURATION_LIMIT_EXCEEDED, "no background worker slot is free")
        .hint("Raise max_worker_processes; it takes a restart of the server.")
}

//! The process of one run.

use super::extension::Installed;
use super::kind::JobKind;
use super::mailbox::{Mailbox, Message};
use super::outcome::{JobError, JobOutcome};
use super::process;
use super::run_handle::RunHandle;
use super::runs::{self, Begun, End};
use super::shared::{self, Verdict};
use super::spawn::{Spawned, Spec, spawn};
use super::transaction::{abort, caught, transaction};
use pgrx::bgworkers::BackgroundWorker;
use pgrx::prelude::*;
use std::ffi::CString;

/// What a worker is asked to do. Travels as text, since that is what PostgreSQL hands over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    pub kind: JobKind,
    /// The recorded run; 0: the worker records one itself.
    pub run_id: i64,
    /// Handle of the mailbox of the session that waits; 0: nobody waits.
    pub mailbox: u32,
    /// The place that was taken for the process; 0: none.
    pub ticket: u32,
}

impl Order {
    fn to_text(self) -> String {
        format!("{} {} {} {}", self.kind, self.run_id, self.mailbox, self.ticket)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        Some(Self {
            kind: words.next()?.parse().ok()?,
            run_id: words.next()?.parse().ok()?,
            mailbox: words.next()?.parse().ok()?,
            ticket: words.next()?.parse().ok()?,
        })
    }

    /// Starts a worker in this database; `None` if no worker slot is free.
    pub fn start(self) -> Option<Spawned> {
        spawn(&Spec {
            title: &title(self.kind),
            function: "strata_worker_main",
            database: process::my_database(),
            extra: &self.to_text(),
        })
    }
}

fn title(kind: JobKind) -> String {
    format!("strata worker: {kind}")
}

/// Main function of the process.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn strata_worker_main(database: pg_sys::Datum) {
    let database = pg_sys::Oid::from(database.value() as u32);
    let Some(order) = Order::parse(BackgroundWorker::get_extra()) else {
        error!("a Strata worker was started without an order");
    };
    shared::register_worker(database, order.ticket);
    process::handle_signals();
    process::connect(Some(database));
    pin_settings(&title(order.kind));
    let mailbox = (order.mailbox != 0).then(|| Mailbox::attach(order.mailbox));
    match mailbox {
        // The session that asked for the run is gone.
        Some(None) => {}
        Some(Some(mailbox)) => execute(order, |message| mailbox.send(message)),
        None => execute(order, |_| {}),
    }
}

/// A job must not depend on what somebody set for the database or for the superuser.
pub fn pin_settings(title: &str) {
    let title = CString::new(title).unwrap_or_default();
    process::pin(c"application_name", &title);
    process::pin(c"search_path", c"pg_catalog, pg_temp");
    process::pin(c"session_replication_role", c"origin");
    process::pin(c"default_transaction_isolation", c"read committed");
    process::pin(c"default_transaction_read_only", c"off");
    process::pin(c"statement_timeout", c"0");
    process::pin(c"lock_timeout", c"0");
    process::pin(c"idle_in_transaction_session_timeout", c"0");
    #[cfg(feature = "pg17")]
    process::pin(c"transaction_timeout", c"0");
    process::pin(c"TimeZone", c"UTC");
    process::pin(c"DateStyle", c"ISO, YMD");
}

fn execute(order: Order, tell: impl Fn(Message)) {
    match begin(order) {
        Ok(Beginning::Run(run_id)) => {
            tell(Message::Run(run_id));
            let run = RunHandle::new(run_id, order.kind);
            record(run, &run_job(run));
        }
        Ok(Beginning::Busy) => {
            tell(Message::Busy);
            if order.run_id != 0 {
                record(RunHandle::new(order.run_id, order.kind), &overtaken());
            }
        }
        Ok(Beginning::NotInstalled) => tell(Message::NotInstalled),
        Ok(Beginning::GivenUp) => {}
        // The run stays as it is recorded: whoever started this process finds it without one.
        Err(error) => error.log(&format!("strata job {} could not begin", order.kind)),
    }
}

enum Beginning {
    Run(i64),
    Busy,
    GivenUp,
    NotInstalled,
}

fn begin(order: Order) -> Result<Beginning, JobError> {
    transaction("begin a run", || {
        if Installed::look()?.verdict() != Verdict::Present {
            return Ok(Beginning::NotInstalled);
        }
        Ok(match runs::begin(order.kind, order.run_id)? {
            Begun::Run(run_id) => Beginning::Run(run_id),
            Begun::Busy => Beginning::Busy,
            Begun::GivenUp => Beginning::GivenUp,
        })
    })
}

/// Another run of the job came first, between the scheduler's look and this process's.
fn overtaken() -> End {
    End::Cancelled(JobError::new(PgSqlErrorCode::ERRCODE_OBJECT_IN_USE, "another run of this job was under way"))
}

fn run_job(run: RunHandle) -> End {
    let result: Result<JobOutcome, JobError> =
        caught(|| crate::jobs::run(run.kind(), &run)).unwrap_or_else(|caught| Err(caught.into()));
    abort();
    match result {
        Ok(outcome) => End::Succeeded(outcome),
        Err(error) if error.is_cancel() => End::Cancelled(error),
        Err(error) => {
            error.log(&format!("strata job {} failed (run {})", run.kind(), run.run_id()));
            End::Failed(error)
        }
    }
}

/// A cancel request that arrives as the run ends hits this transaction instead: it is tried again.
fn record(run: RunHandle, end: &End) {
    for _ in 0..3 {
        match transaction("record a run", || runs::finish(run.run_id(), end)) {
            Ok(()) => return,
            Err(error) if error.is_cancel() => {}
            Err(error) => {
                let (kind, run_id) = (run.kind(), run.run_id());
                error.log(&format!("strata cannot record the end of run {run_id} of {kind}"));
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_survives_its_way_as_text() {
        for kind in JobKind::ALL {
            let order = Order { kind, run_id: i64::MAX, mailbox: u32::MAX, ticket: u32::MAX };
            assert_eq!(Order::parse(&order.to_text()), Some(order));
            // PostgreSQL hands over at most 127 bytes, and 95 of a title
            assert!(order.to_text().len() < 96 && title(kind).len() < 96);
        }
    }

    #[test]
    fn what_is_no_order_is_refused() {
        for text in ["", "flush", "flush 1 2", "flush one 0 0", "bogus 1 0 0"] {
            assert_eq!(Order::parse(text), None);
        }
    }
}

//! The process of a part: it works on some of the sources of a run that another process leads.

use super::extension::Installed;
use super::kind::JobKind;
use super::outcome::JobError;
use super::shared::{self, Verdict};
use super::spawn::{Spawned, Spec, spawn};
use super::transaction::{abort, caught, transaction};
use super::work_list::WorkList;
use super::worker::pin_settings;
use super::{process, runs};
use pgrx::bgworkers::BackgroundWorker;
use pgrx::prelude::*;

/// What a part is asked to do. Travels as text, like the order of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    pub kind: JobKind,
    pub run_id: i64,
    /// Handle of the work list.
    pub list: u32,
    /// Which of the parts of the list.
    pub number: usize,
    /// The place that was taken for the process.
    pub ticket: u32,
}

impl Order {
    fn to_text(self) -> String {
        format!("{} {} {} {} {}", self.kind, self.run_id, self.list, self.number, self.ticket)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        Some(Self {
            kind: words.next()?.parse().ok()?,
            run_id: words.next()?.parse().ok()?,
            list: words.next()?.parse().ok()?,
            number: words.next()?.parse().ok()?,
            ticket: words.next()?.parse().ok()?,
        })
    }

    /// Starts the process in this database; `None` if no worker slot is free.
    pub fn start(self) -> Option<Spawned> {
        spawn(&Spec {
            title: &title(self.kind),
            function: "strata_part_main",
            database: process::my_database(),
            extra: &self.to_text(),
        })
    }
}

fn title(kind: JobKind) -> String {
    format!("strata part: {kind}")
}

/// Main function of the process.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn strata_part_main(database: pg_sys::Datum) {
    let database = pg_sys::Oid::from(database.value() as u32);
    let Some(order) = Order::parse(BackgroundWorker::get_extra()) else {
        error!("a part of a Strata run was started without an order");
    };
    shared::register_worker(database, order.ticket);
    process::handle_signals();
    process::connect(Some(database));
    pin_settings(&title(order.kind));
    let Some(list) = WorkList::join(order.list, order.number) else { return };
    let worked = begin(order).and_then(|begun| if begun { work(order.kind, &list) } else { Ok(()) });
    if let Err(error) = worked
        && !error.is_cancel()
    {
        error.log(&format!("strata job {} goes on without a part (run {})", order.kind, order.run_id));
    }
}

fn begin(order: Order) -> Result<bool, JobError> {
    transaction("begin a part of a run", || {
        Ok(Installed::look()?.verdict() == Verdict::Present && runs::take_part(order.kind, order.run_id)?)
    })
}

fn work(kind: JobKind, list: &WorkList) -> Result<(), JobError> {
    let worked = caught(|| crate::jobs::run_part(kind, list)).unwrap_or_else(|caught| Err(caught.into()));
    abort();
    worked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_survives_its_way_as_text() {
        for kind in JobKind::ALL {
            let order = Order { kind, run_id: i64::MAX, list: u32::MAX, number: 15, ticket: u32::MAX };
            assert_eq!(Order::parse(&order.to_text()), Some(order));
            // PostgreSQL hands over at most 127 bytes, and 95 of a title
            assert!(order.to_text().len() < 96 && title(kind).len() < 96);
        }
        assert_eq!(Order::parse("rollup 1 2"), None);
    }
}

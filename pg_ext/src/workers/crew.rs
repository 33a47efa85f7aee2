//! The processes that work on one run: its worker, which leads, and the parts that it starts.

use super::part;
use super::process;
use super::run_handle::RunHandle;
use super::settings;
use super::shared::{self, Place};
use super::spawn::{Spawned, Status};
use super::work_list::{MAX_PARTS, WorkList};
use std::time::Duration;

/// The postmaster wakes the leader when a part ends; this is for a wake that got lost to somebody who waited before.
const LOOK: Duration = Duration::from_secs(1);

/// What the leader knows of it.
pub struct Crew {
    list: WorkList,
    parts: Vec<Part>,
}

struct Part {
    process: Spawned,
    /// Its place, as long as the process has not come up to hold it.
    _place: Place,
}

impl Crew {
    /// Starts up to `wanted` parts for a run that works on these sources: no more than `strata.max_workers` and
    /// `max_worker_processes` leave free now. `None` if there are none.
    pub fn start(run: &RunHandle, source_ids: &[i32], wanted: usize) -> Option<Self> {
        let places = shared::take_places(process::my_database(), wanted.min(MAX_PARTS), settings::max_workers());
        if places.is_empty() {
            return None;
        }
        let list = WorkList::create(source_ids)?;
        let mut parts = Vec::new();
        for (number, place) in places.into_iter().enumerate() {
            let order = part::Order {
                kind: run.kind(),
                run_id: run.run_id(),
                list: list.handle(),
                number,
                ticket: place.ticket(),
            };
            let Some(process) = order.start() else { break };
            parts.push(Part { process, _place: place });
        }
        (!parts.is_empty()).then_some(Self { list, parts })
    }

    pub fn list(&self) -> &WorkList {
        &self.list
    }

    /// Waits until all parts have ended. A cancel request raises an ERROR.
    pub fn wait(&self) {
        while !self.has_ended() {
            process::sleep(LOOK);
            pgrx::check_for_interrupts!();
        }
    }

    /// Ends the parts and waits for it, unless this process has to end as well: nobody begins the job again before they have
    /// ended.
    pub fn end(&self) {
        self.list.dismiss();
        // what has not come up finds that it is not needed, but may take long to come up
        let not_up = |part: &&Part| part.process.status() == Status::NotYetStarted;
        self.parts.iter().filter(not_up).for_each(|part| part.process.terminate());
        while !self.has_ended() && !process::terminating() {
            process::sleep(LOOK);
        }
    }

    fn has_ended(&self) -> bool {
        self.parts.iter().all(|part| part.process.is_stopped())
    }
}

//! Jobs that work on every source: one after the other, or several at a time where the job allows it. One that fails does not
//! keep the others from their turn.

use super::Result;
use super::merge::{Work, merge};
use crate::source::Source;
use crate::workers::transaction::caught;
use crate::workers::{Crew, JobError, JobOutcome, RunHandle, WorkList, transaction};
use pgrx::PgSqlErrorCode;
use std::cmp::Reverse;
use std::collections::HashMap;

/// How much a job has to do, by the number of the source; sources without work are left out.
pub type Backlog = HashMap<i32, i64>;

type SourceWork<'a> = dyn Fn(&Source) -> Result<JobOutcome> + 'a;

pub struct EachSource<'a> {
    pub what: &'static str,
    pub wanted: fn(&Source) -> bool,
    /// For a job whose sources can be worked on by several processes at a time.
    pub backlog: Option<fn() -> Result<Backlog>>,
    pub work: Box<SourceWork<'a>>,
}

impl EachSource<'_> {
    pub fn run(&self, run: &RunHandle) -> Result<JobOutcome> {
        let (mut sources, backlog) = transaction("strata: reading the sources", || -> Result<_> {
            let mut sources = Source::all()?;
            sources.retain(self.wanted);
            Ok((sources, self.backlog.map_or_else(|| Ok(Backlog::new()), |backlog| backlog())?))
        })?;
        let of = |source: &Source| backlog.get(&source.id).copied().unwrap_or(0);
        // what takes longest begins first, so that nobody is left alone with it in the end
        sources.sort_by_key(|source| (Reverse(of(source)), source.id));
        let busy = sources.iter().filter(|source| of(source) > 0).count();
        let ids: Vec<i32> = sources.iter().map(|source| source.id).collect();
        let results = match Crew::start(run, &ids, busy.saturating_sub(1)) {
            Some(crew) => self.run_with(&crew, &sources)?,
            None => self.run_alone(&sources)?,
        };
        let mut outcomes: Vec<_> = sources.into_iter().zip(results).collect();
        outcomes.sort_by_key(|(source, _)| source.id);
        let work = Work { what: self.what, noun: "source" };
        merge(work, outcomes.into_iter().map(|(source, result)| (source.name, result)).collect())
    }

    fn run_alone(&self, sources: &[Source]) -> Result<Vec<Result<JobOutcome>>> {
        let mut results = Vec::with_capacity(sources.len());
        for source in sources {
            let result = self.attempt(source);
            if let Err(error) = &result
                && error.is_cancel()
            {
                return Err(error.clone());
            }
            results.push(result);
        }
        Ok(results)
    }

    /// Works beside the parts, and waits for them.
    fn run_with(&self, crew: &Crew, sources: &[Source]) -> Result<Vec<Result<JobOutcome>>> {
        let mut own: HashMap<usize, Result<JobOutcome>> = HashMap::new();
        let mut worked = || -> Result<()> {
            while let Some(taken) = crew.list().take() {
                match self.attempt(&sources[taken.place]) {
                    Err(error) if error.is_cancel() => return Err(error),
                    result => drop(own.insert(taken.place, result)),
                }
            }
            caught(|| crew.wait()).map_err(JobError::from)
        };
        if let Err(error) = worked() {
            crew.end();
            return Err(error);
        }
        let result =
            |place| own.remove(&place).or_else(|| crew.list().outcome(place)).unwrap_or_else(|| Err(no_result()));
        Ok((0..sources.len()).map(result).collect())
    }

    /// Works on sources that the leader of the run hands out, until there is none left or another job needs the process's place.
    pub fn run_part(&self, list: &WorkList) -> Result<()> {
        let sources = transaction("strata: reading the sources", || Source::all().map_err(JobError::from))?;
        while !crate::workers::give_way() {
            let Some(taken) = list.take() else { break };
            // one that was detached meanwhile has nothing left to do
            let source = sources.iter().find(|source| source.id == taken.source_id);
            let result = source.map_or_else(|| Ok(JobOutcome::default()), |source| self.attempt(source));
            list.report(taken, &result);
            if let Err(error) = &result
                && error.is_cancel()
            {
                list.dismiss();
            }
        }
        Ok(())
    }

    /// An ERROR between two transactions must end the source's turn, not the process.
    fn attempt(&self, source: &Source) -> Result<JobOutcome> {
        caught(|| (self.work)(source)).map_err(JobError::from).and_then(|outcome| outcome)
    }
}

/// Of a source whose process did not live to report.
fn no_result() -> JobError {
    JobError::new(PgSqlErrorCode::ERRCODE_CRASH_SHUTDOWN, "the process that worked on it ended without a result")
        .detail("What it had not committed is rolled back, and is done by the next run.")
        .hint("The server log says whether it was terminated or killed.")
}

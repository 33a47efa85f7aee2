//! Which jobs to start now, and how long there is nothing to do.

use series::time::Micros;
use std::time::Duration;

/// What the choice needs to know of a job that is not running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    pub job_id: i32,
    pub due: Micros,
}

/// The jobs to start, those overdue longest first.
pub fn to_start(waiting: &[Waiting], now: Micros) -> Vec<i32> {
    let mut due: Vec<_> = waiting.iter().filter(|job| job.due <= now).collect();
    due.sort_by_key(|job| (job.due, job.job_id));
    due.into_iter().map(|job| job.job_id).collect()
}

/// Time until the next job is due. A job that is overdue waits for an event, not for a time.
pub fn until_next(waiting: &[Waiting], now: Micros, longest: Duration) -> Duration {
    let next = waiting.iter().map(|job| job.due).filter(|due| *due > now).min();
    let wait = next.and_then(|due| u64::try_from(due - now).ok()).map(Duration::from_micros);
    wait.map_or(longest, |wait| wait.min(longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn waiting(jobs: &[(i32, Micros)]) -> Vec<Waiting> {
        jobs.iter().map(|&(job_id, due)| Waiting { job_id, due }).collect()
    }

    #[test]
    fn the_longest_overdue_job_goes_first() {
        let jobs = waiting(&[(1, 50), (2, 10), (3, 101), (4, 10)]);
        assert_eq!(to_start(&jobs, 100), [2, 4, 1]);
        assert_eq!(to_start(&jobs, 9), [0; 0]);
    }

    #[test]
    fn a_job_that_keeps_coming_back_does_not_starve_another() {
        // Job 1 is due again right after each run, job 2 was due once; there is one place.
        let mut jobs = waiting(&[(1, 0), (2, 1)]);
        let mut started = Vec::new();
        for now in [10, 20] {
            let next = to_start(&jobs, now)[0];
            started.push(next);
            jobs.iter_mut().filter(|job| job.job_id == next).for_each(|job| job.due = now + 1);
        }
        assert_eq!(started, [1, 2]);
    }

    #[test]
    fn the_sleep_lasts_until_the_next_due_time() {
        let jobs = waiting(&[(1, 50), (2, 3_000_100), (3, 9_000_000)]);
        assert_eq!(until_next(&jobs, 100, MINUTE), Duration::from_secs(3));
        assert_eq!(until_next(&waiting(&[(1, 50)]), 100, MINUTE), MINUTE);
        assert_eq!(until_next(&waiting(&[(1, i64::MAX)]), 100, MINUTE), MINUTE);
    }
}

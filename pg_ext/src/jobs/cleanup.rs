//! The weekly cleanup: history that nobody needs any more.

use super::Result;
use crate::gucs;
use crate::workers::{self, JobError, JobOutcome, transaction};
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;

pub fn cleanup() -> Result<JobOutcome> {
    transaction("strata: cleanup", || {
        let history = workers::run_history().as_secs_f64();
        let mut rows = delete(
            "DELETE FROM strata.job_runs WHERE finished_at < now() - make_interval(secs => $1)",
            &[history.into()],
        )?;
        // the newest batch of each source tells readers how far Redis was flushed
        rows += delete(
            "DELETE FROM strata.flushes f WHERE flushed_at < now() - make_interval(days => $1)
               AND flush_id < (SELECT max(flush_id) FROM strata.flushes n WHERE n.source_id = f.source_id)",
            &[gucs::flush_history_days().into()],
        )?;
        // five-minute buckets are for days that are looked at closely; hours and days stay for ever
        rows += delete(
            "DELETE FROM strata.rollup_states r USING strata.manifest m
             WHERE r.width = 300 AND m.state = 'dropped' AND m.source_id = r.source_id
               AND r.bucket >= (m.day::timestamp AT TIME ZONE 'UTC') AND r.bucket < ((m.day + 1)::timestamp AT TIME ZONE 'UTC')",
            &[],
        )?;
        rows += delete(
            "DELETE FROM strata.dirty_log d WHERE NOT EXISTS (SELECT FROM strata.sources s WHERE s.source_id = d.source_id)",
            &[],
        )?;
        // a dropped table leaves its source; days in BigQuery and refused samples wait for a table in its place
        let dropped = delete(
            "DELETE FROM strata.sources s WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = s.relation)
               AND NOT EXISTS (SELECT FROM strata.manifest m WHERE m.source_id = s.source_id)
               AND NOT EXISTS (SELECT FROM strata.rejected_samples r WHERE r.source_id = s.source_id)",
            &[],
        )?;
        let message = (dropped > 0).then(|| format!("sources of dropped tables forgotten: {dropped}"));
        rows += dropped;
        Ok::<_, JobError>(JobOutcome { rows, message, ..JobOutcome::default() })
    })
}

fn delete(sql: &str, arguments: &[DatumWithOid]) -> Result<i64> {
    let sql = format!("WITH gone AS ({sql} RETURNING 1) SELECT count(*) FROM gone");
    Ok(Spi::get_one_with_args::<i64>(&sql, arguments)?.unwrap_or(0))
}

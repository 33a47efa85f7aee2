//! The lock that whoever executes a job holds: it keeps a job from overlapping itself and tells
//! whether a run still has processes.

use pgrx::{Spi, pg_sys};

/// The lock of one job in this database: one for whoever leads its run, and one that the run's other processes share, so
/// that the job is not begun again before the last of them has ended.
///
/// Their method is that of advisory locks, because only those outlive the abort of a transaction and
/// end with the process. Their tag is that of an object, with the oid of the relation `strata.jobs`
/// as class, so that the advisory locks of users cannot meet them.
pub struct JobLock {
    leader: pg_sys::LOCKTAG,
    parts: pg_sys::LOCKTAG,
}

impl JobLock {
    /// Needs a transaction.
    pub fn of(job_id: i32) -> Result<Self, pgrx::spi::Error> {
        let jobs = Spi::connect(|client| {
            let sql = "SELECT 'strata.jobs'::pg_catalog.regclass::pg_catalog.oid";
            client.select(sql, Some(1), &[])?.first().get_one::<pg_sys::Oid>()
        })?;
        let tag = |number| pg_sys::LOCKTAG {
            locktag_field1: super::process::my_database().to_u32(),
            locktag_field2: jobs.unwrap_or(pg_sys::Oid::INVALID).to_u32(),
            locktag_field3: job_id.cast_unsigned(),
            locktag_field4: number,
            locktag_type: pg_sys::LockTagType::LOCKTAG_OBJECT as u8,
            locktag_lockmethodid: pg_sys::USER_LOCKMETHOD as u8,
        };
        Ok(Self { leader: tag(0), parts: tag(1) })
    }

    /// Takes the lock until the end of the transaction, without waiting; false if a run has processes.
    pub fn try_for_transaction(&self) -> bool {
        try_lock(&self.leader, pg_sys::ExclusiveLock, false) && try_lock(&self.parts, pg_sys::ExclusiveLock, false)
    }

    /// Makes this process the leader of a run until it ends, without waiting; false if a run has processes. Until the end of
    /// the transaction nobody can take part.
    pub fn try_to_lead(&self) -> bool {
        if !try_lock(&self.leader, pg_sys::ExclusiveLock, true) {
            return false;
        }
        let alone = try_lock(&self.parts, pg_sys::ExclusiveLock, false);
        if !alone {
            // SAFETY: taken above; the tag is valid for the call.
            unsafe { pg_sys::LockRelease(&self.leader, pg_sys::ExclusiveLock as pg_sys::LOCKMODE, true) };
        }
        alone
    }

    /// Keeps the job from being begun again until this process ends, without waiting; false while it is being begun.
    pub fn try_to_take_part(&self) -> bool {
        try_lock(&self.parts, pg_sys::ShareLock, true)
    }
}

fn try_lock(tag: &pg_sys::LOCKTAG, mode: u32, session: bool) -> bool {
    // SAFETY: the tag is valid for the call, which copies it.
    let result = unsafe { pg_sys::LockAcquire(tag, mode as pg_sys::LOCKMODE, session, true) };
    result != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
}

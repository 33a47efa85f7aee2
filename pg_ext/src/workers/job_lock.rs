//! The lock that whoever executes a job holds: it keeps a job from overlapping itself and tells
//! whether a run still has a process.

use pgrx::{Spi, pg_sys};

/// The lock of one job in this database.
///
/// Its method is that of advisory locks, because only those outlive the abort of a transaction and
/// end with the process. Its tag is that of an object, with the oid of the relation `strata.jobs`
/// as class, so that the advisory locks of users cannot meet it.
pub struct JobLock {
    tag: pg_sys::LOCKTAG,
}

impl JobLock {
    /// Needs a transaction.
    pub fn of(job_id: i32) -> Result<Self, pgrx::spi::Error> {
        let jobs = Spi::connect(|client| {
            let sql = "SELECT 'strata.jobs'::pg_catalog.regclass::pg_catalog.oid";
            client.select(sql, Some(1), &[])?.first().get_one::<pg_sys::Oid>()
        })?;
        let tag = pg_sys::LOCKTAG {
            locktag_field1: super::process::my_database().to_u32(),
            locktag_field2: jobs.unwrap_or(pg_sys::Oid::INVALID).to_u32(),
            locktag_field3: job_id.cast_unsigned(),
            locktag_field4: 0,
            locktag_type: pg_sys::LockTagType::LOCKTAG_OBJECT as u8,
            locktag_lockmethodid: pg_sys::USER_LOCKMETHOD as u8,
        };
        Ok(Self { tag })
    }

    /// Takes the lock until the end of the transaction, without waiting; false if it is taken.
    pub fn try_for_transaction(&self) -> bool {
        self.try_lock(false)
    }

    /// Takes the lock until the end of the process, without waiting; false if it is taken.
    pub fn try_for_process(&self) -> bool {
        self.try_lock(true)
    }

    fn try_lock(&self, session: bool) -> bool {
        let mode = pg_sys::ExclusiveLock as pg_sys::LOCKMODE;
        // SAFETY: the tag is valid for the call, which copies it.
        let result = unsafe { pg_sys::LockAcquire(&self.tag, mode, session, true) };
        result != pg_sys::LockAcquireResult::LOCKACQUIRE_NOT_AVAIL
    }
}

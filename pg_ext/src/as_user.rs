//! Work under another role for as long as a guard lives.

use pgrx::pg_sys;

/// Restores the role and security context it found when dropped, also while unwinding.
pub struct AsUser {
    user: pg_sys::Oid,
    context: i32,
}

impl AsUser {
    /// The bootstrap superuser, who owns the catalog: for rows that callers may not write themselves.
    pub fn catalog_owner() -> Self {
        Self::switch(pg_sys::Oid::from(pg_sys::BOOTSTRAP_SUPERUSERID), pg_sys::SECURITY_LOCAL_USERID_CHANGE)
    }

    /// A table's owner, with the restrictions PostgreSQL itself puts on maintenance: triggers and functions that the
    /// owner attached to the table must not run with the rights of a job.
    pub fn table_owner(owner: pg_sys::Oid) -> Self {
        Self::switch(owner, pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_RESTRICTED_OPERATION)
    }

    /// Whoever asked for what a job does, with the same restrictions.
    pub fn who_asked(role: pg_sys::Oid) -> Self {
        Self::table_owner(role)
    }

    fn switch(to: pg_sys::Oid, flags: u32) -> Self {
        let mut user = pg_sys::InvalidOid;
        let mut context = 0;
        // SAFETY: both calls only read and write the backend's own user state.
        unsafe {
            pg_sys::GetUserIdAndSecContext(&mut user, &mut context);
            pg_sys::SetUserIdAndSecContext(to, context | flags as i32);
        }
        Self { user, context }
    }
}

impl Drop for AsUser {
    fn drop(&mut self) {
        // SAFETY: writes the backend's own user state back to what it was.
        unsafe { pg_sys::SetUserIdAndSecContext(self.user, self.context) }
    }
}

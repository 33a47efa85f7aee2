//! The databases of the server, read without being connected to any of them.

use super::transaction::transaction;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::CaughtError;

/// `datconnlimit` of a database whose DROP was interrupted.
const HALF_DROPPED: i32 = -2;

/// The databases a scheduler could connect to, apart from templates.
#[expect(clippy::result_large_err, reason = "the type is pgrx's; errors are rare")]
pub fn connectable() -> Result<Vec<pg_sys::Oid>, CaughtError> {
    transaction("look for databases", || Ok(scan()))
}

fn scan() -> Vec<pg_sys::Oid> {
    let mut found = Vec::new();
    // SAFETY: within a transaction; relation and scan are closed in reverse order, and by the
    // abort of the transaction if an ERROR comes in between. The rows of this catalog begin with
    // the fixed columns of the structure.
    unsafe {
        let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
        let relation = pg_sys::table_open(pg_sys::DatabaseRelationId, lock);
        let scan = pg_sys::systable_beginscan(
            relation,
            pg_sys::Oid::INVALID,
            false,
            std::ptr::null_mut(),
            0,
            std::ptr::null_mut(),
        );
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break;
            }
            let row = &*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_database>();
            if row.datallowconn && !row.datistemplate && row.datconnlimit != HALF_DROPPED {
                found.push(row.oid);
            }
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(relation, lock);
    }
    found
}

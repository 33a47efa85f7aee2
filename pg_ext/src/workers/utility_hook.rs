//! What Strata has to know of utility commands: the extension comes or goes, or a database must be
//! left alone for a command that allows no other connection.

use super::{process, shared, wake_at_commit};
use pgrx::prelude::*;
use pgrx::{PgList, pg_sys};
use std::ffi::{CStr, c_char};
use std::time::{Duration, Instant};

/// After that the command itself waits another five seconds, and then says who is connected.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

// The hook must not be a guarded function of pgrx: that turns every ERROR of every utility command
// of the server into a Rust panic and back, and loses its context, position and custom SQLSTATE.
// This is why it also calls the standard function past pgrx's guarded binding.
unsafe extern "C-unwind" {
    #[link_name = "standard_ProcessUtility"]
    fn run_standard(
        statement: *mut pg_sys::PlannedStmt,
        query: *const c_char,
        read_only: bool,
        context: pg_sys::ProcessUtilityContext::Type,
        parameters: pg_sys::ParamListInfo,
        environment: *mut pg_sys::QueryEnvironment,
        destination: *mut pg_sys::DestReceiver,
        completion: *mut pg_sys::QueryCompletion,
    );
}

static mut PREVIOUS: pg_sys::ProcessUtility_hook_type = None;

/// Puts the hook in front of those that are there. Called from `_PG_init` of the postmaster.
pub fn install() {
    // SAFETY: single-threaded, before any statement runs.
    unsafe {
        PREVIOUS = pg_sys::ProcessUtility_hook;
        pg_sys::ProcessUtility_hook = Some(process_utility);
    }
}

#[allow(clippy::too_many_arguments)]
unsafe extern "C-unwind" fn process_utility(
    statement: *mut pg_sys::PlannedStmt,
    query: *const c_char,
    read_only: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    parameters: pg_sys::ParamListInfo,
    environment: *mut pg_sys::QueryEnvironment,
    destination: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    // SAFETY: PostgreSQL hands over a valid statement, and the next hook gets what this one got.
    // No value of this frame has a destructor that an ERROR passing through would skip.
    unsafe {
        before((*statement).utilityStmt);
        let next = PREVIOUS.unwrap_or(run_standard);
        next(statement, query, read_only, context, parameters, environment, destination, completion);
    }
}

/// # Safety
/// `node` is a valid parse tree.
#[pg_guard]
unsafe extern "C-unwind" fn before(node: *mut pg_sys::Node) {
    // SAFETY: see above.
    match unsafe { effect_of(node) } {
        Effect::None => {}
        Effect::OnExtension => wake_at_commit::wake_database(),
        Effect::OnDatabases => wake_at_commit::wake_launcher(),
        Effect::NeedsAlone(name, lock) => {
            wake_at_commit::wake_launcher();
            // SAFETY: the name is part of the parse tree.
            unsafe { clear_database(name, lock) };
        }
    }
}

/// What a command means to Strata.
enum Effect {
    None,
    /// It may create, alter or drop the extension in this database.
    OnExtension,
    /// It changes the list of databases, or who may connect.
    OnDatabases,
    /// It fails while anybody is connected to the database of this name, and takes this lock on it.
    NeedsAlone(*const c_char, u32),
}

/// # Safety
/// `node` is a valid parse tree; its tag tells its type.
unsafe fn effect_of(node: *mut pg_sys::Node) -> Effect {
    use pg_sys::NodeTag::*;
    // SAFETY: the tag has been compared before each cast.
    unsafe {
        match (*node).type_ {
            T_CreateExtensionStmt => on_extension((*node.cast::<pg_sys::CreateExtensionStmt>()).extname),
            T_AlterExtensionStmt => on_extension((*node.cast::<pg_sys::AlterExtensionStmt>()).extname),
            T_DropStmt => match (*node.cast::<pg_sys::DropStmt>()).removeType {
                pg_sys::ObjectType::OBJECT_EXTENSION | pg_sys::ObjectType::OBJECT_SCHEMA => Effect::OnExtension,
                _ => Effect::None,
            },
            T_DropOwnedStmt => Effect::OnExtension,
            T_DropdbStmt => alone((*node.cast::<pg_sys::DropdbStmt>()).dbname),
            T_CreatedbStmt => {
                let options = (*node.cast::<pg_sys::CreatedbStmt>()).options;
                let template = option_text(options, c"template");
                template.map_or(Effect::OnDatabases, |name| Effect::NeedsAlone(name, pg_sys::ShareLock))
            }
            T_RenameStmt => {
                let rename = &*node.cast::<pg_sys::RenameStmt>();
                match rename.renameType {
                    pg_sys::ObjectType::OBJECT_DATABASE => alone(rename.subname),
                    _ => Effect::None,
                }
            }
            T_AlterDatabaseStmt => {
                let alter = &*node.cast::<pg_sys::AlterDatabaseStmt>();
                match option_text(alter.options, c"tablespace") {
                    Some(_) => alone(alter.dbname),
                    None => Effect::OnDatabases,
                }
            }
            _ => Effect::None,
        }
    }
}

fn alone(name: *const c_char) -> Effect {
    Effect::NeedsAlone(name, pg_sys::AccessExclusiveLock)
}

/// # Safety
/// `name` is a C string.
unsafe fn on_extension(name: *const c_char) -> Effect {
    // SAFETY: see above.
    if unsafe { CStr::from_ptr(name) } == c"strata" { Effect::OnExtension } else { Effect::None }
}

/// # Safety
/// `options` is a list of `DefElem`.
unsafe fn option_text(options: *mut pg_sys::List, name: &CStr) -> Option<*const c_char> {
    // SAFETY: the list belongs to the parse tree, which stays as it is.
    unsafe {
        let options = PgList::<pg_sys::DefElem>::from_pg(options);
        let mut named = options.iter_ptr().filter(|o| CStr::from_ptr((**o).defname) == name);
        let option = named.next().filter(|option| !(**option).arg.is_null());
        option.map(|option| pg_sys::defGetString(option).cast_const())
    }
}

/// Has scheduler and workers leave the database, and keeps them out until the transaction ends.
///
/// The lock is the one that the command takes anyway: it keeps new connections out while we wait.
/// Otherwise TimescaleDB's new scheduler comes in, and waits for the end of this transaction while
/// the command waits for it to leave.
///
/// # Safety
/// `name` is a C string.
unsafe fn clear_database(name: *const c_char, lock: u32) {
    // SAFETY: only looks the name up; a statement runs in a transaction.
    let database = unsafe { pg_sys::get_database_oid(name, true) };
    let concerns_us =
        shared::available() && database != pg_sys::Oid::INVALID && database != process::my_database() && owns(database);
    if !concerns_us || !shared::hold(database) {
        return;
    }
    wake_at_commit::release_holds();
    shared::wake_launcher();
    // SAFETY: locks by number; released with the transaction.
    unsafe { pg_sys::LockSharedObject(pg_sys::DatabaseRelationId, database, 0, lock as pg_sys::LOCKMODE) };
    let start = Instant::now();
    while shared::in_use(database) && start.elapsed() < LONGEST_WAIT {
        shared::processes_of(database).into_iter().for_each(process::terminate);
        process::sleep(Duration::from_millis(20));
        pgrx::check_for_interrupts!();
    }
}

/// Whoever may not run the command shall not disturb the jobs by trying.
fn owns(database: pg_sys::Oid) -> bool {
    // SAFETY: looks into catalogs, in a transaction.
    unsafe {
        let user = pg_sys::GetUserId();
        #[cfg(feature = "pg15")]
        return pg_sys::pg_database_ownercheck(database, user);
        #[cfg(not(feature = "pg15"))]
        return pg_sys::object_ownercheck(pg_sys::DatabaseRelationId, database, user);
    }
}

//! What the server tells the module: keys that came, went or moved, and databases that were emptied or exchanged. It keeps
//! the index of sources right; loading and copying are noted by the callbacks of the type.

use crate::api::{Ctx, args, key, redis};
use crate::guard::guard;
use crate::index;
use redis_module::raw::{
    self, RedisModuleCtx, RedisModuleEvent, RedisModuleFlushInfo, RedisModuleString, RedisModuleSwapDbInfo,
};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::atomic::{AtomicI32, AtomicI64, Ordering::Relaxed};

/// Version of the data that comes with an event.
const DATA_VERSION: u64 = 1;

/// No database.
const NONE: i32 = -1;

/// The database from which a key is just being moved or copied.
static LEFT: AtomicI32 = AtomicI32::new(NONE);

/// Notes that a key is moved or copied out of this database.
pub fn leaves(db: i32) {
    LEFT.store(db, Relaxed);
}

/// Valkey 8.1 tells of the arrival of a key in another database on the connection of the client that sent it there, and
/// leaves that client in the other database (valkey-io/valkey pull request 4024). So the module selects the one it came
/// from; where the server uses a connection of its own for this, it makes no difference.
fn reselect(ctx: Ctx) {
    let db = LEFT.swap(NONE, Relaxed);
    if db != NONE {
        // SAFETY: the context is that of the running callback.
        unsafe { redis!(RedisModule_SelectDb(ctx.raw(), db)) };
    }
}

/// Replicas that are online.
static REPLICAS: AtomicI64 = AtomicI64::new(0);

/// Whether a replica is online.
#[inline]
pub fn has_replicas() -> bool {
    REPLICAS.load(Relaxed) > 0
}

/// Subscribes to everything the module needs to know; false if the server refuses.
pub fn subscribe(ctx: Ctx) -> bool {
    let kinds = raw::REDISMODULE_NOTIFY_GENERIC | raw::REDISMODULE_NOTIFY_EXPIRED | raw::REDISMODULE_NOTIFY_EVICTED;
    let event = |id| RedisModuleEvent { id, dataver: DATA_VERSION };
    // SAFETY: the callbacks have the signatures that the server expects and live as long as the module.
    let statuses = unsafe {
        [
            redis!(RedisModule_SubscribeToKeyspaceEvents(ctx.raw(), kinds, Some(on_key))),
            redis!(RedisModule_SubscribeToServerEvent(
                ctx.raw(),
                event(raw::REDISMODULE_EVENT_FLUSHDB),
                Some(on_flush)
            )),
            redis!(RedisModule_SubscribeToServerEvent(ctx.raw(), event(raw::REDISMODULE_EVENT_SWAPDB), Some(on_swap))),
            redis!(RedisModule_SubscribeToServerEvent(
                ctx.raw(),
                event(raw::REDISMODULE_EVENT_REPLICA_CHANGE),
                Some(on_replica)
            )),
        ]
    };
    statuses.iter().all(|&status| status == raw::REDISMODULE_OK as c_int)
}

unsafe extern "C" fn on_key(
    ctx: *mut RedisModuleCtx,
    _kind: c_int,
    event: *const c_char,
    name: *mut RedisModuleString,
) -> c_int {
    guard((), || {
        let ctx = Ctx::new(ctx);
        // SAFETY: the event is a C string and the name a module string, both valid during the callback.
        let (event, bytes) = unsafe { (CStr::from_ptr(event), args::bytes(name)) };
        match event.to_bytes() {
            b"rename_to" | b"move_to" | b"copy_to" | b"restore" => {
                if matches!(key::read(ctx, name), Ok(Some(_))) {
                    index::insert(ctx.db(), bytes);
                }
            }
            b"del" | b"expired" | b"evicted" | b"rename_from" | b"move_from" => {
                index::forget(ctx.db(), bytes);
            }
            _ => {}
        }
        match event.to_bytes() {
            b"move_from" => leaves(ctx.db()),
            b"move_to" | b"copy_to" => reselect(ctx),
            _ => {}
        }
    });
    raw::REDISMODULE_OK as c_int
}

unsafe extern "C" fn on_flush(_ctx: *mut RedisModuleCtx, _event: RedisModuleEvent, sub: u64, data: *mut c_void) {
    guard((), || {
        if sub != raw::REDISMODULE_SUBEVENT_FLUSHDB_START || data.is_null() {
            return;
        }
        // SAFETY: the data of this event has this type.
        let db = unsafe { (*data.cast::<RedisModuleFlushInfo>()).dbnum };
        index::clear((db >= 0).then_some(db));
    });
}

unsafe extern "C" fn on_swap(_ctx: *mut RedisModuleCtx, _event: RedisModuleEvent, _sub: u64, data: *mut c_void) {
    guard((), || {
        if data.is_null() {
            return;
        }
        // SAFETY: the data of this event has this type.
        let info = unsafe { &*data.cast::<RedisModuleSwapDbInfo>() };
        index::swap(info.dbnum_first, info.dbnum_second);
    });
}

unsafe extern "C" fn on_replica(_ctx: *mut RedisModuleCtx, _event: RedisModuleEvent, sub: u64, _data: *mut c_void) {
    guard((), || {
        let change = if sub == raw::REDISMODULE_SUBEVENT_REPLICA_CHANGE_ONLINE { 1 } else { -1 };
        REPLICAS.fetch_add(change, Relaxed);
    });
}

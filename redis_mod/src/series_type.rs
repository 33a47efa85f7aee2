//! The module's data type: how Redis saves, loads, copies, measures, moves and frees a series.

use crate::api::{allocated, args, is_loading, log_warning, redis};
use crate::defrag;
use crate::events;
use crate::guard::{guard, guard_or_abort};
use crate::hot::{Rows, STATE_FORMAT, Series};
use crate::index;
use crate::stored::Stored;
use redis_module::raw::{
    RedisModuleCtx, RedisModuleDigest, RedisModuleIO, RedisModuleKeyOptCtx, RedisModuleString, RedisModuleType,
    RedisModuleTypeMethods,
};
use series::bytes::DecodeError;
use series::time::Micros;
use std::ffi::{CStr, c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

/// Nine characters, as Redis wants.
const NAME: &CStr = c"strata-ts";

/// Version of what is in an RDB file: a string with [`Series::encode`], which has a format byte of its own.
pub const ENCODING: c_int = STATE_FORMAT as c_int;

/// The version of the callback table that Redis 7.0 knows.
const METHODS: u64 = 4;

static HANDLE: AtomicPtr<RedisModuleType> = AtomicPtr::new(null_mut());

/// The registered type.
#[inline]
pub fn handle() -> *mut RedisModuleType {
    HANDLE.load(Relaxed)
}

/// Registers the type; false if the server refuses.
pub fn register(ctx: *mut RedisModuleCtx) -> bool {
    let mut methods = RedisModuleTypeMethods {
        version: METHODS,
        rdb_load: Some(rdb_load),
        rdb_save: Some(rdb_save),
        aof_rewrite: Some(aof_rewrite),
        mem_usage: None,
        digest: Some(digest),
        free: Some(free),
        aux_load: None,
        aux_save: None,
        aux_save_triggers: 0,
        free_effort: None,
        unlink: None,
        copy: None,
        defrag: Some(defrag::defrag),
        mem_usage2: Some(mem_usage),
        free_effort2: Some(free_effort),
        unlink2: None,
        copy2: Some(copy),
        aux_save2: None,
    };
    // SAFETY: the context is that of loading; the table is copied.
    let handle = unsafe { redis!(RedisModule_CreateDataType(ctx, NAME.as_ptr(), ENCODING, &mut methods)) };
    HANDLE.store(handle, Relaxed);
    !handle.is_null()
}

/// # Safety
/// `value` came from [`register`]ed callbacks or commands of this module.
unsafe fn stored<'a>(value: *const c_void) -> &'a Stored {
    // SAFETY: the caller's promise.
    unsafe { &*value.cast::<Stored>() }
}

unsafe extern "C" fn rdb_load(io: *mut RedisModuleIO, encoding: c_int) -> *mut c_void {
    guard(null_mut(), || {
        if encoding > ENCODING {
            log_warning(&format!(
                "strata: this RDB file holds series in encoding {encoding}; this module reads up to {ENCODING}. Load the \
                 newer module that wrote it."
            ));
            return null_mut();
        }
        // SAFETY: key and database of the value being loaded; Redis keeps the string.
        let (name, db) =
            unsafe { (args::bytes(redis!(RedisModule_GetKeyNameFromIO(io))), redis!(RedisModule_GetDbIdFromIO(io))) };
        // SAFETY: Redis hands out a buffer of its allocator with its length, ours to free; null on a read error.
        let series = unsafe {
            let mut length = 0usize;
            let buffer = redis!(RedisModule_LoadStringBuffer(io, &mut length));
            if buffer.is_null() || redis!(RedisModule_IsIOError(io)) != 0 {
                log_warning("strata: a series cannot be read: the RDB data ends early");
                return null_mut();
            }
            let bytes = std::slice::from_raw_parts(buffer.cast::<u8>(), length);
            let series = read_state(name, bytes);
            redis!(RedisModule_Free(buffer.cast()));
            series
        };
        match series {
            Ok(series) => {
                index::insert(db, name);
                Box::into_raw(Box::new(Stored::new(series))).cast()
            }
            Err(error) => {
                let name = String::from_utf8_lossy(name);
                log_warning(&format!("strata: series \"{name}\" cannot be read: {error}"));
                null_mut()
            }
        }
    })
}

/// The series of a saved state. While the server loads its data, bytes that are damaged become [`Series::unreadable`]: if one
/// series refused to load, the server could not start, nor a replica follow.
///
/// # Errors
/// If the bytes are no state; while loading only if their format is newer than this module.
pub fn read_state(name: &[u8], bytes: &[u8]) -> Result<Series, DecodeError> {
    match Series::decode(bytes) {
        Err(error) if is_loading() && !matches!(error, DecodeError::Version(_)) => {
            log_warning(&format!(
                "strata: series \"{}\" is damaged: {error}. Its {} bytes are kept as they are, and every command that \
                 needs one of its samples is refused. RENAME it to a name without a colon, and sensors begin a new series.",
                String::from_utf8_lossy(name),
                bytes.len()
            ));
            Ok(Series::unreadable(bytes))
        }
        series => series,
    }
}

unsafe extern "C" fn rdb_save(io: *mut RedisModuleIO, value: *mut c_void) {
    guard_or_abort(|| {
        // SAFETY: the value is ours; Redis copies the bytes.
        unsafe {
            let bytes = stored(value).series().encode();
            redis!(RedisModule_SaveStringBuffer(io, bytes.as_ptr().cast(), bytes.len()));
        }
    });
}

unsafe extern "C" fn aof_rewrite(io: *mut RedisModuleIO, key: *mut RedisModuleString, value: *mut c_void) {
    guard_or_abort(|| {
        // SAFETY: the value is ours; the format names a module string and a buffer with its length.
        unsafe {
            let bytes = stored(value).series().encode();
            redis!(RedisModule_EmitAOF(io, c"STRATA.LOAD".as_ptr(), c"sb".as_ptr(), key, bytes.as_ptr(), bytes.len()));
        }
    });
}

unsafe extern "C" fn mem_usage(_ctx: *mut RedisModuleKeyOptCtx, value: *const c_void, _sample_size: usize) -> usize {
    // SAFETY: the value is ours.
    guard(0, || unsafe { stored(value) }.series().bytes(allocated))
}

/// Allocations to free: Redis frees values with many of them in the background.
unsafe extern "C" fn free_effort(_ctx: *mut RedisModuleKeyOptCtx, value: *const c_void) -> usize {
    // SAFETY: the value is ours.
    guard(1, || 1 + 2 * unsafe { stored(value) }.series().blocks())
}

unsafe extern "C" fn free(value: *mut c_void) {
    // SAFETY: the value is ours and Redis gives it up.
    guard((), || drop(unsafe { Box::from_raw(value.cast::<Stored>()) }));
}

unsafe extern "C" fn copy(ctx: *mut RedisModuleKeyOptCtx, value: *const c_void) -> *mut c_void {
    guard(null_mut(), || {
        // SAFETY: the value is ours, the names are those of the running COPY.
        let (series, name, from, to) = unsafe {
            (
                stored(value).series().clone(),
                args::bytes(redis!(RedisModule_GetToKeyNameFromOptCtx(ctx))),
                redis!(RedisModule_GetDbIdFromOptCtx(ctx)),
                redis!(RedisModule_GetToDbIdFromOptCtx(ctx)),
            )
        };
        events::leaves(from);
        index::insert(to, name);
        Box::into_raw(Box::new(Stored::new(series))).cast()
    })
}

/// The digest of what a reader can see and what is pending; how samples are cut into blocks is not part of it.
unsafe extern "C" fn digest(digest: *mut RedisModuleDigest, value: *mut c_void) {
    guard((), || {
        // SAFETY: the value is ours.
        let series = unsafe { stored(value) }.series();
        let add = |bytes: &[u8]| {
            // SAFETY: Redis reads that many bytes.
            unsafe {
                redis!(RedisModule_DigestAddStringBuffer(digest, bytes.as_ptr().cast(), bytes.len()));
            }
        };
        series.measures().for_each(|name| add(name.as_bytes()));
        add(&series.flush_id().to_le_bytes());
        add(&series.pending_rows().to_le_bytes());
        let picks: Vec<usize> = (0..series.measures().len()).collect();
        let mut rows = Rows::default();
        for segment in series.segments(Micros::MIN, Micros::MAX) {
            if segment.read(&picks, &mut rows).is_err() {
                add(b"damaged");
                continue;
            }
            for (row, time) in rows.times.iter().enumerate() {
                add(&time.to_le_bytes());
                rows.columns.iter().for_each(|column| add(&column[row].to_bits().to_le_bytes()));
            }
        }
        // SAFETY: ends what was begun above.
        unsafe { redis!(RedisModule_DigestEndSequence(digest)) };
    });
}

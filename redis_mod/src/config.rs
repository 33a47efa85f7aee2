//! Settings, `CONFIG SET strata.<name>` and `strata.<name>` in redis.conf.
//!
//! - `strata.retention` (default 24h): how long a series keeps samples that are in the table, counted back from its newest
//!   sample. A day is what the design calls hot, and what dashboards of a sensor network show.

use crate::api::{Ctx, args, key::OwnedString, redis};
use crate::guard::guard;
use redis_module::raw::{self, RedisModuleString};
use series::time::{MICROS_PER_DAY, Micros, format_duration, parse_duration};
use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicI64, AtomicPtr, Ordering::Relaxed};

const RETENTION_DEFAULT: &std::ffi::CStr = c"24h";

static RETENTION: AtomicI64 = AtomicI64::new(MICROS_PER_DAY);

/// The text that CONFIG GET showed last; Redis does not free it.
static SHOWN: AtomicPtr<RedisModuleString> = AtomicPtr::new(null_mut());

/// How long flushed samples are kept, in microseconds.
#[inline]
pub fn retention() -> Micros {
    RETENTION.load(Relaxed)
}

/// Registers the settings and takes their values from the server's configuration; false if the server refuses.
pub fn register(ctx: Ctx) -> bool {
    // SAFETY: the callbacks have the signatures that the server expects; the strings are copied.
    unsafe {
        let registered = redis!(RedisModule_RegisterStringConfig(
            ctx.raw(),
            c"retention".as_ptr(),
            RETENTION_DEFAULT.as_ptr(),
            raw::REDISMODULE_CONFIG_DEFAULT,
            Some(get_retention),
            Some(set_retention),
            None,
            null_mut(),
        ));
        registered == raw::REDISMODULE_OK as c_int
            && redis!(RedisModule_LoadConfigs(ctx.raw())) == raw::REDISMODULE_OK as c_int
    }
}

unsafe extern "C" fn get_retention(_name: *const c_char, _data: *mut c_void) -> *mut RedisModuleString {
    guard(null_mut(), || {
        let text = OwnedString::new(format_duration(retention()).as_bytes());
        let raw = text.0;
        std::mem::forget(text);
        let old = SHOWN.swap(raw, Relaxed);
        if !old.is_null() {
            drop(OwnedString(old));
        }
        raw
    })
}

unsafe extern "C" fn set_retention(
    _name: *const c_char,
    value: *mut RedisModuleString,
    _data: *mut c_void,
    error: *mut *mut RedisModuleString,
) -> c_int {
    guard(raw::REDISMODULE_ERR as c_int, || {
        // SAFETY: the value is a module string, valid during the callback.
        let text = String::from_utf8_lossy(unsafe { args::bytes(value) }).into_owned();
        match parse_duration(&text) {
            Ok(micros) => {
                RETENTION.store(micros, Relaxed);
                raw::REDISMODULE_OK as c_int
            }
            Err(reason) => {
                let reason = OwnedString::new(reason.to_string().as_bytes());
                // SAFETY: Redis frees the text that is stored here.
                unsafe { *error = reason.0 };
                std::mem::forget(reason);
                raw::REDISMODULE_ERR as c_int
            }
        }
    })
}

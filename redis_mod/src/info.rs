//! The module's section of the server's INFO.

use crate::api::{Ctx, redis};
use crate::config;
use crate::guard::guard;
use crate::totals::totals;
use crate::warnings::warnings;
use redis_module::raw::{self, RedisModuleInfoCtx};
use series::time::MICROS_PER_SECOND;
use std::ffi::{CStr, CString, c_int};
use std::ptr::null;

/// Registers the section; false if the server refuses.
pub fn register(ctx: Ctx) -> bool {
    // SAFETY: the callback has the signature that the server expects.
    let status = unsafe { redis!(RedisModule_RegisterInfoFunc(ctx.raw(), Some(section))) };
    status == raw::REDISMODULE_OK as c_int
}

unsafe extern "C" fn section(ctx: *mut RedisModuleInfoCtx, for_crash_report: c_int) {
    guard((), || {
        // SAFETY: the context is that of the running callback; a null name is the module's own section.
        let wanted = unsafe { redis!(RedisModule_InfoAddSection(ctx, null())) };
        // Not wanted also while a warning below reads another section of INFO, which calls this function again.
        if wanted != raw::REDISMODULE_OK as c_int {
            return;
        }
        let totals = totals();
        number(ctx, c"series", totals.series);
        number(ctx, c"samples", totals.samples);
        number(ctx, c"pending", totals.pending);
        number(ctx, c"retention_seconds", config::retention() / MICROS_PER_SECOND);
        if for_crash_report != 0 {
            return;
        }
        let warnings = warnings();
        number(ctx, c"warnings", warnings.len() as i64);
        for (index, warning) in warnings.iter().enumerate() {
            let name = CString::new(format!("warning_{}", index + 1)).unwrap_or_default();
            let text = CString::new(warning.as_str()).unwrap_or_default();
            // SAFETY: the context is valid; Redis copies the texts.
            unsafe {
                redis!(RedisModule_InfoAddFieldCString(ctx, name.as_ptr(), text.as_ptr()));
            }
        }
    });
}

fn number(ctx: *mut RedisModuleInfoCtx, name: &CStr, value: i64) {
    // SAFETY: the context is that of the running callback; Redis copies the name.
    unsafe { redis!(RedisModule_InfoAddFieldLongLong(ctx, name.as_ptr(), value)) };
}

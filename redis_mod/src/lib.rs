//! The Strata Redis module: registration.
//!
//! `hot` is the state of a series and knows nothing of Redis; `api` is the module API as safe functions; `commands` holds
//! one file per command; `series_type` says how Redis saves, copies and frees a series.

mod api;
mod commands;
mod config;
mod defrag;
mod events;
mod failure;
mod guard;
mod hot;
mod index;
mod info;
mod instance;
mod series_type;
mod stored;
mod totals;
mod warnings;

use api::{Ctx, capabilities, log_warning, redis};
use redis_module::raw::{self, RedisModuleCtx, RedisModuleString};
use std::ffi::{CStr, c_int};

/// Everything the module allocates is the server's memory, so that maxmemory and MEMORY USAGE know of it. Unit tests run
/// without a server.
#[cfg(not(test))]
#[global_allocator]
static ALLOCATOR: redis_module::alloc::RedisAlloc = redis_module::alloc::RedisAlloc;

const NAME: &CStr = c"strata";

/// The module's version as Redis shows it: major, minor and patch, two digits each.
const VERSION: c_int = 100;

const OK: c_int = raw::REDISMODULE_OK as c_int;
const ERR: c_int = raw::REDISMODULE_ERR as c_int;

/// Called by the server when it loads the module.
///
/// # Safety
/// Only the server calls it, with a valid context and arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn RedisModule_OnLoad(
    ctx: *mut RedisModuleCtx,
    _argv: *mut *mut RedisModuleString,
    argc: c_int,
) -> c_int {
    // Nothing may allocate before this call: the server's allocator comes with it.
    // SAFETY: the context is valid; the name is copied.
    let initialised =
        unsafe { raw::Export_RedisModule_Init(ctx, NAME.as_ptr(), VERSION, raw::REDISMODULE_APIVER_1 as c_int) };
    if initialised != OK {
        return ERR;
    }
    guard::log_panics();
    guard::guard(ERR, || if load(Ctx::new(ctx), argc) { OK } else { ERR })
}

fn load(ctx: Ctx, arguments: c_int) -> bool {
    let missing = capabilities::missing();
    if !missing.is_empty() {
        log_warning(&format!(
            "strata: this server is too old: Redis 7.0, Redis 8 or Valkey 8 is needed. It does not offer {}",
            missing.join(", ")
        ));
        return false;
    }
    if arguments > 0 {
        log_warning("strata: the module takes no arguments; settings are strata.<name> lines in the configuration");
        return false;
    }
    // SAFETY: the context is that of loading.
    unsafe {
        redis!(RedisModule_SetModuleOptions(ctx.raw(), raw::REDISMODULE_OPTIONS_HANDLE_IO_ERRORS as c_int));
    }
    series_type::register(ctx.raw())
        && commands::register(ctx)
        && events::subscribe(ctx)
        && info::register(ctx)
        && config::register(ctx)
}

//! Registers a command with the server: flags, keys, documentation, ACL category.

use super::spec::{Access, Arg, Call, Command, Keys, Kind, Spec};
use crate::api::args::Args;
use crate::api::{Ctx, log_warning, redis};
use crate::guard::guard;
use redis_module::raw::{
    self, RedisModuleCommand, RedisModuleCommandArg, RedisModuleCommandHistoryEntry, RedisModuleCommandInfo,
    RedisModuleCommandInfoVersion, RedisModuleCommandKeySpec, RedisModuleCtx, RedisModuleString,
};
use std::ffi::{CStr, c_int};
use std::mem::zeroed;
use std::ptr::{null, null_mut};

/// The ACL category of all commands.
const CATEGORY: &CStr = c"strata";

/// The version of the module in which the commands appeared.
const SINCE: &CStr = c"0.1.0";

const OK: c_int = raw::REDISMODULE_OK as c_int;

/// Adds the ACL category `@strata` where the server knows categories of modules (Redis 7.4, Valkey 8).
pub fn category(ctx: Ctx) {
    // SAFETY: the context is that of loading; the name is copied.
    unsafe {
        match raw::RedisModule_AddACLCategory {
            Some(add) if add(ctx.raw(), CATEGORY.as_ptr()) == OK => {}
            Some(_) => log_warning("strata: the ACL category @strata cannot be added"),
            None => {}
        }
    }
}

/// Registers one command; false if the server refuses.
pub fn command<C: Command>(ctx: Ctx) -> bool {
    let spec = &C::SPEC;
    let (first, last, step) = match spec.keys {
        Keys::None => (0, 0, 0),
        Keys::First | Keys::Asked => (1, 1, 1),
        Keys::Every { first, step } => (first, -1, step),
    };
    // SAFETY: the context is that of loading, texts are copied, the entry lives as long as the module.
    unsafe {
        let created = redis!(RedisModule_CreateCommand(
            ctx.raw(),
            spec.name.as_ptr(),
            Some(entry::<C>),
            spec.flags.as_ptr(),
            first,
            last,
            step,
        ));
        if created != OK {
            log_warning(&format!("strata: command {:?} cannot be created", spec.name));
            return false;
        }
        let command = redis!(RedisModule_GetCommand(ctx.raw(), spec.name.as_ptr()));
        if !describe(command, spec) {
            log_warning(&format!("strata: command {:?} cannot be described", spec.name));
            return false;
        }
        if let (Some(set), Some(_)) = (raw::RedisModule_SetCommandACLCategories, raw::RedisModule_AddACLCategory)
            && set(command, CATEGORY.as_ptr()) != OK
        {
            log_warning(&format!("strata: command {:?} is not in @strata", spec.name));
        }
    }
    true
}

/// What Redis calls.
unsafe extern "C" fn entry<C: Command>(
    ctx: *mut RedisModuleCtx,
    argv: *mut *mut RedisModuleString,
    argc: c_int,
) -> c_int {
    let ctx = Ctx::new(ctx);
    let done = guard(false, || {
        // SAFETY: these are the arguments of the running command.
        let args = unsafe { Args::new(argv, argc) };
        if C::SPEC.keys == Keys::Asked && asks_for_keys(ctx) {
            C::keys(&args, &mut |position| report_key(ctx, position, C::SPEC.access));
            return true;
        }
        if let Err(failure) = C::run(&Call { ctx, args }) {
            failure.reply(ctx);
        }
        true
    });
    if !done {
        ctx.reply_error("STRATAERR internal error, see the server's log");
    }
    OK
}

fn asks_for_keys(ctx: Ctx) -> bool {
    // SAFETY: the context is that of the running command.
    unsafe { redis!(RedisModule_IsKeysPositionRequest(ctx.raw())) != 0 }
}

fn report_key(ctx: Ctx, position: usize, access: Access) {
    // SAFETY: the context is that of a request for keys.
    unsafe { redis!(RedisModule_KeyAtPosWithFlags(ctx.raw(), position as c_int, key_flags(access) as c_int)) };
}

fn key_flags(access: Access) -> u32 {
    match access {
        Access::Read => raw::REDISMODULE_CMD_KEY_RO | raw::REDISMODULE_CMD_KEY_ACCESS,
        Access::Update => raw::REDISMODULE_CMD_KEY_RW | raw::REDISMODULE_CMD_KEY_UPDATE,
        Access::Insert => raw::REDISMODULE_CMD_KEY_RW | raw::REDISMODULE_CMD_KEY_INSERT,
        Access::Delete => raw::REDISMODULE_CMD_KEY_RW | raw::REDISMODULE_CMD_KEY_DELETE,
    }
}

/// Hands Redis the command's documentation.
///
/// # Safety
/// `command` was created in the running load.
unsafe fn describe(command: *mut RedisModuleCommand, spec: &Spec) -> bool {
    let version = RedisModuleCommandInfoVersion {
        version: 1,
        sizeof_historyentry: size_of::<RedisModuleCommandHistoryEntry>(),
        sizeof_keyspec: size_of::<RedisModuleCommandKeySpec>(),
        sizeof_arg: size_of::<RedisModuleCommandArg>(),
    };
    let mut keys = key_specs(spec);
    let mut owned = Vec::new();
    let args = arg_list(spec.args, &mut owned);
    let info = RedisModuleCommandInfo {
        version: &version,
        summary: spec.summary.as_ptr(),
        complexity: spec.complexity.as_ptr(),
        since: SINCE.as_ptr(),
        history: null_mut(),
        tips: null(),
        arity: spec.arity,
        key_specs: if keys.is_empty() { null_mut() } else { keys.as_mut_ptr() },
        args,
    };
    // SAFETY: Redis copies everything; the lists end with a zeroed entry and live until the call returns.
    unsafe { redis!(RedisModule_SetCommandInfo(command, &info)) == OK }
}

/// The key specifications, ended by a zeroed entry; empty for a command without keys.
fn key_specs(spec: &Spec) -> Vec<RedisModuleCommandKeySpec> {
    let (position, last, step, note) = match spec.keys {
        Keys::None => return Vec::new(),
        Keys::First => (1, 0, 1, 0),
        Keys::Every { first, step } => (first, -1, step, 0),
        Keys::Asked => (1, 0, 1, raw::REDISMODULE_CMD_KEY_INCOMPLETE),
    };
    // SAFETY: an all-zero entry is valid: null pointers, no flags, invalid search types.
    let (mut entry, end): (RedisModuleCommandKeySpec, RedisModuleCommandKeySpec) = unsafe { (zeroed(), zeroed()) };
    entry.flags = u64::from(key_flags(spec.access) | note);
    entry.begin_search_type = raw::RedisModuleKeySpecBeginSearchType_REDISMODULE_KSPEC_BS_INDEX;
    entry.bs.index = raw::RedisModuleCommandKeySpec__bindgen_ty_1__bindgen_ty_1 { pos: position };
    entry.find_keys_type = raw::RedisModuleKeySpecFindKeysType_REDISMODULE_KSPEC_FK_RANGE;
    entry.fk.range =
        raw::RedisModuleCommandKeySpec__bindgen_ty_2__bindgen_ty_1 { lastkey: last, keystep: step, limit: 0 };
    vec![entry, end]
}

/// The arguments as Redis wants them, ended by a zeroed entry. The lists stay in `owned`.
fn arg_list(args: &[Arg], owned: &mut Vec<Box<[RedisModuleCommandArg]>>) -> *mut RedisModuleCommandArg {
    if args.is_empty() {
        return null_mut();
    }
    let mut list: Vec<RedisModuleCommandArg> = args.iter().map(|arg| raw_arg(arg, owned)).collect();
    // SAFETY: an all-zero entry is valid and ends the list.
    list.push(unsafe { zeroed() });
    owned.push(list.into());
    owned.last_mut().map_or(null_mut(), |list| list.as_mut_ptr())
}

fn raw_arg(arg: &Arg, owned: &mut Vec<Box<[RedisModuleCommandArg]>>) -> RedisModuleCommandArg {
    let (kind, subargs) = match arg.kind {
        Kind::Text => (raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_STRING, null_mut()),
        Kind::Integer => (raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_INTEGER, null_mut()),
        Kind::Double => (raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_DOUBLE, null_mut()),
        Kind::Key => (raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_KEY, null_mut()),
        Kind::Time => (raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_STRING, null_mut()),
        Kind::Word => (raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_PURE_TOKEN, null_mut()),
        Kind::Block(args) => (raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_BLOCK, arg_list(args, owned)),
        Kind::OneOf(args) => (raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_ONEOF, arg_list(args, owned)),
    };
    let is_key = matches!(arg.kind, Kind::Key);
    let flag = |set: bool, flag: u32| if set { flag as c_int } else { 0 };
    RedisModuleCommandArg {
        name: arg.name.as_ptr(),
        type_: kind,
        key_spec_index: if is_key { 0 } else { -1 },
        token: arg.token.map_or(null(), CStr::as_ptr),
        summary: null(),
        since: null(),
        flags: flag(arg.optional, raw::REDISMODULE_CMD_ARG_OPTIONAL)
            | flag(arg.multiple, raw::REDISMODULE_CMD_ARG_MULTIPLE),
        deprecated_since: null(),
        subargs,
        display_text: null(),
    }
}

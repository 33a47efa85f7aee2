//! What the calling user may read. Commands over a source open keys that are not among their arguments, which Redis
//! therefore does not check.

use super::Ctx;
use super::key::OwnedString;
use redis_module::raw::{self, RedisModuleUser};
use std::ffi::c_int;

/// The user who runs the command.
pub enum Caller {
    /// Replication and the AOF, which may do everything.
    Server,
    User(*mut RedisModuleUser),
    /// A user that was removed meanwhile, who may do nothing.
    Gone,
}

impl Caller {
    pub fn of(ctx: Ctx) -> Caller {
        // SAFETY: the context is that of the running command; the name is freed after its use.
        unsafe {
            let name = redis!(RedisModule_GetCurrentUserName(ctx.raw()));
            if name.is_null() {
                return Caller::Server;
            }
            let user = redis!(RedisModule_GetModuleUserFromUserName(name));
            redis!(RedisModule_FreeString(ctx.raw(), name));
            if user.is_null() { Caller::Gone } else { Caller::User(user) }
        }
    }

    /// Whether the user may read this key.
    pub fn may_read(&self, key: &OwnedString) -> bool {
        let user = match *self {
            Caller::Server => return true,
            Caller::Gone => return false,
            Caller::User(user) => user,
        };
        let access = raw::REDISMODULE_CMD_KEY_ACCESS as c_int;
        // SAFETY: user and key are valid.
        let status = unsafe { redis!(RedisModule_ACLCheckKeyPermissions(user, key.0, access)) };
        status == raw::REDISMODULE_OK as c_int
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        if let Caller::User(user) = *self {
            // SAFETY: got from Redis, freed once.
            unsafe { redis!(RedisModule_FreeModuleUser(user)) };
        }
    }
}

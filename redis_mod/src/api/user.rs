//! What the calling user may read. Commands over a source open keys that are not among their arguments, which Redis
//! therefore does not check.

use super::Ctx;
use super::key::OwnedString;
use redis_module::raw::{self, RedisModuleUser};
use std::ffi::c_int;

/// The user who runs the command; none for replication and the AOF, which may do everything.
pub struct Caller(*mut RedisModuleUser);

impl Caller {
    pub fn of(ctx: Ctx) -> Caller {
        // SAFETY: the context is that of the running command; the name is freed after its use.
        unsafe {
            let name = redis!(RedisModule_GetCurrentUserName(ctx.raw()));
            if name.is_null() {
                return Caller(std::ptr::null_mut());
            }
            let user = redis!(RedisModule_GetModuleUserFromUserName(name));
            redis!(RedisModule_FreeString(ctx.raw(), name));
            Caller(user)
        }
    }

    /// Whether the user may read this key.
    pub fn may_read(&self, key: &OwnedString) -> bool {
        if self.0.is_null() {
            return true;
        }
        let access = raw::REDISMODULE_CMD_KEY_ACCESS as c_int;
        // SAFETY: user and key are valid.
        let status = unsafe { redis!(RedisModule_ACLCheckKeyPermissions(self.0, key.0, access)) };
        status == raw::REDISMODULE_OK as c_int
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: got from Redis, freed once.
            unsafe { redis!(RedisModule_FreeModuleUser(self.0)) };
        }
    }
}

//! The context that Redis hands to a command or callback.

use super::key::OwnedString;
use redis_module::raw::{self, RedisModuleCtx, RedisModuleString};
use series::time::{MICROS_PER_MILLI, Micros};
use std::ffi::{CStr, CString, c_int};

/// A context, valid as long as the callback runs that got it.
#[derive(Clone, Copy)]
pub struct Ctx(*mut RedisModuleCtx);

impl Ctx {
    pub fn new(raw: *mut RedisModuleCtx) -> Ctx {
        Ctx(raw)
    }

    pub fn raw(self) -> *mut RedisModuleCtx {
        self.0
    }

    /// Number of the selected database.
    pub fn db(self) -> i32 {
        // SAFETY: the context is that of the running callback.
        unsafe { redis!(RedisModule_GetSelectedDb(self.0)) }
    }

    /// The server's clock, in whole milliseconds.
    pub fn now(self) -> Micros {
        // SAFETY: takes no argument.
        unsafe { redis!(RedisModule_Milliseconds()) }.saturating_mul(MICROS_PER_MILLI)
    }

    /// Whether the command comes from the primary or from the AOF: what it says was decided there.
    pub fn repeats(self) -> bool {
        let decided = raw::REDISMODULE_CTX_FLAGS_REPLICATED | raw::REDISMODULE_CTX_FLAGS_LOADING;
        // SAFETY: the context is that of the running callback.
        let flags = unsafe { redis!(RedisModule_GetContextFlags(self.0)) };
        flags & decided as c_int != 0
    }

    /// Whether the server is a node of a cluster.
    pub fn in_cluster(self) -> bool {
        // SAFETY: the context is that of the running command.
        let flags = unsafe { redis!(RedisModule_GetContextFlags(self.0)) };
        flags & raw::REDISMODULE_CTX_FLAGS_CLUSTER as c_int != 0
    }

    /// Publishes a message to the subscribers of this node, in a cluster to those of all nodes. A replica tells its own
    /// when it repeats the command; in a cluster they have heard already.
    pub fn publish(self, channel: &str, message: &str) {
        if self.repeats() && self.in_cluster() {
            return;
        }
        let (channel, message) = (OwnedString::new(channel.as_bytes()), OwnedString::new(message.as_bytes()));
        // SAFETY: context and strings are valid during the call.
        unsafe { redis!(RedisModule_PublishMessage(self.0, channel.0, message.0)) };
    }

    /// Whether the client speaks RESP3.
    pub fn resp3(self) -> bool {
        // SAFETY: the context is that of the running callback.
        let flags = unsafe { redis!(RedisModule_GetContextFlags(self.0)) };
        flags & raw::REDISMODULE_CTX_FLAGS_RESP3 as c_int != 0
    }

    /// Sends the running command to replicas and the AOF as it came.
    pub fn replicate_verbatim(self) {
        // SAFETY: the context is that of the running command.
        unsafe { redis!(RedisModule_ReplicateVerbatim(self.0)) };
    }

    /// Sends `command key text rest...` to replicas and the AOF.
    pub fn replicate(self, command: &CStr, key: *mut RedisModuleString, text: &[u8], rest: &[*mut RedisModuleString]) {
        // SAFETY: the format names a module string, a buffer with its length and an array of module strings with its
        // length, which is what follows; Redis copies them.
        unsafe {
            redis!(RedisModule_Replicate(
                self.0,
                command.as_ptr(),
                c"sbv".as_ptr(),
                key,
                text.as_ptr(),
                text.len(),
                rest.as_ptr(),
                rest.len(),
            ))
        };
    }

    /// Sends `command words...` to replicas and the AOF.
    pub fn replicate_words(self, command: &CStr, words: &[*mut RedisModuleString]) {
        // SAFETY: the format names an array of module strings with its length, which is what follows; Redis copies them.
        unsafe { redis!(RedisModule_Replicate(self.0, command.as_ptr(), c"v".as_ptr(), words.as_ptr(), words.len())) };
    }

    /// Tells keyspace subscribers that a command of the module changed a key.
    pub fn notify(self, event: &CStr, key: *mut RedisModuleString) {
        // SAFETY: context and key are those of the running command, the event is a C string.
        unsafe {
            redis!(RedisModule_NotifyKeyspaceEvent(self.0, raw::REDISMODULE_NOTIFY_MODULE, event.as_ptr(), key,))
        };
    }
}

/// Whether the server loads its data set, from its own files or from its primary.
pub fn is_loading() -> bool {
    // SAFETY: a null context is allowed.
    let flags = unsafe { redis!(RedisModule_GetContextFlags(std::ptr::null_mut())) };
    flags & raw::REDISMODULE_CTX_FLAGS_LOADING as c_int != 0
}

/// Bytes that cannot be guessed. Without a server (unit tests) they are zero.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // SAFETY: the server writes that many bytes.
    unsafe {
        if let Some(fill) = raw::RedisModule_GetRandomBytes {
            fill(bytes.as_mut_ptr(), N);
        }
    }
    bytes
}

/// Bytes that the allocator spends on a heap slice of the module. Without a server (unit tests) it is its length.
pub fn allocated(slice: &[u8]) -> usize {
    if slice.is_empty() {
        return 0;
    }
    // SAFETY: a slice on the heap of the module was allocated by the server.
    unsafe { raw::RedisModule_MallocSize.map_or(slice.len(), |size| size(slice.as_ptr().cast_mut().cast())) }
}

/// Writes a line to the server's log.
pub fn log_warning(message: &str) {
    let text = CString::new(message.replace('\0', "?")).unwrap_or_default();
    // SAFETY: a null context is allowed; the format takes one C string. Without a server (unit tests) there is no log.
    unsafe {
        if let Some(log) = raw::RedisModule_Log {
            log(std::ptr::null_mut(), c"warning".as_ptr(), c"%s".as_ptr(), text.as_ptr());
        }
    }
}

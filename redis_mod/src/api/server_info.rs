//! Fields of the server's INFO.

use redis_module::raw::RedisModuleServerInfoData;
use std::ffi::CStr;

/// One section of INFO.
pub struct ServerInfo(*mut RedisModuleServerInfoData);

impl ServerInfo {
    /// Collects a section. Must not be called for the module's own section from within its INFO callback.
    pub fn section(name: &CStr) -> ServerInfo {
        // SAFETY: without a context the data is ours to free.
        ServerInfo(unsafe { redis!(RedisModule_GetServerInfo(std::ptr::null_mut(), name.as_ptr())) })
    }

    /// The text of a field, if the section has it.
    pub fn field(&self, name: &CStr) -> Option<String> {
        // SAFETY: the data is valid until it is dropped; the text is copied.
        unsafe {
            let text = redis!(RedisModule_ServerInfoGetFieldC(self.0, name.as_ptr()));
            (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().trim().to_owned())
        }
    }

    pub fn number(&self, name: &CStr) -> Option<f64> {
        self.field(name)?.parse().ok()
    }
}

impl Drop for ServerInfo {
    fn drop(&mut self) {
        // SAFETY: made by us without a context, freed once.
        unsafe { redis!(RedisModule_FreeServerInfo(std::ptr::null_mut(), self.0)) };
    }
}

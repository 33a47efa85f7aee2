//! Times as text that reads back as the same times, whatever the session's style.

use pgrx::pg_sys;

/// DateStyle is ISO as long as this lives: other styles name zones by abbreviations, which mean another zone elsewhere.
pub struct IsoDates(i32);

impl IsoDates {
    pub fn begin() -> Self {
        // SAFETY: opens a level of settings that ends with the value or with the transaction; both strings are static.
        unsafe {
            let level = pg_sys::NewGUCNestLevel();
            pg_sys::set_config_option(
                c"datestyle".as_ptr(),
                c"ISO".as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                true,
                0,
                false,
            );
            Self(level)
        }
    }
}

impl Drop for IsoDates {
    fn drop(&mut self) {
        // SAFETY: the level opened in `begin`; levels above it have ended.
        unsafe { pg_sys::AtEOXact_GUC(true, self.0) }
    }
}

//! Opening a key as a series.

use super::{Ctx, args};
use crate::failure::Failure;
use crate::hot::Series;
use crate::index;
use crate::series_type;
use crate::stored::Stored;
use redis_module::raw::{self, RedisModuleKey, RedisModuleString};
use series::prefetch;
use std::ffi::c_int;
use std::ops::Deref;

/// An open key, closed when dropped.
struct Handle(*mut RedisModuleKey);

impl Handle {
    fn open(ctx: Ctx, name: *mut RedisModuleString, mode: u32) -> Handle {
        // SAFETY: context and name are valid in the running callback.
        Handle(unsafe { redis!(RedisModule_OpenKey(ctx.raw(), name, mode as c_int)) })
    }

    /// The series that the key holds, None if the key does not exist.
    fn stored(&self) -> Result<Option<*mut Stored>, Failure> {
        if self.0.is_null() {
            return Ok(None);
        }
        // SAFETY: the key is open; a value of our type was made by us.
        unsafe {
            let kind = redis!(RedisModule_ModuleTypeGetType(self.0));
            if kind.is_null() {
                let empty = redis!(RedisModule_KeyType(self.0)) == raw::REDISMODULE_KEYTYPE_EMPTY as c_int;
                return if empty { Ok(None) } else { Err(Failure::WrongType) };
            }
            if kind != series_type::handle() {
                return Err(Failure::WrongType);
            }
            let stored: *mut Stored = redis!(RedisModule_ModuleTypeGetValue(self.0)).cast();
            prefetch::value(&*stored);
            Ok(Some(stored))
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: opened by us, closed once.
            unsafe { redis!(RedisModule_CloseKey(self.0)) };
        }
    }
}

/// A series opened for reading.
pub struct SeriesRef {
    stored: *const Stored,
    _key: Handle,
}

impl SeriesRef {
    /// See [`crate::instance`].
    pub fn instance(&self) -> u64 {
        // SAFETY: the key is open and nothing else runs meanwhile.
        unsafe { (*self.stored).instance() }
    }
}

impl Deref for SeriesRef {
    type Target = Series;

    fn deref(&self) -> &Series {
        // SAFETY: the key is open and nothing else runs meanwhile.
        unsafe { (*self.stored).series() }
    }
}

/// A series opened for writing.
pub struct SeriesMut {
    stored: *mut Stored,
    _key: Handle,
}

impl SeriesMut {
    /// Makes it another series to tokens that were given before.
    pub fn renew(&mut self) {
        // SAFETY: as in [`SeriesMut::change`].
        unsafe { (*self.stored).renew() }
    }

    /// See [`crate::instance`].
    pub fn instance(&self) -> u64 {
        // SAFETY: as in [`SeriesMut::change`].
        unsafe { (*self.stored).instance() }
    }

    pub fn series(&self) -> &Series {
        // SAFETY: as in [`SeriesMut::change`].
        unsafe { (*self.stored).series() }
    }

    /// Changes the series; the module's totals follow.
    #[inline]
    pub fn change<T>(&mut self, change: impl FnOnce(&mut Series) -> T) -> T {
        // SAFETY: the key is open for writing and nothing else runs meanwhile.
        unsafe { (*self.stored).change(change) }
    }
}

/// Opens a series to read it.
///
/// # Errors
/// [`Failure::WrongType`] if the key holds something else.
pub fn read(ctx: Ctx, name: *mut RedisModuleString) -> Result<Option<SeriesRef>, Failure> {
    let key = Handle::open(ctx, name, raw::REDISMODULE_READ);
    Ok(key.stored()?.map(|stored| SeriesRef { stored, _key: key }))
}

/// Opens an existing series to change it.
///
/// # Errors
/// [`Failure::WrongType`] if the key holds something else.
pub fn write(ctx: Ctx, name: *mut RedisModuleString) -> Result<Option<SeriesMut>, Failure> {
    let key = Handle::open(ctx, name, raw::REDISMODULE_READ | raw::REDISMODULE_WRITE);
    Ok(key.stored()?.map(|stored| SeriesMut { stored, _key: key }))
}

/// Stores a new series in a key that does not exist.
///
/// # Errors
/// If the key's name is not that of a series.
pub fn create(ctx: Ctx, name: *mut RedisModuleString, series: Series) -> Result<(), Failure> {
    // SAFETY: the name is an argument of the running command.
    index::check_name(unsafe { args::bytes(name) })?;
    store(ctx, name, series);
    Ok(())
}

/// As [`create`], under whatever name: a series may have been renamed.
pub fn store(ctx: Ctx, name: *mut RedisModuleString, series: Series) {
    // SAFETY: the name is an argument of the running command.
    let bytes = unsafe { args::bytes(name) };
    let key = Handle::open(ctx, name, raw::REDISMODULE_READ | raw::REDISMODULE_WRITE);
    let stored = Box::into_raw(Box::new(Stored::new(series)));
    // SAFETY: the key is open for writing; Redis owns the value from now on and gives it back to the free callback.
    unsafe { redis!(RedisModule_ModuleTypeSetValue(key.0, series_type::handle(), stored.cast())) };
    index::insert(ctx.db(), bytes);
}

/// A module string made by us, freed when dropped.
pub struct OwnedString(pub *mut RedisModuleString);

impl OwnedString {
    pub fn new(bytes: &[u8]) -> OwnedString {
        // SAFETY: Redis copies the bytes; without a context the string is ours to free.
        OwnedString(unsafe {
            redis!(RedisModule_CreateString(std::ptr::null_mut(), bytes.as_ptr().cast(), bytes.len()))
        })
    }
}

impl Drop for OwnedString {
    fn drop(&mut self) {
        // SAFETY: made by us without a context, freed once.
        unsafe { redis!(RedisModule_FreeString(std::ptr::null_mut(), self.0)) };
    }
}

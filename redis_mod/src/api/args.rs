//! The arguments of a command.

use redis_module::raw::RedisModuleString;
use std::ffi::c_int;

/// Borrowed for the duration of the command. Position 0 is the command's name.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    strings: &'a [*mut RedisModuleString],
}

impl<'a> Args<'a> {
    /// # Safety
    /// `argv` and `argc` are those of a command callback that outlives `'a`.
    pub unsafe fn new(argv: *mut *mut RedisModuleString, argc: c_int) -> Args<'a> {
        let count = usize::try_from(argc).unwrap_or(0);
        // SAFETY: the caller's promise.
        let strings = unsafe { std::slice::from_raw_parts(argv, count) };
        Args { strings }
    }

    pub fn len(&self) -> usize {
        self.strings.len()
    }

    /// The bytes of an argument.
    ///
    /// # Panics
    /// If there is no such argument.
    #[inline]
    pub fn get(&self, index: usize) -> &'a [u8] {
        // SAFETY: the string belongs to the running command, which outlives 'a.
        unsafe { bytes(self.strings[index]) }
    }

    /// The argument as Redis knows it.
    ///
    /// # Panics
    /// If there is no such argument.
    pub fn raw(&self, index: usize) -> *mut RedisModuleString {
        self.strings[index]
    }

    /// The arguments from `index` on, as Redis knows them.
    pub fn raw_from(&self, index: usize) -> &'a [*mut RedisModuleString] {
        self.strings.get(index..).unwrap_or(&[])
    }
}

/// The bytes of a module string.
///
/// # Safety
/// `string` is a valid module string or null, and outlives `'a` unchanged.
#[inline]
pub unsafe fn bytes<'a>(string: *const RedisModuleString) -> &'a [u8] {
    if string.is_null() {
        return &[];
    }
    let mut length = 0usize;
    // SAFETY: the caller's promise; Redis gives a pointer to that many bytes.
    unsafe {
        let start = redis!(RedisModule_StringPtrLen(string, &mut length));
        std::slice::from_raw_parts(start.cast::<u8>(), length)
    }
}

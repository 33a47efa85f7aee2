//! Active defragmentation: moves a series, its blocks and its kept hours to where the allocator wants them.

use crate::guard::guard;
use crate::stored::Stored;
use redis_module::raw::{self, RedisModuleDefragCtx, RedisModuleString};
use std::ffi::{c_int, c_void};

/// The type's callback. It does all of a series at once, since a day of readings is some tens of blocks; returns 0, done.
pub unsafe extern "C" fn defrag(
    ctx: *mut RedisModuleDefragCtx,
    _key: *mut RedisModuleString,
    value: *mut *mut c_void,
) -> c_int {
    guard((), || {
        // SAFETY: the value is ours; where it moved, Redis takes the new address from here.
        unsafe {
            if let Some(moved) = moved(ctx, *value) {
                *value = moved;
            }
            let stored = &mut *(*value).cast::<Stored>();
            for allocation in stored.allocations_mut() {
                move_box(ctx, allocation);
            }
        }
    });
    0
}

/// Moves a boxed slice.
///
/// # Safety
/// The box was allocated by the server's allocator, as everything in the module is.
unsafe fn move_box<T>(ctx: *mut RedisModuleDefragCtx, slot: &mut Box<[T]>) {
    if slot.is_empty() {
        return;
    }
    let length = slot.len();
    let old = Box::into_raw(std::mem::take(slot));
    // SAFETY: either the old allocation is still there, or it was moved bytewise and freed.
    *slot = unsafe {
        match moved(ctx, old.cast()) {
            Some(new) => Box::from_raw(std::ptr::slice_from_raw_parts_mut(new.cast(), length)),
            None => Box::from_raw(old),
        }
    };
}

/// The new address of an allocation, if the allocator wants it elsewhere; the old one is then freed.
///
/// # Safety
/// `pointer` is an allocation of the server's allocator.
unsafe fn moved(ctx: *mut RedisModuleDefragCtx, pointer: *mut c_void) -> Option<*mut c_void> {
    // SAFETY: the caller's promise.
    let new = unsafe { raw::RedisModule_DefragAlloc.map(|defrag| defrag(ctx, pointer))? };
    (!new.is_null()).then_some(new)
}

//! Asking for memory ahead of its use.
//!
//! What was not used lately is in no cache. Waiting for one cache line after the other costs more than all that is done with
//! them; asked for together, they arrive together, while something else is done.

/// Bytes of a cache line.
const LINE: usize = 64;

/// Asks for the memory of a slice, of which it reads nothing.
#[inline]
pub fn slice<T>(data: &[T]) {
    if !data.is_empty() {
        bytes(data.as_ptr().cast(), size_of_val(data));
    }
}

/// Asks for a whole value.
#[inline]
pub fn value<T>(value: &T) {
    bytes(std::ptr::from_ref(value).cast(), size_of::<T>());
}

/// A value need not begin with a line, so its last byte may lie in one more.
#[inline]
fn bytes(start: *const u8, length: usize) {
    for offset in (0..length).step_by(LINE) {
        line(start.wrapping_add(offset));
    }
    line(start.wrapping_add(length.saturating_sub(1)));
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn line(place: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a hint to the processor: it neither reads nor faults, whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(place.cast()) };
}

/// Elsewhere the standard library has no such hint.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn line(_: *const u8) {}

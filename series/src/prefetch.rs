//! Asking for memory ahead of its use. What was not used lately is in no cache, and one line waited for after the other costs
//! more than all computation; lines that are asked for ahead come at the same time, while something else is done.

/// Bytes that come at a time.
const LINE: usize = 64;

/// Asks for the first `length` bytes of a value.
#[inline]
pub(crate) fn front<T>(value: &T, length: usize) {
    let start = std::ptr::from_ref(value).cast::<i8>();
    for offset in (0..length).step_by(LINE) {
        line(start.wrapping_add(offset));
    }
    line(start.wrapping_add(length.saturating_sub(1)));
}

/// Asks for a whole value.
#[inline]
pub(crate) fn value<T>(value: &T) {
    front(value, size_of::<T>());
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn line(address: *const i8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a hint that reads nothing; no address is wrong for it.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address) };
}

/// Other processors have no such hint in stable Rust.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn line(_address: *const i8) {}

//! The lesser and the greater of two numbers that are not NaN, each one instruction, also for two pairs at a time. Those of the
//! standard library take NaN into account.

/// Of two equals the later one. Of samples it is the minimum for longer.
#[inline]
pub(super) fn lesser(earlier: f64, later: f64) -> f64 {
    if earlier < later { earlier } else { later }
}

#[inline]
pub(super) fn greater(a: f64, b: f64) -> f64 {
    if a > b { a } else { b }
}

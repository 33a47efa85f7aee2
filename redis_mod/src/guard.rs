//! Keeps panics inside the module: every function that Redis calls runs under a guard, since unwinding into C is
//! undefined, and a server that serves others must not end over one command.

use crate::api::log_warning;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `body`; a panic gives `fallback`. The panic hook has logged it.
#[inline]
pub fn guard<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(fallback)
}

/// Runs `body`, which writes what must be whole or not at all: a panic ends the process. Saving happens in a child
/// process of the server, whose failure the server notices and reports.
pub fn guard_or_abort(body: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(body)).is_err() {
        std::process::abort();
    }
}

/// Makes panics show in the server's log instead of on standard error.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|info| {
        log_warning(&format!("strata: internal error, please report it: {info}"));
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_at_the_guard() {
        assert_eq!(guard(7, || -> i32 { panic!("on purpose") }), 7);
        assert_eq!(guard(7, || 8), 8);
    }
}

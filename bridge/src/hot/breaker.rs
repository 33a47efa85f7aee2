use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::error::{HotError, HotErrorKind};

/// Remembers a failed connect, so that the next calls fail at once instead of each waiting for the timeout.
#[derive(Debug)]
pub(super) struct Breaker {
    retry_after: Duration,
    failed: Mutex<Option<(Instant, HotError)>>,
}

impl Breaker {
    pub(super) fn new(retry_after: Duration) -> Self {
        Self { retry_after, failed: Mutex::new(None) }
    }

    /// Fails while the breaker is open.
    pub(super) fn check(&self, now: Instant) -> Result<(), HotError> {
        let failed = self.failed.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let Some((at, error)) = failed.as_ref() else { return Ok(()) };
        let left = self.retry_after.saturating_sub(now.saturating_duration_since(*at));
        if left.is_zero() {
            return Ok(());
        }
        let mut error = error.clone();
        error.kind = HotErrorKind::Unreachable;
        let cause = error.detail.take().unwrap_or_default();
        error.detail = Some(format!(
            "The last attempt failed {:.1} s ago; the next one is made in {:.1} s. {cause}",
            now.saturating_duration_since(*at).as_secs_f64(),
            left.as_secs_f64()
        ));
        Err(error)
    }

    /// Opens the breaker after a connect that failed because the server could not be reached.
    pub(super) fn record_failure(&self, now: Instant, error: &HotError) {
        if error.is_retryable() {
            *self.failed.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some((now, error.clone()));
        }
    }

    pub(super) fn record_success(&self) {
        *self.failed.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_open_for_the_given_time_only() {
        let breaker = Breaker::new(Duration::from_secs(5));
        let start = Instant::now();
        assert!(breaker.check(start).is_ok());
        breaker.record_failure(start, &HotError::timeout("redis://h:1"));
        let error = breaker.check(start + Duration::from_secs(1)).unwrap_err();
        assert_eq!(error.kind, HotErrorKind::Unreachable);
        assert!(error.detail.unwrap().contains("4.0 s"));
        assert!(breaker.check(start + Duration::from_secs(5)).is_ok());
        breaker.record_success();
        assert!(breaker.check(start + Duration::from_secs(1)).is_ok());
    }

    #[test]
    fn a_refused_password_does_not_open_it() {
        let breaker = Breaker::new(Duration::from_secs(5));
        let start = Instant::now();
        breaker.record_failure(start, &HotError::new(HotErrorKind::Refused, "no"));
        assert!(breaker.check(start).is_ok());
    }
}

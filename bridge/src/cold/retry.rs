//! Whether and when a failed request is sent again.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

use super::error::ColdError;

/// Exponential back-off with jitter, bounded in total.
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    /// No new try starts later than this after the first.
    pub total: Duration,
    pub first_delay: Duration,
    pub longest_delay: Duration,
}

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy {
            total: Duration::from_secs(60),
            first_delay: Duration::from_millis(100),
            longest_delay: Duration::from_secs(10),
        }
    }
}

/// One request's tries.
pub(crate) struct Retries<'a> {
    policy: &'a RetryPolicy,
    started: Instant,
    failures: u32,
}

impl RetryPolicy {
    pub(crate) fn start(&self) -> Retries<'_> {
        Retries { policy: self, started: Instant::now(), failures: 0 }
    }
}

impl Retries<'_> {
    /// How long to wait before the next try, or `None` when there is none. A Retry-After that lies beyond the bound
    /// ends the tries at once: waiting less than asked would only add to the load.
    pub(crate) fn next_delay(&mut self, error: &ColdError) -> Option<Duration> {
        if !error.is_retryable() {
            return None;
        }
        let exponential =
            self.policy.first_delay.saturating_mul(1 << self.failures.min(16)).min(self.policy.longest_delay);
        self.failures += 1;
        let jittered = exponential.mul_f64(0.5 + 0.5 * random_fraction());
        let delay = error.retry_after.map_or(jittered, |asked| asked.max(jittered));
        (self.started.elapsed() + delay <= self.policy.total).then_some(delay)
    }
}

/// In [0, 1). Each `RandomState` has keys of its own, which is randomness enough to spread clients.
fn random_fraction() -> f64 {
    (random_u64() >> 11) as f64 / (1u64 << 53) as f64
}

pub(crate) fn random_u64() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A Retry-After header: seconds or an HTTP date (RFC 9110, section 10.2.3).
pub(crate) fn parse_retry_after(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = chrono::DateTime::parse_from_rfc2822(value.trim()).ok()?;
    let wait = date.with_timezone(&chrono::Utc) - chrono::Utc::now();
    Some(wait.to_std().unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(total: u64) -> RetryPolicy {
        RetryPolicy { total: Duration::from_secs(total), ..RetryPolicy::default() }
    }

    #[test]
    fn delays_grow_within_their_bounds() {
        let policy = policy(3600);
        let mut retries = policy.start();
        let error = ColdError::retryable("x");
        for failure in 0..12u32 {
            let delay = retries.next_delay(&error).unwrap();
            let full = Duration::from_millis(100 << failure).min(policy.longest_delay);
            assert!(delay >= full.mul_f64(0.49) && delay <= full, "{failure}: {delay:?}");
        }
    }

    #[test]
    fn only_a_retryable_error_is_retried() {
        let policy = policy(60);
        assert!(policy.start().next_delay(&ColdError::permanent("x")).is_none());
    }

    #[test]
    fn retry_after_is_honoured_up_to_the_bound() {
        let policy = policy(60);
        let mut error = ColdError::retryable("x");
        error.retry_after = Some(Duration::from_secs(7));
        assert_eq!(policy.start().next_delay(&error), Some(Duration::from_secs(7)));
        error.retry_after = Some(Duration::from_secs(61));
        assert_eq!(policy.start().next_delay(&error), None);
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        assert_eq!(parse_retry_after("3"), Some(Duration::from_secs(3)));
        assert_eq!(parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(parse_retry_after("soon"), None);
    }
}

//! When a job runs: an interval (`5 minutes`) or a cron expression (`0 2 * * *`), in UTC.

use chrono::{DateTime, Utc};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use series::time::{MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND, Micros};
use std::time::Duration;

/// Closer together, a job would be no schedule but a loop.
const SHORTEST: i64 = MICROS_PER_SECOND;
/// Further apart, a misprint is likelier than a wish.
const LONGEST: i64 = 366 * MICROS_PER_DAY;

/// A parsed schedule.
#[derive(Debug, Clone)]
pub enum Schedule {
    /// Microseconds from the start of a run to the start of the next one.
    Every(i64),
    Cron(Box<Cron>),
}

/// What is wrong with the text of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not a schedule: {reason}")]
pub struct ScheduleError {
    pub text: String,
    pub reason: String,
}

impl Schedule {
    /// Reads the text of a schedule, as `strata.jobs.schedule` holds it.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        let text = text.trim();
        let looks_like_cron = text.starts_with('@') || text.split_whitespace().count() >= 5;
        let parsed = if looks_like_cron && !is_interval(text) { parse_cron(text) } else { parse_interval(text) };
        parsed.map_err(|reason| ScheduleError { text: text.to_owned(), reason })
    }

    /// The next time after `now`, for a job whose last run started at `started`. Always later than
    /// `now`: times that passed while the job ran, or while the server was down, are left out.
    /// `None` if the schedule has no time left.
    pub fn next(&self, started: Micros, now: Micros) -> Option<Micros> {
        match self {
            Schedule::Every(interval) => {
                // A start that lies in the future means that the clock was set back.
                let passed = now.saturating_sub(started).max(0);
                let started = started.min(now);
                Some(started + (passed / interval + 1) * interval)
            }
            Schedule::Cron(cron) => {
                let now = DateTime::<Utc>::from_timestamp_micros(now)?;
                let next = cron.find_next_occurrence(&now, false).ok()?;
                Some(next.timestamp_micros())
            }
        }
    }
}

/// The wait after the `failures`th failure in a row: 30 seconds, doubled each time up to `longest`.
pub fn retry_delay(failures: i32, longest: Duration) -> Duration {
    let doublings = failures.saturating_sub(1).clamp(0, 30) as u32;
    Duration::from_secs(30).saturating_mul(1 << doublings).min(longest)
}

fn parse_cron(text: &str) -> Result<Schedule, String> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let cron = parser.parse(text).map_err(|error| error.to_string())?;
    let schedule = Schedule::Cron(Box::new(cron));
    match schedule.next(0, Utc::now().timestamp_micros()) {
        Some(_) => Ok(schedule),
        None => Err("no time matches it".into()),
    }
}

fn is_interval(text: &str) -> bool {
    split_interval(text).is_ok()
}

fn parse_interval(text: &str) -> Result<Schedule, String> {
    let micros = split_interval(text)?;
    match micros {
        ..SHORTEST => Err("an interval is at least 1 second".into()),
        SHORTEST..=LONGEST => Ok(Schedule::Every(micros)),
        _ => Err("an interval is at most 366 days".into()),
    }
}

/// Sums pairs of a whole number and a unit, written together or apart: `1 hour 30 minutes`, `90s`.
fn split_interval(text: &str) -> Result<i64, String> {
    let mut rest = text;
    let mut total = 0_i64;
    while !rest.is_empty() {
        let (digits, tail) = rest.split_at(end_of(rest, |c| c.is_ascii_digit()));
        let tail = tail.trim_start();
        let (unit, tail) = tail.split_at(end_of(tail, |c| c.is_ascii_alphabetic()));
        let expected = "expected an interval like '5 minutes' or a cron expression like '0 2 * * *'";
        let count: i64 = digits.parse().map_err(|_| expected.to_owned())?;
        let micros = unit_micros(unit).ok_or_else(|| expected.to_owned())?;
        total = count
            .checked_mul(micros)
            .and_then(|part| total.checked_add(part))
            .ok_or("an interval is at most 366 days")?;
        rest = tail.trim_start();
    }
    Ok(total)
}

fn end_of(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

fn unit_micros(unit: &str) -> Option<i64> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "s" | "sec" | "secs" | "second" | "seconds" => MICROS_PER_SECOND,
        "m" | "min" | "mins" | "minute" | "minutes" => MICROS_PER_MINUTE,
        "h" | "hour" | "hours" => MICROS_PER_HOUR,
        "d" | "day" | "days" => MICROS_PER_DAY,
        "w" | "week" | "weeks" => 7 * MICROS_PER_DAY,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Micros {
        text.parse::<DateTime<Utc>>().unwrap().timestamp_micros()
    }

    fn next(schedule: &str, started: &str, now: &str) -> Option<Micros> {
        Schedule::parse(schedule).unwrap().next(at(started), at(now))
    }

    #[test]
    fn an_interval_counts_from_the_start_of_the_last_run() {
        let next = next("5 minutes", "2024-05-01T10:00:00Z", "2024-05-01T10:00:07Z");
        assert_eq!(next, Some(at("2024-05-01T10:05:00Z")));
    }

    #[test]
    fn a_run_longer_than_its_interval_leaves_steps_out() {
        let next = next("5 minutes", "2024-05-01T10:00:00Z", "2024-05-01T10:12:00Z");
        assert_eq!(next, Some(at("2024-05-01T10:15:00Z")));
    }

    #[test]
    fn a_clock_set_back_does_not_postpone_a_job() {
        let next = next("5 minutes", "2024-05-01T12:00:00Z", "2024-05-01T10:00:00Z");
        assert_eq!(next, Some(at("2024-05-01T10:05:00Z")));
    }

    #[test]
    fn cron_times_are_utc_and_after_now() {
        let at_the_time = next("0 2 * * *", "2024-05-01T02:00:00Z", "2024-05-01T02:00:00Z");
        assert_eq!(at_the_time, Some(at("2024-05-02T02:00:00Z")));
        // 5 May 2024 is a Sunday.
        let weekly = next("30 3 * * 0", "2024-05-01T02:00:00Z", "2024-05-01T02:00:00Z");
        assert_eq!(weekly, Some(at("2024-05-05T03:30:00Z")));
        let leap_day = next("0 0 29 2 *", "2024-03-01T00:00:00Z", "2024-03-01T00:00:00Z");
        assert_eq!(leap_day, Some(at("2028-02-29T00:00:00Z")));
    }

    #[test]
    fn the_next_time_is_never_in_the_past() {
        let schedules = ["1 s", "90s", "5 minutes", "1 hour 30 minutes", "2 weeks", "* * * * *", "0 2 * * *"];
        let start = at("2024-02-28T23:59:59.999999Z");
        for schedule in schedules {
            let schedule = Schedule::parse(schedule).unwrap();
            // steps of odd lengths, from microseconds to weeks, in both directions
            for step in [1, 999_983, 61_000_003, 3_600_000_017, 700_000_000_003] {
                for started in (-20..20).map(|n| start + n * step) {
                    for now in (-20..20).map(|n| start + n * step / 3) {
                        let next = schedule.next(started, now).unwrap();
                        assert!(next > now, "{schedule:?} after {started} at {now} gave {next}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_a_reason() {
        for (text, reason) in [
            ("", "at least 1 second"),
            ("0 seconds", "at least 1 second"),
            ("5", "expected an interval"),
            ("5 parsecs", "expected an interval"),
            ("-5 minutes", "expected an interval"),
            ("1.5 hours", "expected an interval"),
            ("1 month", "expected an interval"),
            ("400 days", "at most 366 days"),
            ("9223372036854775807 weeks", "at most 366 days"),
            ("0 0 31 2 *", "no time matches it"),
            ("61 * * * *", ""),
            ("* * * * * *", ""),
            ("a b c d e", ""),
        ] {
            let error = Schedule::parse(text).unwrap_err();
            assert!(error.reason.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn both_ways_to_write_an_interval_mean_the_same() {
        for text in ["90 minutes", "90m", "1 hour 30 minutes", "1h30m", " 1 Hour 30 MINUTES "] {
            assert!(
                matches!(Schedule::parse(text), Ok(Schedule::Every(micros))
                    if micros == 90 * MICROS_PER_MINUTE),
                "{text}"
            );
        }
        // five words, as a cron expression has, are still an interval if they read as one
        assert!(matches!(Schedule::parse("1 day 2 hours 3m"), Ok(Schedule::Every(_))));
    }

    #[test]
    fn retries_double_and_are_capped() {
        let cap = Duration::from_secs(900);
        let delays: Vec<u64> = (1..8).map(|n| retry_delay(n, cap).as_secs()).collect();
        assert_eq!(delays, [30, 60, 120, 240, 480, 900, 900]);
        assert_eq!(retry_delay(i32::MAX, cap), cap);
        assert_eq!(retry_delay(0, cap), Duration::from_secs(30));
    }
}

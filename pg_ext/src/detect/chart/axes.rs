//! Axes: times that are microseconds, and numbers with a little room around them.

use super::Point;
use crate::pg_time;
use chrono::{DateTime, Utc};
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use series::time::{Day, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND, Micros};
use std::ops::Range;

/// Steps between the marks of a time axis below a month, each a divisor of the next larger unit.
const STEPS: [Micros; 15] = [
    MICROS_PER_SECOND,
    5 * MICROS_PER_SECOND,
    15 * MICROS_PER_SECOND,
    MICROS_PER_MINUTE,
    5 * MICROS_PER_MINUTE,
    15 * MICROS_PER_MINUTE,
    30 * MICROS_PER_MINUTE,
    MICROS_PER_HOUR,
    2 * MICROS_PER_HOUR,
    3 * MICROS_PER_HOUR,
    6 * MICROS_PER_HOUR,
    12 * MICROS_PER_HOUR,
    MICROS_PER_DAY,
    2 * MICROS_PER_DAY,
    7 * MICROS_PER_DAY,
];

/// Months between marks: then ten times as many years, and so on.
const MONTHS: [i64; 6] = [1, 3, 6, 12, 24, 60];

/// Marks at most, so that their labels do not meet.
const MARKS: Micros = 13;

#[derive(Clone, Copy)]
enum Step {
    Micros(Micros),
    Months(i64),
}

impl Step {
    fn of(span: Micros) -> Step {
        const MONTH: Micros = 30 * MICROS_PER_DAY;
        if let Some(step) = STEPS.into_iter().find(|step| span / step < MARKS) {
            return Step::Micros(step);
        }
        let mut months = MONTHS.into_iter().find(|months| span / (months * MONTH) < MARKS).unwrap_or(120);
        while span / MONTH / months >= MARKS {
            months *= 10;
        }
        Step::Months(months)
    }

    /// The marks within a range.
    fn marks(self, range: &Range<Micros>) -> Vec<Micros> {
        match self {
            Step::Micros(step) => {
                let first = range.start.saturating_add(step - 1).div_euclid(step).saturating_mul(step);
                (0..=MARKS)
                    .map(|i| first.saturating_add(i.saturating_mul(step)))
                    .take_while(|time| *time <= range.end)
                    .collect()
            }
            Step::Months(step) => {
                let (year, month, _) = Day::of(range.start).civil();
                let first = (12 * year + i64::from(month) - 1).div_euclid(step) * step;
                (0..=MARKS + 1)
                    .filter_map(|i| {
                        let months = first + i * step;
                        Day::from_civil(months.div_euclid(12), months.rem_euclid(12) as u32 + 1, 1).map(Day::start)
                    })
                    .filter(|time| (range.start..=range.end).contains(time))
                    .collect()
            }
        }
    }
}

#[derive(Clone)]
pub struct TimeAxis {
    range: Range<Micros>,
    step: Step,
}

impl TimeAxis {
    pub fn new(from: Micros, to: Micros) -> Self {
        Self { range: from..to, step: Step::of(to.saturating_sub(from)) }
    }
}

impl Ranged for TimeAxis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = Micros;

    fn map(&self, time: &Micros, (left, right): (i32, i32)) -> i32 {
        let (from, to) = (i128::from(self.range.start), i128::from(self.range.end));
        let (part, span) = (i128::from(*time) - from, (to - from).max(1));
        left + (part * i128::from(right - left) / span) as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<Micros> {
        self.step.marks(&self.range)
    }

    fn range(&self) -> Range<Micros> {
        self.range.clone()
    }
}

impl ValueFormatter<Micros> for TimeAxis {
    fn format_ext(&self, time: &Micros) -> String {
        let time: DateTime<Utc> =
            DateTime::from_timestamp_micros((*time).clamp(pg_time::MIN_TIME, pg_time::MAX_TIME)).unwrap_or_default();
        let midnight = time.timestamp_micros().rem_euclid(MICROS_PER_DAY) == 0;
        let format = match self.step {
            Step::Micros(step) if step < MICROS_PER_MINUTE => "%H:%M:%S",
            Step::Micros(step) if step < MICROS_PER_DAY && !midnight => "%H:%M",
            Step::Micros(_) => "%b %d",
            Step::Months(months) if months < 12 => "%Y-%m",
            Step::Months(_) => "%Y",
        };
        time.format(format).to_string()
    }
}

/// A range of numbers that shows all of them.
pub struct NumberAxis {
    range: Range<f64>,
    decimals: usize,
}

/// Larger values are not drawn: differences of two must still be numbers.
const LARGEST: f64 = 1e150;

impl NumberAxis {
    /// Around values, expected values and band.
    pub fn around(points: &[Point]) -> Self {
        let numbers = points.iter().flat_map(|point| [point.value, point.expected, point.lower, point.upper]);
        let (low, high) = numbers
            .filter(|number| number.abs() <= LARGEST)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), number| (low.min(number), high.max(number)));
        if low > high {
            return Self::over(0.0, 1.0);
        }
        let room = (0.05 * (high - low)).max(1e-6 * low.abs().max(high.abs())).max(1e-9);
        Self::over(low - room, high + room)
    }

    /// From 0 to somewhat above the highest score, the alarm line at least, `highest` at most.
    pub fn of_scores(points: &[Point], highest: f64) -> Self {
        let top = points.iter().map(|point| point.score).fold(1.0, f64::max);
        Self::over(0.0, (top * 1.1).clamp(1.5, highest))
    }

    fn over(low: f64, high: f64) -> Self {
        // marks are a tenth of the height apart, or a little more
        let decimals = (1.0 - (high - low).log10().floor()).clamp(0.0, 12.0) as usize;
        Self { range: low..high, decimals }
    }

    pub fn range(&self) -> Range<f64> {
        self.range.clone()
    }

    pub fn holds(&self, number: f64) -> bool {
        self.range.contains(&number)
    }

    pub fn clamp(&self, number: f64) -> f64 {
        number.clamp(self.range.start, self.range.end)
    }

    pub fn label(&self, number: f64) -> String {
        if number.abs() >= 1e7 { format!("{number:.3e}") } else { format!("{number:.*}", self.decimals) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plotters::coord::ranged1d::BoldPoints;

    fn marks(span: Micros) -> Vec<String> {
        let axis = TimeAxis::new(1_767_225_600_000_000, 1_767_225_600_000_000 + span);
        axis.key_points(BoldPoints(10)).iter().map(|time| axis.format_ext(time)).collect()
    }

    #[test]
    fn marks_lie_on_round_times() {
        assert_eq!(marks(12 * MICROS_PER_HOUR)[..3], ["Jan 01", "01:00", "02:00"]);
        assert_eq!(marks(2 * MICROS_PER_DAY)[..3], ["Jan 01", "06:00", "12:00"]);
        assert_eq!(marks(10 * MICROS_PER_DAY)[1], "Jan 02");
        assert_eq!(marks(400 * MICROS_PER_DAY), ["2026-01", "2026-04", "2026-07", "2026-10", "2027-01"]);
        assert_eq!(marks(20 * 365 * MICROS_PER_DAY)[..2], ["2026", "2028"]);
        assert!(marks(7000 * 365 * MICROS_PER_DAY).len() > 2);
        assert_eq!(marks(10 * MICROS_PER_SECOND)[1], "00:00:01");
    }

    #[test]
    fn an_axis_of_equal_numbers_has_some_height() {
        let point = Point { time: 0, value: 5.0, score: 0.0, expected: 5.0, lower: 5.0, upper: 5.0 };
        let axis = NumberAxis::around(&[point]);
        assert!(axis.range().start < 5.0 && axis.holds(5.0));
    }

    #[test]
    fn labels_have_the_decimals_that_tell_marks_apart() {
        assert_eq!(NumberAxis::over(0.0, 0.5).label(0.1), "0.10");
        assert_eq!(NumberAxis::over(0.0, 500.0).label(100.0), "100");
        assert_eq!(NumberAxis::over(0.0, 2e8).label(1e8), "1.000e8");
    }
}

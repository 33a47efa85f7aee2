//! Why an event was raised, in words.

use std::fmt::Write;

use super::Peak;
use crate::detect::{JointReason, JointView, Method};

/// One line of text with the numbers of the peak; those of a view that has no unit a reader knows stay away.
pub fn sentence(method: Method, peak: &Peak) -> String {
    let (value, lower, upper) = (shown(peak.reason_value), peak.reason_lower, peak.reason_upper);
    let mut text = match (method, peak.reason.as_str()) {
        (_, "infinite") => return "an infinite value".to_owned(),
        (Method::RangeNovelty, "level") => format!("value {value}, so far {}", span(lower, upper)),
        (Method::RangeNovelty, "sustained_short" | "sustained_long") => {
            let samples = if peak.reason == "sustained_short" { 6 } else { 96 };
            format!("at least {value} for {samples} samples, so far {}", span(lower, upper))
        }
        (Method::RangeNovelty, "log_level") => format!("value {}, new in its order of magnitude", shown(peak.value)),
        (Method::RangeNovelty, "seasonal") => format!("value {}, new for the hour", shown(peak.value)),
        (Method::RangeNovelty, "predictability") => {
            format!("value {}, new in how it follows the last ones", shown(peak.value))
        }
        (Method::RangeNovelty, "pattern") => "a course of values that was not there before".to_owned(),
        (Method::Limits, "below_limit") => format!("value {value} below the limit {}", shown(lower)),
        (Method::Limits, "above_limit") => format!("value {value} above the limit {}", shown(upper)),
        (Method::FlatLine, _) => {
            format!("value {} for {value} samples, usual at most {}", shown(peak.value), shown(upper))
        }
        (Method::Gap, _) => format!("no value for {}, usual at most {}", lasting(peak.reason_value), lasting(upper)),
        (Method::RateOfChange, _) => format!("a change at a rate of {value}, usual at most {}", shown(upper)),
        (Method::Ewma, _) => format!("mean {value}, usual {}", span(lower, upper)),
        (Method::Cusum, "shift_up") => format!("a lasting shift up, value {}", shown(peak.value)),
        (Method::Cusum, _) => format!("a lasting shift down, value {}", shown(peak.value)),
        (Method::Seasonal, _) => format!("value {value}, usual at this hour {}", span(lower, upper)),
        _ => format!("value {value}, usual {}", span(lower, upper)),
    };
    if method == Method::Cusum && peak.expected.is_finite() {
        // writing to a String does not fail
        let _ = write!(text, ", usual {}", shown(peak.expected));
    }
    text
}

/// A sensor that a joint event is about.
#[derive(Debug, Clone)]
pub struct JointPart {
    /// As the reader knows it.
    pub name: String,
    /// What was measured, NaN if nothing was.
    pub measured: f64,
    pub reason: JointReason,
}

/// One line of text about the sensors of a joint event, in their order.
pub fn joint_sentence(parts: &[JointPart]) -> String {
    parts.iter().map(of_part).collect::<Vec<_>>().join("; ")
}

fn of_part(part: &JointPart) -> String {
    let JointPart { name, measured, reason } = part;
    let JointReason { view, value, lower, upper, expected, .. } = *reason;
    let measured = if measured.is_nan() { "without a value".to_owned() } else { shown(*measured) };
    let usual = span(lower, upper);
    match view {
        JointView::Infinite => format!("{name} infinite"),
        JointView::Value => format!("{name} {measured}, so far {usual} in this state of the on/off sensors"),
        JointView::Deviation => format!(
            "{name} {measured} where {} was expected, off by {}, so far {usual} in this state of the on/off sensors",
            shown(expected),
            shown(value)
        ),
        JointView::Level | JointView::Change => format!(
            "{name} {measured} where {} was expected, lately off by {}, usual {usual}",
            shown(expected),
            shown(value)
        ),
    }
}

fn span(lower: f64, upper: f64) -> String {
    match (lower.is_finite(), upper.is_finite()) {
        (true, true) => format!("{} to {}", shown(lower), shown(upper)),
        (true, false) => format!("{} or more", shown(lower)),
        (false, true) => format!("{} or less", shown(upper)),
        (false, false) => "not known".to_owned(),
    }
}

/// Seconds in the two largest units that they fill.
fn lasting(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "not known".to_owned();
    }
    let whole = |unit: f64| (seconds / unit).floor();
    let rest = |unit: f64, of: f64| (seconds % of / unit).floor();
    let parts = match seconds {
        s if s >= 86_400.0 => [(whole(86_400.0), "d"), (rest(3600.0, 86_400.0), "h")],
        s if s >= 3600.0 => [(whole(3600.0), "h"), (rest(60.0, 3600.0), "min")],
        s if s >= 60.0 => [(whole(60.0), "min"), (rest(1.0, 60.0), "s")],
        s => return format!("{} s", shown(s)),
    };
    let shown = parts.iter().filter(|(count, _)| *count > 0.0).map(|(count, unit)| format!("{count} {unit}"));
    shown.collect::<Vec<_>>().join(" ")
}

/// Four significant digits at least, all digits before the point.
fn shown(value: f64) -> String {
    if !value.is_finite() {
        return "not known".to_owned();
    }
    let digits = if value == 0.0 { 0 } else { (3 - value.abs().log10().floor() as i32).clamp(0, 8) as usize };
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::{AnyDetector, Options};
    use crate::event::{EventFold, EventSettings};

    /// The sentence of the event that these values, five minutes apart, end in.
    fn last(method: Method, options: &[(&str, &str)], values: impl IntoIterator<Item = f64>) -> String {
        let mut detector = AnyDetector::new(method, &Options::from_pairs(options.iter().copied()).unwrap()).unwrap();
        let mut fold = EventFold::new(EventSettings::of(method)).unwrap();
        for (i, value) in values.into_iter().enumerate() {
            let time = i as i64 * 300_000_000;
            let reading = detector.update(time, value);
            fold.update(time, value, &reading);
        }
        sentence(method, &fold.open().unwrap().peak)
    }

    #[test]
    fn a_broken_limit_is_named() {
        assert_eq!(last(Method::Limits, &[("lower", "0")], [1.0, -0.25]), "value -0.25 below the limit 0");
        assert_eq!(last(Method::Limits, &[("upper", "50")], [1.0, 1234.5678]), "value 1235 above the limit 50");
        assert_eq!(last(Method::Limits, &[("upper", "50")], [f64::INFINITY]), "an infinite value");
    }

    #[test]
    fn a_stuck_sensor_is_told_with_its_value_and_its_samples() {
        let values = (0..2000).map(|i| f64::from(i * 7919 % 100)).chain([4.75; 60]);
        let text = last(Method::FlatLine, &[], values);
        assert!(text.starts_with("value 4.75 for 60 samples, usual at most "), "{text}");
    }

    #[test]
    fn a_level_that_was_never_there_is_told_with_what_was() {
        let values = (0..2000).map(|i| 10.0 + f64::from(i * 7919 % 100) / 100.0).chain([40.0]);
        let text = last(Method::RangeNovelty, &[("refractory", "0")], values);
        assert!(text.starts_with("value 40, so far 10"), "{text}");
    }

    #[test]
    fn lengths_of_time_are_in_units_of_people() {
        let texts = [7.0, 60.0, 1800.0, 29_100.0, 90_000.0, 172_800.0].map(lasting);
        assert_eq!(texts, ["7 s", "1 min", "30 min", "8 h 5 min", "1 d 1 h", "2 d"]);
    }

    #[test]
    fn the_sensors_of_a_joint_event_are_told_with_their_numbers() {
        let part = |name: &str, measured, view, value| {
            let reason = JointReason { view, sensor: 0, value, lower: -0.5, upper: 0.5, expected: 4.25 };
            JointPart { name: name.to_owned(), measured, reason }
        };
        let parts = [
            part("pressure", 7.5, JointView::Level, 3.0),
            part("flow", f64::NAN, JointView::Deviation, -2.0),
            part("level", 9.0, JointView::Value, 9.0),
            part("power", f64::INFINITY, JointView::Infinite, f64::INFINITY),
        ];
        let texts: Vec<String> = joint_sentence(&parts).split("; ").map(str::to_owned).collect();
        let state = "so far -0.5 to 0.5 in this state of the on/off sensors";
        assert_eq!(
            texts,
            [
                "pressure 7.5 where 4.25 was expected, lately off by 3, usual -0.5 to 0.5".to_owned(),
                format!("flow without a value where 4.25 was expected, off by -2, {state}"),
                format!("level 9, {state}"),
                "power infinite".to_owned(),
            ]
        );
    }

    #[test]
    fn numbers_are_short() {
        let texts = [0.0, 1.0, -0.031_25, 12.345_678, 123_456.78, f64::NAN].map(shown);
        assert_eq!(texts, ["0", "1", "-0.03125", "12.35", "123457", "not known"]);
    }
}

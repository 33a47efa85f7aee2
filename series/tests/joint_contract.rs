//! The joint detector over every case of its contract (`docs/joint-detector.md`).

mod joint_rows;

use std::sync::LazyLock;

use joint_rows::{Noise, PLANT_SENSORS, STATION_SENSORS, plant, station};
use proptest::prelude::*;
use series::detect::{
    JointDetector, JointError, JointModel, JointReading, JointReason, JointSettings, JointView, MAX_SCORE,
};
use series::time::{MICROS_PER_SECOND, Micros};

const TRAINING_ROWS: usize = 500;
const ROWS: usize = 600;

/// Training, then rows to judge, each with its time.
struct Case {
    name: &'static str,
    sensors: usize,
    training: Vec<f64>,
    stream: Vec<(Micros, Vec<f64>)>,
}

fn presets() -> [(&'static str, JointSettings); 3] {
    [
        ("default", JointSettings::default()),
        ("hourly", JointSettings::hourly()),
        ("benchmark", JointSettings::benchmark()),
    ]
}

fn times(rows: usize) -> Vec<Micros> {
    (0..rows as i64).map(|second| second * MICROS_PER_SECOND).collect()
}

fn trained(case: &Case, settings: &JointSettings) -> JointDetector {
    JointDetector::train(&times(case.training.len() / case.sensors), &case.training, case.sensors, settings).unwrap()
}

fn run(mut detector: JointDetector, stream: &[(Micros, Vec<f64>)]) -> Vec<JointReading> {
    stream.iter().map(|(time, row)| detector.update(*time, row)).collect()
}

fn readings(case: &Case, settings: &JointSettings) -> Vec<JointReading> {
    run(trained(case, settings), &case.stream)
}

/// Rows of the plant or the station, cut into training and stream, and changed.
fn case(name: &'static str, with_switches: bool, change: impl Fn(usize, &mut [f64])) -> Case {
    let (mut rows, sensors) = if with_switches {
        (station(TRAINING_ROWS + ROWS, false), STATION_SENSORS)
    } else {
        (plant(TRAINING_ROWS + ROWS, false), PLANT_SENSORS)
    };
    for (i, row) in rows.chunks_exact_mut(sensors).enumerate() {
        change(i, row);
    }
    let (training, rest) = rows.split_at(TRAINING_ROWS * sensors);
    let stream = times(TRAINING_ROWS + ROWS).into_iter().skip(TRAINING_ROWS);
    let stream = stream.zip(rest.chunks_exact(sensors).map(<[f64]>::to_vec)).collect();
    Case { name, sensors, training: training.to_vec(), stream }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for switches in [false, true] {
        let mut add = |name, change: &dyn Fn(usize, &mut [f64])| cases.push(case(name, switches, change));
        add("as usual", &|_, _| {});
        add("NaN at first", &|i, row| {
            if i < 560 {
                row[1] = f64::NAN
            }
        });
        add("NaN now and then", &|i, row| {
            if i % 7 == 3 {
                row[i % 5] = f64::NAN
            }
        });
        add("a sensor falls silent", &|i, row| {
            if i > 600 {
                row[0] = f64::NAN
            }
        });
        add("a sensor falls silent for a while", &|i, row| {
            if (600..900).contains(&i) {
                row[0] = f64::NAN
            }
        });
        add("a sensor without any value in training", &|i, row| {
            if i < 800 {
                row[3] = f64::NAN
            }
        });
        add("rows without any value", &|i, row| {
            if i % 50 > 40 {
                row.fill(f64::NAN)
            }
        });
        add("only NaN after the training", &|i, row| {
            if i >= TRAINING_ROWS {
                row.fill(f64::NAN)
            }
        });
        add("infinite now and then", &|i, row| {
            if i % 100 == 77 {
                row[i % 4] = f64::INFINITY
            }
        });
        add("only infinities after the training", &|i, row| {
            if i >= TRAINING_ROWS {
                row.fill(f64::NEG_INFINITY);
            }
        });
        add("a constant sensor with float noise", &|i, row| row[4] = 0.3 + (i % 3) as f64 * 1e-16);
        add("all constant", &|_, row| row.fill(7.25));
        add("all constant, then others", &|i, row| row.fill(if i < 800 { 7.25 } else { 8.5 }));
        add("a huge jump", &|i, row| {
            if i == 600 {
                row[2] = 1e300
            }
        });
        add("a huge jump in training", &|i, row| {
            if i == 300 {
                row[2] = f64::MIN
            }
        });
        add("a huge level", &|i, row| {
            if i > 800 {
                row[2] += 1e200
            }
        });
        add("smallest numbers", &|i, row| row.fill(f64::from_bits((i % 5) as u64)));
        add("all over the range", &|i, row| {
            for (j, x) in row.iter_mut().enumerate() {
                let mut noise = Noise((i * 31 + j) as u64);
                noise.next();
                *x = f64::from_bits(noise.0);
            }
        });
        let mut backward = case("backward and equal times", switches, |_, _| {});
        backward.stream.swap(100, 400);
        backward.stream[401..500].reverse();
        backward.stream[550].0 = backward.stream[549].0;
        cases.push(backward);
        let mut ends = case("ends of time", switches, |_, _| {});
        for (i, (time, _)) in ends.stream.iter_mut().enumerate() {
            *time = [i64::MIN, i64::MAX, 0][i % 3];
        }
        cases.push(ends);
        let mut lengths = case("rows of another length", switches, |_, _| {});
        for (i, (_, row)) in lengths.stream.iter_mut().enumerate() {
            row.resize(i % 12, 1.0);
        }
        cases.push(lengths);
    }
    cases
}

/// Runs `check` for every preset and case, with a detector trained for it.
fn for_all(check: impl Fn(&str, &JointDetector, &Case)) {
    let cases = cases();
    for (preset, settings) in presets() {
        for case in &cases {
            check(&format!("{preset}, {}, {} sensors", case.name, case.sensors), &trained(case, &settings), case);
        }
    }
}

fn reason_bits(reason: Option<JointReason>) -> Option<(JointView, usize, [u64; 4])> {
    let numbers = |r: JointReason| [r.value, r.lower, r.upper, r.expected].map(f64::to_bits);
    reason.map(|r| (r.view, r.sensor, numbers(r)))
}

fn assert_same(place: &str, one: &[JointReading], other: &[JointReading]) {
    assert_eq!(one.len(), other.len());
    for (i, (a, b)) in one.iter().zip(other).enumerate() {
        let bits = |r: &JointReading| {
            let JointReading { score, change_score, is_anomaly, is_change, reason, change_reason } = *r;
            let scores = [score.to_bits(), change_score.to_bits()];
            (scores, is_anomaly, is_change, reason_bits(reason), reason_bits(change_reason))
        };
        assert_eq!(bits(a), bits(b), "{place}, row {i}");
    }
}

#[test]
fn every_reading_is_well_formed() {
    for_all(|place, detector, case| {
        for (i, (reading, (_, row))) in run(detector.clone(), &case.stream).iter().zip(&case.stream).enumerate() {
            let place = format!("{place}, row {i}: {reading:?}");
            assert!((0.0..=MAX_SCORE).contains(&reading.score), "{place}");
            assert!((0.0..=MAX_SCORE).contains(&reading.change_score), "{place}");
            assert!(reading.score < 1.0 || reading.is_anomaly || may_be_accepted(detector), "{place}");
            assert_eq!(reading.is_change, reading.change_reason.is_some(), "{place}");
            let without_value = row.iter().take(case.sensors).all(|x| x.is_nan());
            assert!(reading.is_anomaly == reading.reason.is_some() || without_value, "{place}");
            for reason in [reading.reason, reading.change_reason].into_iter().flatten() {
                assert!(reason.sensor < case.sensors, "{place}");
                assert!(reason.view == JointView::Infinite || reason.value.is_finite(), "{place}");
                assert!(reason.expected.is_finite() || reason.view == JointView::Infinite, "{place}");
            }
        }
    });
}

/// An accepted state ends its alarm whatever the score of that one row.
fn may_be_accepted(detector: &JointDetector) -> bool {
    detector.model().settings().accept > 0
}

#[test]
fn readings_of_a_prefix_are_the_first_of_the_whole_bit_for_bit() {
    for_all(|place, detector, case| {
        let whole = run(detector.clone(), &case.stream);
        for length in [1, 150, 333] {
            assert_same(place, &run(detector.clone(), &case.stream[..length]), &whole[..length]);
        }
    });
}

#[test]
fn a_restored_detector_goes_on_bit_for_bit() {
    for_all(|place, detector, case| {
        let whole = run(detector.clone(), &case.stream);
        let mut detector = detector.clone();
        let mut resumed = Vec::new();
        for (i, (time, row)) in case.stream.iter().enumerate() {
            if i % 13 == 0 || i < 5 {
                let bytes = detector.save();
                detector = JointDetector::restore(&bytes).unwrap();
                assert_eq!(detector.save(), bytes, "{place}, row {i}");
            }
            resumed.push(detector.update(*time, row));
        }
        assert_same(place, &resumed, &whole);
    });
}

#[test]
fn a_restored_model_is_the_saved_one() {
    for (name, settings) in presets() {
        let rows = station(TRAINING_ROWS, false);
        let model = JointModel::fit(&times(TRAINING_ROWS), &rows, STATION_SENSORS, &settings).unwrap();
        let restored = JointModel::restore(&model.save()).unwrap();
        assert_eq!(restored, model, "{name}");
        assert_eq!(restored.settings(), &settings);
        assert_eq!(restored.sensors(), STATION_SENSORS);
    }
}

#[test]
fn forty_three_sensors_with_a_dozen_pumps_are_saved_in_64_kilobytes() {
    let stations: Vec<Vec<f64>> = (0..6).map(|shift| station(600 + 37 * shift, false)).collect();
    let mut rows = Vec::new();
    for i in 0..600 {
        let row = stations.iter().enumerate().flat_map(|(shift, rows)| {
            let start = (i + 37 * shift) * STATION_SENSORS;
            rows[start..start + STATION_SENSORS].to_vec()
        });
        rows.extend(row);
        rows.push(i as f64 % 17.0);
    }
    let settings = JointSettings::hourly();
    let mut detector = JointDetector::train(&times(600), &rows, 43, &settings).unwrap();
    for (time, row) in times(600).into_iter().zip(rows.chunks_exact(43)) {
        detector.update(time, row);
    }
    let bytes = detector.save().len();
    assert!((32 * 1024..=64 * 1024).contains(&bytes), "{bytes} bytes");
}

#[test]
fn a_row_without_any_value_changes_nothing() {
    let mut detector = trained(&case("as usual", true, |_, _| {}), &JointSettings::default());
    let before = detector.save();
    let reading = detector.update(0, &[f64::NAN; STATION_SENSORS]);
    assert_eq!((reading.score, reading.change_score, reading.is_anomaly), (0.0, 0.0, false));
    assert_eq!(detector.save(), before);
}

#[test]
fn an_infinite_value_is_a_fault_of_that_row_alone() {
    let usual = case("as usual", false, |_, _| {});
    let settings = JointSettings::default();
    let mut detector = trained(&usual, &settings);
    for (i, (time, row)) in usual.stream.iter().enumerate() {
        let mut row = row.clone();
        if i == 100 {
            row[5] = f64::NEG_INFINITY;
        }
        let reading = detector.update(*time, &row);
        if i == 100 {
            assert_eq!((reading.score, reading.is_anomaly), (MAX_SCORE, true));
            let reason = reading.reason.unwrap();
            assert_eq!((reason.view, reason.sensor), (JointView::Infinite, 5));
        } else {
            assert!(reading.score < 1.0 && !reading.is_anomaly, "row {i}: {reading:?}");
        }
    }
}

#[test]
fn constant_sensors_with_float_noise_are_as_usual() {
    for (name, settings) in presets() {
        let noisy = case("float noise", false, |i, row| row.fill(0.3 + (i % 7) as f64 * 1e-16));
        for reading in readings(&noisy, &settings) {
            assert!(reading.score < 1e-9 && reading.change_score < 1e-9, "{name}: {reading:?}");
        }
    }
}

#[test]
fn a_constant_sensor_that_moves_by_its_resolution_is_as_usual() {
    let flickers = case("flicker", false, |i, row| row[4] = if i % 90 == 89 { 5.01 } else { 5.0 });
    let first = case("first flicker", false, |i, row| row[4] = if i == 800 { 5.01 } else { 5.0 });
    for case in [flickers, first] {
        let readings = readings(&case, &JointSettings::default());
        assert!(readings.iter().all(|reading| reading.score < 1.0), "{}", case.name);
    }
}

#[test]
fn a_sensor_without_any_value_in_training_is_never_judged() {
    let silent = case("silent", false, |_, row| row[3] = f64::NAN);
    let wakes = case("wakes", false, |i, row| row[3] = if i < 700 { f64::NAN } else { 1e6 * (i % 2) as f64 });
    let settings = JointSettings::default();
    assert_same("wakes", &readings(&wakes, &settings), &readings(&silent, &settings));
}

#[test]
fn after_a_huge_jump_of_one_row_it_is_as_usual_again() {
    for (name, settings) in presets() {
        let jump = case("jump", false, |i, row| {
            if i == 600 {
                row[2] = 1e300
            }
        });
        let readings = readings(&jump, &settings);
        assert!(readings[100].score > readings[99].score, "{name}");
        assert!(readings[200..].iter().all(|reading| reading.score < 1.0 && !reading.is_anomaly), "{name}");
    }
}

#[test]
fn the_time_matters_only_where_the_time_of_day_predicts() {
    let usual = case("as usual", false, |_, _| {});
    let mut late = case("late", false, |_, _| {});
    for (time, _) in &mut late.stream {
        *time = -*time - 1;
    }
    let settings = JointSettings::default();
    assert_same("late", &readings(&late, &settings), &readings(&usual, &settings));
}

#[test]
fn what_cannot_be_fitted_is_refused() {
    let rows = plant(120, false);
    let settings = JointSettings::default();
    let fit = |times: &[Micros], rows: &[f64], sensors| JointModel::fit(times, rows, sensors, &settings).unwrap_err();
    assert_eq!(fit(&times(99), &rows[..99 * 8], 8), JointError::TooFewRows { found: 99, needed: 100 });
    assert_eq!(fit(&times(120), &[f64::NAN; 960], 8), JointError::TooFewRows { found: 0, needed: 100 });
    assert_eq!(fit(&times(120), &rows, 9), JointError::Shape { numbers: 960, rows: 120, sensors: 9 });
    assert_eq!(fit(&times(120), &rows, 0), JointError::Sensors { found: 0, max: 256 });
    assert_eq!(fit(&[], &[], 257), JointError::Sensors { found: 257, max: 256 });
    let wrong = JointSettings { clip: f64::NAN, ..JointSettings::default() };
    assert!(matches!(JointModel::fit(&times(120), &rows, 8, &wrong), Err(JointError::Range { name: "clip", .. })));
}

#[test]
fn settings_are_set_by_name_within_their_range() {
    let mut settings = JointSettings::preset(" Benchmark ").unwrap();
    settings.set("Level_Line", 9.5).unwrap();
    settings.set("time_of_day", 1.0).unwrap();
    assert_eq!(settings, JointSettings { level_line: 9.5, time_of_day: true, ..JointSettings::benchmark() });
    assert!(settings.iter().any(|(name, value)| name == "level_line" && value == 9.5));
    let message = |result: Result<(), JointError>| result.unwrap_err().to_string();
    assert_eq!(message(settings.set("hold", 0.0)), "setting \"hold\" must be between 1 and 1000000, not 0");
    assert_eq!(message(settings.set("hold", 1.5)), "setting \"hold\" needs a whole number, not 1.5");
    assert!(
        message(settings.set("holt", 1.0)).starts_with("unknown setting \"holt\" of the joint detector; it has lags,")
    );
    let unknown = JointSettings::preset("fast").unwrap_err().to_string();
    assert_eq!(unknown, "unknown preset \"fast\"; there are default, hourly, benchmark");
}

#[test]
fn bytes_of_another_version_or_kind_are_refused() {
    let detector = trained(&case("as usual", true, |_, _| {}), &JointSettings::default());
    let bytes = detector.save();
    let refused = |bytes: &[u8]| JointDetector::restore(bytes).unwrap_err().to_string();
    let mut newer = bytes.clone();
    newer[1] = 99;
    assert_eq!(refused(&newer), "unknown format version 99");
    assert_eq!(refused(&detector.model().save()), "the bytes are not those of a joint model or detector");
    assert_eq!(refused(&[bytes.as_slice(), &[0]].concat()), "bytes are left over after the end");
    for length in 0..bytes.len() {
        assert!(JointDetector::restore(&bytes[..length]).is_err());
    }
}

/// Usual rows, and a detector trained for them, without and with on/off sensors.
static SAVED: LazyLock<[(Case, Vec<u8>); 2]> = LazyLock::new(|| {
    [false, true].map(|switches| {
        let usual = case("as usual", switches, |_, _| {});
        let saved = trained(&usual, &JointSettings::default()).save();
        (usual, saved)
    })
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn damaged_bytes_give_an_error_or_a_detector_with_finite_scores(
        position in 0_usize..10_000, value: u8, length in 1_usize..9, switches: bool,
    ) {
        let (usual, saved) = &SAVED[usize::from(switches)];
        let mut bytes = saved.clone();
        let start = position % bytes.len();
        let end = (start + length).min(bytes.len());
        bytes[start..end].fill(value);
        if let Ok(mut detector) = JointDetector::restore(&bytes) {
            for (time, row) in &usual.stream[..60] {
                let reading = detector.update(*time, row);
                prop_assert!((0.0..=MAX_SCORE).contains(&reading.score), "{:?}", reading);
                prop_assert!((0.0..=MAX_SCORE).contains(&reading.change_score), "{:?}", reading);
            }
        }
    }
}

//! Every detector over every case of the contract (`series::detect::contract`).

use std::fmt;

use proptest::prelude::*;
use series::detect::{AnyDetector, Columns, LengthError, MAX_SCORE, Method, Options, Reading};
use series::time::{MICROS_PER_DAY, MICROS_PER_MINUTE, Micros};

const STEP: Micros = 5 * MICROS_PER_MINUTE;
const START: Micros = 19_000 * MICROS_PER_DAY;

type Series = Vec<(Micros, f64)>;

/// A method with options that make it another detector.
#[derive(Debug, Clone, Copy)]
struct Subject {
    method: Method,
    options: &'static [(&'static str, &'static str)],
}

const SUBJECTS: [Subject; 15] = [
    Subject { method: Method::RangeNovelty, options: &[] },
    Subject { method: Method::RangeNovelty, options: &[("refractory", "0")] },
    Subject { method: Method::RangeNovelty, options: &[("interval", "5m")] },
    Subject { method: Method::RangeNovelty, options: &[("interval", "7m"), ("bridge", "1h")] },
    Subject { method: Method::RobustZ, options: &[] },
    Subject { method: Method::Ewma, options: &[] },
    Subject { method: Method::Cusum, options: &[] },
    Subject { method: Method::Cusum, options: &[("season", "none")] },
    Subject { method: Method::Seasonal, options: &[("warm", "1"), ("utc_offset", "-3.5")] },
    Subject { method: Method::FlatLine, options: &[] },
    Subject { method: Method::Gap, options: &[] },
    Subject { method: Method::RateOfChange, options: &[] },
    Subject { method: Method::RateOfChange, options: &[("limit", "1e5"), ("per", "1m")] },
    Subject { method: Method::Limits, options: &[("lower", "-100"), ("upper", "1e6")] },
    Subject { method: Method::Limits, options: &[("preset", "flow_rate")] },
];

impl Subject {
    fn detector(self) -> AnyDetector {
        AnyDetector::new(self.method, &Options::from_pairs(self.options.iter().copied()).unwrap()).unwrap()
    }

    fn readings(self, series: &[(Micros, f64)]) -> Vec<Reading> {
        let mut detector = self.detector();
        series.iter().map(|&(time, value)| detector.update(time, value)).collect()
    }

    fn judges_values(self) -> bool {
        self.method != Method::Gap
    }

    /// Judges from the first samples on by limits that it was given.
    fn is_limit(self) -> bool {
        self.options.iter().any(|(name, _)| ["lower", "limit", "preset"].contains(name))
    }

    /// A reading belongs to samples before its own.
    fn is_late(self) -> bool {
        self.options.iter().any(|(name, _)| *name == "interval")
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.method, self.options)
    }
}

/// A number in 0..1 that depends on `i` only.
fn noise(i: u64) -> f64 {
    let mut z = i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

fn usual(i: u64) -> f64 {
    50.0 + 20.0 * (i as f64 / 288.0 * std::f64::consts::TAU).sin() + noise(i)
}

fn every_step(values: impl IntoIterator<Item = f64>) -> Series {
    values.into_iter().enumerate().map(|(i, value)| (START + i as i64 * STEP, value)).collect()
}

fn cases() -> Vec<(&'static str, Series)> {
    let n = 1500;
    let special = |at: u64, value: f64| every_step((0..n).map(|i| if i == at { value } else { usual(i) }));
    let mut cases = vec![
        ("as usual", every_step((0..n).map(usual))),
        ("nothing", vec![]),
        ("one sample", every_step([1.0])),
        ("NaN at first", every_step((0..n).map(|i| if i < 50 { f64::NAN } else { usual(i) }))),
        ("NaN now and then", every_step((0..n).map(|i| if i % 7 == 3 { f64::NAN } else { usual(i) }))),
        ("only NaN", every_step([f64::NAN; 300])),
        ("infinite at first", special(0, f64::INFINITY)),
        ("infinite later", special(700, f64::NEG_INFINITY)),
        ("only infinities", every_step([f64::INFINITY; 300])),
        ("constant", every_step([7.25; 1000])),
        ("zero", every_step((0..1000).map(|i| if i % 2 == 0 { 0.0 } else { -0.0 }))),
        ("constant with float noise", every_step((0..n).map(|i| 0.3 + (noise(i) - 0.5) * 2e-13))),
        ("constant, then another", every_step((0..n).map(|i| if i < 900 { 1.0 } else { 2.0 }))),
        ("huge jump up", special(700, 1e300)),
        ("huge jump down", special(700, f64::MIN)),
        ("huge level", every_step((0..n).map(|i| if i < 700 { usual(i) } else { 1e200 + usual(i) }))),
        (
            "all over the range",
            every_step((0..n).map(|i| f64::from_bits(noise(i).to_bits() ^ (i.wrapping_mul(0x0123_4567_89ab_cdef))))),
        ),
        ("smallest numbers", every_step((0..n).map(|i| f64::from_bits(i % 5)))),
    ];
    let mut holes = every_step((0..n).map(usual));
    holes.retain(|(time, _)| !((START + 300 * STEP)..(START + 500 * STEP)).contains(time));
    cases.push(("missing samples", holes));
    let duplicates = every_step((0..n).map(usual)).into_iter().flat_map(|s| [s, s]).collect();
    cases.push(("duplicate times", duplicates));
    let mut backward = every_step((0..n).map(usual));
    backward.swap(600, 900);
    backward[901..1000].reverse();
    cases.push(("backward times", backward));
    let ends = [i64::MIN, i64::MAX, 0, i64::MIN, i64::MAX].map(|time| (time, 1.0)).to_vec();
    cases.push(("ends of time", ends));
    cases
}

/// All bits of a reading, so that NaN equals NaN and 0.0 differs from -0.0.
fn bits(reading: &Reading) -> (Vec<u64>, bool, Option<&'static str>) {
    let Reading { score, expected, lower, upper, is_anomaly, reason } = *reading;
    let mut numbers = vec![score, expected, lower, upper];
    numbers.extend(reason.iter().flat_map(|r| [r.value, r.lower, r.upper]));
    (numbers.iter().map(|x| x.to_bits()).collect(), is_anomaly, reason.map(|r| r.code))
}

fn assert_same(subject: Subject, case: &str, one: &[Reading], other: &[Reading]) {
    assert_eq!(one.len(), other.len());
    for (i, (a, b)) in one.iter().zip(other).enumerate() {
        assert_eq!(bits(a), bits(b), "{subject}, {case}, sample {i}");
    }
}

/// Runs `check` for every subject and case.
fn for_all(check: impl Fn(Subject, &str, &[(Micros, f64)])) {
    let cases = cases();
    for subject in SUBJECTS {
        for (case, series) in &cases {
            check(subject, case, series);
        }
    }
}

fn case(name: &str) -> Series {
    cases().into_iter().find(|(case, _)| *case == name).unwrap().1
}

#[test]
fn every_method_is_a_subject() {
    assert!(Method::ALL.iter().all(|method| SUBJECTS.iter().any(|subject| subject.method == *method)));
}

#[test]
fn every_reading_is_well_formed() {
    for_all(|subject, case, series| {
        for (i, reading) in subject.readings(series).iter().enumerate() {
            let place = format!("{subject}, {case}, sample {i}: {reading:?}");
            assert!((0.0..=MAX_SCORE).contains(&reading.score), "{place}");
            assert_eq!(reading.is_anomaly, reading.score >= 1.0, "{place}");
            assert_eq!(reading.is_anomaly, reading.reason.is_some(), "{place}");
            for number in [reading.expected, reading.lower, reading.upper] {
                assert!(!number.is_infinite(), "{place}");
            }
            assert!(reading.lower.is_nan() || reading.upper.is_nan() || reading.lower <= reading.upper, "{place}");
        }
    });
}

#[test]
fn nothing_looks_ahead() {
    for_all(|subject, case, series| {
        let whole = subject.readings(series);
        for end in [1, 2, 20, 101, 700, 701, 1301] {
            let end = end.min(series.len());
            assert_same(subject, case, &subject.readings(&series[..end]), &whole[..end]);
        }
    });
}

#[test]
fn a_restored_detector_goes_on_bit_for_bit() {
    for_all(|subject, case, series| {
        let whole = subject.readings(series);
        for cut in [0, 1, 7, 99, 130, 350, 701, 1234] {
            let cut = cut.min(series.len());
            let mut saved = subject.detector();
            series[..cut].iter().for_each(|&(time, value)| {
                saved.update(time, value);
            });
            let bytes = saved.save();
            let mut restored = AnyDetector::restore(&bytes).unwrap();
            assert_eq!(restored.save(), bytes, "{subject}, {case}, cut at {cut}");
            let rest: Vec<Reading> = series[cut..].iter().map(|&(time, value)| restored.update(time, value)).collect();
            assert_same(subject, case, &rest, &whole[cut..]);
        }
    });
}

#[test]
fn states_are_small() {
    for_all(|subject, case, series| {
        let mut detector = subject.detector();
        series.iter().for_each(|&(time, value)| {
            detector.update(time, value);
        });
        let most = if subject.method == Method::RangeNovelty { 16 * 1024 } else { 1024 };
        let bytes = detector.save().len();
        assert!(bytes <= most, "{subject}, {case}: {bytes} bytes");
    });
}

#[test]
fn a_missing_value_is_not_an_anomaly_and_teaches_nothing() {
    for subject in SUBJECTS.into_iter().filter(|s| s.judges_values()) {
        for name in ["NaN at first", "NaN now and then", "only NaN"] {
            let series = case(name);
            let (missing, present): (Vec<_>, Vec<_>) =
                series.iter().zip(subject.readings(&series)).partition(|(sample, _)| sample.1.is_nan());
            assert!(missing.iter().all(|(_, reading)| reading.score == 0.0), "{subject}, {name}");
            let (samples, with_nan): (Series, Vec<Reading>) = present.into_iter().map(|(s, r)| (*s, r)).unzip();
            assert_same(subject, name, &subject.readings(&samples), &with_nan);
        }
    }
}

#[test]
fn an_infinity_is_a_fault_that_teaches_nothing() {
    for subject in SUBJECTS.into_iter().filter(|s| s.judges_values()) {
        for (name, at) in [("infinite at first", 0), ("infinite later", 700)] {
            let mut series = case(name);
            let mut with = subject.readings(&series);
            let reading = with.remove(at);
            assert_eq!((reading.score, reading.reason.unwrap().code), (MAX_SCORE, "infinite"), "{subject}");
            series.remove(at);
            assert_same(subject, name, &subject.readings(&series), &with);
        }
    }
}

#[test]
fn float_noise_on_a_constant_is_not_an_anomaly() {
    for subject in SUBJECTS {
        for name in ["constant", "zero", "constant with float noise"] {
            assert!(subject.readings(&case(name)).iter().all(|r| r.score == 0.0), "{subject}, {name}");
        }
    }
}

#[test]
fn only_the_gap_detector_sees_a_hole() {
    for subject in SUBJECTS {
        let at_the_hole = subject.readings(&case("missing samples"))[300];
        let code = at_the_hole.reason.map(|r| r.code);
        assert_eq!(code == Some("gap"), subject.method == Method::Gap, "{subject}");
    }
}

#[test]
fn samples_are_judged_in_the_order_of_arrival() {
    for subject in SUBJECTS {
        assert!(subject.readings(&case("backward times"))[1100..].iter().all(|r| !r.is_anomaly), "{subject}");
        let duplicates = subject.readings(&case("duplicate times"));
        assert!(duplicates[1200..].iter().all(|r| !r.is_anomaly), "{subject}");
    }
}

#[test]
fn the_first_samples_are_as_usual() {
    for subject in SUBJECTS.into_iter().filter(|s| !s.is_limit()) {
        let first = every_step((0..15).map(|i| if i == 3 { 500.0 } else { usual(i) }));
        assert!(subject.readings(&first).iter().all(|r| r.score == 0.0), "{subject}");
    }
}

#[test]
fn before_it_has_warmed_up_a_detector_does_not_ring() {
    for_all(|subject, case, series| {
        let mut detector = subject.detector();
        let mut warm_before = false;
        for (i, &(time, value)) in series.iter().enumerate() {
            let reading = detector.update(time, value);
            let infinite = reading.reason.is_some_and(|reason| reason.code == "infinite");
            assert!(
                warm_before || infinite || reading.score == 0.0 || subject.method == Method::Limits,
                "{subject}, {case}, sample {i}"
            );
            warm_before = detector.warmed_up();
        }
        assert!(case != "as usual" || warm_before, "{subject}");
    });
}

#[test]
fn samples_at_once_are_judged_as_one_by_one() {
    for_all(|subject, case, series| {
        let (times, values): (Vec<Micros>, Vec<f64>) = series.iter().copied().unzip();
        let n = series.len();
        let (mut score, mut expected) = (vec![0.0; n], vec![0.0; n]);
        let (mut lower, mut upper) = (vec![0.0; n], vec![0.0; n]);
        let columns = Columns { score: &mut score, expected: &mut expected, lower: &mut lower, upper: &mut upper };
        let mut detector = subject.detector();
        detector.update_all(&times, &values, columns).unwrap();
        for (i, reading) in subject.readings(series).iter().enumerate() {
            let one = [reading.score, reading.expected, reading.lower, reading.upper].map(f64::to_bits);
            let all = [score[i], expected[i], lower[i], upper[i]].map(f64::to_bits);
            assert_eq!(one, all, "{subject}, {case}, sample {i}");
        }
    });
}

#[test]
fn samples_at_once_need_room_for_each() {
    let mut detector = SUBJECTS[0].detector();
    let (mut short, mut long) = ([0.0; 1], [[0.0; 2]; 3]);
    let [expected, lower, upper] = &mut long;
    let columns = Columns { score: &mut short, expected, lower, upper };
    assert_eq!(detector.update_all(&[1, 2], &[0.0, 0.0], columns), Err(LengthError));
}

/// A jump after two weeks, when every method knows the series, and what comes in the week after it.
#[test]
fn after_a_huge_jump_a_detector_finds_its_way_back() {
    const JUMP: u64 = 288 * 15 + 150;
    for jump in [1e300, f64::MIN] {
        let mut series = every_step((0..JUMP + 3000).map(|i| if i == JUMP { jump } else { usual(i) }));
        let end = series.last().unwrap().0;
        series.extend((1..=48).map(|i| (end + i * STEP, 5_000_000.0)));
        for subject in SUBJECTS.into_iter().filter(|s| ![Method::FlatLine, Method::Gap].contains(&s.method)) {
            let readings = subject.readings(&series);
            let rings = |from: u64, to: u64| readings[from as usize..to as usize].iter().any(|r| r.is_anomaly);
            assert!(subject.method == Method::Cusum || rings(JUMP, JUMP + 3), "{subject}, {jump}");
            assert!(subject.is_late() || !rings(JUMP - 200, JUMP), "{subject}, {jump}");
            assert!(!rings(JUMP + 300, JUMP + 3000), "{subject}, {jump}");
            assert!(rings(JUMP + 3000, JUMP + 3048), "{subject}, {jump}");
        }
    }
}

/// Any values at any times, mostly of a kind that a series might have.
fn any_series() -> impl Strategy<Value = Series> {
    let step = prop_oneof![8 => Just(STEP), 2 => 0..3 * STEP, 1 => -STEP..40 * STEP];
    let value = prop_oneof![8 => -10.0..50.0_f64, 2 => Just(7.0), 1 => any::<f64>()];
    prop::collection::vec((step, value), 0..600).prop_map(|samples| {
        let mut time = START;
        let mut next = |step: Micros| {
            time += step;
            time
        };
        samples.into_iter().map(|(step, value)| (next(step), value)).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_series_makes_a_detector_look_ahead_or_resume_otherwise(
        series in any_series(),
        cut in any::<prop::sample::Index>(),
    ) {
        let cut = cut.index(series.len() + 1);
        for subject in SUBJECTS {
            let whole = subject.readings(&series);
            prop_assert!(whole.iter().all(|reading| (0.0..=MAX_SCORE).contains(&reading.score)));
            assert_same(subject, "prefix", &subject.readings(&series[..cut]), &whole[..cut]);
            let mut saved = subject.detector();
            series[..cut].iter().for_each(|&(time, value)| { saved.update(time, value); });
            let mut restored = AnyDetector::restore(&saved.save()).unwrap();
            let rest: Vec<Reading> = series[cut..].iter().map(|&(time, value)| restored.update(time, value)).collect();
            assert_same(subject, "resumed", &rest, &whole[cut..]);
        }
    }
}

proptest! {
    #[test]
    fn garbage_is_an_error_and_not_a_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        method in 0_u8..12,
        version in 1_u8..3,
    ) {
        let _ = AnyDetector::restore(&bytes);
        let _ = AnyDetector::restore(&[&[method, version], bytes.as_slice()].concat());
    }

    #[test]
    fn a_damaged_state_is_refused_or_goes_on_without_a_panic(
        subject in prop::sample::select(SUBJECTS.to_vec()),
        learned in 0_u64..1200,
        damages in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<Option<prop::sample::Index>>(),
    ) {
        let mut whole = subject.detector();
        (0..learned).for_each(|i| { whole.update(START + i as i64 * STEP, usual(i)); });
        let mut bytes = whole.save();
        for (at, byte) in damages {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        if let Ok(mut restored) = AnyDetector::restore(&bytes) {
            for i in learned..learned + 200 {
                let score = restored.update(START + i as i64 * STEP, usual(i)).score;
                prop_assert!((0.0..=MAX_SCORE).contains(&score));
            }
        }
    }
}

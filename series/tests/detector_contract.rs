//! Every detector over every case of the contract (`series::detect::contract`).

use proptest::prelude::*;
use series::detect::{AnyDetector, MAX_SCORE, Method, Options, Reading};
use series::time::{MICROS_PER_DAY, MICROS_PER_MINUTE, Micros};

const STEP: Micros = 5 * MICROS_PER_MINUTE;
const START: Micros = 19_000 * MICROS_PER_DAY;

type Series = Vec<(Micros, f64)>;

fn detector(method: Method) -> AnyDetector {
    let pairs: &[(&str, &str)] = match method {
        Method::Limits => &[("lower", "-100"), ("upper", "1e6")],
        _ => &[],
    };
    AnyDetector::new(method, &Options::from_pairs(pairs.iter().copied()).unwrap()).unwrap()
}

fn readings(method: Method, series: &[(Micros, f64)]) -> Vec<Reading> {
    let mut detector = detector(method);
    series.iter().map(|&(time, value)| detector.update(time, value)).collect()
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

fn assert_same(method: Method, case: &str, one: &[Reading], other: &[Reading]) {
    assert_eq!(one.len(), other.len());
    for (i, (a, b)) in one.iter().zip(other).enumerate() {
        assert_eq!(bits(a), bits(b), "{method}, {case}, sample {i}");
    }
}

/// Runs `check` for every method and case.
fn for_all(check: impl Fn(Method, &str, &[(Micros, f64)])) {
    for method in Method::ALL {
        for (case, series) in cases() {
            check(method, case, &series);
        }
    }
}

fn case(name: &str) -> Series {
    cases().into_iter().find(|(case, _)| *case == name).unwrap().1
}

fn judges_values(method: Method) -> bool {
    method != Method::Gap
}

#[test]
fn every_reading_is_well_formed() {
    for_all(|method, case, series| {
        for (i, reading) in readings(method, series).iter().enumerate() {
            let place = format!("{method}, {case}, sample {i}: {reading:?}");
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
    for_all(|method, case, series| {
        let whole = readings(method, series);
        for end in [1, 2, 20, 101, 700, 701, 1301] {
            let end = end.min(series.len());
            assert_same(method, case, &readings(method, &series[..end]), &whole[..end]);
        }
    });
}

#[test]
fn a_restored_detector_goes_on_bit_for_bit() {
    for_all(|method, case, series| {
        let whole = readings(method, series);
        for cut in [0, 1, 7, 99, 130, 350, 701, 1234] {
            let cut = cut.min(series.len());
            let mut saved = detector(method);
            series[..cut].iter().for_each(|&(time, value)| {
                saved.update(time, value);
            });
            let bytes = saved.save();
            let mut restored = AnyDetector::restore(&bytes).unwrap();
            assert_eq!(restored.save(), bytes, "{method}, {case}, cut at {cut}");
            let rest: Vec<Reading> = series[cut..].iter().map(|&(time, value)| restored.update(time, value)).collect();
            assert_same(method, case, &rest, &whole[cut..]);
        }
    });
}

#[test]
fn states_are_small() {
    for_all(|method, case, series| {
        let mut detector = detector(method);
        series.iter().for_each(|&(time, value)| {
            detector.update(time, value);
        });
        let most = if method == Method::RangeNovelty { 16 * 1024 } else { 1024 };
        let bytes = detector.save().len();
        assert!(bytes <= most, "{method}, {case}: {bytes} bytes");
    });
}

#[test]
fn a_missing_value_is_not_an_anomaly_and_teaches_nothing() {
    for method in Method::ALL.into_iter().filter(|&m| judges_values(m)) {
        for name in ["NaN at first", "NaN now and then", "only NaN"] {
            let series = case(name);
            let (missing, present): (Vec<_>, Vec<_>) =
                series.iter().zip(readings(method, &series)).partition(|(sample, _)| sample.1.is_nan());
            assert!(missing.iter().all(|(_, reading)| reading.score == 0.0), "{method}, {name}");
            let (samples, with_nan): (Series, Vec<Reading>) = present.into_iter().map(|(s, r)| (*s, r)).unzip();
            assert_same(method, name, &readings(method, &samples), &with_nan);
        }
    }
}

#[test]
fn an_infinity_is_a_fault_that_teaches_nothing() {
    for method in Method::ALL.into_iter().filter(|&m| judges_values(m)) {
        for (name, at) in [("infinite at first", 0), ("infinite later", 700)] {
            let mut series = case(name);
            let mut with = readings(method, &series);
            let reading = with.remove(at);
            assert_eq!((reading.score, reading.reason.unwrap().code), (MAX_SCORE, "infinite"), "{method}");
            series.remove(at);
            assert_same(method, name, &readings(method, &series), &with);
        }
    }
}

#[test]
fn float_noise_on_a_constant_is_not_an_anomaly() {
    for method in Method::ALL {
        for name in ["constant", "zero", "constant with float noise"] {
            assert!(readings(method, &case(name)).iter().all(|r| r.score == 0.0), "{method}, {name}");
        }
    }
}

#[test]
fn only_the_gap_detector_sees_a_hole() {
    for method in Method::ALL {
        let at_the_hole = readings(method, &case("missing samples"))[300];
        let code = at_the_hole.reason.map(|r| r.code);
        assert_eq!(code == Some("gap"), method == Method::Gap, "{method}");
    }
}

#[test]
fn samples_are_judged_in_the_order_of_arrival() {
    for method in Method::ALL {
        assert!(readings(method, &case("backward times"))[1100..].iter().all(|r| !r.is_anomaly), "{method}");
        let duplicates = readings(method, &case("duplicate times"));
        assert!(duplicates[600..].iter().all(|r| !r.is_anomaly), "{method}");
    }
}

#[test]
fn the_first_samples_are_as_usual() {
    for method in Method::ALL.into_iter().filter(|&m| m != Method::Limits) {
        let first = every_step((0..15).map(|i| if i == 3 { 500.0 } else { usual(i) }));
        assert!(readings(method, &first).iter().all(|r| r.score == 0.0), "{method}");
    }
}

#[test]
fn after_a_huge_jump_a_detector_finds_its_way_back() {
    let back = |name: &str, method: Method| {
        let mut series = case(name);
        let end = series.len() as u64;
        series.extend(every_step((0..end + 3000).map(usual)).drain(end as usize..));
        series.push((series.last().unwrap().0 + STEP, 5_000_000.0));
        readings(method, &series)
    };
    for name in ["huge jump up", "huge jump down"] {
        for method in [Method::RangeNovelty, Method::RobustZ, Method::Limits] {
            let readings = back(name, method);
            assert!(readings[700].is_anomaly, "{method}, {name}");
            assert!(readings[1000..4500].iter().all(|r| !r.is_anomaly), "{method}, {name}");
            assert!(readings.last().unwrap().is_anomaly, "{method}, {name}");
        }
    }
}

proptest! {
    #[test]
    fn garbage_is_an_error_and_not_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), method in 0_u8..7) {
        let _ = AnyDetector::restore(&bytes);
        let _ = AnyDetector::restore(&[&[method, 1], bytes.as_slice()].concat());
    }

    #[test]
    fn a_damaged_state_is_refused_or_goes_on_without_a_panic(
        method in prop::sample::select(Method::ALL.to_vec()),
        learned in 0_u64..500,
        damages in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<Option<prop::sample::Index>>(),
    ) {
        let mut whole = detector(method);
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

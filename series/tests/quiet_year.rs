//! A year of readings in which nothing is wrong must not ring every day, and what is plainly wrong must ring.

#[path = "../examples/alarm_line/quiet.rs"]
#[allow(dead_code)]
mod quiet;

use quiet::{PER_DAY, Random, SENSORS, YEAR, time};
use series::detect::{AnyDetector, Method, Options};

fn alarms(method: Method, values: &[f64]) -> Vec<usize> {
    let mut detector = AnyDetector::new(method, &Options::new()).unwrap();
    (0..values.len()).filter(|&i| detector.update(time(i), values[i]).is_anomaly).collect()
}

#[test]
fn the_default_detector_rings_a_few_times_in_a_quiet_year() {
    let counts: Vec<usize> = SENSORS
        .iter()
        .map(|(_, generator)| alarms(Method::RangeNovelty, &generator(&mut Random::new(11))).len())
        .collect();
    assert!(counts.iter().all(|&count| count <= 14), "{counts:?}");
    assert!(counts.iter().sum::<usize>() <= 6 * SENSORS.len(), "{counts:?}");
}

#[test]
fn an_ordinary_course_of_the_day_does_not_ring_the_simpler_detectors() {
    for (name, generator) in &SENSORS[..4] {
        let values = generator(&mut Random::new(12));
        for method in
            [Method::RobustZ, Method::Ewma, Method::Seasonal, Method::FlatLine, Method::Gap, Method::RateOfChange]
        {
            let count = alarms(method, &values).len();
            assert!(count <= 4, "{method}, {name}: {count}");
        }
    }
}

/// Temperature wanders with the weather and is not among them.
#[test]
fn a_leak_is_a_shift_and_an_ordinary_year_has_none() {
    for (name, generator) in SENSORS[..2].iter().chain(&SENSORS[3..4]) {
        let quiet = generator(&mut Random::new(14));
        assert_eq!(alarms(Method::Cusum, &quiet), [0; 0], "{name}");
        let leak = 90 * PER_DAY + 80;
        let mean = quiet.iter().sum::<f64>() / quiet.len() as f64;
        let mut values = quiet[..leak + 3 * PER_DAY].to_vec();
        values[leak..].iter_mut().for_each(|value| *value += 0.3 * mean);
        let rings = alarms(Method::Cusum, &values);
        assert!(rings[0] >= leak && rings[0] < leak + PER_DAY / 4, "{name}: {}", rings[0] - leak);
    }
}

#[test]
fn the_default_detector_notices_what_is_plainly_wrong() {
    let start = 90 * PER_DAY + 80;
    for (name, generator) in &SENSORS[..4] {
        let quiet = generator(&mut Random::new(13));
        let noticed = |samples: usize, change: &dyn Fn(f64) -> f64| {
            let mut values = quiet[..YEAR / 3].to_vec();
            values[start..start + samples].iter_mut().for_each(|value| *value = change(*value));
            alarms(Method::RangeNovelty, &values).iter().any(|i| (start..start + samples).contains(i))
        };
        assert!(noticed(12, &|_| 0.0), "{name}: an hour at zero");
        assert!(noticed(24, &|value| 4.0 * value), "{name}: two hours at four times the value");
        assert!(noticed(2, &|_| 10_000.0), "{name}: two samples at ten thousand");
    }
}

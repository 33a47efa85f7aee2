//! The streaming range-novelty bank against its reference prototype, number by number. The series is a file of the
//! Numenta Anomaly Benchmark (MIT licence, beside it); its times are read as UTC, and `score` is the prototype's score.

use series::detect::{AnyDetector, Method, Options};

const EXPECTED: &str = include_str!("data/nab/speed_7578.csv");

#[test]
fn scores_equal_those_of_the_reference_prototype() {
    let options = Options::from_pairs([("line", "1")]).unwrap();
    let mut detector = AnyDetector::new(Method::RangeNovelty, &options).unwrap();
    let mut emitted = 0;
    for (row, line) in EXPECTED.lines().skip(1).enumerate() {
        let mut fields = line.split(',');
        let time: i64 = fields.next().unwrap().parse().unwrap();
        let value: f64 = fields.next().unwrap().parse().unwrap();
        let expected: f64 = fields.next().unwrap().parse().unwrap();
        let score = detector.update(time, value).score;
        assert!((score - expected).abs() <= 1e-9, "row {row}: {score} instead of {expected}");
        emitted += usize::from(score > 0.0);
    }
    assert_eq!(emitted, 20);
}

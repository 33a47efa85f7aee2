//! The joint detector against its reference prototype, number by number. The rows are made by [`joint_rows`]; the files
//! hold the prototype's scores for the rows after the training, which know no greatest score.

mod joint_rows;

use joint_rows::{PLANT_SENSORS, STATION_SENSORS, plant, station};
use series::detect::{JointDetector, JointReading, JointSettings, MAX_SCORE};
use series::time::{MICROS_PER_HOUR, MICROS_PER_SECOND, Micros};

const START: Micros = 1_700_000_000 * MICROS_PER_SECOND;

fn readings(
    rows: &[f64],
    sensors: usize,
    training: usize,
    step: Micros,
    settings: &JointSettings,
) -> Vec<JointReading> {
    let times: Vec<Micros> = (0..(rows.len() / sensors) as i64).map(|i| START + i * step).collect();
    let (first, rest) = rows.split_at(training * sensors);
    let mut detector = JointDetector::train(&times[..training], first, sensors, settings).unwrap();
    times[training..].iter().zip(rest.chunks_exact(sensors)).map(|(&time, row)| detector.update(time, row)).collect()
}

fn assert_equal(readings: &[JointReading], expected: &str) {
    let expected: Vec<&str> = expected.lines().skip(1).collect();
    assert_eq!(readings.len(), expected.len());
    for (row, (reading, line)) in readings.iter().zip(expected).enumerate() {
        let fields: Vec<f64> = line.split(',').map(|field| field.parse().unwrap()).collect();
        let close = |score: f64, expected: f64| (score - expected.min(MAX_SCORE)).abs() <= 1e-9;
        assert!(close(reading.score, fields[0]), "row {row}: {reading:?} instead of {line}");
        assert!(close(reading.change_score, fields[1]), "row {row}: {reading:?} instead of {line}");
        assert_eq!(reading.is_anomaly, fields[2] == 1.0, "row {row}");
        assert_eq!(reading.is_change, fields[3] == 1.0, "row {row}");
    }
}

#[test]
fn readings_of_measured_sensors_equal_those_of_the_reference_prototype() {
    let rows = plant(1600, true);
    let readings = readings(&rows, PLANT_SENSORS, 400, MICROS_PER_SECOND, &JointSettings::benchmark());
    assert_equal(&readings, include_str!("data/joint/plant.csv"));
}

#[test]
fn readings_with_on_off_sensors_a_constant_one_and_the_time_of_day_equal_those_of_the_reference_prototype() {
    let settings = JointSettings { hold: 12, accept: 0, time_of_day: true, ..JointSettings::benchmark() };
    let readings = readings(&station(2600, true), STATION_SENSORS, 2100, MICROS_PER_HOUR, &settings);
    assert_equal(&readings, include_str!("data/joint/station.csv"));
}

//! What the joint detector finds at its default settings, and what it leaves alone.

mod joint_rows;

use joint_rows::{Noise, PLANT_SENSORS, STATION_SENSORS, plant, station};
use series::detect::{JointDetector, JointReading, JointSettings, JointView};
use series::time::{MICROS_PER_HOUR, MICROS_PER_SECOND, Micros};

const TRAINING_ROWS: usize = 400;

struct Run {
    readings: Vec<JointReading>,
    detector: JointDetector,
}

/// Readings by row of the whole, and the detector at its end; those of the training are left out.
fn run(rows: &[f64], sensors: usize, training: usize, step: Micros, settings: &JointSettings) -> Run {
    let times: Vec<Micros> = (0..(rows.len() / sensors) as i64).map(|i| i * step).collect();
    let (first, rest) = rows.split_at(training * sensors);
    let mut detector = JointDetector::train(&times[..training], first, sensors, settings).unwrap();
    let judged = times[training..].iter().zip(rest.chunks_exact(sensors));
    let readings = judged.map(|(&time, row)| detector.update(time, row)).collect();
    Run { readings, detector }
}

impl Run {
    fn of_plant(rows: &[f64], settings: &JointSettings) -> Run {
        run(rows, PLANT_SENSORS, TRAINING_ROWS, MICROS_PER_SECOND, settings)
    }

    fn from(&self, row: usize, to: usize) -> &[JointReading] {
        &self.readings[row - TRAINING_ROWS..to - TRAINING_ROWS]
    }

    fn share_in_alarm(&self) -> f64 {
        let alarms = self.readings.iter().filter(|reading| reading.is_anomaly).count();
        alarms as f64 / self.readings.len() as f64
    }
}

fn any_alarm(readings: &[JointReading]) -> bool {
    readings.iter().any(|reading| reading.is_anomaly)
}

#[test]
fn a_quiet_plant_is_hardly_ever_in_alarm() {
    let run = Run::of_plant(&plant(20_000, false), &JointSettings::default());
    assert!(run.share_in_alarm() < 0.005, "{}", run.share_in_alarm());
}

#[test]
fn a_quiet_pumping_station_is_seldom_in_alarm() {
    let rows = station(8000, false);
    for training in [400, 1000, 2200] {
        let run = run(&rows, STATION_SENSORS, training, MICROS_PER_HOUR, &JointSettings::hourly());
        assert!(run.share_in_alarm() < 0.05, "{training}: {}", run.share_in_alarm());
    }
}

/// Readings of a plant of 1000 rows in which sensors are higher by so much from row 700 on.
fn with_steps(steps: &[(usize, f64)]) -> Run {
    let mut rows = plant(1000, false);
    for row in rows[700 * PLANT_SENSORS..].chunks_exact_mut(PLANT_SENSORS) {
        for (sensor, step) in steps {
            row[*sensor] += step;
        }
    }
    Run::of_plant(&rows, &JointSettings::default())
}

#[test]
fn a_step_of_one_sensor_is_found_within_ten_rows_and_names_it() {
    for (sensor, step) in [(4, 3.0), (4, -3.0), (2, 6.0), (0, 10.0)] {
        let run = with_steps(&[(sensor, step)]);
        assert!(!any_alarm(run.from(400, 700)));
        let begin = run.from(700, 710).iter().find(|reading| reading.is_anomaly).unwrap();
        let reason = begin.reason.unwrap();
        assert_eq!((reason.view, reason.sensor), (JointView::Level, sensor));
        assert!(reason.value > reason.upper || reason.value < reason.lower, "{reason:?}");
        let usual = plant(1000, false)[700 * PLANT_SENSORS + sensor];
        assert!((reason.expected - usual).abs() < 20.0, "{reason:?}");
        let change = run.from(700, 710).iter().find_map(|reading| reading.change_reason).unwrap();
        assert_eq!((change.view, change.sensor), (JointView::Change, sensor));
    }
}

#[test]
fn sensors_that_part_count_more_than_sensors_that_move_together_as_usual() {
    let greatest = |run: Run| run.from(700, 710).iter().map(|reading| reading.score).fold(0.0, f64::max);
    let together = greatest(with_steps(&[(6, 1.5), (7, 1.5)]));
    let apart = greatest(with_steps(&[(6, 1.5), (7, -1.5)]));
    assert!(apart > 1.3 * together, "{apart} and {together}");
}

#[test]
fn a_state_that_lasts_is_accepted_and_both_levels_are_known_from_then_on() {
    let mut rows = plant(3000, false);
    for (i, row) in rows.chunks_exact_mut(PLANT_SENSORS).enumerate() {
        row[4] += if (760..2200).contains(&i) || i >= 2600 { 4.0 } else { 0.0 };
    }
    let settings = JointSettings::default();
    let run = Run::of_plant(&rows, &settings);
    assert!(run.from(780, 1340).iter().all(|reading| reading.is_anomaly));
    assert!(!any_alarm(run.from(1400, 2200)));
    assert!(!any_alarm(run.from(2300, 2600)), "back at the first level");
    assert!(!any_alarm(run.from(2700, 3000)), "at the second level again");
}

#[test]
fn a_running_pump_without_its_flow_is_found_with_the_range_of_that_state() {
    let mut rows = station(1000, false);
    let on_for_long = |rows: &[f64], i: usize| (i - 2..=i).all(|k| rows[k * STATION_SENSORS] == 1.0);
    let row = (800..1000).find(|&i| on_for_long(&rows, i)).unwrap();
    rows[row * STATION_SENSORS + 2] = 0.0;
    let run = run(&rows, STATION_SENSORS, TRAINING_ROWS, MICROS_PER_HOUR, &JointSettings::hourly());
    let reading = run.from(row, row + 1)[0];
    assert!(reading.is_anomaly && !run.from(row - 1, row)[0].is_anomaly);
    let reason = reading.reason.unwrap();
    assert_eq!(reason.sensor, 2);
    assert!(matches!(reason.view, JointView::Value | JointView::Deviation), "{reason:?}");
    assert!(reason.value < reason.lower, "{reason:?}");
    assert!((30.0..50.0).contains(&reason.expected), "{reason:?}");
}

#[test]
fn a_pump_that_did_not_run_in_training_is_news_until_it_is_accepted() {
    let mut rows = plant(2000, false);
    for (i, row) in rows.chunks_exact_mut(PLANT_SENSORS).enumerate() {
        row[5] = f64::from(u8::from(i >= 900));
    }
    let run = Run::of_plant(&rows, &JointSettings::default());
    assert!(!any_alarm(run.from(400, 900)));
    let begin = run.from(900, 905).iter().find_map(|reading| reading.reason).unwrap();
    assert_eq!((begin.view, begin.sensor), (JointView::Level, 5));
    assert!(!any_alarm(run.from(1700, 2000)));
}

#[test]
fn a_quiet_stream_that_wanders_is_learned() {
    let mut rows = plant(8000, false);
    let (mut noise, mut wander) = (Noise(5), 0.0);
    for row in rows.chunks_exact_mut(PLANT_SENSORS) {
        wander = 0.998 * wander + noise.gauss() as f64 / 20_000.0;
        row[4] += wander;
        row[6] -= 2.0 * wander;
    }
    let learning = Run::of_plant(&rows, &JointSettings::default()).share_in_alarm();
    let fixed = Run::of_plant(&rows, &JointSettings { memory: 0, ..JointSettings::default() }).share_in_alarm();
    assert!(learning < 0.02, "{learning}");
    assert!(fixed > 5.0 * learning, "{fixed} and {learning}");
}

#[test]
fn a_refit_to_later_rows_knows_their_level_and_keeps_a_running_alarm() {
    let rows = plant(1400, true);
    let settings = JointSettings { accept: 0, ..JointSettings::default() };
    let mut run = Run::of_plant(&rows[..1300 * PLANT_SENSORS], &settings);
    let later = &rows[920 * PLANT_SENSORS..1300 * PLANT_SENSORS];
    let times: Vec<Micros> = (920..1300).map(|i| i * MICROS_PER_SECOND).collect();
    let mut refitted = run.detector.refit(&times, later).unwrap();
    let mut ended = 0;
    for (i, row) in rows[1300 * PLANT_SENSORS..].chunks_exact(PLANT_SENSORS).enumerate() {
        let time = (1300 + i as i64) * MICROS_PER_SECOND;
        assert!(run.detector.update(time, row).is_anomaly);
        let reading = refitted.update(time, row);
        assert!(reading.score < 1.0);
        ended += usize::from(!reading.is_anomaly);
    }
    assert_eq!(ended, 100 - settings.hold as usize + 1);
}

#[test]
fn single_precision_tables_change_scores_by_less_than_a_thousandth() {
    let rows = station(1200, true);
    let double = JointSettings { single_precision: false, ..JointSettings::hourly() };
    let [double, single] = [double, JointSettings::hourly()]
        .map(|settings| run(&rows, STATION_SENSORS, TRAINING_ROWS, MICROS_PER_HOUR, &settings));
    for (a, b) in double.readings.iter().zip(&single.readings) {
        assert!((a.score - b.score).abs() < 1e-3, "{a:?} {b:?}");
        assert!((a.change_score - b.change_score).abs() < 1e-3, "{a:?} {b:?}");
    }
}

#[test]
fn learning_goes_on_while_a_sensor_is_silent() {
    let mut rows = plant(6000, false);
    let (mut noise, mut wander) = (Noise(5), 0.0);
    for (i, row) in rows.chunks_exact_mut(PLANT_SENSORS).enumerate() {
        wander = 0.998 * wander + noise.gauss() as f64 / 20_000.0;
        row[4] += wander;
        row[1] = if (500..5000).contains(&i) { f64::NAN } else { row[1] };
    }
    let learning = Run::of_plant(&rows, &JointSettings::default());
    assert!(learning.share_in_alarm() < 0.02, "{}", learning.share_in_alarm());
    assert!(!any_alarm(learning.from(4990, 5100)), "when the silent sensor is back");
}

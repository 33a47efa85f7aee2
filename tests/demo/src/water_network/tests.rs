use std::collections::BTreeMap;
use std::sync::LazyLock;

use series::time::MICROS_PER_HOUR;

use super::*;

const NOW: Micros = 1_790_000_123_456_789;

static NETWORK: LazyLock<Network> = LazyLock::new(|| Network::simulate(NOW));

fn of_node(node: &str) -> Vec<&'static Reading> {
    NETWORK.readings.iter().filter(|reading| reading.node == node).collect()
}

fn event(kind: EventKind, node: &str) -> &'static Event {
    NETWORK.events.iter().find(|event| event.kind == kind && event.node == node).unwrap()
}

#[test]
fn the_same_end_gives_the_same_readings() {
    assert!(Network::simulate(NOW) == *NETWORK);
    assert!(Network::simulate(NOW + INTERVAL).readings[0].time == NETWORK.readings[0].time + INTERVAL);
}

#[test]
fn every_node_reads_every_five_minutes_except_in_its_gaps() {
    let mut expected: BTreeMap<&str, i64> =
        NODES.iter().map(|node| (node.id, DAYS * MICROS_PER_DAY / INTERVAL)).collect();
    for gap in NETWORK.events.iter().filter(|event| event.kind == EventKind::Gap) {
        *expected.get_mut(gap.node).unwrap() -= (gap.end - gap.start) / INTERVAL;
    }
    for (node, count) in &expected {
        assert_eq!(of_node(node).len() as i64, *count, "{node}");
    }
    assert_eq!(NETWORK.readings.len() as i64, expected.values().sum::<i64>());
    assert_eq!(NETWORK.readings.last().unwrap().time, NOW / INTERVAL * INTERVAL);
}

#[test]
fn all_values_have_two_decimals_and_are_plausible() {
    for reading in &NETWORK.readings {
        let values = [
            Some(reading.flow_rate),
            Some(reading.pressure),
            reading.temperature,
            Some(reading.volume),
            Some(reading.quality_score),
        ];
        for value in values.into_iter().flatten() {
            let text = value.to_string();
            assert!(text.split_once('.').is_none_or(|(_, decimals)| decimals.len() <= 2), "{reading:?}");
        }
        assert!((0.5..220.0).contains(&reading.flow_rate), "{reading:?}");
        assert!((1.5..6.5).contains(&reading.pressure), "{reading:?}");
        assert!(reading.temperature.is_none_or(|value| (5.0..25.0).contains(&value)), "{reading:?}");
        assert!((0.8..=1.0).contains(&reading.quality_score), "{reading:?}");
    }
    assert!(NETWORK.readings.iter().any(|reading| reading.temperature.is_none()));
}

#[test]
fn volume_only_grows() {
    for node in &NODES {
        assert!(of_node(node.id).is_sorted_by(|a, b| a.volume <= b.volume), "{}", node.id);
    }
}

#[test]
fn a_burst_stands_out_and_ends() {
    let burst = event(EventKind::Burst, "NODE_004");
    let flow = |from: Micros, to: Micros| {
        of_node("NODE_004")
            .into_iter()
            .filter(|r| (from..to).contains(&r.time))
            .map(|r| r.flow_rate)
            .fold(0.0, f64::max)
    };
    let usual = flow(burst.start - MICROS_PER_DAY, burst.start);
    assert!(flow(burst.start, burst.end) > 1.3 * usual);
    assert!(flow(burst.end, burst.end + MICROS_PER_DAY) < 1.2 * usual);
}

#[test]
fn a_leak_lifts_the_night_flow_and_lowers_the_pressure() {
    let leak = event(EventKind::Leak, "NODE_008");
    let lowest = |from: Micros| {
        let day = of_node("NODE_008").into_iter().filter(|r| (from..from + MICROS_PER_DAY).contains(&r.time));
        day.map(|r| r.flow_rate).fold(f64::INFINITY, f64::min)
    };
    assert!(lowest(leak.start + MICROS_PER_DAY) > 1.8 * lowest(leak.start - MICROS_PER_DAY));
}

#[test]
fn a_stuck_sensor_repeats_one_value_and_only_of_its_measure() {
    let stuck = event(EventKind::StuckSensor, "NODE_003");
    let inside: Vec<_> = of_node("NODE_003").into_iter().filter(|r| stuck.contains(r.time)).collect();
    assert_eq!(inside.len() as i64, (stuck.end - stuck.start) / INTERVAL);
    assert!(inside.iter().all(|r| r.pressure == inside[0].pressure));
    assert!(inside.iter().any(|r| r.flow_rate != inside[0].flow_rate));
}

#[test]
fn some_late_readings_are_of_the_last_day_and_some_are_older() {
    let late: Vec<_> = NETWORK.readings.iter().filter(|reading| NETWORK.is_late(reading)).collect();
    let last_day = NOW - 24 * MICROS_PER_HOUR;
    assert!(late.iter().any(|reading| reading.time > last_day));
    assert!(late.iter().any(|reading| reading.time < last_day));
}

#[test]
fn one_leak_is_still_open_at_the_end() {
    let last = NETWORK.readings.last().unwrap().time;
    assert!(NETWORK.events.iter().any(|event| event.kind == EventKind::Leak && event.contains(last)));
}

use series::time::{MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_SECOND, Micros};

use super::demand;
use super::events::{Event, EventKind};
use super::nodes::{self, Node};
use super::random::Random;
use super::{INTERVAL, Reading};

/// Any number would do; this one makes the documented run.
const SEED: u64 = 0x5354_5241_5441;

const STEPS_PER_DAY: i64 = MICROS_PER_DAY / INTERVAL;
const YEAR_DAYS: f64 = 365.25;
/// How long a leak takes to grow to its full size.
const LEAK_GROWTH: Micros = 8 * MICROS_PER_HOUR;

/// All readings of one node from `start` to `end`, both inclusive.
pub fn simulate(number: u64, node: &'static Node, start: Micros, end: Micros, events: &[Event]) -> Vec<Reading> {
    let mut random = Random::new(SEED ^ (number + 1).wrapping_mul(0x9e37_79b9));
    let mut state = State {
        volume: 10_000.0 + 1_000.0 * node.base_flow,
        day_factor: 1.0,
        flow_drift: 0.0,
        warmth_drift: 0.0,
        last: None,
    };
    let steps = (end - start) / INTERVAL;
    let mut readings = Vec::with_capacity(steps as usize + 1);
    for step in 0..=steps {
        let time = start + step * INTERVAL;
        if step % STEPS_PER_DAY == 0 {
            state.day_factor = 1.0 + 0.7 * (state.day_factor - 1.0) + 0.02 * random.noise();
        }
        let reading = state.next(node, time, events, &mut random);
        let is_silent = happening(events, EventKind::Gap, node.id, time).is_some();
        if !is_silent {
            state.last = Some(reading.clone());
            readings.push(reading);
        }
    }
    readings
}

/// What carries over from one reading to the next.
struct State {
    volume: f64,
    /// Some days need more water than others.
    day_factor: f64,
    flow_drift: f64,
    warmth_drift: f64,
    last: Option<Reading>,
}

impl State {
    fn next(&mut self, node: &'static Node, time: Micros, events: &[Event], random: &mut Random) -> Reading {
        self.flow_drift = 0.92 * self.flow_drift + 0.006 * random.noise();
        self.warmth_drift = 0.98 * self.warmth_drift + 0.01 * random.noise();
        let demand =
            demand::factor(node.usage, time) * self.day_factor * (1.0 + self.flow_drift + 0.012 * random.noise());
        let extra = extra_flow(node, time, events);
        let flow = node.base_flow * (demand + extra);
        let sag = zone_sag(node, time, events);
        let pressure = node.static_pressure - 0.22 * (demand + 0.5 * extra).powi(2) - 0.3 * extra.min(1.2) - sag
            + 0.018 * random.noise();
        let quality = (0.95 + 0.015 * random.noise()).clamp(0.0, 1.0);
        let warmth = self.temperature(time, random);
        let probe_answers = random.uniform() >= 0.002;
        self.volume += flow * (INTERVAL / MICROS_PER_SECOND) as f64 / 1_000.0;
        let mut reading = Reading {
            node: node.id,
            time,
            flow_rate: two_decimals(flow.max(0.0)),
            pressure: two_decimals(pressure.max(0.0)),
            temperature: probe_answers.then_some(two_decimals(warmth)),
            volume: two_decimals(self.volume),
            quality_score: two_decimals(quality),
        };
        if let (Some(event), Some(last)) = (happening(events, EventKind::StuckSensor, node.id, time), &self.last) {
            for measure in event.measures {
                match *measure {
                    "flow_rate" => reading.flow_rate = last.flow_rate,
                    "pressure" => reading.pressure = last.pressure,
                    _ => reading.temperature = last.temperature,
                }
            }
        }
        reading
    }

    /// Warmest at the end of July and in the afternoon.
    fn temperature(&self, time: Micros, random: &mut Random) -> f64 {
        let day = time as f64 / MICROS_PER_DAY as f64;
        let of_year = (std::f64::consts::TAU * (day - 209.0) / YEAR_DAYS).cos();
        let of_day = (std::f64::consts::TAU * (day.fract() - 0.65)).cos();
        14.0 + 4.5 * of_year + 0.6 * of_day + self.warmth_drift + 0.03 * random.noise()
    }
}

/// Water lost by a leak or a burst at this node, relative to its mean flow.
fn extra_flow(node: &Node, time: Micros, events: &[Event]) -> f64 {
    let leak = happening(events, EventKind::Leak, node.id, time)
        .map_or(0.0, |event| 0.75 * ((time - event.start) as f64 / LEAK_GROWTH as f64).min(1.0));
    let burst = happening(events, EventKind::Burst, node.id, time).map_or(0.0, |_| 1.9);
    leak + burst
}

/// Pressure that a burst elsewhere in the zone takes away, bar.
fn zone_sag(node: &Node, time: Micros, events: &[Event]) -> f64 {
    let burst_near = events.iter().any(|event| {
        event.kind == EventKind::Burst
            && event.contains(time)
            && event.node != node.id
            && nodes::find(event.node).is_some_and(|other| other.zone == node.zone)
    });
    if burst_near { 0.12 } else { 0.0 }
}

fn happening<'a>(events: &'a [Event], kind: EventKind, node: &str, time: Micros) -> Option<&'a Event> {
    events.iter().find(|event| event.kind == kind && event.node == node && event.contains(time))
}

fn two_decimals(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

use series::time::{MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, Micros};

/// What goes wrong in the simulated network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventKind {
    /// Flow grows over hours and stays, pressure sags a little, until the repair.
    Leak,
    /// Flow jumps and pressure drops at once, in the zone's other nodes too (less).
    Burst,
    /// One measure repeats its last value.
    StuckSensor,
    /// The node sends nothing.
    Gap,
    /// The readings are right but arrive late.
    LateData,
}

impl EventKind {
    pub const ALL: [EventKind; 5] =
        [EventKind::Leak, EventKind::Burst, EventKind::StuckSensor, EventKind::Gap, EventKind::LateData];

    pub fn name(self) -> &'static str {
        match self {
            EventKind::Leak => "leak",
            EventKind::Burst => "burst",
            EventKind::StuckSensor => "stuck sensor",
            EventKind::Gap => "gap",
            EventKind::LateData => "late data",
        }
    }

    /// Whether something is wrong that detection can find: late data are right once they are there.
    pub fn is_wrong(self) -> bool {
        self != EventKind::LateData
    }
}

/// A simulated event at one node.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub kind: EventKind,
    pub node: &'static str,
    /// Measures that it changes; all of them for a gap and for late data.
    pub measures: &'static [&'static str],
    pub start: Micros,
    /// Exclusive; the time of the repair.
    pub end: Micros,
}

impl Event {
    pub fn contains(&self, time: Micros) -> bool {
        (self.start..self.end).contains(&time)
    }
}

const FLOW: &[&str] = &["flow_rate"];
const PRESSURE: &[&str] = &["pressure"];
const TEMPERATURE: &[&str] = &["temperature"];
const FLOW_AND_PRESSURE: &[&str] = &["flow_rate", "pressure"];
const ALL: &[&str] = &["flow_rate", "pressure", "temperature", "volume", "quality_score"];

/// Kind, node, measures, start before the end of the data and length (both in minutes).
type Plan = (EventKind, &'static str, &'static [&'static str], i64, i64);

const DAY: i64 = MICROS_PER_DAY / MICROS_PER_MINUTE;
const HOUR: i64 = MICROS_PER_HOUR / MICROS_PER_MINUTE;

const PLAN: [Plan; 20] = [
    // cold in the demo: more than 30 days ago
    (EventKind::Leak, "NODE_003", FLOW_AND_PRESSURE, 96 * DAY, 3 * DAY),
    (EventKind::Burst, "NODE_007", FLOW_AND_PRESSURE, 80 * DAY, 3 * HOUR),
    (EventKind::StuckSensor, "NODE_010", PRESSURE, 70 * DAY + 5 * HOUR, 12 * HOUR),
    (EventKind::Gap, "NODE_005", ALL, 60 * DAY, 6 * HOUR),
    (EventKind::Leak, "NODE_011", FLOW_AND_PRESSURE, 50 * DAY, 60 * HOUR),
    (EventKind::Burst, "NODE_002", FLOW_AND_PRESSURE, 41 * DAY + 7 * HOUR, 4 * HOUR),
    // warm
    (EventKind::StuckSensor, "NODE_006", FLOW, 26 * DAY, 10 * HOUR),
    (EventKind::Leak, "NODE_008", FLOW_AND_PRESSURE, 22 * DAY, 3 * DAY),
    (EventKind::Burst, "NODE_004", FLOW_AND_PRESSURE, 18 * DAY + 3 * HOUR, 3 * HOUR),
    (EventKind::Gap, "NODE_012", ALL, 15 * DAY, 8 * HOUR),
    (EventKind::LateData, "NODE_009", ALL, 12 * DAY, 5 * HOUR),
    (EventKind::StuckSensor, "NODE_001", TEMPERATURE, 8 * DAY, 14 * HOUR),
    (EventKind::Burst, "NODE_009", FLOW_AND_PRESSURE, 5 * DAY + 9 * HOUR, 2 * HOUR),
    (EventKind::LateData, "NODE_011", ALL, 3 * DAY, 4 * HOUR),
    // hot: within the last 24 hours; the leak is still open at the end
    (EventKind::Leak, "NODE_006", FLOW_AND_PRESSURE, 18 * HOUR, 18 * HOUR + 5),
    (EventKind::StuckSensor, "NODE_003", PRESSURE, 14 * HOUR, 8 * HOUR),
    (EventKind::Gap, "NODE_002", ALL, 10 * HOUR, HOUR),
    (EventKind::Burst, "NODE_010", FLOW_AND_PRESSURE, 7 * HOUR, 2 * HOUR),
    (EventKind::LateData, "NODE_005", ALL, 5 * HOUR, 2 * HOUR),
    (EventKind::LateData, "NODE_012", ALL, 3 * HOUR, HOUR),
];

/// The events of a network whose data end at `end`, oldest first.
pub fn events(end: Micros) -> Vec<Event> {
    PLAN.iter()
        .map(|&(kind, node, measures, before, length)| {
            let start = end - before * MICROS_PER_MINUTE;
            Event { kind, node, measures, start, end: start + length * MICROS_PER_MINUTE }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_happens_several_times() {
        let events = events(0);
        for kind in EventKind::ALL {
            assert!(events.iter().filter(|event| event.kind == kind).count() >= 3, "{kind:?}");
        }
    }

    #[test]
    fn events_are_ordered_and_do_not_meet_at_one_node() {
        let events = events(0);
        assert!(events.is_sorted_by_key(|event| event.start));
        for (index, a) in events.iter().enumerate() {
            for b in events[index + 1..].iter().filter(|b| b.node == a.node) {
                assert!(a.end <= b.start, "{a:?} {b:?}");
            }
        }
    }
}

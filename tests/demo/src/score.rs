//! How good the detection was: which of the known events an alarm met, and how many alarms met none.

use std::collections::BTreeMap;

use series::time::Micros;

/// An anomaly as the database stores it.
#[derive(Debug, Clone, PartialEq)]
pub struct Alarm {
    pub key: String,
    pub start: Micros,
    pub end: Micros,
}

/// Something that was known to be wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// Keys at which it shows; the first is where it happened.
    pub keys: Vec<String>,
    pub start: Micros,
    pub end: Micros,
}

impl Known {
    fn meets(&self, alarm: &Alarm) -> bool {
        alarm.start <= self.end && alarm.end >= self.start
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Score {
    /// One per known event.
    pub found: Vec<bool>,
    pub alarms: usize,
    /// Alarms that met no event, without those of [`Score::alarms_while_learning`].
    pub alarms_elsewhere: usize,
    /// Alarms that met no event, at the start of a series, where NAB counts none either.
    pub alarms_while_learning: usize,
}

/// NAB's probation: of a series with `rows` readings, the first this many are for learning.
pub fn learning_rows(rows: usize) -> usize {
    (rows * 15 / 100).min(750)
}

/// An event is found if an alarm at its place overlaps it. An alarm is elsewhere if no event shows at its key then.
/// `learnt` is the end of the learning phase of each key.
pub fn score(known: &[Known], alarms: &[Alarm], learnt: &BTreeMap<String, Micros>) -> Score {
    let found = known
        .iter()
        .map(|event| alarms.iter().any(|alarm| event.keys.first() == Some(&alarm.key) && event.meets(alarm)))
        .collect();
    let meets_none = |alarm: &&Alarm| !known.iter().any(|event| event.keys.contains(&alarm.key) && event.meets(alarm));
    let (while_learning, elsewhere): (Vec<&Alarm>, Vec<&Alarm>) = alarms
        .iter()
        .filter(meets_none)
        .partition(|alarm| learnt.get(&alarm.key).is_some_and(|learnt| alarm.start < *learnt));
    Score {
        found,
        alarms: alarms.len(),
        alarms_elsewhere: elsewhere.len(),
        alarms_while_learning: while_learning.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alarm(key: &str, start: Micros, end: Micros) -> Alarm {
        Alarm { key: key.into(), start, end }
    }

    #[test]
    fn alarms_are_matched_by_place_and_time() {
        let burst = Known { keys: vec!["A".into(), "B".into()], start: 10, end: 20 };
        let leak = Known { keys: vec!["C".into()], start: 10, end: 20 };
        let alarms = [alarm("A", 20, 25), alarm("B", 12, 13), alarm("C", 21, 30), alarm("D", 12, 13)];
        let score = score(&[burst, leak], &alarms, &BTreeMap::from([("D".to_owned(), 13)]));
        assert_eq!(score.found, [true, false]);
        assert_eq!((score.alarms, score.alarms_elsewhere, score.alarms_while_learning), (4, 1, 1));
    }

    #[test]
    fn an_event_seen_only_by_its_neighbours_is_not_found() {
        let burst = Known { keys: vec!["A".into(), "B".into()], start: 10, end: 20 };
        let score = score(&[burst], &[alarm("B", 12, 13)], &BTreeMap::new());
        assert_eq!((score.found, score.alarms_elsewhere), (vec![false], 0));
    }
}

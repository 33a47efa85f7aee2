//! Which of the events that a replay found are known already.

use series::time::Micros;
use std::collections::HashMap;

/// An event of a detector that is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    pub id: i64,
    pub key: String,
    pub start: Micros,
    /// Time of its last reading in alarm; the end of time while it lasts.
    pub end: Micros,
    pub lasts: bool,
    /// Somebody has acknowledged or resolved it.
    pub noticed: bool,
}

/// When a found event began, and when its newest reading in alarm was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span<'a> {
    pub key: &'a str,
    pub start: Micros,
    pub last: Micros,
}

/// Per found event the place of the stored one that is the same incident: that with the same start, else the first one that
/// overlaps it and is no other's. So an incident whose start moves, with corrected readings or another setting, keeps its
/// number.
pub fn matches(found: &[Span], stored: &[Stored]) -> Vec<Option<usize>> {
    let mut taken = vec![false; stored.len()];
    let mut result = vec![None; found.len()];
    let by_start: HashMap<(&str, Micros), usize> =
        stored.iter().enumerate().map(|(i, event)| ((event.key.as_str(), event.start), i)).collect();
    for (span, place) in found.iter().zip(&mut result) {
        *place = by_start.get(&(span.key, span.start)).copied();
        if let Some(i) = *place {
            taken[i] = true;
        }
    }
    let mut by_key: HashMap<&str, Vec<usize>> = HashMap::new();
    for (i, event) in stored.iter().enumerate() {
        by_key.entry(&event.key).or_default().push(i);
    }
    let mut rest: Vec<usize> = (0..found.len()).filter(|&i| result[i].is_none()).collect();
    rest.sort_by_key(|&i| found[i].start);
    for i in rest {
        let span = &found[i];
        let candidates = by_key.get(span.key).map_or(&[][..], Vec::as_slice);
        let overlapping = candidates
            .iter()
            .copied()
            .filter(|&s| !taken[s] && stored[s].start <= span.last && span.start <= stored[s].end);
        result[i] = overlapping.min_by_key(|&s| stored[s].start);
        if let Some(s) = result[i] {
            taken[s] = true;
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(id: i64, key: &str, start: Micros, end: Micros) -> Stored {
        Stored { id, key: key.into(), start, end, lasts: end == Micros::MAX, noticed: false }
    }

    fn span(key: &str, start: Micros, last: Micros) -> Span<'_> {
        Span { key, start, last }
    }

    #[test]
    fn the_same_start_goes_before_an_overlap() {
        let known = [stored(1, "A", 10, 20), stored(2, "A", 15, 30)];
        assert_eq!(matches(&[span("A", 12, 14), span("A", 15, 18)], &known), [Some(0), Some(1)]);
        assert_eq!(matches(&[span("A", 10, 30)], &known), [Some(0)]);
    }

    #[test]
    fn an_incident_whose_start_moves_keeps_its_number() {
        let known = [stored(1, "A", 10, 20)];
        assert_eq!(matches(&[span("A", 8, 12)], &known), [Some(0)]);
        assert_eq!(matches(&[span("A", 20, 25)], &known), [Some(0)]);
        assert_eq!(matches(&[span("A", 21, 25)], &known), [None]);
        assert_eq!(matches(&[span("B", 10, 20)], &known), [None]);
    }

    #[test]
    fn one_stored_event_stands_for_one_found_event() {
        let known = [stored(1, "A", 10, Micros::MAX)];
        assert_eq!(matches(&[span("A", 40, 50), span("A", 12, 20)], &known), [None, Some(0)]);
    }
}

//! Events against labels: what a setting found, what it missed, and what it raised for nothing.

use series::time::Micros;

/// An incident that is known to have happened, from `start` to `end`, both included.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// `None` stands for any series.
    pub key: Option<String>,
    pub start: Micros,
    pub end: Micros,
}

/// When an event lasted.
#[derive(Clone, Debug, PartialEq)]
pub struct Span<'a> {
    /// `None` for an event of several series together, which meets the labels of any.
    pub key: Option<&'a str>,
    pub start: Micros,
    pub end: Micros,
}

impl Label {
    fn meets(&self, event: &Span) -> bool {
        let same = self.key.as_deref().zip(event.key).is_none_or(|(key, of_event)| key == of_event);
        same && event.start <= self.end && self.start <= event.end
    }
}

/// Which events and labels belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Per event: whether it meets a label.
    pub hits: Vec<bool>,
    /// Per event: the time from the start of a label to it, if it is the first to meet that label; the longest of several.
    pub delays: Vec<Option<Micros>>,
    /// Per label: the time from its start to the first event that meets it, 0 if that began before; `None` if none does.
    pub found: Vec<Option<Micros>>,
}

impl Outcome {
    /// Two events of one label are one found incident and two hits; one event over two labels finds both.
    pub fn of(events: &[Span], labels: &[Label]) -> Self {
        let mut outcome =
            Self { hits: vec![false; events.len()], delays: vec![None; events.len()], found: vec![None; labels.len()] };
        for (label, found) in labels.iter().zip(&mut outcome.found) {
            let mut first: Option<usize> = None;
            for (i, event) in events.iter().enumerate().filter(|(_, event)| label.meets(event)) {
                outcome.hits[i] = true;
                if first.is_none_or(|first| event.start < events[first].start) {
                    first = Some(i);
                }
            }
            if let Some(first) = first {
                let delay = events[first].start.saturating_sub(label.start).max(0);
                *found = Some(delay);
                outcome.delays[first] = outcome.delays[first].max(Some(delay));
            }
        }
        outcome
    }

    pub fn score(&self) -> Score {
        let hits = self.hits.iter().filter(|hit| **hit).count();
        let mut delays: Vec<Micros> = self.found.iter().copied().flatten().collect();
        delays.sort_unstable();
        Score { events: self.hits.len(), hits, labels: self.found.len(), found: delays.len(), delays }
    }
}

/// Outcome in numbers; ratios of nothing are NaN.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    pub events: usize,
    pub hits: usize,
    pub labels: usize,
    pub found: usize,
    /// Of the labels that were found, in rising order.
    delays: Vec<Micros>,
}

impl Score {
    /// Events that meet a label, of all events.
    pub fn precision(&self) -> f64 {
        self.hits as f64 / self.events as f64
    }

    /// Labels that an event meets, of all labels.
    pub fn recall(&self) -> f64 {
        self.found as f64 / self.labels as f64
    }

    /// Harmonic mean of precision and recall; 0 where no event meets a label.
    pub fn f1(&self) -> f64 {
        let (precision, recall) = (self.precision(), self.recall());
        if self.hits == 0 && self.events + self.labels > 0 {
            return 0.0;
        }
        2.0 * precision * recall / (precision + recall)
    }

    pub fn mean_delay(&self) -> Option<Micros> {
        let sum: i128 = self.delays.iter().map(|delay| i128::from(*delay)).sum();
        (!self.delays.is_empty()).then(|| (sum / self.delays.len() as i128) as Micros)
    }

    pub fn longest_delay(&self) -> Option<Micros> {
        self.delays.last().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(key: Option<&str>, start: Micros, end: Micros) -> Label {
        Label { key: key.map(str::to_owned), start, end }
    }

    fn event(key: &str, start: Micros, end: Micros) -> Span<'_> {
        Span { key: Some(key), start, end }
    }

    #[test]
    fn events_are_hits_or_false_and_labels_found_or_missed() {
        let events = [event("A", 12, 15), event("A", 18, 19), event("A", 90, 95), event("B", 50, 60)];
        let labels = [label(Some("A"), 10, 20), label(Some("A"), 40, 45), label(Some("B"), 55, 58)];
        let outcome = Outcome::of(&events, &labels);
        assert_eq!(outcome.hits, [true, true, false, true]);
        assert_eq!(outcome.delays, [Some(2), None, None, Some(0)]);
        assert_eq!(outcome.found, [Some(2), None, Some(0)]);
        let score = outcome.score();
        assert_eq!((score.precision(), score.recall()), (0.75, 2.0 / 3.0));
        assert!((score.f1() - 12.0 / 17.0).abs() < 1e-15);
        assert_eq!((score.mean_delay(), score.longest_delay()), (Some(1), Some(2)));
    }

    #[test]
    fn a_label_without_a_key_is_met_by_any_series_and_its_ends_belong_to_it() {
        let outcome = Outcome::of(&[event("A", 20, 30), event("B", 0, 10)], &[label(None, 10, 20)]);
        assert_eq!(outcome.hits, [true, true]);
        assert_eq!(outcome.found, [Some(0)]);
        let together = Outcome::of(&[Span { key: None, start: 12, end: 13 }], &[label(Some("A"), 10, 20)]);
        assert_eq!((together.hits, together.found), (vec![true], vec![Some(2)]));
    }

    #[test]
    fn one_event_may_find_two_labels() {
        let outcome = Outcome::of(&[event("A", 5, 30)], &[label(Some("A"), 1, 6), label(Some("A"), 20, 25)]);
        assert_eq!((outcome.found.clone(), outcome.delays.clone()), (vec![Some(4), Some(0)], vec![Some(4)]));
        assert_eq!(outcome.score().precision(), 1.0);
    }

    #[test]
    fn without_events_or_labels_there_is_no_ratio() {
        let nothing = Outcome::of(&[], &[]).score();
        assert!(nothing.precision().is_nan() && nothing.recall().is_nan() && nothing.f1().is_nan());
        let quiet = Outcome::of(&[], &[label(None, 0, 1)]).score();
        assert!(quiet.precision().is_nan());
        assert_eq!((quiet.recall(), quiet.f1(), quiet.mean_delay()), (0.0, 0.0, None));
    }
}

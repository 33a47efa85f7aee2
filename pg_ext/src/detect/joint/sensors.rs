//! Which measure of which key stands where in a row.

use std::collections::{BTreeSet, HashMap};

/// Every measure of one key, of the next one, and so on.
pub struct Sensors {
    /// The key that is judged alone; `None` where several are judged together.
    pub group: Option<String>,
    pub keys: Vec<String>,
    pub measures: Vec<String>,
    positions: HashMap<String, usize>,
    complete: bool,
    left_out: BTreeSet<String>,
}

impl Sensors {
    /// The measures of one key.
    pub fn of_key(key: &str, measures: &[String]) -> Self {
        Self { group: Some(key.to_owned()), ..Self::new(&[key.to_owned()], measures, true) }
    }

    /// The measures of these keys; of those that come, if none are named.
    pub fn of_keys(keys: Option<&[String]>, measures: &[String]) -> Self {
        Self::new(keys.unwrap_or_default(), measures, keys.is_some())
    }

    fn new(keys: &[String], measures: &[String], complete: bool) -> Self {
        let measures = measures.to_vec();
        let (positions, left_out) = (HashMap::new(), BTreeSet::new());
        let mut sensors = Self { group: None, keys: Vec::new(), measures, positions, complete: false, left_out };
        keys.iter().for_each(|key| _ = sensors.position(key));
        sensors.complete = complete;
        sensors
    }

    /// Where the measures of a key begin; `None` for a key that came too late to be judged.
    pub fn position(&mut self, key: &str) -> Option<usize> {
        if let Some(position) = self.positions.get(key) {
            return Some(*position);
        }
        if self.complete {
            if !self.left_out.contains(key) {
                self.left_out.insert(key.to_owned());
            }
            return None;
        }
        let position = self.len();
        self.keys.push(key.to_owned());
        self.positions.insert(key.to_owned(), position);
        Some(position)
    }

    /// From now on no key is added.
    pub fn complete(&mut self) {
        self.complete = true;
    }

    pub fn len(&self) -> usize {
        self.keys.len() * self.measures.len()
    }

    /// Key and measure of each sensor.
    pub fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.keys.iter().flat_map(|key| self.measures.iter().map(|measure| (key.as_str(), measure.as_str())))
    }

    /// Keys that came after the sensors were complete.
    pub fn left_out(&self) -> &BTreeSet<String> {
        &self.left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_keeps_its_place_and_late_ones_are_told() {
        let mut sensors = Sensors::of_keys(None, &["flow".to_owned(), "pressure".to_owned()]);
        assert_eq!([sensors.position("B"), sensors.position("A"), sensors.position("B")], [Some(0), Some(2), Some(0)]);
        sensors.complete();
        assert_eq!(sensors.position("C"), None);
        assert_eq!(sensors.left_out().iter().collect::<Vec<_>>(), ["C"]);
        let names: Vec<_> = sensors.names().collect();
        assert_eq!(names, [("B", "flow"), ("B", "pressure"), ("A", "flow"), ("A", "pressure")]);
    }
}

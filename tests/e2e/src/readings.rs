//! Readings by key and time, to be compared with what was sent.

use std::collections::BTreeMap;

use crate::Database;

/// Value by key and time in microseconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Readings(pub BTreeMap<(String, i64), Option<f64>>);

impl Readings {
    /// The rows of a query with the columns time, key and value; each key and time may come once.
    pub fn of(database: &Database, query: &str) -> Readings {
        let sql =
            format!("SELECT key::text, (extract(epoch FROM time) * 1000000)::bigint, value::float8 FROM ({query}) q");
        let mut readings = Readings::default();
        for row in database.connect().query(&sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error:?}")) {
            let (key, time): (String, i64) = (row.get(0), row.get(1));
            let before = readings.0.insert((key.clone(), time), row.get(2));
            assert!(before.is_none(), "{key} at {time} counts twice in {query}");
        }
        readings
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn put(&mut self, key: &str, time: i64, value: f64) {
        self.0.insert((key.to_owned(), time), Some(value));
    }

    /// These and others; of two for one key and time the other one counts.
    pub fn and(&self, others: &Readings) -> Readings {
        let mut all = self.clone();
        all.0.extend(others.0.clone());
        all
    }

    /// Those that a condition on key and time lets through.
    pub fn only(&self, wanted: impl Fn(&str, i64) -> bool) -> Readings {
        Readings(self.0.iter().filter(|((key, time), _)| wanted(key, *time)).map(|(k, v)| (k.clone(), *v)).collect())
    }

    /// Fails with the first differences, not with all rows.
    pub fn assert_same(&self, expected: &Readings, what: &str) {
        let missing: Vec<_> = expected.0.iter().filter(|(at, value)| self.0.get(*at) != Some(*value)).take(5).collect();
        let surplus: Vec<_> = self.0.iter().filter(|(at, value)| expected.0.get(*at) != Some(*value)).take(5).collect();
        assert!(
            missing.is_empty() && surplus.is_empty(),
            "{what}: {} rows instead of {}; missing or different: {missing:?}; surplus or different: {surplus:?}",
            self.len(),
            expected.len()
        );
    }
}

//! The readings that a function over an attached table judges, series after series.

use crate::failure::{OrRaise, Result};
use crate::pg_time;
use crate::query::{argument, checked_measures};
use crate::quote;
use crate::snapshot::Snapshot;
use crate::source::Source;
use pgrx::datum::{Interval, TimestampWithTimeZone};
use pgrx::pg_sys;
use series::time::Micros;

/// Some measures of some or all keys of a source over `[from, to)`, after what the detectors learn from.
pub struct Readings {
    pub source: Source,
    pub measures: Vec<String>,
    pub keys: Option<Vec<String>>,
    /// Time of the first reading that only teaches: `from` or earlier.
    learn_from: TimestampWithTimeZone,
    pub from: Micros,
    pub to: TimestampWithTimeZone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Series after series.
    KeyTime,
    /// All series together.
    TimeKey,
}

/// One row of the table, valid while it is handed over.
pub struct Row<'a> {
    pub key: &'a str,
    pub time: Micros,
    /// In the order of the measures asked for; `None` is a missing value.
    pub values: &'a [Option<f64>],
}

impl Readings {
    /// The arguments relation, from, to, keys and measures, and the length of time before `from` to learn from; `None` if
    /// one of the first three is NULL.
    ///
    /// # Safety
    /// `fcinfo` is what PostgreSQL passed, these are the types of its first five arguments, and that numbered `learn` is an
    /// interval.
    pub unsafe fn of_call(fcinfo: pg_sys::FunctionCallInfo, learn: usize) -> Option<Self> {
        // SAFETY: as promised by the caller.
        unsafe {
            let relation = argument::<pg_sys::Oid>(fcinfo, 0)?;
            let (from, to) = (argument::<TimestampWithTimeZone>(fcinfo, 1)?, argument(fcinfo, 2)?);
            let learn = argument::<Interval>(fcinfo, learn).map_or(0, |learn| pg_time::interval_micros(&learn));
            let source = Source::of_relation(relation).or_raise();
            let measures = checked_measures(&source, argument(fcinfo, 4)).or_raise();
            let keys = argument(fcinfo, 3);
            Some(Self::new(source, measures, keys, (from, to), learn))
        }
    }

    /// Readings of `[from, to)` and of the time `before` it, in microseconds.
    pub fn new(
        source: Source,
        measures: Vec<String>,
        keys: Option<Vec<String>>,
        (from, to): (TimestampWithTimeZone, TimestampWithTimeZone),
        before: Micros,
    ) -> Self {
        let (first, from) = (from, pg_time::from_bound(from));
        let learn_from = if before > 0 { pg_time::timestamptz(from.saturating_sub(before)) } else { first };
        Self { source, measures, keys, learn_from, from, to }
    }

    /// Hands over the rows of all tiers, ordered by key and time, as the caller of the function may read them.
    ///
    /// # Errors
    /// Those of `strata.rows` and of `each`.
    pub fn each(&self, snapshot: &Snapshot, each: impl FnMut(Row) -> Result<()>) -> Result<()> {
        self.each_in(Order::KeyTime, snapshot, each)
    }

    /// The same in the order asked for.
    ///
    /// # Errors
    /// As those of [`Readings::each`].
    pub fn each_in(&self, order: Order, snapshot: &Snapshot, mut each: impl FnMut(Row) -> Result<()>) -> Result<()> {
        let mut values = vec![None; self.measures.len()];
        let mut outcome = Ok(());
        snapshot.select(
            &self.statement(order),
            &[self.learn_from.into(), self.to.into(), self.keys.clone().into()],
            |view| {
                let Some(time) = view.raw_timestamptz(1).and_then(pg_time::micros_of_raw) else { return Ok(()) };
                for (i, value) in values.iter_mut().enumerate() {
                    *value = view.get::<f64>(3 + i);
                }
                view.with_text(2, |key| outcome = each(Row { key, time, values: &values }));
                std::mem::replace(&mut outcome, Ok(()))
            },
        )
    }

    /// The order of bytes, because a collation may hold different keys for equal and mix their readings.
    fn statement(&self, order: Order) -> String {
        let measures: String =
            self.measures.iter().map(|measure| format!(", r.{}::float8", quote::ident(measure))).collect();
        let (time, key, table) = (self.source.time(), self.source.key(), &self.source.table);
        let by_key = format!("r.{key}::text COLLATE \"C\"");
        let order = match order {
            Order::KeyTime => format!("{by_key}, r.{time}"),
            Order::TimeKey => format!("r.{time}, {by_key}"),
        };
        format!(
            "SELECT r.{time}, r.{key}::text{measures} FROM strata.rows(NULL::{table}, $1, $2, $3) r ORDER BY {order}"
        )
    }
}

//! The times that a table has room for: whether a day's rows can have left it with the part that held them.
//!
//! Sessions remember it, because TimescaleDB's catalog takes longer to read than most queries run.

use crate::failure::{Failure, Result};
use crate::iso_dates::IsoDates;
use crate::partitions;
use crate::pg_time;
use crate::snapshot::Snapshot;
use crate::source::Source;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::{PgList, pg_guard, pg_sys};
use series::time::{Day, Micros};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

// catalog/pg_inherits.h is not among the headers that pgrx binds.
unsafe extern "C-unwind" {
    fn find_inheritance_children(parent: pg_sys::Oid, lock: pg_sys::LOCKMODE) -> *mut pg_sys::List;
}

thread_local! {
    static KNOWN: RefCell<HashMap<pg_sys::Oid, Known>> = RefCell::new(HashMap::new());
    /// Rises whenever something was forgotten, so that nobody remembers what changed while it was read.
    static FORGOTTEN: Cell<u64> = const { Cell::new(0) };
}

struct Known {
    time_column: String,
    /// The table and the partitions that have partitions themselves.
    tables: Vec<pg_sys::Oid>,
    /// A chunk comes and goes without a message about its table.
    children: Vec<pg_sys::Oid>,
    coverage: Option<Rc<Coverage>>,
}

/// Ranges `[from, to)` in order of their start, and whether rows of any other time have a place too.
#[derive(Default)]
pub struct Coverage {
    ranges: Vec<(Micros, Micros)>,
    anywhere: bool,
}

impl Coverage {
    /// Whether there is a part for every moment of the day.
    pub fn is_whole(&self, day: Day) -> bool {
        let mut covered = day.start();
        for &(from, to) in self.ranges.iter().take_while(|(from, _)| *from < day.end()) {
            if from <= covered {
                covered = covered.max(to);
            }
        }
        covered >= day.end()
    }

    /// Whether the table can hold rows of the day at all.
    pub fn is_possible(&self, day: Day) -> bool {
        self.anywhere || self.ranges.iter().any(|&(from, to)| from < day.end() && day.start() < to)
    }
}

/// Registers the callback that forgets. Called once, from `_PG_init`.
pub fn init() {
    // SAFETY: the callback lives as long as the library, which is never unloaded.
    unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(forget), pg_sys::Datum::from(0)) }
}

#[pg_guard]
extern "C-unwind" fn forget(_argument: pg_sys::Datum, relation: pg_sys::Oid) {
    FORGOTTEN.set(FORGOTTEN.get() + 1);
    KNOWN.with_borrow_mut(|known| match relation {
        pg_sys::InvalidOid => known.clear(),
        _ => known.retain(|_, known| !known.tables.contains(&relation)),
    });
}

/// Of a table that the caller has locked; `None` unless it is a hypertable, or partitioned by ranges of the time column.
pub fn of_table(source: &Source) -> Result<Option<Rc<Coverage>>> {
    let children = children(source.relation);
    let known = KNOWN.with_borrow(|known| {
        let known = known.get(&source.relation)?;
        (known.time_column == source.time_column && known.children == children).then(|| known.coverage.clone())
    });
    if let Some(coverage) = known {
        return Ok(coverage);
    }
    let before = FORGOTTEN.get();
    let mut tables = vec![source.relation];
    let coverage = read(source, &mut tables)?.map(Rc::new);
    if FORGOTTEN.get() == before {
        let known = Known { time_column: source.time_column.clone(), tables, children, coverage: coverage.clone() };
        KNOWN.with_borrow_mut(|all| all.insert(source.relation, known));
    }
    Ok(coverage)
}

fn children(relation: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    // SAFETY: reads the catalog as it is now; the boundary turns an ERROR into an unwinding panic, and the list lives in
    // the memory context of the call.
    unsafe {
        let list = pg_sys::ffi::pg_guard_ffi_boundary(|| {
            find_inheritance_children(relation, pg_sys::NoLock as pg_sys::LOCKMODE)
        });
        PgList::<pg_sys::Oid>::from_pg(list).iter_oid().collect()
    }
}

fn read(source: &Source, tables: &mut Vec<pg_sys::Oid>) -> Result<Option<Coverage>> {
    let mut coverage = Coverage::default();
    if partitions::is_partitioned(source)? {
        add_partitions(source, &mut coverage, tables)?;
    } else if partitions::is_hypertable(source)? {
        coverage.ranges = partitions::of_table(source)?.iter().map(|part| part.range()).collect();
    } else {
        return Ok(None);
    }
    coverage.ranges.sort_unstable();
    Ok(Some(coverage))
}

/// A partition that has partitions by ranges of the time itself has room for those; any other has room for all its range.
fn add_partitions(source: &Source, coverage: &mut Coverage, tables: &mut Vec<pg_sys::Oid>) -> Result<()> {
    let _dates = IsoDates::begin();
    Snapshot::take_latest().select(
        "WITH RECURSIVE divided AS (
             SELECT $1::oid AS oid
             UNION ALL
             SELECT p.partrelid FROM divided
             JOIN pg_inherits i ON i.inhparent = divided.oid AND NOT i.inhdetachpending
             JOIN pg_partitioned_table p ON p.partrelid = i.inhrelid AND p.partstrat = 'r' AND p.partnatts = 1
             JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0] AND a.attname = $2
         ), parts AS (
             SELECT pg_get_expr(c.relpartbound, c.oid) AS bound
             FROM divided
             JOIN pg_inherits i ON i.inhparent = divided.oid AND NOT i.inhdetachpending
             JOIN pg_class c ON c.oid = i.inhrelid
             WHERE c.oid NOT IN (SELECT oid FROM divided)
         )
         SELECT NULL::oid, bound = 'DEFAULT', nullif(ends[1], 'MINVALUE')::timestamptz, nullif(ends[2], 'MAXVALUE')::timestamptz
         FROM parts, LATERAL regexp_match(replace(bound, '''', ''), '^FOR VALUES FROM \\((.*)\\) TO \\((.*)\\)$') ends
         UNION ALL
         SELECT oid, NULL, NULL, NULL FROM divided",
        &[source.relation.into(), source.time_column.clone().into()],
        |row| {
            let bound = |column| row.get::<TimestampWithTimeZone>(column).and_then(pg_time::micros);
            match (row.get::<pg_sys::Oid>(1), row.get::<bool>(2)) {
                (Some(table), _) => tables.push(table),
                (None, Some(true)) => coverage.anywhere = true,
                _ => coverage.ranges.push((bound(3).unwrap_or(Micros::MIN), bound(4).unwrap_or(Micros::MAX))),
            }
            Ok::<_, Failure>(())
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use series::time::MICROS_PER_DAY;

    fn coverage(ranges: &[(i64, i64)]) -> Coverage {
        let half = MICROS_PER_DAY / 2;
        Coverage { ranges: ranges.iter().map(|&(from, to)| (from * half, to * half)).collect(), anywhere: false }
    }

    #[test]
    fn a_day_is_whole_in_parts_without_a_gap() {
        let whole = |ranges: &[(i64, i64)]| coverage(ranges).is_whole(Day(1));
        assert!(whole(&[(2, 4)]) && whole(&[(-9, 99)]) && whole(&[(0, 3), (3, 4)]) && whole(&[(2, 3), (2, 3), (3, 9)]));
        assert!(!whole(&[]) && !whole(&[(0, 2), (4, 9)]) && !whole(&[(2, 3), (2, 3)]) && !whole(&[(3, 4)]));
    }

    #[test]
    fn a_day_is_possible_in_a_part_of_it_and_where_there_is_room_for_anything() {
        let possible = |ranges: &[(i64, i64)]| coverage(ranges).is_possible(Day(1));
        assert!(possible(&[(3, 4)]) && possible(&[(-9, 3)]) && !possible(&[(0, 2), (4, 9)]) && !possible(&[]));
        assert!(Coverage { anywhere: true, ..coverage(&[]) }.is_possible(Day(1)));
    }
}

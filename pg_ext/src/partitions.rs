//! The parts a table is made of, so that days can leave it by dropping a part instead of deleting rows.

use crate::failure::Result;
use crate::iso_dates::IsoDates;
use crate::pg_time::{self, sql_time};
use crate::quote;
use crate::snapshot::Snapshot;
use crate::source::Source;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use series::time::{Day, Micros};

/// A chunk of a hypertable or a partition, and the times `[from, to)` it holds.
pub struct Part {
    kind: Kind,
    from: Micros,
    to: Micros,
}

enum Kind {
    Chunk,
    /// Schema-qualified and quoted.
    Partition(String),
}

impl Part {
    pub fn range(&self) -> (Micros, Micros) {
        (self.from, self.to)
    }

    pub fn days(&self) -> impl Iterator<Item = Day> + use<> {
        (Day::of(self.from).0..=Day::of(self.to - 1).0).map(Day)
    }

    /// Takes the part out of the table, rows and all. The caller holds the lock and has made sure of its rows.
    pub fn drop(&self, source: &Source) -> Result<()> {
        match &self.kind {
            Kind::Chunk => {
                let schema = timescaledb_schema()?.unwrap_or_default();
                Spi::run(&format!(
                    "SELECT {}.drop_chunks({}::regclass, older_than => {}, newer_than => {})",
                    quote::ident(&schema),
                    quote::literal(&source.table),
                    sql_time(self.to),
                    sql_time(self.from)
                ))?;
            }
            Kind::Partition(name) => {
                Spi::run(&format!("ALTER TABLE {} DETACH PARTITION {name}", source.table))?;
                Spi::run(&format!("DROP TABLE {name}"))?;
            }
        }
        Ok(())
    }
}

/// The parts of a table in order of time; none for a plain table, or where parts are not ranges of the time column.
pub fn of_table(source: &Source) -> Result<Vec<Part>> {
    let mut parts = chunks(source)?;
    if parts.is_empty() {
        parts = partitions(source)?;
    }
    parts.sort_by_key(|part| part.from);
    Ok(parts)
}

/// Whether the table is partitioned by ranges of the time column.
pub fn is_partitioned(source: &Source) -> Result<bool> {
    exists(
        "SELECT FROM pg_partitioned_table p
         JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
         JOIN strata.sources s ON s.relation = p.partrelid AND s.time_column = a.attname
         WHERE p.partrelid = $1 AND p.partstrat = 'r' AND p.partnatts = 1",
        source,
    )
}

pub fn is_hypertable(source: &Source) -> Result<bool> {
    if timescaledb_schema()?.is_none() {
        return Ok(false);
    }
    exists(
        "SELECT FROM timescaledb_information.hypertables h
         JOIN pg_class t ON t.relname = h.hypertable_name
         JOIN pg_namespace n ON n.oid = t.relnamespace AND n.nspname = h.hypertable_schema
         WHERE t.oid = $1",
        source,
    )
}

fn exists(sql: &str, source: &Source) -> Result<bool> {
    let sql = format!("SELECT EXISTS ({sql})");
    Ok(Spi::get_one_with_args::<bool>(&sql, &[source.relation.into()])? == Some(true))
}

fn chunks(source: &Source) -> Result<Vec<Part>> {
    if timescaledb_schema()?.is_none() {
        return Ok(Vec::new());
    }
    ranges(
        "SELECT range_start, range_end, NULL::text FROM timescaledb_information.chunks c
         JOIN pg_class t ON t.relname = c.hypertable_name
         JOIN pg_namespace n ON n.oid = t.relnamespace AND n.nspname = c.hypertable_schema
         WHERE t.oid = $1 AND range_start IS NOT NULL",
        source,
        |_| Kind::Chunk,
    )
}

fn partitions(source: &Source) -> Result<Vec<Part>> {
    ranges(
        "SELECT bounds[1]::timestamptz, bounds[2]::timestamptz, name FROM (
             SELECT regexp_match(pg_get_expr(c.relpartbound, c.oid), '^FOR VALUES FROM \\(''([^'']+)''\\) TO \\(''([^'']+)''\\)$') AS bounds,
                    format('%I.%I', n.nspname, c.relname) AS name
             FROM pg_partitioned_table p
             JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
             JOIN strata.sources s ON s.relation = p.partrelid AND s.time_column = a.attname
             JOIN pg_inherits i ON i.inhparent = p.partrelid
             JOIN pg_class c ON c.oid = i.inhrelid AND c.relkind = 'r'
             JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE p.partrelid = $1 AND p.partstrat = 'r' AND p.partnatts = 1) q
         WHERE bounds IS NOT NULL",
        source,
        Kind::Partition,
    )
}

fn ranges(sql: &str, source: &Source, kind: impl Fn(String) -> Kind) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    let _dates = IsoDates::begin();
    // a part that was dropped is gone for every transaction, also for one whose snapshot still has it in the catalog
    Snapshot::take_latest().select(sql, &[source.relation.into()], |row| {
        let bound = |column| row.get::<TimestampWithTimeZone>(column).and_then(pg_time::micros);
        if let (Some(from), Some(to)) = (bound(1), bound(2)) {
            parts.push(Part { kind: kind(row.get::<String>(3).unwrap_or_default()), from, to });
        }
        Ok(())
    })?;
    Ok(parts)
}

/// Where TimescaleDB's functions are; `None` without it.
fn timescaledb_schema() -> Result<Option<String>> {
    Spi::connect(|client| {
        let mut rows = client.select(
            "SELECT n.nspname::text FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'timescaledb'",
            None,
            &[],
        )?;
        Ok(match rows.next() {
            Some(row) => row.get::<String>(1)?,
            None => None,
        })
    })
}

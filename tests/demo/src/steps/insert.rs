use anyhow::Result;
use postgres::Client;

use super::import::instant;
use crate::data::{Source, Way};
use crate::report::{self, count};

/// Readings that arrive days late: plain INSERT, as any program would send them.
pub fn run(client: &mut Client, sources: &[Source]) -> Result<()> {
    for source in sources.iter().filter(|source| source.of_way(Way::Insert).next().is_some()) {
        report::step(&format!("INSERT INTO {}", source.table), |_| {
            let places: Vec<String> = (1..=source.columns().len()).map(|place| format!("${place}")).collect();
            let columns = source.columns().join(", ");
            let mut transaction = client.transaction()?;
            let insert = format!("INSERT INTO {} ({columns}) VALUES ({})", source.table, places.join(", "));
            let insert = transaction.prepare(&insert)?;
            let mut rows = 0;
            for row in source.of_way(Way::Insert) {
                let time = instant(row.time);
                let mut arguments: Vec<&(dyn postgres::types::ToSql + Sync)> = vec![&time, &row.key];
                arguments.extend(row.values.iter().map(|value| value as &(dyn postgres::types::ToSql + Sync)));
                rows += transaction.execute(&insert, &arguments)?;
            }
            transaction.commit()?;
            Ok(format!("{} {} that arrive days late", count(rows), source.noun))
        })?;
    }
    Ok(())
}

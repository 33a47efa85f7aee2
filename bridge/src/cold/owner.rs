//! Whose archive it is. A table remembers in a label which database writes to it, so that a restored copy of that
//! database does not write to the original's archive.

use std::collections::HashMap;

use ring::digest::{SHA256, digest};

use super::client::{ColdClient, TableRef};
use super::error::{ColdError, ErrorKind};
use super::tables::RemoteTable;

const OWNER_LABEL: &str = "strata_owner";
const SOURCE_LABEL: &str = "strata_source";

/// A database of a PostgreSQL cluster, in a form that a label can hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerId(String);

impl OwnerId {
    /// `system_identifier` is the cluster's (`pg_control_system()`), `database` the database's name.
    pub fn new(system_identifier: u64, database: &str) -> OwnerId {
        let name: String =
            digest(&SHA256, database.as_bytes()).as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        OwnerId(format!("{system_identifier}-{name}"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The labels of a new archive table.
pub(crate) fn labels(owner: &OwnerId, source: &str) -> HashMap<String, String> {
    HashMap::from([(OWNER_LABEL.to_owned(), owner.0.clone()), (SOURCE_LABEL.to_owned(), label_value(source))])
}

/// Lower-case letters, digits, `_` and `-`, at most 63.
fn label_value(text: &str) -> String {
    text.chars()
        .take(63)
        .map(|c| match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() || c == '-' => c,
            _ => '_',
        })
        .collect()
}

impl ColdClient {
    /// Makes sure that the table is `owner`'s. A table without an owner is claimed if it is empty; any other only with
    /// `take_over`.
    ///
    /// # Errors
    /// [`ErrorKind::NotOwner`] when it is somebody else's, [`ErrorKind::Conflict`] when it changed meanwhile.
    pub(crate) async fn claim(
        &self,
        table: &TableRef,
        remote: &RemoteTable,
        owner: &OwnerId,
        source: &str,
        take_over: bool,
    ) -> Result<(), ColdError> {
        let current = remote.labels.get(OWNER_LABEL);
        if current == Some(&owner.0) {
            return Ok(());
        }
        let free = current.is_none() && remote.rows() == 0;
        if !free && !take_over {
            let whose = match current {
                Some(_) => "belongs to another database",
                None => "holds rows that this database did not write",
            };
            return Err(ColdError::new(
                ErrorKind::NotOwner,
                format!("the archive table {table} {whose}"),
            )
            .with_hint("A copy of a database must not write to the original's archive. If this database is to own it from now on, say so with strata.take_over_archive(); otherwise attach the source with another BigQuery table."));
        }
        let mut all = remote.labels.clone();
        all.extend(labels(owner, source));
        self.set_labels(table, remote, &all).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_fits_a_label() {
        let owner = OwnerId::new(u64::MAX, "Größe; drop table");
        assert_eq!(label_value(owner.as_str()), owner.as_str());
        assert_ne!(owner, OwnerId::new(u64::MAX, "other"));
        assert_ne!(OwnerId::new(1, "a"), OwnerId::new(2, "a"));
    }

    #[test]
    fn a_source_name_is_made_fit() {
        assert_eq!(label_value("Sensor.Readings"), "sensor_readings");
    }
}

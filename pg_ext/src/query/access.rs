//! Who may read what: the copies in Redis and BigQuery have the rights of the table.

use crate::failure::{Failure, Result};
use crate::source::Source;
use pgrx::PgSqlErrorCode;
use pgrx::prelude::*;

/// The rights of the current user on a source.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    row_security: bool,
    cold_reader: bool,
}

impl Access {
    /// # Errors
    /// `42501` without SELECT on the table or on each of `columns`.
    pub fn check(source: &Source, columns: &[String]) -> Result<Self> {
        let (readable, row_security, cold_reader) = Spi::connect(|client| -> Result<_> {
            let row = client
                .select(
                    "SELECT has_table_privilege($1, 'SELECT')
                         OR coalesce((SELECT bool_and(has_column_privilege($1, c, 'SELECT')) FROM unnest($2::text[]) c), false),
                         row_security_active($1),
                         pg_has_role('strata_cold_reader', 'USAGE')",
                    Some(1),
                    &[source.relation.into(), columns.to_vec().into()],
                )?
                .first();
            Ok((row.get::<bool>(1)?, row.get::<bool>(2)?, row.get::<bool>(3)?))
        })?;
        if readable != Some(true) {
            return Err(Failure::new(
                PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!("permission denied for table {}", source.table),
            )
            .detail("What is in Redis and BigQuery is readable to those who may SELECT from the table."));
        }
        Ok(Self { row_security: row_security != Some(false), cold_reader: cold_reader == Some(true) })
    }

    pub fn sees_all_rows(self) -> bool {
        !self.row_security
    }

    /// # Errors
    /// `42501` where row-level security applies to the reader: the remote copies know nothing of its policies.
    pub fn check_hot(self, source: &Source) -> Result<()> {
        self.check_row_security(source, "Redis")
    }

    /// # Errors
    /// `42501` where row-level security applies, or for users who may not spend money on BigQuery.
    pub fn check_cold(self, source: &Source) -> Result<()> {
        self.check_row_security(source, "BigQuery")?;
        if self.cold_reader {
            return Ok(());
        }
        Err(Failure::new(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("permission denied for the cold tier of table {}", source.table),
        )
        .detail("A query on BigQuery costs money.")
        .hint("GRANT strata_cold_reader TO the user, or ask for a range that is still in the table."))
    }

    fn check_row_security(self, source: &Source, store: &str) -> Result<()> {
        if !self.row_security {
            return Ok(());
        }
        Err(Failure::new(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("row-level security of table {} cannot be applied to its rows in {store}", source.table),
        )
        .hint("Query the table itself, or as a user with BYPASSRLS."))
    }
}

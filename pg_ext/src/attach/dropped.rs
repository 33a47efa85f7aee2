//! Sources whose table was dropped. DROP TABLE leaves them, since their days may be in BigQuery only: a table that is
//! attached in the place of the dropped one takes them over.

use super::Request;
use crate::as_user::AsUser;
use crate::failure::{Failure, Result};
use crate::quote;
use crate::source;
use pgrx::PgSqlErrorCode;
use pgrx::prelude::*;

/// A row of `strata.sources` without its table.
struct Dropped {
    id: i32,
    name: String,
    cold: Option<String>,
    measures: Vec<String>,
    /// Days of the manifest, and samples that the table had refused.
    kept: i64,
}

/// Sources without a table that stand in the way of this name or archive. Those that hold nothing are forgotten; one that
/// holds something is taken over, and its number returned.
///
/// # Errors
/// `55006` where the request is not in the place of the dropped table.
pub fn take_over(request: &Request, name: &str, measures: &[String]) -> Result<Option<i32>> {
    let _user = AsUser::catalog_owner();
    let mut taken = None;
    for dropped in find(name, request.cold)? {
        if dropped.kept == 0 {
            Spi::run_with_args("DELETE FROM strata.sources WHERE source_id = $1", &[dropped.id.into()])?;
            continue;
        }
        let same =
            dropped.name == name && dropped.cold.as_deref() == request.cold && measures.starts_with(&dropped.measures);
        if !same {
            return Err(in_the_way(&dropped));
        }
        put_in_place(&dropped, request, measures)?;
        pgrx::notice!(
            "source \"{name}\", whose table was dropped, goes on with table {}",
            source::relation_name(request.relation)
        );
        taken = Some(dropped.id);
    }
    Ok(taken)
}

fn in_the_way(dropped: &Dropped) -> Failure {
    let mut arguments = format!("name => {}", quote::literal(&dropped.name));
    if let Some(cold) = &dropped.cold {
        arguments += &format!(", cold => {}", quote::literal(cold));
    }
    let measures: Vec<String> = dropped.measures.iter().map(|measure| quote::literal(measure)).collect();
    Failure::new(
        PgSqlErrorCode::ERRCODE_OBJECT_IN_USE,
        format!("the table of source \"{}\" was dropped, and {} of its days or samples are kept", dropped.name, dropped.kept),
    )
    .hint(format!(
        "Attach the table in its place with {arguments}, measures => ARRAY[{}]; or, as a superuser, give them up: DELETE FROM strata.sources WHERE source_id = {};",
        measures.join(", "),
        dropped.id
    ))
}

fn find(name: &str, cold: Option<&str>) -> Result<Vec<Dropped>> {
    Spi::connect(|client| {
        let rows = client.select(
            "SELECT s.source_id, s.name, s.cold, s.measures::text[],
                    (SELECT count(*) FROM strata.manifest m WHERE m.source_id = s.source_id)
                    + (SELECT count(*) FROM strata.rejected_samples r WHERE r.source_id = s.source_id)
             FROM strata.sources s
             WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = s.relation) AND (s.name = $1 OR s.cold = $2)",
            None,
            &[name.into(), cold.into()],
        )?;
        let mut found = Vec::new();
        for row in rows {
            found.push(Dropped {
                id: row.get(1)?.unwrap_or_default(),
                name: row.get(2)?.unwrap_or_default(),
                cold: row.get(3)?,
                measures: row.get(4)?.unwrap_or_default(),
                kept: row.get(5)?.unwrap_or(0),
            });
        }
        Ok(found)
    })
}

/// Days that were in the table and in the archive are in the archive only now. What the new table holds of them stands
/// over the archive, as late rows do.
fn put_in_place(dropped: &Dropped, request: &Request, measures: &[String]) -> Result<()> {
    Spi::run_with_args(
        "UPDATE strata.sources SET relation = $2::oid, time_column = $3::name, key_column = $4::name,
                measures = $5::text[]::name[], hot = $6, warm = $7, drop_archived = $8, attached_at = now()
         WHERE source_id = $1",
        &[
            dropped.id.into(),
            request.relation.into(),
            request.time_column.into(),
            request.key_column.into(),
            measures.to_vec().into(),
            request.hot.into(),
            request.warm.into(),
            request.drop_archived.into(),
        ],
    )?;
    Spi::run_with_args(
        "UPDATE strata.manifest SET state = 'dropped', dropped_at = now(), keep_until = NULL
         WHERE source_id = $1 AND state = 'archived'",
        &[dropped.id.into()],
    )?;
    Ok(())
}

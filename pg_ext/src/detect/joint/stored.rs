//! Models in the catalog, by name.

use super::align::Grid;
use super::flow::By;
use super::options::refusal;
use crate::as_user::AsUser;
use crate::failure::{Failure, Result};
use crate::pg_time;
use crate::source::Source;
use pgrx::datum::{Interval, TimestampWithTimeZone};
use pgrx::prelude::*;
use pgrx::spi::SpiHeapTupleData;
use pgrx::{JsonB, PgSqlErrorCode};
use series::detect::JointDetector;
use series::time::Micros;

/// A row of `strata.joint_models`.
pub struct StoredModel {
    /// The key that is judged alone; `None` where all are judged together.
    pub group: Option<String>,
    pub version: i32,
    /// Keys and measures whose product the sensors are.
    pub keys: Vec<String>,
    pub measures: Vec<String>,
    /// The keys that training was asked for; `None` for all.
    pub asked_keys: Option<Vec<String>>,
    pub options: JsonB,
    pub grid: Grid,
    /// Begin and end of the training.
    pub trained: (Micros, Micros),
    /// Who had the job fit it anew.
    pub refit_by: Option<String>,
    bytes: Vec<u8>,
}

/// What training adds to a model.
pub struct Fitted {
    pub group: Option<String>,
    pub keys: Vec<String>,
    pub rows: i64,
    pub bytes: Vec<u8>,
}

/// What all models of a name have in common.
pub struct Request {
    pub name: String,
    pub measures: Vec<String>,
    pub asked_keys: Option<Vec<String>>,
    pub options: JsonB,
    pub grid: Grid,
    pub from: Micros,
    pub to: Micros,
    /// Who has the job fit them anew.
    pub refit_by: Option<String>,
}

const SELECT: &str =
    "SELECT key, version, sensor_keys, measures, keys, options, step, hold, trained_from, trained_to, model,
        refit_by::text
    FROM strata.joint_models";

impl StoredModel {
    /// All models of a name, which are at least one.
    ///
    /// # Errors
    /// `42704` if there is none, `42501` for those whom row-level security restricts or who may not read the table.
    pub fn all(source: &Source, name: &str) -> Result<Vec<Self>> {
        check_rights(source)?;
        let _owner = AsUser::catalog_owner();
        let models = Spi::connect(|client| -> Result<Vec<Self>> {
            let sql = format!("{SELECT} WHERE source_id = $1 AND name = $2 ORDER BY key");
            let rows = client.select(&sql, None, &[source.id.into(), name.into()])?;
            rows.map(|row| Self::from_row(&row)).collect()
        })?;
        if models.is_empty() {
            return Err(Failure::new(
                PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
                format!("table {} has no joint model \"{name}\"", source.table),
            )
            .hint("Train one: SELECT strata.train_joint(table, name, from, to)."));
        }
        Ok(models)
    }

    fn from_row(row: &SpiHeapTupleData) -> Result<Self> {
        let step = row.get::<Interval>(7)?.map(|step| pg_time::interval_micros(&step));
        let time = |column| -> Result<Micros> { Ok(pg_time::from_bound(required(row, column)?)) };
        Ok(Self {
            group: row.get(1)?,
            version: required(row, 2)?,
            keys: required(row, 3)?,
            measures: required(row, 4)?,
            asked_keys: row.get(5)?,
            options: required(row, 6)?,
            grid: Grid { step, hold: required::<i32>(row, 8)? as u32 },
            trained: (time(9)?, time(10)?),
            bytes: required(row, 11)?,
            refit_by: row.get(12)?,
        })
    }

    pub fn by(&self) -> By {
        if self.group.is_some() { By::Key } else { By::All }
    }

    /// The detector as training left it.
    ///
    /// # Errors
    /// `XX001` where another version of the library wrote it, or the bytes are damaged.
    pub fn detector(&self) -> Result<JointDetector> {
        JointDetector::restore(&self.bytes).map_err(refusal)
    }
}

fn required<T: pgrx::FromDatum + pgrx::IntoDatum>(row: &SpiHeapTupleData, column: usize) -> Result<T> {
    row.get::<T>(column)?.ok_or_else(|| {
        Failure::new(PgSqlErrorCode::ERRCODE_DATA_CORRUPTED, "a row of strata.joint_models is incomplete")
    })
}

/// A model holds ranges and means of all rows it was trained on.
///
/// # Errors
/// `42501` for those who may not see all rows of the table.
pub fn check_rights(source: &Source) -> Result<()> {
    if Spi::get_one_with_args::<bool>("SELECT strata.may_read($1)", &[source.id.into()])? == Some(true) {
        return Ok(());
    }
    Err(Failure::new(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        format!("permission denied for the joint models of table {}", source.table),
    )
    .detail("A model tells of all rows it was trained on: it is for those who may SELECT from the table and whom no row-level policy restricts.")
    .hint("Without model => … a detector is fitted to the rows that the caller may see."))
}

/// The source that a name belongs to.
///
/// # Errors
/// `42704` if there is no model of that name.
pub fn source_of(name: &str) -> Result<Source> {
    let relation = {
        let _owner = AsUser::catalog_owner();
        Spi::get_one_with_args::<pgrx::pg_sys::Oid>(
            "SELECT (SELECT s.relation::oid FROM strata.sources s JOIN strata.joint_models m USING (source_id)
                     WHERE m.name = $1 LIMIT 1)",
            &[name.into()],
        )?
    };
    let relation = relation.ok_or_else(|| {
        Failure::new(PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT, format!("there is no joint model \"{name}\""))
            .hint("Train one: SELECT strata.train_joint(table, name, from, to).")
    })?;
    Source::of_relation(relation)
}

/// Puts fitted models in the place of those of the same name and key; returns how many.
///
/// # Errors
/// `42710` if the name belongs to another table.
pub fn store(source: &Source, request: &Request, fitted: Vec<Fitted>, forget_others: bool) -> Result<i32> {
    let _owner = AsUser::catalog_owner();
    let other = Spi::get_one_with_args::<String>(
        "SELECT (SELECT s.relation::text FROM strata.joint_models m JOIN strata.sources s USING (source_id)
                 WHERE m.name = $1 AND source_id <> $2 LIMIT 1)",
        &[request.name.as_str().into(), source.id.into()],
    )?;
    if let Some(other) = other {
        return Err(Failure::new(
            PgSqlErrorCode::ERRCODE_DUPLICATE_OBJECT,
            format!("joint model \"{}\" belongs to table {other}", request.name),
        )
        .hint("Give this one a name of its own."));
    }
    let version = Spi::get_one_with_args::<i32>(
        "SELECT coalesce(max(version), 0) + 1 FROM strata.joint_models WHERE name = $1",
        &[request.name.as_str().into()],
    )?;
    if forget_others {
        Spi::run_with_args("DELETE FROM strata.joint_models WHERE name = $1", &[request.name.as_str().into()])?;
    }
    let step = request.grid.step.map(|step| Interval::new(0, 0, step).expect("microseconds make an interval"));
    let count = fitted.len() as i32;
    for model in fitted {
        Spi::run_with_args(
            "INSERT INTO strata.joint_models (source_id, name, key, version, sensor_keys, measures, keys, options, step, hold,
                                              trained_from, trained_to, trained_rows, model, refit_by)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15::text::name)
             ON CONFLICT (name, key) DO UPDATE SET version = excluded.version, sensor_keys = excluded.sensor_keys,
                 trained_from = excluded.trained_from, trained_to = excluded.trained_to,
                 trained_rows = excluded.trained_rows, trained_at = excluded.trained_at, model = excluded.model",
            &[
                source.id.into(),
                request.name.as_str().into(),
                model.group.into(),
                version.into(),
                model.keys.into(),
                request.measures.clone().into(),
                request.asked_keys.clone().into(),
                JsonB(request.options.0.clone()).into(),
                step.into(),
                (request.grid.hold as i32).into(),
                timestamp(request.from).into(),
                timestamp(request.to).into(),
                model.rows.into(),
                model.bytes.into(),
                request.refit_by.clone().into(),
            ],
        )?;
    }
    Ok(count)
}

fn timestamp(time: Micros) -> TimestampWithTimeZone {
    pg_time::timestamptz(time)
}

/// Who has the job fit the models of a name anew; `None` also where there are none.
pub fn refit_by(name: &str) -> Result<Option<String>> {
    let _owner = AsUser::catalog_owner();
    let sql = "SELECT (SELECT max(refit_by)::text FROM strata.joint_models WHERE name = $1)";
    Ok(Spi::get_one_with_args(sql, &[name.into()])?)
}

/// Says who has the job fit the models of a name anew.
pub fn set_refit_by(source: &Source, name: &str, who: Option<String>) -> Result<()> {
    let _owner = AsUser::catalog_owner();
    let sql = "UPDATE strata.joint_models SET refit_by = $3::text::name WHERE source_id = $1 AND name = $2";
    Ok(Spi::run_with_args(sql, &[source.id.into(), name.into(), who.into()])?)
}

/// The names whose models are to be fitted anew, and who asked for it.
///
/// A run that failed is tried again soon; what it could fit waits for the next time of the schedule.
pub fn names_to_refit() -> Result<Vec<(String, String)>> {
    Spi::connect(|client| {
        let rows = client.select(
            "SELECT name, max(refit_by)::text FROM strata.joint_models WHERE refit_by IS NOT NULL
             GROUP BY name
             HAVING max(trained_at) < coalesce(
                 (SELECT min(r.started_at) FROM strata.job_runs r JOIN strata.jobs j ON j.name = r.job
                  WHERE r.job = 'joint_refit' AND r.status IN ('failed', 'crashed')
                    AND strata.next_run(j.schedule, r.started_at) > now()
                    AND NOT EXISTS (SELECT FROM strata.job_runs s
                                    WHERE s.job = r.job AND s.status = 'succeeded' AND s.run_id > r.run_id)),
                 'infinity')
             ORDER BY name",
            None,
            &[],
        )?;
        let mut names = Vec::new();
        for row in rows {
            names.extend(row.get::<String>(1)?.zip(row.get::<String>(2)?));
        }
        Ok(names)
    })
}

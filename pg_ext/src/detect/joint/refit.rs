//! `strata.refit_joint`, `strata.alter_joint` and what the job `joint_refit` does: stored models are fitted anew.

use super::flow::Plan;
use super::stored::{Request, StoredModel, check_rights, names_to_refit, set_refit_by, source_of, store};
use super::train::train;
use crate::as_user::AsUser;
use crate::failure::{Failure, OrRaise, Result};
use crate::pg_time;
use crate::query::{argument, checked_measures};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;
use pgrx::{IntoDatum, PgSqlErrorCode, pg_guard, pg_sys};
use series::time::Micros;

#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn strata_refit_joint(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: the SQL declaration in detection.sql has these two arguments and is strict.
    let (name, to) = unsafe { (argument::<String>(fcinfo, 0), argument::<TimestampWithTimeZone>(fcinfo, 1)) };
    let Some((name, to)) = name.zip(to) else { return pg_sys::Datum::from(0) };
    let refitted = refit(&name, pg_time::from_bound(to)).or_raise();
    refitted.models.into_datum().expect("a number is not NULL")
}

/// Declared in sql/detection.sql.
#[pg_extern(sql = false)]
fn alter_joint(name: &str, refit: bool) {
    alter(name, refit).or_raise();
}

fn alter(name: &str, refit: bool) -> Result<()> {
    let source = source_of(name)?;
    check_rights(&source)?;
    set_refit_by(&source, name, caller_if(refit)?)
}

/// The caller, if models are to be fitted anew.
pub fn caller_if(refit: bool) -> Result<Option<String>> {
    if refit { Ok(Spi::get_one::<String>("SELECT current_user::text")?) } else { Ok(None) }
}

/// What a refit did.
pub struct Refitted {
    pub models: i32,
    /// Rows they were fitted to.
    pub rows: i64,
    /// Keys whose rows did not allow it, which keep the model they had.
    pub kept: Vec<String>,
}

/// Fits the models of a name anew to a time of the same length that ends at `to`. A key whose rows do not allow it keeps
/// the model it has.
fn refit(name: &str, to: Micros) -> Result<Refitted> {
    let source = source_of(name)?;
    let models = StoredModel::all(&source, name)?;
    let keys: Vec<Option<String>> = models.iter().map(|model| model.group.clone()).collect();
    let model = models.into_iter().max_by_key(|model| model.version).expect("a name has a model");
    let plan = Plan { by: model.by(), grid: model.grid };
    let (began, ended) = model.trained;
    let request = Request {
        name: name.to_owned(),
        measures: checked_measures(&source, Some(model.measures))?,
        asked_keys: model.asked_keys,
        options: model.options,
        grid: model.grid,
        from: to.saturating_sub(ended - began).max(pg_time::MIN_TIME),
        to,
        refit_by: model.refit_by,
    };
    let fitted = train(&source, &request, &plan)?;
    let rows = fitted.iter().map(|fitted| fitted.rows).sum();
    let is_kept = |key: &Option<String>| fitted.iter().all(|fitted| fitted.group != *key);
    let kept = keys.into_iter().filter(is_kept).flatten().collect();
    Ok(Refitted { models: store(&source, &request, fitted, false)?, rows, kept })
}

/// A name whose models the job fits anew.
pub struct Wish {
    pub name: String,
    /// The role that asked for it.
    who: String,
}

impl Wish {
    /// All there are.
    pub fn all() -> Result<Vec<Self>> {
        Ok(names_to_refit()?.into_iter().map(|(name, who)| Self { name, who }).collect())
    }

    /// Fits to the time until now, with the rights of the role that asked for it: it is their reading of the table, and may
    /// cost what reading the archive costs.
    ///
    /// # Errors
    /// `42704` if the role is gone, and those of `strata.refit_joint`.
    pub fn fulfil(&self) -> Result<Refitted> {
        let role = "SELECT (SELECT oid FROM pg_roles WHERE rolname = $1)";
        let role = Spi::get_one_with_args::<pg_sys::Oid>(role, &[self.who.as_str().into()])?.ok_or_else(|| {
            Failure::new(PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT, format!("role \"{}\" does not exist", self.who))
                .detail("The models are fitted anew with the rights of the role that asked for it.")
                .hint("Have somebody else ask for it: SELECT strata.alter_joint(name, refit => true).")
        })?;
        let _role = AsUser::who_asked(role);
        refit(&self.name, pg_time::now())
    }
}

crate::v1_function!(pg_finfo_strata_refit_joint);

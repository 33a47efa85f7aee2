//! The writing of one sample, shared by ADD and MADD.

use super::alarm;
use super::arguments::{Cursor, parse_time, parse_value, shown};
use super::retention;
use crate::api::Ctx;
use crate::api::key::{self, SeriesMut};
use crate::api::reply::time_text;
use crate::events::has_replicas;
use crate::failure::Failure;
use crate::hot::Series;
use redis_module::raw::RedisModuleString;
use series::time::Micros;
use smallvec::SmallVec;
use std::ffi::CStr;

/// Measures and values of one sample.
pub type Values<'a> = SmallVec<[(&'a [u8], f64); 16]>;

/// When the sample was taken.
#[derive(Clone, Copy)]
pub enum When {
    At(Micros),
    /// `*`: the server's clock.
    Now,
}

impl When {
    pub fn parse(text: &[u8]) -> Result<When, Failure> {
        if text == b"*" {
            return Ok(When::Now);
        }
        parse_time(text).map(When::At).ok_or_else(|| {
            Failure::text(format!(
                "\"{}\" is not a time: milliseconds since 1970 with up to three decimals, or *",
                shown(text)
            ))
        })
    }
}

/// Reads `pairs` of measure and value.
#[inline]
pub fn values<'a>(cursor: &mut Cursor<'a>, pairs: usize) -> Result<Values<'a>, Failure> {
    let mut values = Values::new();
    for _ in 0..pairs {
        let measure = cursor.bytes()?;
        values.push((measure, parse_value(measure, cursor.bytes()?)?));
    }
    Ok(values)
}

/// A sample that was written.
pub struct Sample {
    pub time: Micros,
    /// The greatest score of its watched measures.
    pub score: Option<f64>,
    /// The sample for STRATA.PUT; None if no replica is there, or if it brought measures that the series did not have.
    put: Option<Vec<u8>>,
    /// The time came with the command: repeating the command repeats the sample.
    as_given: bool,
    /// Samples up to here fell to the retention.
    trimmed: Option<Micros>,
}

/// Opens the series of a sample, if there is one, and asks for the memory that writing the sample needs.
#[inline]
pub fn open(ctx: Ctx, name: *mut RedisModuleString) -> Result<Option<SeriesMut>, Failure> {
    let stored = key::write(ctx, name)?;
    if let Some(stored) = &stored {
        stored.series().prefetch_for_add();
    }
    Ok(stored)
}

/// Writes the sample, making the series if there is none; alarms that it raises are published.
#[inline]
pub fn write(
    ctx: Ctx,
    stored: Option<SeriesMut>,
    name: *mut RedisModuleString,
    when: When,
    values: &[(&[u8], f64)],
) -> Result<Sample, Failure> {
    let Some(mut stored) = stored else {
        let mut series = Series::default();
        let (sample, _) = add(ctx, &mut series, when, values)?;
        key::create(ctx, name, series)?;
        return Ok(sample);
    };
    let (sample, messages) = stored.change(|series| {
        let (sample, alarms) = add(ctx, series, when, values)?;
        Ok::<_, Failure>((sample, alarm::messages(series, name, series.watches().newest(alarms))))
    })?;
    alarm::publish(ctx, &messages);
    Ok(sample)
}

/// The sample, and the number of alarms it raised.
#[inline]
fn add(ctx: Ctx, series: &mut Series, when: When, values: &[(&[u8], f64)]) -> Result<(Sample, usize), Failure> {
    let time = match when {
        When::At(time) => time,
        When::Now => series.free_time(ctx.now())?,
    };
    let measures = series.measures().len();
    let judged = series.add(time, values)?;
    let known = series.measures().len() == measures;
    let put = if known && has_replicas() { series.put_of(time, values) } else { None };
    let trimmed = retention::trim(ctx, series);
    let as_given = matches!(when, When::At(_));
    Ok((Sample { time, score: judged.score, put, as_given, trimmed }, judged.alarms))
}

impl Sample {
    /// Whether the command itself tells replicas and the AOF of this sample. That costs nothing here, but twice the bytes
    /// of STRATA.PUT on the way to a replica.
    pub fn in_command(&self) -> bool {
        self.put.is_none() && self.as_given && self.trimmed.is_none()
    }

    /// Tells replicas and the AOF of this sample alone, and of what fell to the retention then; `rest` are the command's
    /// arguments after the time.
    pub fn replicate(&self, ctx: Ctx, command: &CStr, name: *mut RedisModuleString, rest: &[*mut RedisModuleString]) {
        match &self.put {
            Some(put) => ctx.replicate(c"STRATA.PUT", name, put, &[]),
            None => ctx.replicate(command, name, &time_text(self.time), rest),
        }
        retention::replicate(ctx, name, self.trimmed);
    }
}

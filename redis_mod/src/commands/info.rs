//! `STRATA.INFO`, `STRATA.INFO key` and `STRATA.INFO SOURCE source`: what the module, a series or a source holds. A series
//! name has a colon, so that the word SOURCE is none.

use super::arguments::Cursor;
use super::source_keys::{self, check_source};
use super::spec::{self, Access, Arg, Call, Command, Keys, Kind, Spec};
use crate::api::args::Args;
use crate::api::{Ctx, allocated, key};
use crate::config;
use crate::failure::Failure;
use crate::hot::Series;
use crate::index;
use crate::instance;
use crate::totals::totals;
use crate::warnings::warnings;
use redis_module::raw::RedisModuleString;
use series::time::{Micros, format_duration};

pub struct Info;

impl Command for Info {
    const SPEC: Spec = Spec {
        name: c"STRATA.INFO",
        flags: c"readonly getkeys-api",
        arity: -1,
        keys: Keys::Asked,
        access: Access::Read,
        summary: c"Describes the module, a series or a source",
        complexity: c"O(1); a series O(B) for B blocks, a source O(S) for S series",
        args: &[Arg {
            optional: true,
            ..Arg::new(c"what", Kind::OneOf(&[spec::KEY, Arg { token: Some(c"SOURCE"), ..spec::SOURCE }]))
        }],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let Call { ctx, args } = *call;
        match args.len() {
            1 => of_module(ctx),
            2 => of_series(ctx, args.raw(1), args.get(1)),
            3 if args.get(1).eq_ignore_ascii_case(b"SOURCE") => {
                let mut cursor = Cursor::new(args);
                cursor.bytes()?;
                of_source(ctx, check_source(cursor.bytes()?)?)
            }
            _ => Err(Failure::Arity),
        }
    }

    fn keys(args: &Args<'_>, found: &mut dyn FnMut(usize)) {
        if args.len() == 2 {
            found(1);
        }
    }
}

/// Field and value; written as one flat list.
enum Value {
    Integer(i64),
    Text(String),
    Time(Option<Micros>),
    List(Vec<String>),
}

fn of_module(ctx: Ctx) -> Result<(), Failure> {
    let totals = totals();
    reply(
        ctx,
        &[
            ("version", Value::Text(env!("CARGO_PKG_VERSION").to_owned())),
            ("instance", Value::Text(format!("{:016x}", instance::process()))),
            ("series", Value::Integer(totals.series)),
            ("samples", Value::Integer(totals.samples)),
            ("pending", Value::Integer(totals.pending)),
            ("retention", Value::Text(format_duration(config::retention()))),
            ("cluster", Value::Integer(i64::from(ctx.in_cluster()))),
            ("sources", Value::List(index::sources(ctx.db()))),
            ("warnings", Value::List(warnings())),
        ],
    );
    Ok(())
}

fn of_source(ctx: Ctx, source: &str) -> Result<(), Failure> {
    let (mut series_count, mut samples, mut pending, mut bytes, mut rollup_bytes) = (0, 0, 0, 0, 0);
    let (mut oldest_pending, mut last): (Option<Micros>, Option<Micros>) = (None, None);
    let (mut flush_id, mut late) = (0, 0);
    source_keys::visit(ctx, source, None, |_, _, series| {
        series_count += 1;
        samples += series.rows();
        pending += series.pending_rows();
        late += series.late();
        bytes += series.bytes(allocated);
        rollup_bytes += series.rollup_bytes(allocated);
        flush_id = flush_id.max(series.flush_id());
        last = last.max(known(series, Series::last));
        oldest_pending = oldest_pending.into_iter().chain(series.oldest_pending()).min();
        Ok(())
    })?;
    reply(
        ctx,
        &[
            ("source", Value::Text(source.to_owned())),
            ("series", Value::Integer(series_count)),
            ("samples", Value::Integer(samples as i64)),
            ("pending", Value::Integer(pending as i64)),
            ("oldest_pending", Value::Time(oldest_pending)),
            ("last", Value::Time(last)),
            ("late", Value::Integer(late as i64)),
            ("flush_id", Value::Integer(flush_id)),
            ("bytes", Value::Integer(bytes as i64)),
            ("rollup_bytes", Value::Integer(rollup_bytes as i64)),
        ],
    );
    Ok(())
}

fn of_series(ctx: Ctx, name: *mut RedisModuleString, bytes: &[u8]) -> Result<(), Failure> {
    let Some(series) = key::read(ctx, name)? else {
        return Err(Failure::text("no such key"));
    };
    let (source, key) = index::check_name(bytes).unwrap_or_default();
    reply(ctx, &fields(&series, source, key));
    Ok(())
}

/// A time of the series; None of one that cannot be read, which stands for all times.
fn known(series: &Series, time: impl Fn(&Series) -> Option<Micros>) -> Option<Micros> {
    time(series).filter(|_| !series.is_unreadable())
}

fn fields(series: &Series, source: &str, key: &str) -> Vec<(&'static str, Value)> {
    let names: Vec<&str> = series.measures().collect();
    let watched = series.watches().iter().map(|(measure, _)| names[measure].to_owned()).collect();
    vec![
        ("source", Value::Text(source.to_owned())),
        ("key", Value::Text(key.to_owned())),
        ("samples", Value::Integer(series.rows() as i64)),
        ("measures", Value::List(series.measures().map(str::to_owned).collect())),
        ("first", Value::Time(known(series, Series::first))),
        ("last", Value::Time(known(series, Series::last))),
        ("pending", Value::Integer(series.pending_rows() as i64)),
        ("oldest_pending", Value::Time(series.oldest_pending())),
        ("mark", Value::Time(series.mark())),
        ("late", Value::Integer(series.late() as i64)),
        ("seq", Value::Integer(series.seq() as i64)),
        ("flush_id", Value::Integer(series.flush_id())),
        ("blocks", Value::Integer(series.blocks() as i64)),
        ("watched", Value::List(watched)),
        ("alarms", Value::Integer(series.watches().alarms().len() as i64)),
        ("bytes", Value::Integer(series.bytes(allocated) as i64)),
        ("rollup_bytes", Value::Integer(series.rollup_bytes(allocated) as i64)),
    ]
}

fn reply(ctx: Ctx, fields: &[(&str, Value)]) {
    ctx.reply_array(fields.len() * 2);
    for (name, value) in fields {
        ctx.reply_text(name);
        match value {
            Value::Integer(number) => ctx.reply_integer(*number),
            Value::Text(text) => ctx.reply_text(text),
            Value::Time(time) => ctx.reply_optional_time(*time),
            Value::List(items) => {
                ctx.reply_array(items.len());
                items.iter().for_each(|item| ctx.reply_text(item));
            }
        }
    }
}

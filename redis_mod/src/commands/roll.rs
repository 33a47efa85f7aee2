//! `STRATA.ROLL key duration [AT time|*|+] [MEASURES n measure ...] [AGG n aggregate ...]`: aggregates over the last
//! `duration` of a series.

use super::aggregates::{need_sketch, reply_by_measure};
use super::arguments::Cursor;
use super::options::{At, Options};
use super::spec::{self, Access, Call, Command, Keys, Spec};
use crate::api::{Ctx, key};
use crate::failure::Failure;
use crate::hot::{Series, TIME_RANGE, WindowQuery};
use series::bucket::Bucket;
use series::rolling::Windows;
use series::time::Micros;

pub struct Roll;

impl Command for Roll {
    const SPEC: Spec = Spec {
        name: c"STRATA.ROLL",
        flags: c"readonly",
        arity: -3,
        keys: Keys::First,
        access: Access::Read,
        summary: c"Returns aggregates over the last time of a series",
        complexity: c"O(B) for B blocks; quantiles O(N) for N samples",
        args: &[spec::KEY, spec::DURATION, spec::AT, spec::MEASURES, spec::AGG],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let Call { ctx, args } = *call;
        let mut cursor = Cursor::new(args);
        let name = cursor.raw()?;
        let width = cursor.duration()?;
        let options = Options::parse(&mut cursor, &["AT", "MEASURES", "AGG"])?;
        let Some(series) = key::read(ctx, name)? else {
            ctx.reply_null();
            return Ok(());
        };
        let span = Span::ending(end(ctx, &options, series.last()), width);
        let aggregates = options.aggregates();
        let picks = options.picks(&series);
        let positions: Vec<usize> = picks.iter().map(|&(position, _)| position).collect();
        let buckets = roll(&series, span, &positions, need_sketch(&aggregates))?;
        ctx.reply_array(3);
        ctx.reply_time(span.after);
        ctx.reply_time(span.to);
        let names = picks.iter().map(|(_, name)| name.as_str());
        reply_by_measure(ctx, &aggregates, names.zip(&buckets));
        Ok(())
    }
}

/// The times of a rolling window: later than `after`, up to `to`.
#[derive(Clone, Copy)]
pub struct Span {
    pub after: Micros,
    pub to: Micros,
}

impl Span {
    pub fn ending(to: Micros, width: Micros) -> Span {
        Span { after: to.saturating_sub(width).max(*TIME_RANGE.start() - 1), to }
    }
}

/// The end of the window. `+` is the newest sample, or now if there is none.
pub fn end(ctx: Ctx, options: &Options<'_>, newest: Option<Micros>) -> Micros {
    match options.at {
        At::Time(time) => time,
        At::Newest => newest.unwrap_or_else(|| ctx.now()),
        At::Now => ctx.now(),
    }
}

/// A bucket for each picked measure.
pub fn roll(series: &Series, span: Span, picks: &[usize], sketches: bool) -> Result<Vec<Bucket>, Failure> {
    let mut windows = Windows::one(span.after, picks.len(), sketches);
    let query = WindowQuery { from: span.after.saturating_add(1), to: span.to, picks };
    series.fold(&query, &mut windows)?;
    let window = windows.finish().pop();
    Ok(window.map_or_else(|| vec![Bucket::new(); picks.len()], |window| window.buckets))
}

//! `STRATA.ROLL key duration [AT time|*|+] [MEASURES n measure ...] [AGG n aggregate ...]`: aggregates over the last
//! `duration` of a series.

use super::aggregates::{needs, reply_by_measure};
use super::arguments::Cursor;
use super::options::{At, Options, positions};
use super::spec::{self, Access, Call, Command, Keys, Spec};
use crate::api::{Ctx, key};
use crate::failure::Failure;
use crate::hot::{TIME_RANGE, WindowQuery};
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
        complexity: c"O(H) for H hours, whatever the number of samples",
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
        let mut windows = Windows::one(span.after, picks.len(), needs(&aggregates).sketch);
        let query = WindowQuery {
            from: span.after.saturating_add(1),
            to: span.to,
            picks: &positions(&picks),
            needs: needs(&aggregates),
        };
        series.fold(&query, &mut windows)?;
        ctx.reply_array(3);
        ctx.reply_time(span.after);
        ctx.reply_time(span.to);
        reply_by_measure(ctx, &aggregates, &picks, &windows.finish().into_one());
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

//! `STRATA.ROLL key duration [duration ...] [AT time|*|+] [MEASURES n measure ...] [AGG n aggregate ...]`: aggregates over
//! the last `duration` of a series.

use super::aggregates::{needs, reply_by_measure};
use super::arguments::Cursor;
use super::options::{At, Options, positions};
use super::spec::{self, Access, Call, Command, Keys, Spec};
use crate::api::{Ctx, key};
use crate::failure::Failure;
use crate::hot::{Series, TIME_RANGE, WindowQuery};
use series::bucket::{Bucket, Summary, Total};
use series::rolling::Windows;
use series::rollup::Needs;
use series::time::Micros;
use smallvec::SmallVec;

/// So that no question keeps the server for long.
const MAX_WIDTHS: usize = 32;

pub struct Roll;

impl Command for Roll {
    const SPEC: Spec = Spec {
        name: c"STRATA.ROLL",
        flags: c"readonly",
        arity: -3,
        keys: Keys::First,
        access: Access::Read,
        summary: c"Returns aggregates over the last time of a series",
        complexity: c"O(H) for H hours in the windows, whatever the number of samples",
        args: &[spec::KEY, spec::DURATION.multiple(), spec::AT, spec::MEASURES, spec::AGG],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let Call { ctx, args } = *call;
        let mut cursor = Cursor::new(args);
        let name = cursor.raw()?;
        let widths = widths(&mut cursor)?;
        let options = Options::parse(&mut cursor, &["AT", "MEASURES", "AGG"])?;
        let Some(series) = key::read(ctx, name)? else {
            ctx.reply_null();
            return Ok(());
        };
        let end = end(ctx, &options, series.last());
        let spans = widths.iter().map(|&width| Span::ending(end, width)).collect();
        if Total::suffices(needs(&options.aggregates())) {
            reply_spans::<Total>(ctx, &series, spans, &options)
        } else {
            reply_spans::<Bucket>(ctx, &series, spans, &options)
        }
    }
}

/// One duration or several: what begins with a digit.
fn widths(cursor: &mut Cursor<'_>) -> Result<SmallVec<[Micros; 4]>, Failure> {
    let mut widths = SmallVec::new();
    widths.push(cursor.duration()?);
    while cursor.peek().is_some_and(|word| word.first().is_some_and(u8::is_ascii_digit)) {
        widths.push(cursor.duration()?);
        if widths.len() > MAX_WIDTHS {
            return Err(Failure::text(format!("more than {MAX_WIDTHS} durations")));
        }
    }
    Ok(widths)
}

/// `[after, to, [measure, [aggregate, value, ...], ...]]`; a list of them for several windows. All are read before the first is
/// replied, since reading can fail.
fn reply_spans<S: Summary>(
    ctx: Ctx,
    series: &Series,
    spans: SmallVec<[Span; 4]>,
    options: &Options<'_>,
) -> Result<(), Failure> {
    let aggregates = options.aggregates();
    let picks = options.picks(series);
    let (needs, positions) = (needs(&aggregates), positions(&picks));
    let rolled: SmallVec<[Vec<S>; 4]> =
        spans.iter().map(|&span| roll(series, span, &positions, needs)).collect::<Result<_, _>>()?;
    if spans.len() > 1 {
        ctx.reply_array(spans.len());
    }
    for (span, buckets) in spans.iter().zip(&rolled) {
        ctx.reply_array(3);
        ctx.reply_time(span.after);
        ctx.reply_time(span.to);
        reply_by_measure(ctx, &aggregates, &picks, buckets);
    }
    Ok(())
}

/// A summary per picked measure.
fn roll<S: Summary>(series: &Series, span: Span, picks: &[usize], needs: Needs) -> Result<Vec<S>, Failure> {
    let mut windows = Windows::one(span.after, picks.len(), needs);
    let query = WindowQuery { from: span.after.saturating_add(1), to: span.to, picks };
    series.fold(&query, &mut windows)?;
    Ok(windows.finish().into_one())
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

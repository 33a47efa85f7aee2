//! `STRATA.RANGE key from to [MEASURES n measure ...] [BUCKET duration] [AGG n aggregate ...] [ALIGN time] [EMPTY]
//! [COUNT n] [REV] [PACKED | GRID]`: the samples of a time range, or aggregates of it.

use super::aggregates::{Form, Layout, Packed, check_gaps, needs, reply_table};
use super::arguments::Cursor;
use super::options::{Options, Pick, positions};
use super::spec::{self, Access, Arg, Call, Command, Keys, Kind, Spec};
use crate::api::{Ctx, key};
use crate::failure::Failure;
use crate::hot::{Rows, Series, WindowQuery};
use series::bucket::{Bucket, Summary, Total};
use series::rolling::Windows;
use series::time::Micros;

pub struct Range;

impl Command for Range {
    const SPEC: Spec = Spec {
        name: c"STRATA.RANGE",
        flags: c"readonly",
        arity: -4,
        keys: Keys::First,
        access: Access::Read,
        summary: c"Returns the samples of a time range, or aggregates over windows of it",
        complexity: c"O(N) for N samples; with BUCKET of whole 5 minutes O(B) for B buckets of 5 minutes or an hour",
        args: &[
            spec::KEY,
            spec::FROM,
            spec::TO,
            spec::MEASURES,
            spec::BUCKET,
            spec::AGG,
            spec::ALIGN,
            Arg::option(c"empty", c"EMPTY", Kind::Word),
            spec::COUNT,
            Arg::option(c"rev", c"REV", Kind::Word),
            spec::PACKED,
            spec::GRID,
        ],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let Call { ctx, args } = *call;
        let mut cursor = Cursor::new(args);
        let name = cursor.raw()?;
        let (from, to) = (cursor.bound()?, cursor.bound()?);
        let allowed = ["MEASURES", "BUCKET", "AGG", "ALIGN", "EMPTY", "COUNT", "REV", "PACKED", "GRID"];
        let options = Options::parse(&mut cursor, &allowed)?;
        let series = key::read(ctx, name)?;
        let empty = Series::default();
        let series = series.as_deref().unwrap_or(&empty);
        let picks = options.picks(series);
        if options.bucket.is_none() && (options.empty || options.align != 0) {
            return Err(Failure::text("EMPTY and ALIGN need BUCKET"));
        }
        if options.bucket.is_none() && options.aggregates.is_none() {
            return reply_samples(ctx, series, (from, to), &picks, &options);
        }
        if Total::suffices(needs(&options.aggregates())) {
            reply_windows::<Total>(ctx, series, (from, to), &picks, &options)
        } else {
            reply_windows::<Bucket>(ctx, series, (from, to), &picks, &options)
        }
    }
}

/// `[[time, measure, ...], [[time, value, ...], ...], nil]`.
fn reply_samples(
    ctx: Ctx,
    series: &Series,
    (from, to): (Micros, Micros),
    picks: &[Pick<'_>],
    options: &Options<'_>,
) -> Result<(), Failure> {
    let positions = positions(picks);
    let mut left = options.count.unwrap_or(usize::MAX);
    let mut parts: Vec<(Rows, std::ops::Range<usize>)> = Vec::new();
    let mut segments = series.segments(from, to);
    while left > 0 {
        let segment = if options.reverse { segments.next_back() } else { segments.next() };
        let Some(segment) = segment else { break };
        let mut rows = Rows::default();
        segment.read(&positions, &mut rows)?;
        let mut range = rows.range(from, to);
        let taken = range.len().min(left);
        if options.reverse {
            range.start = range.end - taken;
        } else {
            range.end = range.start + taken;
        }
        left -= taken;
        parts.push((rows, range));
    }

    ctx.reply_array(3);
    ctx.reply_array(1 + picks.len());
    ctx.reply_text("time");
    picks.iter().for_each(|pick| ctx.reply_bytes(pick.name));
    if options.packed {
        packed(&parts, picks.len(), options.reverse).reply(ctx);
    } else {
        let resp3 = ctx.resp3();
        ctx.reply_array(parts.iter().map(|(_, range)| range.len()).sum());
        for (rows, range) in parts {
            let mut row = |row: usize| {
                ctx.reply_array(1 + positions.len());
                ctx.reply_time(rows.times[row]);
                rows.columns.iter().for_each(|column| ctx.reply_number(column[row], resp3));
            };
            if options.reverse {
                range.rev().for_each(&mut row);
            } else {
                range.for_each(&mut row);
            }
        }
    }
    ctx.reply_null();
    Ok(())
}

fn packed(parts: &[(Rows, std::ops::Range<usize>)], measures: usize, reverse: bool) -> Packed {
    let mut packed = Packed::new(parts.iter().map(|(_, range)| range.len()).sum(), measures);
    let order = |range: &std::ops::Range<usize>, index: usize| {
        if reverse { range.end - 1 - index } else { range.start + index }
    };
    for (rows, range) in parts {
        (0..range.len()).for_each(|index| packed.time(rows.times[order(range, index)]));
    }
    for measure in 0..measures {
        for (rows, range) in parts {
            (0..range.len()).for_each(|index| packed.value(rows.columns[measure][order(range, index)]));
        }
    }
    packed
}

fn reply_windows<S: Summary>(
    ctx: Ctx,
    series: &Series,
    (from, to): (Micros, Micros),
    picks: &[Pick<'_>],
    options: &Options<'_>,
) -> Result<(), Failure> {
    let aggregates = options.aggregates();
    let needs = needs(&aggregates);
    let mut windows: Windows<S> = match options.bucket {
        Some(width) => Windows::tumbling(width, options.align, picks.len(), needs),
        None => {
            let start = series.first().map_or(from, |first| first.max(from));
            Windows::one(start, picks.len(), needs)
        }
    };
    let now = ctx.now();
    let open = options.bucket.map(|_| windows.start_of(now)).filter(|_| (from..=to).contains(&now));
    series.fold(&WindowQuery { from, to, picks: &positions(picks) }, &mut windows)?;
    let table = windows.finish();
    let table = match options.bucket {
        Some(width) if options.grid || options.empty => {
            let option = if options.grid { "GRID" } else { "EMPTY" };
            check_gaps(option, std::iter::once(&table), width, picks.len())?;
            // a grid fills its gaps as it is replied
            if options.grid { table } else { table.with_empty(width) }
        }
        _ => table,
    };
    let count = options.count.unwrap_or(usize::MAX);
    let form = Form { layout: Layout::of(options), reverse: options.reverse, count, open };
    reply_table(ctx, &table, picks, &aggregates, form);
    Ok(())
}

//! `STRATA.RANGE key from to [MEASURES n measure ...] [BUCKET duration] [AGG n aggregate ...] [ALIGN time] [EMPTY]
//! [COUNT n] [REV]`: the samples of a time range, or aggregates of it.

use super::aggregates::{need_sketch, reply_aggregate};
use super::arguments::Cursor;
use super::options::Options;
use super::spec::{self, Access, Arg, Call, Command, Keys, Kind, Spec};
use crate::api::{Ctx, key};
use crate::failure::Failure;
use crate::hot::{Rows, Series, WindowQuery};
use series::aggregate::Aggregate;
use series::bucket::Bucket;
use series::rolling::{Window, Windows};
use series::time::Micros;

/// Windows a reply may have with EMPTY, which makes up windows that no sample paid for.
const MAX_WINDOWS: i64 = 1_000_000;

pub struct Range;

impl Command for Range {
    const SPEC: Spec = Spec {
        name: c"STRATA.RANGE",
        flags: c"readonly",
        arity: -4,
        keys: Keys::First,
        access: Access::Read,
        summary: c"Returns the samples of a time range, or aggregates over windows of it",
        complexity: c"O(N) for N samples; with BUCKET, blocks that lie within one window count as one",
        args: &[
            spec::KEY,
            spec::FROM,
            spec::TO,
            spec::MEASURES,
            Arg::option(c"bucket", c"BUCKET", Kind::Text),
            spec::AGG,
            Arg::option(c"align", c"ALIGN", Kind::Time),
            Arg::option(c"empty", c"EMPTY", Kind::Word),
            spec::COUNT,
            Arg::option(c"rev", c"REV", Kind::Word),
        ],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let Call { ctx, args } = *call;
        let mut cursor = Cursor::new(args);
        let name = cursor.raw()?;
        let (from, to) = (cursor.bound()?, cursor.bound()?);
        let options = Options::parse(&mut cursor, &["MEASURES", "BUCKET", "AGG", "ALIGN", "EMPTY", "COUNT", "REV"])?;
        let series = key::read(ctx, name)?;
        let empty = Series::default();
        let series = series.as_deref().unwrap_or(&empty);
        let picks = options.picks(series);
        if options.bucket.is_none() && options.aggregates.is_none() {
            if options.empty || options.align != 0 {
                return Err(Failure::text("EMPTY and ALIGN need BUCKET"));
            }
            return reply_samples(ctx, series, (from, to), &picks, &options);
        }
        reply_windows(ctx, series, (from, to), &picks, &options)
    }
}

/// `[[time, measure, ...], [[time, value, ...], ...], nil]`.
fn reply_samples(
    ctx: Ctx,
    series: &Series,
    (from, to): (Micros, Micros),
    picks: &[(usize, String)],
    options: &Options<'_>,
) -> Result<(), Failure> {
    let positions: Vec<usize> = picks.iter().map(|&(position, _)| position).collect();
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
    picks.iter().for_each(|(_, name)| ctx.reply_text(name));
    let resp3 = ctx.resp3();
    ctx.reply_array(parts.iter().map(|(_, range)| range.len()).sum());
    for (rows, range) in parts {
        let mut row = |row: usize| {
            ctx.reply_array(1 + positions.len());
            ctx.reply_time(rows.times[row]);
            rows.columns.iter().for_each(|column| ctx.reply_value(column[row], resp3));
        };
        if options.reverse {
            range.rev().for_each(&mut row);
        } else {
            range.for_each(&mut row);
        }
    }
    ctx.reply_null();
    Ok(())
}

/// `[[time, measure:aggregate, ...], [[start, value, ...], ...], start of the open window | nil]`.
fn reply_windows(
    ctx: Ctx,
    series: &Series,
    (from, to): (Micros, Micros),
    picks: &[(usize, String)],
    options: &Options<'_>,
) -> Result<(), Failure> {
    let aggregates = options.aggregates();
    let positions: Vec<usize> = picks.iter().map(|&(position, _)| position).collect();
    let sketches = need_sketch(&aggregates);
    let mut windows = match options.bucket {
        Some(width) => Windows::tumbling(width, options.align, positions.len(), sketches),
        None => {
            let start = series.first().map_or(from, |first| first.max(from));
            Windows::one(start, positions.len(), sketches)
        }
    };
    let now = ctx.now();
    let open = options.bucket.map(|_| windows.start_of(now)).filter(|_| (from..=to).contains(&now));
    series.fold(&WindowQuery { from, to, picks: &positions }, &mut windows)?;
    let mut windows = windows.finish();
    if let (true, Some(width)) = (options.empty, options.bucket) {
        windows = with_empty(windows, width, positions.len())?;
    }
    let shown = windows.len().min(options.count.unwrap_or(usize::MAX));
    let open = open.filter(|open| windows.iter().any(|window| window.start == *open));

    ctx.reply_array(3);
    ctx.reply_array(1 + picks.len() * aggregates.len());
    ctx.reply_text("time");
    for (_, name) in picks {
        for aggregate in &aggregates {
            ctx.reply_text(&format!("{name}:{aggregate}"));
        }
    }
    let resp3 = ctx.resp3();
    ctx.reply_array(shown);
    if options.reverse {
        let newest_first = windows.iter().rev().take(shown);
        newest_first.for_each(|window| reply_window(ctx, window, &aggregates, resp3));
    } else {
        let oldest_first = windows.iter().take(shown);
        oldest_first.for_each(|window| reply_window(ctx, window, &aggregates, resp3));
    }
    ctx.reply_optional_time(open);
    Ok(())
}

fn reply_window(ctx: Ctx, window: &Window, aggregates: &[Aggregate], resp3: bool) {
    ctx.reply_array(1 + window.buckets.len() * aggregates.len());
    ctx.reply_time(window.start);
    for bucket in &window.buckets {
        for aggregate in aggregates {
            reply_aggregate(ctx, *aggregate, bucket, resp3);
        }
    }
}

/// Fills the gaps between the windows with empty ones.
fn with_empty(windows: Vec<Window>, width: Micros, measures: usize) -> Result<Vec<Window>, Failure> {
    let (Some(first), Some(last)) = (windows.first(), windows.last()) else {
        return Ok(windows);
    };
    let total = (last.start - first.start) / width + 1;
    if total > MAX_WINDOWS {
        return Err(Failure::text(format!("EMPTY would return {total} windows; at most {MAX_WINDOWS} are allowed")));
    }
    let mut next = first.start;
    let mut filled = Vec::with_capacity(total as usize);
    for window in windows {
        while next < window.start {
            filled.push(Window { start: next, buckets: vec![Bucket::new(); measures] });
            next += width;
        }
        next = window.start + width;
        filled.push(window);
    }
    Ok(filled)
}

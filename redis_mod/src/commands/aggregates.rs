//! Replies with aggregates.

use super::options::{Options, Pick};
use crate::api::Ctx;
use crate::api::reply::Text;
use crate::failure::Failure;
use series::aggregate::Aggregate;
use series::bucket::Summary;
use series::rolling::Table;
use series::rollup::Needs;
use series::time::Micros;
use std::io::Write;

/// Windows times measures that a reply may have which fills gaps: it makes up windows that no sample paid for.
const MAX_REGULAR: usize = 1_000_000;

/// What the buckets must hold for these aggregates.
pub fn needs(aggregates: &[Aggregate]) -> Needs {
    let mut needs = Needs::default();
    for aggregate in aggregates {
        match aggregate {
            Aggregate::Min | Aggregate::Max => needs.extremes = true,
            Aggregate::First | Aggregate::Last | Aggregate::Rate => needs.ends = true,
            // a quantile stays within the extremes
            Aggregate::Quantile(_) => (needs.sketch, needs.extremes) = (true, true),
            Aggregate::Stddev => needs.deviations = true,
            Aggregate::Avg | Aggregate::Sum | Aggregate::Count => {}
        }
    }
    needs
}

/// `[measure, [aggregate, value, ...], ...]`; null where an aggregate is not defined.
pub fn reply_by_measure<S: Summary>(ctx: Ctx, aggregates: &[Aggregate], picks: &[Pick<'_>], buckets: &[S]) {
    let resp3 = ctx.resp3();
    ctx.reply_array(picks.len() * 2);
    for (pick, bucket) in picks.iter().zip(buckets) {
        ctx.reply_bytes(pick.name);
        ctx.reply_array(aggregates.len() * 2);
        for aggregate in aggregates {
            ctx.reply_bytes(&name_of(*aggregate));
            reply_aggregate(ctx, *aggregate, bucket, resp3);
        }
    }
}

/// What stands for the rows of a table.
#[derive(Clone, Copy)]
pub enum Layout {
    Rows,
    Packed,
    /// Windows of this width, one list per column.
    Grid(Micros),
}

impl Layout {
    pub fn of(options: &Options<'_>) -> Layout {
        match options.bucket {
            Some(width) if options.grid => Layout::Grid(width),
            _ if options.packed => Layout::Packed,
            _ => Layout::Rows,
        }
    }
}

/// How a table of windows is replied.
#[derive(Clone, Copy)]
pub struct Form {
    pub layout: Layout,
    pub reverse: bool,
    /// At most this many windows.
    pub count: usize,
    /// Start of the window that is still filling.
    pub open: Option<Micros>,
}

/// `[[time, measure:aggregate, ...], [[start, value, ...], ...], start of the open window | nil]`.
pub fn reply_table<S: Summary>(ctx: Ctx, table: &Table<S>, picks: &[Pick<'_>], aggregates: &[Aggregate], form: Form) {
    let shown = table.len().min(form.count);
    let open = form.open.filter(|open| table.starts().binary_search(open).is_ok());
    ctx.reply_array(3);
    ctx.reply_array(1 + picks.len() * aggregates.len());
    ctx.reply_text("time");
    for pick in picks {
        for aggregate in aggregates {
            let mut name = Text::from_slice(pick.name);
            name.push(b':');
            name.extend_from_slice(&name_of(*aggregate));
            ctx.reply_bytes(&name);
        }
    }
    let order = |index: usize| if form.reverse { table.len() - 1 - index } else { index };
    match form.layout {
        Layout::Grid(width) => reply_grid(ctx, table, width, form.count, aggregates, picks.len()),
        Layout::Packed => reply_packed(ctx, table, shown, order, aggregates, picks.len()),
        Layout::Rows => {
            let resp3 = ctx.resp3();
            ctx.reply_array(shown);
            for window in (0..shown).map(order) {
                ctx.reply_array(1 + picks.len() * aggregates.len());
                ctx.reply_time(table.starts()[window]);
                for bucket in table.buckets(window) {
                    for aggregate in aggregates {
                        reply_aggregate(ctx, *aggregate, bucket, resp3);
                    }
                }
            }
        }
    }
    ctx.reply_optional_time(open);
}

/// Refuses what would make up too many windows: tables with gaps, which `option` asks to fill.
pub fn check_gaps<'t, S: Summary + 't>(
    option: &str,
    tables: impl Iterator<Item = &'t Table<S>>,
    width: Micros,
    measures: usize,
) -> Result<(), Failure> {
    let regular = tables.map(|table| (table, table.regular_len(width)));
    let total = regular
        .filter(|(table, total)| *total > table.len())
        .fold(0_usize, |sum, (_, total)| sum.saturating_add(total));
    if total.saturating_mul(measures.max(1)) > MAX_REGULAR {
        return Err(Failure::text(format!(
            "{option} would return {total} windows of {measures} measures; at most {MAX_REGULAR} of one are allowed"
        )));
    }
    Ok(())
}

/// `[[first start, width], [value, ...], ...]`: a value per window and column, those between the windows that have samples
/// too; `[]` for the times of no windows.
fn reply_grid<S: Summary>(
    ctx: Ctx,
    table: &Table<S>,
    width: Micros,
    count: usize,
    aggregates: &[Aggregate],
    measures: usize,
) {
    let shown = table.regular_len(width).min(count);
    let (resp3, nothing) = (ctx.resp3(), S::EMPTY);
    ctx.reply_array(1 + measures * aggregates.len());
    match table.starts().first() {
        None => ctx.reply_array(0),
        Some(&first) => {
            ctx.reply_array(2);
            ctx.reply_time(first);
            ctx.reply_time(width);
        }
    }
    for measure in 0..measures {
        for aggregate in aggregates {
            ctx.reply_array(shown);
            let buckets = table.regular_column(measure, width).take(shown);
            buckets.for_each(|bucket| reply_aggregate(ctx, *aggregate, bucket.unwrap_or(&nothing), resp3));
        }
    }
}

fn reply_packed<S: Summary>(
    ctx: Ctx,
    table: &Table<S>,
    shown: usize,
    order: impl Fn(usize) -> usize,
    aggregates: &[Aggregate],
    measures: usize,
) {
    let mut packed = Packed::new(shown, measures * aggregates.len());
    (0..shown).for_each(|index| packed.time(table.starts()[order(index)]));
    for measure in 0..measures {
        for aggregate in aggregates {
            for index in 0..shown {
                let bucket = &table.buckets(order(index))[measure];
                packed.value(bucket.value(*aggregate).unwrap_or(f64::NAN));
            }
        }
    }
    packed.reply(ctx);
}

/// A table as one binary string, little-endian: the number of rows and of value columns (u32 each), the times in
/// microseconds (i64), then column by column the values (f64), NaN where there is none.
pub struct Packed(Vec<u8>);

impl Packed {
    pub fn new(rows: usize, columns: usize) -> Packed {
        let mut bytes = Vec::with_capacity(8 + rows * 8 * (1 + columns));
        bytes.extend((rows as u32).to_le_bytes());
        bytes.extend((columns as u32).to_le_bytes());
        Packed(bytes)
    }

    #[inline]
    pub fn time(&mut self, time: Micros) {
        self.0.extend_from_slice(&time.to_le_bytes());
    }

    #[inline]
    pub fn value(&mut self, value: f64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub fn reply(self, ctx: Ctx) {
        ctx.reply_bytes(&self.0);
    }
}

/// One aggregate: a count as an integer, others as numbers, null where not defined.
#[inline]
fn reply_aggregate<S: Summary>(ctx: Ctx, aggregate: Aggregate, bucket: &S, resp3: bool) {
    match aggregate {
        Aggregate::Count => ctx.reply_integer(bucket.count() as i64),
        Aggregate::Avg => ctx.reply_average(bucket.average(), resp3),
        _ => ctx.reply_number(bucket.value(aggregate).unwrap_or(f64::NAN), resp3),
    }
}

fn name_of(aggregate: Aggregate) -> Text {
    let mut text = Text::new();
    match aggregate.name() {
        Some(name) => text.extend_from_slice(name.as_bytes()),
        None => {
            let written = write!(text, "{aggregate}");
            debug_assert!(written.is_ok(), "writing to memory cannot fail");
        }
    }
    text
}

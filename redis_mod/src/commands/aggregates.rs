//! Replies with aggregates.

use crate::api::Ctx;
use series::aggregate::Aggregate;
use series::bucket::Bucket;

/// Whether one of them needs quantile sketches.
pub fn need_sketch(aggregates: &[Aggregate]) -> bool {
    aggregates.iter().any(|aggregate| aggregate.needs_sketch())
}

/// `[measure, [aggregate, value, ...], ...]`; null where an aggregate is not defined.
pub fn reply_by_measure<'a>(
    ctx: Ctx,
    aggregates: &[Aggregate],
    measures: impl ExactSizeIterator<Item = (&'a str, &'a Bucket)>,
) {
    let resp3 = ctx.resp3();
    ctx.reply_array(measures.len() * 2);
    for (name, bucket) in measures {
        ctx.reply_text(name);
        ctx.reply_array(aggregates.len() * 2);
        for aggregate in aggregates {
            ctx.reply_text(&aggregate.to_string());
            reply_aggregate(ctx, *aggregate, bucket, resp3);
        }
    }
}

/// One aggregate: a count as an integer, others as numbers, null where not defined.
#[inline]
pub fn reply_aggregate(ctx: Ctx, aggregate: Aggregate, bucket: &Bucket, resp3: bool) {
    match aggregate {
        Aggregate::Count => ctx.reply_integer(bucket.count as i64),
        _ => ctx.reply_value(aggregate.value(bucket).unwrap_or(f64::NAN), resp3),
    }
}

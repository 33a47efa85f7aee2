//! Replies with mergeable states: the bytes of a [`BucketRow`] of one bucket each.

use super::options::Pick;
use crate::api::Ctx;
use crate::api::reply::Text;
use series::bucket::{Bucket, BucketRow};
use series::rolling::Table;
use series::time::Micros;

/// `[measure, state, ...]`.
pub fn reply_states_by_measure(ctx: Ctx, picks: &[Pick<'_>], buckets: Vec<Bucket>) {
    ctx.reply_array(picks.len() * 2);
    for (pick, bucket) in picks.iter().zip(buckets) {
        ctx.reply_bytes(pick.name);
        reply_state(ctx, bucket);
    }
}

/// `[[time, measure:state, ...], [[start, state, ...], ...], start of the open window | nil]`.
pub fn reply_state_table(ctx: Ctx, table: &Table<Bucket>, picks: &[Pick<'_>], open: Option<Micros>) {
    ctx.reply_array(3);
    ctx.reply_array(1 + picks.len());
    ctx.reply_text("time");
    for pick in picks {
        let mut name = Text::from_slice(pick.name);
        name.extend_from_slice(b":state");
        ctx.reply_bytes(&name);
    }
    ctx.reply_array(table.len());
    for (start, buckets) in table.rows() {
        ctx.reply_array(1 + picks.len());
        ctx.reply_time(start);
        buckets.iter().for_each(|bucket| reply_state(ctx, bucket.clone()));
    }
    ctx.reply_optional_time(open.filter(|open| table.starts().binary_search(open).is_ok()));
}

fn reply_state(ctx: Ctx, bucket: Bucket) {
    ctx.reply_bytes(&BucketRow { buckets: vec![bucket] }.encode());
}

//! `STRATA.SOURCE source duration [AT time|*|+] [MEASURES n measure ...] [AGG n aggregate ...]`: aggregates over the last
//! `duration` of all series of a source, merged exactly.

use super::aggregates::{need_sketch, reply_by_measure};
use super::arguments::Cursor;
use super::options::{At, Options};
use super::roll::{Span, end, roll};
use super::source_keys::{self, check_source};
use super::spec::{self, Access, Call, Command, Keys, Spec};
use crate::api::Ctx;
use crate::failure::Failure;
use series::bucket::Bucket;
use series::time::Micros;

pub struct Source;

impl Command for Source {
    const SPEC: Spec = Spec {
        name: c"STRATA.SOURCE",
        flags: c"readonly",
        arity: -3,
        keys: Keys::None,
        access: Access::Read,
        summary: c"Returns aggregates over the last time of all series of a source",
        complexity: c"O(S*B) for S series of B blocks; quantiles O(N) for N samples",
        args: &[spec::SOURCE, spec::DURATION, spec::AT, spec::MEASURES, spec::AGG],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let Call { ctx, args } = *call;
        let mut cursor = Cursor::new(args);
        let source = check_source(cursor.bytes()?)?;
        let width = cursor.duration()?;
        let options = Options::parse(&mut cursor, &["AT", "MEASURES", "AGG"])?;
        let newest = match options.at {
            At::Newest => newest(ctx, source)?,
            _ => None,
        };
        let span = Span::ending(end(ctx, &options, newest), width);
        let aggregates = options.aggregates();
        let sketches = need_sketch(&aggregates);

        let mut contributing = 0usize;
        let mut totals: Vec<(String, Bucket)> = Vec::new();
        source_keys::visit(ctx, source, None, |_, _, series| {
            let picks = options.picks(series);
            let positions: Vec<usize> = picks.iter().map(|&(position, _)| position).collect();
            let buckets = roll(series, span, &positions, sketches)?;
            contributing += usize::from(buckets.iter().any(|bucket| bucket.count > 0));
            for ((_, name), bucket) in picks.into_iter().zip(&buckets) {
                match totals.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, total)) => total.merge(bucket),
                    None => totals.push((name, bucket.clone())),
                }
            }
            Ok(())
        })?;

        ctx.reply_array(4);
        ctx.reply_time(span.after);
        ctx.reply_time(span.to);
        ctx.reply_integer(contributing as i64);
        let measures = totals.iter().map(|(name, bucket)| (name.as_str(), bucket));
        reply_by_measure(ctx, &aggregates, measures);
        Ok(())
    }
}

/// Time of the newest sample of the source.
fn newest(ctx: Ctx, source: &str) -> Result<Option<Micros>, Failure> {
    let mut newest = None;
    source_keys::visit(ctx, source, None, |_, _, series| {
        newest = newest.max(series.last());
        Ok(())
    })?;
    Ok(newest)
}

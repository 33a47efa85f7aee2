//! `STRATA.MADD key time|* n measure value ... [key time|* n measure value ... ...]`: writes samples of many series.

use super::arguments::Cursor;
use super::sample::{self, Sample, Values, When};
use super::spec::{self, Access, Arg, Call, Command, Keys, Kind, Spec};
use crate::api::args::Args;
use crate::failure::Failure;
use redis_module::raw::RedisModuleString;

pub struct Madd;

/// One sample of the arguments.
struct Item<'a> {
    name: *mut RedisModuleString,
    when: When,
    values: Values<'a>,
    /// Positions of the argument after the time, and after the last value.
    rest: (usize, usize),
}

impl Command for Madd {
    const SPEC: Spec = Spec {
        name: c"STRATA.MADD",
        flags: c"write deny-oom getkeys-api",
        arity: -6,
        keys: Keys::Asked,
        access: Access::Insert,
        summary: c"Writes samples of many series and returns the time or the error of each",
        complexity: c"O(N) for N values",
        args: &[Arg::new(
            c"sample",
            Kind::Block(&[spec::KEY, spec::TIME_OR_NOW, Arg::new(c"pairs", Kind::Integer), spec::MEASURE_VALUES]),
        )
        .multiple()],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let Call { ctx, args } = *call;
        let items = parse(args)?;
        let results: Vec<Result<Sample, Failure>> = items
            .iter()
            .map(|item| sample::write(ctx, sample::open(ctx, item.name)?, item.name, item.when, &item.values))
            .collect();
        let whole = results.iter().all(|result| result.as_ref().is_ok_and(Sample::in_command));
        if whole {
            ctx.replicate_verbatim();
        }
        for (item, result) in items.iter().zip(&results) {
            let Ok(sample) = result else { continue };
            if !whole {
                let rest = &args.raw_from(item.rest.0)[..item.rest.1 - item.rest.0];
                sample.replicate(ctx, c"STRATA.MADD", item.name, rest);
            }
            ctx.notify(c"strata.add", item.name);
        }
        ctx.reply_array(results.len());
        for result in &results {
            match result {
                Ok(sample) => ctx.reply_time(sample.time),
                Err(failure) => failure.reply(ctx),
            }
        }
        Ok(())
    }

    fn keys(args: &Args<'_>, found: &mut dyn FnMut(usize)) {
        let mut cursor = Cursor::new(*args);
        while cursor.left() >= 3 {
            found(cursor.position());
            let skipped = cursor
                .bytes()
                .and_then(|_| cursor.bytes())
                .and_then(|_| cursor.list_length("measures", 2))
                .and_then(|pairs| (0..pairs * 2).try_for_each(|_| cursor.bytes().map(drop)));
            if skipped.is_err() {
                return;
            }
        }
    }
}

/// Reads all samples before any is written: a malformed command writes nothing.
fn parse(args: Args<'_>) -> Result<Vec<Item<'_>>, Failure> {
    let mut cursor = Cursor::new(args);
    let mut items = Vec::with_capacity(args.len() / 5);
    while cursor.left() > 0 {
        let name = cursor.raw()?;
        let when = When::parse(cursor.bytes()?)?;
        let start = cursor.position();
        let pairs = cursor.list_length("measures", 2)?;
        let values = sample::values(&mut cursor, pairs)?;
        items.push(Item { name, when, values, rest: (start, cursor.position()) });
    }
    if items.is_empty() {
        return Err(Failure::Arity);
    }
    Ok(items)
}

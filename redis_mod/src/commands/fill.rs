//! `STRATA.FILL key batch [key batch ...]`: takes back samples that the table has.

use super::arguments::{Cursor, shown};
use super::retention;
use super::spec::{self, Access, Arg, Call, Command, Keys, Kind, Spec};
use crate::api::key;
use crate::failure::Failure;
use crate::hot::Series;
use crate::index;
use redis_module::raw::RedisModuleString;
use series::time::Micros;
use series::wire::Batch;
use std::collections::HashSet;

pub struct Fill;

impl Command for Fill {
    const SPEC: Spec = Spec {
        name: c"STRATA.FILL",
        flags: c"write deny-oom",
        arity: -3,
        keys: Keys::Every { first: 1, step: 2 },
        access: Access::Insert,
        summary: c"Adds samples that the table has, which are not pending",
        complexity: c"O(N) for N samples of the series and of the batches",
        args: &[Arg::new(c"fill", Kind::Block(&[spec::KEY, Arg::new(c"batch", Kind::Text)])).multiple()],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let Call { ctx, args } = *call;
        if args.len() < 3 || args.len().is_multiple_of(2) {
            return Err(Failure::Arity);
        }
        let mut cursor = Cursor::new(args);
        // Copies are filled first, so that a batch that is refused leaves every series as it was.
        let mut filled: Vec<(*mut RedisModuleString, Series, Option<Micros>)> = Vec::with_capacity(args.len() / 2);
        let mut named = HashSet::with_capacity(args.len() / 2);
        let mut added = 0;
        while cursor.left() > 0 {
            let name = cursor.raw()?;
            let bytes = args.get(cursor.position() - 1);
            let batch = Batch::decode(cursor.bytes()?)
                .map_err(|error| Failure::text(format!("this is not a batch of samples: {error}")))?;
            if !named.insert(bytes) {
                return Err(Failure::text(format!("\"{}\" is named twice", shown(bytes))));
            }
            let mut series = match key::read(ctx, name)? {
                Some(held) => Series::clone(&held),
                None => {
                    index::check_name(bytes)?;
                    Series::default()
                }
            };
            added += series.fill(&batch)?;
            let trimmed = retention::trim(ctx, &mut series);
            if !batch.times.is_empty() {
                filled.push((name, series, trimmed));
            }
        }
        let mut dropped = Vec::with_capacity(filled.len());
        for (name, series, trimmed) in filled {
            match key::write(ctx, name)? {
                Some(mut held) => held.change(|held| *held = series),
                None => key::create(ctx, name, series)?,
            }
            dropped.push((name, trimmed));
            ctx.notify(c"strata.fill", name);
        }
        ctx.replicate_verbatim();
        dropped.into_iter().for_each(|(name, trimmed)| retention::replicate(ctx, name, trimmed));
        ctx.reply_integer(added as i64);
        Ok(())
    }
}

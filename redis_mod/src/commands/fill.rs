//! `STRATA.FILL key batch [key batch ...]`: takes back samples that the table has.

use super::arguments::Cursor;
use super::spec::{self, Access, Arg, Call, Command, Keys, Kind, Spec};
use crate::api::key;
use crate::config;
use crate::failure::Failure;
use crate::hot::Series;
use series::wire::Batch;

pub struct Fill;

impl Command for Fill {
    const SPEC: Spec = Spec {
        name: c"STRATA.FILL",
        flags: c"write deny-oom",
        arity: -3,
        keys: Keys::Every { first: 1, step: 2 },
        access: Access::Insert,
        summary: c"Adds samples that the table has, which are not pending",
        complexity: c"O(N) for N samples of the series",
        args: &[Arg::new(c"fill", Kind::Block(&[spec::KEY, Arg::new(c"batch", Kind::Text)])).multiple()],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let Call { ctx, args } = *call;
        if args.len() < 3 || args.len().is_multiple_of(2) {
            return Err(Failure::Arity);
        }
        let mut cursor = Cursor::new(args);
        let mut wanted = Vec::with_capacity(args.len() / 2);
        while cursor.left() > 0 {
            let name = cursor.raw()?;
            let batch = Batch::decode(cursor.bytes()?)
                .map_err(|error| Failure::text(format!("this is not a batch of samples: {error}")))?;
            // opened here, so that a key of another type fails the command before anything is written
            key::read(ctx, name)?;
            wanted.push((name, batch));
        }
        let retention = config::retention();
        let mut added = 0;
        for (name, batch) in &wanted {
            let fill = |series: &mut Series| {
                let added = series.fill(batch)?;
                series.trim(retention);
                Ok::<usize, Failure>(added)
            };
            added += match key::write(ctx, *name)? {
                Some(mut series) => series.change(fill)?,
                None if batch.times.is_empty() => 0,
                None => {
                    let mut series = Series::default();
                    let added = fill(&mut series)?;
                    key::create(ctx, *name, series)?;
                    added
                }
            };
            ctx.notify(c"strata.fill", *name);
        }
        ctx.replicate_verbatim();
        ctx.reply_integer(added as i64);
        Ok(())
    }
}

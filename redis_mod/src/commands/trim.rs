//! `STRATA.TRIM key time`: drops the samples up to a time, as far as the table has them.

use super::arguments::Cursor;
use super::spec::{self, Access, Arg, Call, Command, Keys, Kind, Spec};
use crate::api::key;
use crate::failure::Failure;

pub struct Trim;

impl Command for Trim {
    const SPEC: Spec = Spec {
        name: c"STRATA.TRIM",
        flags: c"write",
        arity: 3,
        keys: Keys::First,
        access: Access::Delete,
        summary: c"Drops the samples of a series up to a time, as far as the table has them",
        complexity: c"O(B) for B blocks dropped",
        args: &[spec::KEY, Arg::new(c"time", Kind::Time)],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let Call { ctx, args } = *call;
        if args.len() != 3 {
            return Err(Failure::Arity);
        }
        let mut cursor = Cursor::new(args);
        let name = cursor.raw()?;
        let time = cursor.bound()?;
        let dropped = match key::write(ctx, name)? {
            Some(mut series) => series.change(|series| series.trim_to(time))?,
            None => 0,
        };
        if dropped > 0 {
            ctx.replicate_verbatim();
            ctx.notify(c"strata.trim", name);
        }
        ctx.reply_integer(dropped as i64);
        Ok(())
    }
}

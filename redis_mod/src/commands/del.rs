//! `STRATA.DEL key from to`: removes samples, pending or not. The table is not touched.

use super::arguments::Cursor;
use super::spec::{self, Access, Call, Command, Keys, Spec};
use crate::api::key;
use crate::failure::Failure;

pub struct Del;

impl Command for Del {
    const SPEC: Spec = Spec {
        name: c"STRATA.DEL",
        flags: c"write",
        arity: 4,
        keys: Keys::First,
        access: Access::Delete,
        summary: c"Removes the samples of a time range from a series and returns their number",
        complexity: c"O(N) for N samples of the series",
        args: &[spec::KEY, spec::FROM, spec::TO],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let Call { ctx, args } = *call;
        if args.len() != 4 {
            return Err(Failure::Arity);
        }
        let mut cursor = Cursor::new(args);
        let name = cursor.raw()?;
        let (from, to) = (cursor.bound()?, cursor.bound()?);
        let removed = match key::write(ctx, name)? {
            Some(mut series) => {
                let removed = series.change(|series| series.delete(from, to))?;
                // What is written in the place of removed samples must not be acknowledged by a token that named those.
                if removed > 0 {
                    series.renew();
                }
                removed
            }
            None => 0,
        };
        if removed > 0 {
            ctx.replicate_verbatim();
            ctx.notify(c"strata.del", name);
        }
        ctx.reply_integer(removed as i64);
        Ok(())
    }
}

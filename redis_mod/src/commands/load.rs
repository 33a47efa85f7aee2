//! `STRATA.LOAD key state`: makes a series from its saved state. A rewritten AOF consists of these.

use super::arguments::Cursor;
use super::spec::{self, Access, Arg, Call, Command, Keys, Kind, Spec};
use crate::api::key;
use crate::failure::Failure;
use crate::series_type;

pub struct Load;

impl Command for Load {
    const SPEC: Spec = Spec {
        name: c"STRATA.LOAD",
        flags: c"write deny-oom",
        arity: 3,
        keys: Keys::First,
        access: Access::Insert,
        summary: c"Makes a series from its saved state, as a rewritten AOF does",
        complexity: c"O(N) for N samples",
        args: &[spec::KEY, Arg::new(c"state", Kind::Text)],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let Call { ctx, args } = *call;
        if args.len() != 3 {
            return Err(Failure::Arity);
        }
        let mut cursor = Cursor::new(args);
        let name = cursor.raw()?;
        let series = series_type::read_state(args.get(1), cursor.bytes()?)
            .map_err(|error| Failure::text(format!("this is not the state of a series: {error}")))?;
        if key::write(ctx, name)?.is_some() {
            return Err(Failure::text("the key exists already"));
        }
        if ctx.repeats() {
            key::store(ctx, name, series);
        } else {
            key::create(ctx, name, series)?;
        }
        ctx.replicate_verbatim();
        ctx.notify(c"strata.load", name);
        ctx.reply_text("OK");
        Ok(())
    }
}

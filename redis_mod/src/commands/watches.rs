//! `STRATA.WATCHES source`: which measures of a source are under watch, and by which method.

use super::arguments::Cursor;
use super::source_keys::{self, check_source};
use super::spec::{self, Access, Call, Command, Keys, Spec};
use crate::failure::Failure;

pub struct WatchesCommand;

impl Command for WatchesCommand {
    const SPEC: Spec = Spec {
        name: c"STRATA.WATCHES",
        flags: c"readonly",
        arity: 2,
        keys: Keys::None,
        access: Access::Read,
        summary: c"Returns the measures of a source that are under watch, and by which method",
        complexity: c"O(S) for S series",
        args: &[spec::SOURCE],
    };

    fn run(call: &Call<'_>) -> Result<(), Failure> {
        let Call { ctx, args } = *call;
        let source = check_source(Cursor::new(args).bytes()?)?;
        let opened = source_keys::open(ctx, source, |series| !series.watches().is_empty());
        ctx.reply_array(opened.len());
        for (redis_key, series) in &opened {
            let names: Vec<&str> = series.measures().collect();
            ctx.reply_array(2);
            ctx.reply_bytes(redis_key);
            ctx.reply_array(series.watches().iter().count() * 2);
            for (measure, watch) in series.watches().iter() {
                ctx.reply_text(names[measure]);
                ctx.reply_text(watch.method().name());
            }
        }
        Ok(())
    }
}
